"""Messages of Contec 08-family blood-pressure monitors over Bluetooth LE; not those of `protocol/contec.py`.

A message is a head byte of 80 and more and so many bytes below 80; a question ends with the low seven bits
of the sum of all before. Sources: protocols sheet ble/contec.md and the app it names
(summersab/Contec-PHMS), whose check of the answers F0 to F6 is taken over; it does not check E0 and E1.
There are no captures.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime
from decimal import Decimal

from protocol.errors import MalformedValue
from protocol.framing import Frame, Held, Noise
from protocol.quantities import Quantity
from protocol.readings import Event, Kind, Measure, Notice, Reading
from protocol.times import device_time

COUNTS, RECORD, CLOCK_SET = 0xE0, 0xE1, 0xF3
LENGTHS: Mapping[int, int] = {
    COUNTS: 6,
    RECORD: 18,
    0xF0: 2,
    0xF1: 10,
    0xF2: 8,
    CLOCK_SET: 3,
    0xF4: 3,
    0xF5: 10,
    0xF6: 10,
}
ASK_COUNTS, SET_CLOCK = b"\x90", 0x83
LAST = 0x40
"""In the second byte of a record: there is none behind it."""
BLOCK = 10
"""Records to a question."""
MOST_BLOCKS = 0x7E
"""A higher number is no block but an end that may delete records: never sent."""
HIGHEST = 300
"""Ours: mmHg; more is a wrong high byte, there being no check."""


class Framer(Held):
    """Cuts messages by their head; a head inside a message says that this one was cut short."""

    def feed(self, chunk: bytes) -> Iterator[Frame | Noise]:
        """Yield each whole message in what has arrived, and what lies between."""
        self._held += chunk
        while (piece := self._next()) is not None:
            yield piece

    def finish(self) -> Iterator[Frame | Noise]:
        """Yield what is held as noise: every message has its length."""
        if self._held:
            yield Noise(self._take(len(self._held)), "incomplete")

    def _next(self) -> Frame | Noise | None:
        held = self._held
        size = LENGTHS.get(held[0], 0) if held else 0
        body = next((at for at in range(1, min(size or len(held), len(held))) if held[at] & 0x80), None)
        if not held:
            return None
        if not size:
            return Noise(self._take(body or len(held)), "no frame start")
        if body is not None:
            return Noise(self._take(body), "cut short")
        return Frame(self._take(size)) if len(held) >= size else None


def _checked(body: bytes) -> bytes:
    return body + bytes([sum(body) & 0x7F])


def ask_counts() -> bytes:
    """Return the question how many records there are."""
    return _checked(ASK_COUNTS)


def ask_block(number: int) -> bytes:
    """Return the question for one block of ten records; ValueError beyond the blocks."""
    if not 0 <= number < MOST_BLOCKS:
        raise ValueError(f"never sent: block {number:02x}")
    return _checked(bytes([0x91, number]))


def set_clock(moment: datetime) -> bytes:
    """Return the command that sets the clock; ValueError for a year that seven bits cannot tell."""
    if not 2000 <= moment.year <= 2127:
        raise ValueError(f"no such year: {moment.year}")
    fields = (moment.year - 2000, moment.month, moment.day, moment.hour, moment.minute, moment.second)
    return _checked(bytes([SET_CLOCK, *fields, 0, 0]))


def counts(frame: bytes) -> tuple[int, int]:
    """Return how many records there are, and how many of them are new."""
    return frame[1] | frame[2] << 7, frame[3] | frame[4] << 7


def is_last(frame: bytes) -> bool:
    """Say whether no record follows this one."""
    return bool(frame[1] & LAST)


def clock_taken(frame: bytes) -> bool:
    """Say whether the answer to a clock setting means yes."""
    return frame[0] == CLOCK_SET and not frame[1]


def decode_message(frame: bytes) -> Iterator[Reading | Event]:
    """Yield what one message says; raise MalformedValue for what is not documented."""
    if frame[0] == RECORD:
        yield _record(frame)
        return
    if frame[0] == COUNTS:
        total, new = counts(frame)
        yield Notice("contec_ble.memory", {"records": str(total), "new": str(new)})
        return
    if _checked(frame[:-1]) != frame:
        raise MalformedValue(f"check failed: {frame.hex(' ')}")
    yield Notice("contec_ble.answered", {"bytes": frame.hex(" ")})


def _record(frame: bytes) -> Reading:
    """Return one stored result; bit 7 of each of its six numbers travels in a byte before them."""
    carrier = frame[10]
    low, high, mean, diastolic, pulse, fast = (frame[11 + at] | (carrier >> at & 1) << 7 for at in range(6))
    systolic, rate = high << 8 | low, fast << 8 | pulse
    moment = device_time(2000 + frame[2], *frame[3:8])
    if not HIGHEST >= systolic > diastolic > 0 or not 0 < rate <= HIGHEST:
        raise MalformedValue(f"not a blood pressure: {systolic}/{diastolic}, mean {mean}, pulse {rate}")
    values = {
        Measure.SYSTOLIC: Quantity(Decimal(systolic), "mm[Hg]"),
        Measure.DIASTOLIC: Quantity(Decimal(diastolic), "mm[Hg]"),
        Measure.PULSE_RATE: Quantity(Decimal(rate), "/min"),
    }
    if mean:
        values[Measure.MEAN_PRESSURE] = Quantity(Decimal(mean), "mm[Hg]")
    return Reading(
        Kind.BLOOD_PRESSURE,
        values,
        (frame,),
        device_time=moment,
        stored=True,
        record=f"blood_pressure {moment.isoformat()} {systolic}/{diastolic} {mean} {rate}",
    )
