"""Trividia TRUE METRIX, GO and AIR glucose meters in their USB cradle: text in HID reports.

USB HID 1F41:0000 and 1F41:0003. Values are always mg/dL. The memory comes in one piece with a sum over all of
it: nothing is taken from one that does not match. The one client known switches the meter off before and
after; this driver never does. Never tried on hardware. The messages are in `protocol/trividia.py`.
"""

import re
from collections.abc import Generator, Iterable, Iterator

from drivers.catalogue import Decoded, Driver, Hid, Refusal
from drivers.dialogue import Answer, Dialogue, Listen, Observe, Send, Settings, Step
from drivers.meters import Part, Told, attend, incomplete
from drivers.push import pass_on
from protocol import trividia
from protocol.errors import MalformedValue, NoAnswer
from protocol.framing import Frame
from protocol.readings import DeviceClock, Identified, Kind, Measure, Reading
from protocol.trividia import IDENTIFY, READ_CLOCK, READ_RESULTS, READ_SERIAL, WAKE, Meaning, report

ANSWER = 2.0
"""Ours: seconds a meter has for each report; its client waits as long."""
TRIES = 3
"""Ours: times a meter is woken."""
MOST_REPORTS = 2000
"""Ours: more than a memory fills; the end of a download in any case."""


def decode(frames: Iterable[Frame]) -> Iterator[Decoded]:
    """Give what the reports say together: a message may run on into the next one."""
    meaning, last = Meaning(), b""
    for frame in frames:
        last = frame.data
        yield from _heard(last, meaning)
    try:
        meaning.rest()
    except MalformedValue as refused:
        yield Refusal(last, refused.code, refused.detail)


def _heard(frame: bytes, meaning: Meaning) -> Iterator[Decoded]:
    try:
        yield from meaning.of(frame)
    except MalformedValue as refused:
        yield Refusal(frame, refused.code, refused.detail)


def talk(_settings: Settings) -> Dialogue:
    """Wake the meter, ask who it is, for its clock and for its memory, again and again."""
    return attend(_Meter())


class _Meter:
    """The questions put to the meter that stands in the cradle now."""

    def __init__(self) -> None:
        self.decode = _unasked
        self._told = Told()
        self._serial = ""

    def look(self, *, whole: bool) -> Part:
        """Wake it and ask who it is; a meter that was not there before is read whole."""
        identity = yield from self._introduce()
        if identity is None:
            raise NoAnswer("no serial number")
        if identity.serial != self._serial:
            self._serial, whole = identity.serial, True
            self._told.forget()
            yield Observe(identity)
            said = yield from _ask(READ_CLOCK, Meaning(), trividia.CLOCK)
            yield from pass_on(item for item in said if isinstance(item, DeviceClock))
        if whole:
            yield from self._memory()

    def _introduce(self) -> Generator[Step, Answer, Identified | None]:
        for _ in range(TRIES):
            yield Send(report(WAKE))
            yield Listen(timeout=ANSWER)
            meaning = Meaning()
            yield from _ask(IDENTIFY, meaning, trividia.MODEL)
            for item in (yield from _ask(READ_SERIAL, meaning, trividia.IDENTITY)):
                if isinstance(item, Identified):
                    return item
        return None

    def _memory(self) -> Part:
        """Read the memory once more where its sum did not match, then pass on what is new."""
        for _ in range(2):
            meaning = Meaning()
            said = yield from _ask(READ_RESULTS, meaning, trividia.TOTAL)
            if meaning.total():
                yield from self._told.news([item for item in said if isinstance(item, Reading | Refusal)])
                return
        yield from incomplete()


def _ask(name: str, meaning: Meaning, last: re.Pattern[bytes]) -> Generator[Step, Answer, list[Decoded]]:
    """Put a question and return what is said up to the message like *last*, or until the meter is silent."""
    said: list[Decoded] = []
    yield Send(report(name))
    for _ in range(MOST_REPORTS):
        answer = yield Listen(timeout=ANSWER)
        if not isinstance(answer, Frame):
            break
        said += _heard(answer.data, meaning)
        if any(last.fullmatch(one) for one in meaning.said):
            break
    return said


def _unasked(frames: Iterable[Frame]) -> Iterator[Decoded]:
    """Give what reports say that nobody asked for; no result is taken that no sum covers."""
    return (item for item in decode(frames) if not isinstance(item, Reading))


DRIVER = Driver(
    name="true_metrix",
    title="TRUE METRIX glucose meter",
    models=("Trividia TRUE METRIX", "TRUE METRIX GO", "TRUE METRIX AIR"),
    kinds=(Kind.GLUCOSE,),
    link=Hid(trividia.REPORT, ((0x1F41, 0x0000), (0x1F41, 0x0003))),
    framer=lambda: trividia.TextReports(trividia.REPORT),
    decode=decode,
    talk=talk,
    grade="B",
    provenance="constructed",
    sources="serial/other_glucose_meters.md: Tidepool's driver; no meter was heard",
    not_known=(
        "the size of a report (64 is taken); whether A0 stands before what the meter sends (both are read)",
        "what the meter answers to waking it, and to reading an empty memory",
        "the order of the results: newest first is taken, as with other meters",
        "the eleventh digit of a result and those behind it; what (*) acknowledges: it is never sent",
        "how the clock could be set",
    ),
    orders=("read_records",),
    machine_range={Measure.GLUCOSE: trividia.SHOWN},
)
