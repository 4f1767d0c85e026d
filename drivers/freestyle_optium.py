"""Abbott FreeStyle Optium, Precision Xtra and Xceed on Abbott's strip-port cable: text, 19200 8N1.

Values are always mg/dL. The memory comes in one piece, newest first, under one check sum. The first command
after plugging in may be ignored, so it is repeated. The clock can be lost with the battery: each record says
whether it was. The lines are in `protocol/freestyle.py`.
"""

from collections.abc import Callable, Generator, Iterable, Iterator
from datetime import datetime

from drivers.catalogue import Decoded, Driver, Refusal, Serial
from drivers.dialogue import Answer, Dialogue, Listen, Send, Settings, Step
from drivers.meters import Part, Told, attend, incomplete
from drivers.push import pass_on
from protocol import freestyle
from protocol.errors import MalformedValue, NoAnswer
from protocol.framing import Frame
from protocol.freestyle import END, MOST_LINES, OK, question
from protocol.readings import DeviceClock, Identified, Kind, Measure, Notice, Reading

ANSWER = 3.0
"""Ours: seconds a meter has to answer, and between two lines."""
TRIES = 3
"""Ours: times the first question is put."""


def decode(frames: Iterable[Frame]) -> Iterator[Decoded]:
    """Give what the lines say together: a memory speaks only once its check sum is right."""
    return _decode(frames, freestyle.Meaning())


def _covered(frames: Iterable[Frame]) -> Iterator[Decoded]:
    """Give what the lines of a conversation say: no value without the check sum of its memory."""
    return _decode(frames, freestyle.Meaning(alone=False))


def _decode(frames: Iterable[Frame], meaning: freestyle.Meaning) -> Iterator[Decoded]:
    last = b""
    for frame in frames:
        last = frame.data
        try:
            yield from meaning.of(last)
        except MalformedValue as refused:
            yield Refusal(last, refused.code, refused.detail)
    try:
        meaning.rest()
    except MalformedValue as refused:
        yield Refusal(last, refused.code, refused.detail)


def talk(_settings: Settings) -> Dialogue:
    """Ask who is there, for its clock and for its memory, again and again."""
    meter = _Meter()
    return attend(meter, meter.set_clock)


class _Meter:
    """The questions put to the meter that hangs on the cable now."""

    def __init__(self) -> None:
        self.decode = _covered
        self._told = Told()
        self._identity = ""
        self._used: int | None = None

    def look(self, *, whole: bool) -> Part:
        """Ask who is there and how much it remembers; read the memory where that is new."""
        lines = yield from self._introduce()
        said = list(_covered(lines))
        serials = [item.serial for item in said if isinstance(item, Identified)]
        if not serials:
            raise NoAnswer("no serial number")
        if serials[0] != self._identity:
            self._identity, whole = serials[0], True
            self._told.forget()
            yield from pass_on(said)
        used = next((count for line in lines if (count := freestyle.used(line.data)) is not None), None)
        if (whole or used is None or used != self._used) and used != 0:
            yield from self._memory()
        self._used = used

    def set_clock(self, moment: datetime) -> Part:
        """Set the clock, and read it again."""
        yield Send(freestyle.set_clock(moment))
        yield from _until(_is_ok)
        lines = yield from self._introduce()
        yield from pass_on(item for item in _covered(lines) if isinstance(item, DeviceClock))

    def _introduce(self) -> Generator[Step, Answer, list[Frame]]:
        lines: list[Frame] = []
        for _ in range(TRIES):
            yield Send(question("colq"))
            lines, _whole = yield from _until(_is_ok)
            if any(isinstance(item, Identified) for item in _covered(lines)):
                break
        return lines

    def _memory(self) -> Part:
        """Read the memory once more where it did not come whole, then pass on what is new."""
        for _ in range(2):
            yield Send(question("xmem"))
            lines, ended = yield from _until(lambda line: END.fullmatch(line.rstrip()) is not None)
            said = [item for item in _covered(lines) if isinstance(item, Reading | Notice | Refusal)]
            if ended and not any(isinstance(item, Refusal) for item in said):
                yield from self._told.news(said)
                return
        yield from self._told.news(said)
        yield from incomplete()


def _until(last: Callable[[bytes], bool]) -> Generator[Step, Answer, tuple[list[Frame], bool]]:
    """Return the lines up to one that is the *last*, and whether it came."""
    lines: list[Frame] = []
    for _ in range(MOST_LINES):
        answer = yield Listen(timeout=ANSWER)
        if not isinstance(answer, Frame):
            return lines, False
        lines.append(answer)
        if last(answer.data):
            return lines, True
    return lines, False


def _is_ok(line: bytes) -> bool:
    return line.rstrip() == OK


DRIVER = Driver(
    name="freestyle_optium",
    title="FreeStyle Optium, Precision Xtra and Xceed glucose meter",
    models=("Abbott FreeStyle Optium", "Abbott Precision Xtra", "Abbott Xceed"),
    kinds=(Kind.GLUCOSE,),
    link=Serial(baudrate=19200, usb=((0x1A61, 0x3420),)),
    framer=freestyle.TextFramer,
    decode=decode,
    talk=talk,
    grade="A",
    provenance="constructed",
    sources="serial/freestyle_optium.md: glucometer-protocols, glucometerutils and its tests, Tidepool",
    not_known=(
        "a whole memory as a meter sends it: none was captured",
        "what an empty memory looks like: it is not asked for where the meter says it has no records",
        "whether the meter stops at XOFF, as one source sets its line",
        "what the other bits of a record's status mean: they go along in the context",
    ),
    orders=("read_records", "set_clock"),
    machine_range={Measure.GLUCOSE: freestyle.SHOWN},
)
