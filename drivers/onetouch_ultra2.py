"""LifeScan OneTouch Ultra2 on its 2.5 mm jack cable (PL2303, FTDI or CH340 inside): text, 9600 8N1.

Values are always mg/dL, whatever the display shows; HIGH and LOW come as words. The memory comes in one
piece, newest first, each line with its own sum. The meter sleeps: every question begins with a wake prefix,
and the first answer is sometimes lost, so the first question is repeated. The lines are in
`protocol/lifescan.py`.
"""

from collections.abc import Generator
from datetime import datetime

from drivers.catalogue import Decoded, Driver, Refusal, Serial, frame_by_frame
from drivers.dialogue import Answer, Dialogue, Listen, Send, Settings, Step
from drivers.meters import MOST_BETWEEN, Part, Told, ask, attend, await_frame, incomplete
from drivers.push import pass_on
from protocol import lifescan
from protocol.errors import MalformedValue, NoAnswer
from protocol.framing import Frame
from protocol.readings import DeviceClock, Event, Identified, Kind, Measure, Reading

ANSWER = 3.0
"""Ours: seconds a meter has to answer, and between two lines of its memory."""
FIRST_TRIES = 3

decode = frame_by_frame(lifescan.decode_line)


def talk(_settings: Settings) -> Dialogue:
    """Ask who is there, for its clock and for its memory, again and again."""
    meter = _Meter()
    return attend(meter, meter.set_clock)


class _Meter:
    """The questions put to the meter that hangs on the cable now."""

    def __init__(self) -> None:
        self.decode = decode
        self._told = Told()
        self._identity = b""

    def look(self, *, whole: bool) -> Part:
        """Ask who is there; a meter that was not there before is read whole."""
        identity = yield from ask(lifescan.question("@"), decode, _is_serial, ANSWER, FIRST_TRIES)
        if identity is None:
            raise NoAnswer("no serial number")
        if identity.data != self._identity:
            self._identity, whole = identity.data, True
            self._told.forget()
            yield from pass_on(decode([identity]))
            yield from self._clock()
        if whole:
            yield from self._memory()

    def set_clock(self, moment: datetime) -> Part:
        """Set the clock; the meter says what it is now."""
        clock = yield from ask(lifescan.set_clock(moment), decode, _is_clock, ANSWER)
        yield from pass_on(decode([clock]) if clock else ())

    def _clock(self) -> Part:
        clock = yield from ask(lifescan.question("F"), decode, _is_clock, ANSWER)
        yield from pass_on(decode([clock]) if clock else ())

    def _memory(self) -> Part:
        """Read the memory once more where a line was lost or damaged, then pass on what came whole."""
        for _ in range(2):
            said, whole = yield from self._dump()
            if whole:
                break
        yield from self._told.news(said)
        if not whole:
            yield from incomplete()

    def _dump(self) -> Generator[Step, Answer, tuple[list[Decoded], bool]]:
        """Return what the memory says, newest first, and whether that is all of it."""
        yield Send(lifescan.question("P"))
        header = yield from await_frame(decode, _is_header, Listen(timeout=ANSWER))
        if header is None:
            return [], False
        announced, said = lifescan.announced(header.data), list[Decoded]()
        for _ in range(announced + MOST_BETWEEN):
            if len(said) == announced:
                return said, all(isinstance(item, Reading) for item in said)
            answer = yield Listen(timeout=ANSWER)
            said += decode([answer]) if isinstance(answer, Frame) else ()
            if answer is None:
                break
        return said, False


def _said(line: bytes) -> list[Reading | Event | Refusal]:
    return list(decode([Frame(line)]))


def _is_serial(line: bytes) -> bool:
    return any(isinstance(item, Identified) for item in _said(line)) and not _is_header(line)


def _is_clock(line: bytes) -> bool:
    return any(isinstance(item, DeviceClock) for item in _said(line))


def _is_header(line: bytes) -> bool:
    try:
        lifescan.announced(line)
    except MalformedValue:
        return False
    return True


DRIVER = Driver(
    name="onetouch_ultra2",
    title="OneTouch Ultra2 glucose meter",
    models=("LifeScan OneTouch Ultra2",),
    kinds=(Kind.GLUCOSE,),
    link=Serial(),
    framer=lifescan.lines,
    decode=decode,
    talk=talk,
    grade="A",
    provenance="captured",
    sources="serial/lifescan_onetouch.md: a captured memory, glucometerutils, Tidepool; "
    "answers to DM@ and DMF as in glucometerutils",
    not_known=(
        "how wide HIGH and LOW stand in their field (any padding is taken)",
        "the limits of HIGH and LOW in the sheet (20 and 600 mg/dL are Tidepool's)",
        "what a questionable value is worth: it is flagged, not left out",
        "whether the meter can measure while the cable is in",
    ),
    orders=("read_records", "set_clock"),
    machine_range={Measure.GLUCOSE: lifescan.SHOWN},
)
