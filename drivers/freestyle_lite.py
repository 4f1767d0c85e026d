"""Abbott FreeStyle Lite, Freedom Lite and Mini on Abbott's jack cable: text, 19200 8N1.

The one command `mem` tells all there is: serial number, clock, then the memory under one check sum, so all of
it is read at every look. Values are always mg/dL. The clock is known once the memory has come, some seconds
after it was told, and cannot be set. The lines are in `protocol/freestyle_lite.py`.
"""

from collections.abc import Generator, Iterable, Iterator

from drivers.catalogue import Decoded, Driver, Refusal, Serial
from drivers.dialogue import Answer, Dialogue, Listen, Send, Settings, Step
from drivers.meters import Part, Told, attend, incomplete, newest_first
from drivers.push import pass_on
from protocol import freestyle_lite
from protocol.errors import MalformedValue, NoAnswer
from protocol.framing import Frame
from protocol.freestyle import MOST_LINES, SHOWN, TextFramer
from protocol.freestyle_lite import ASK, is_over
from protocol.readings import DeviceClock, Identified, Kind, Measure, Reading

ANSWER = 3.0
"""Ours: seconds a meter has to answer, and between two lines."""
TRIES = 3
"""Ours: times a memory is asked for that does not come, or not whole."""


def decode(frames: Iterable[Frame]) -> Iterator[Decoded]:
    """Give what the lines say together: a memory speaks only once its check sum is right."""
    return _decode(frames, freestyle_lite.Meaning())


def _covered(frames: Iterable[Frame]) -> Iterator[Decoded]:
    """Give what the lines of a conversation say: no value without the check sum of its memory."""
    return _decode(frames, freestyle_lite.Meaning(alone=False))


def _decode(frames: Iterable[Frame], meaning: freestyle_lite.Meaning) -> Iterator[Decoded]:
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
    """Ask for the memory, again and again."""
    return attend(_Meter())


class _Meter:
    """The question put to the meter that hangs on the cable now."""

    def __init__(self) -> None:
        self.decode = _covered
        self._told = Told()
        self._serial = ""

    def look(self, *, whole: bool) -> Part:
        """Read the memory, once more where it did not come whole, and pass on what is new."""
        del whole  # there is no smaller question
        said: list[Decoded] = []
        for _ in range(TRIES):
            yield Send(ASK)
            lines = yield from _lines()
            said = list(_covered(lines)) if lines else said
            if lines and not _damaged(said):
                break
        if not said:
            raise NoAnswer("no memory")
        yield from self._introduce(said)
        kept = [item for item in said if isinstance(item, Reading | Refusal)]
        yield from self._told.news(newest_first(kept))
        if _damaged(said):
            yield from incomplete()

    def _introduce(self, said: list[Decoded]) -> Part:
        """Let a meter be known that was not there before, and every time its clock."""
        for item in said:
            if isinstance(item, DeviceClock):
                yield from pass_on([item])
            elif isinstance(item, Identified) and item.serial != self._serial:
                self._serial = item.serial
                self._told.forget()
                yield from pass_on([item])


def _damaged(said: list[Decoded]) -> bool:
    """Say whether no memory was understood; a refused record in a good one is no damage."""
    return not any(isinstance(item, Identified) for item in said)


def _lines() -> Generator[Step, Answer, list[Frame]]:
    """Return the lines of one answer, as far as they came."""
    lines: list[Frame] = []
    for _ in range(MOST_LINES):
        answer = yield Listen(timeout=ANSWER)
        if not isinstance(answer, Frame):
            break
        lines.append(answer)
        if is_over(answer.data):
            break
    return lines


DRIVER = Driver(
    name="freestyle_lite",
    title="FreeStyle Lite and Freedom Lite glucose meter",
    models=("Abbott FreeStyle Lite", "Abbott FreeStyle Freedom Lite", "Abbott FreeStyle Mini"),
    kinds=(Kind.GLUCOSE,),
    link=Serial(baudrate=19200, usb=((0x1A61, 0x3410),)),
    framer=TextFramer,
    decode=decode,
    talk=talk,
    grade="B",
    provenance="constructed",
    sources="serial/freestyle_optium.md: glucometer-protocols (A. Schrijver), Tidepool, glucometerutils",
    not_known=(
        "a whole memory as a meter sends it: none was captured, one record stands in a source's comment",
        "whether the command needs $ and a line end: two sources send mem alone, one $mem and CR LF",
        "the two digits before a record's status, and its bits but the first: they go along in the context",
        "the order of the records; where 02 and 03 stand around an answer; the line settings of flow control",
        "whether an empty memory ends in one line or two (both are read)",
        "how the clock is set, and whether a lost clock is marked",
    ),
    orders=("read_records",),
    machine_range={Measure.GLUCOSE: SHOWN},
)
