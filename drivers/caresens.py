"""i-SENS CareSens glucose meters, also sold as ReliOn Premier and Glucocard Shine: packets, 9600 8N1.

A serial cable (FTDI), or the HID cable 10C4:8A32, a CP2110 with the same line behind it: the port is opened
as a line all the same (`gateway/links/cp2110.py`). Values are always mg/dL. Results come without a check sum
that holds: every part of the memory is read twice, and taken only where both agree. The packets are in
`protocol/isens.py`.
"""

from collections.abc import Generator
from datetime import datetime

from drivers.catalogue import Decoded, Driver, Serial, frame_by_frame
from drivers.dialogue import Answer, Dialogue, Listen, Observe, Send, Settings, Step
from drivers.meters import Answered, Part, Told, ask, attend, incomplete, newest_first, without_results
from drivers.push import pass_on
from protocol import isens
from protocol.errors import NoAnswer
from protocol.framing import Frame
from protocol.isens import CLOCK, COUNT, MOST_RECORDS, OTHERS, PROBE, SERIAL, SET_CLOCK, question
from protocol.readings import DeviceClock, Identified, Kind, Measure, Notice

WAKING = 1.0
"""Ours: seconds a meter has to answer the probe; it is asked in packets even where it did not."""
ANSWER = 2.0
"""Ours: seconds a meter has to answer."""
TRIES = 3
"""Ours: times a question is put, and times more a part of the memory is read that two readings differ in."""

decode = frame_by_frame(isens.decode_packet)


def talk(_settings: Settings) -> Dialogue:
    """Ask who is there, for its clock and for its memory, again and again."""
    meter = _Meter()
    return attend(meter, meter.set_clock)


class _Meter:
    """The questions put to the meter that hangs on the cable now."""

    def __init__(self) -> None:
        self.decode = without_results(decode)
        self._told = Told()
        self._serial = ""
        self._seen: tuple[bytes, ...] = ()

    def look(self, *, whole: bool) -> Part:
        """Ask who is there; read the memory where its count, its first or its last record is new."""
        yield Send(PROBE)
        probed = yield Listen(within=WAKING)
        if isinstance(probed, Frame) and probed.data in OTHERS:
            detail = {"protocol": OTHERS[probed.data]}
            yield Observe(Notice("caresens.other_protocol", detail, fault=True))
            return
        yield from self._introduce()
        counting = yield from self._ask(question(COUNT), COUNT)
        count = (isens.counted(counting.data) if counting else None) or 0
        ends = yield from self._ends(count)
        if ends is None or counting is None:
            yield from incomplete()
        elif count and (whole or (counting.data, *ends) != self._seen):
            self._seen = (counting.data, *ends) if (yield from self._memory(count)) else ()

    def set_clock(self, moment: datetime) -> Part:
        """Set the clock, and read it again."""
        yield from self._ask(isens.set_clock(moment), SET_CLOCK, tries=1)
        yield from self._clock()

    def _introduce(self) -> Part:
        """Read the serial number, and the clock of a meter that was not there before."""
        answer = yield from self._ask(question(SERIAL), SERIAL)
        said = list(self.decode([answer])) if answer else []
        serials = [item.serial for item in said if isinstance(item, Identified)]
        if not serials:
            raise NoAnswer("no serial number")
        if serials[0] != self._serial:
            self._serial, self._seen = serials[0], ()
            self._told.forget()
            yield from pass_on(said)
            yield from self._clock()

    def _clock(self) -> Part:
        answer = yield from self._ask(question(CLOCK), CLOCK)
        said = self.decode([answer]) if answer else ()
        yield from pass_on(item for item in said if isinstance(item, DeviceClock))

    def _ends(self, count: int) -> Generator[Step, Answer, tuple[bytes, ...] | None]:
        """Return the first and the last record; None where one does not come."""
        found = []
        for place in dict.fromkeys((1, count) if count else ()):
            answer = yield from self._part(place, 1)
            if answer is None:
                return None
            found.append(answer.data)
        return tuple(found)

    def _memory(self, count: int) -> Generator[Step, Answer, bool]:
        """Pass on what is new, and say whether all of it could be read."""
        said: list[Decoded] = []
        missing = False
        for first in range(1, count + 1, MOST_RECORDS):
            answer = yield from self._part(first, min(MOST_RECORDS, count + 1 - first))
            if missing := answer is None:
                break
            said += decode([answer])
        yield from self._told.news(newest_first(said))
        if missing:
            yield from incomplete()
        return not missing

    def _part(self, first: int, count: int) -> Answered:
        """Return *count* records as two readings in a row have them; None where no two agree."""
        before = None
        for _ in range(1 + TRIES):
            answer = yield from ask(
                isens.ask_results(first, count),
                self.decode,
                lambda frame: isens.holds_records(frame, count),
                ANSWER,
                TRIES,
            )
            if answer is None or answer == before:
                return answer
            before = answer
        return None

    def _ask(self, packet: bytes, name: bytes, tries: int = TRIES) -> Answered:
        """Return the answer to *packet*: one of the same name."""
        return (
            yield from ask(packet, self.decode, lambda frame: bool(isens.data_of(frame, name)), ANSWER, tries)
        )


DRIVER = Driver(
    name="caresens",
    title="i-SENS CareSens glucose meter",
    models=("i-SENS CareSens", "ReliOn Premier", "Arkray Glucocard Shine"),
    kinds=(Kind.GLUCOSE,),
    link=Serial(usb=((0x10C4, 0x8A32),)),
    framer=isens.framer,
    decode=decode,
    talk=talk,
    grade="B",
    provenance="constructed",
    sources="serial/other_glucose_meters.md: Tidepool's driver careSens.js; no meter was heard",
    not_known=(
        "whether record 1 is the newest or the oldest: all are read and told by the meter's own times",
        "the limit of HI: 600 mg/dL as Tidepool's code has it; an early comment in it says 500",
        "what stands where the CRC of results should; the byte behind the serial number",
        "whether the cable's chip (CP2110) obeys: set as its maker's specification says, never tried on one",
        "HID models of other ids (Glucocard Shine Connex, 0483:A18B): reports of theirs are not described",
        "meters that answer 20 or 2F to the probe: named, not read (one model is known, no check, no clock)",
        "how many records a meter keeps, and whether it can measure while the cable is in",
    ),
    orders=("read_records", "set_clock"),
    machine_range={Measure.GLUCOSE: isens.SHOWN},
)
