"""Text answers of UEBE Visomat blood-pressure monitors (Double Comfort, Prevention DS-2200PV).

The memory is `STX M<bank><nn> records … ETX`: nn records of 20 digits, the next bank behind them; an empty
bank carries one dummy byte after its 00. Source: protocols sheet serial/visomat.md.
"""

import re
from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal

from protocol.errors import MalformedValue
from protocol.framing import DelimitedFramer, Frame, Noise
from protocol.quantities import Quantity
from protocol.readings import Event, Kind, Measure, Notice, Reading
from protocol.times import device_time

STX, ETX = b"\x02", b"\x03"
DUMP, CLOCK = b"R00", b"R02"
"""All that is ever sent: give the memory, give the clock."""

LONGEST = 4000
"""Ours: two banks of 99 records."""
BANK = re.compile(rb"M(?P<bank>\d)(?P<count>\d\d)")
RECORD = re.compile(
    rb"(?P<time>\d{10})(?P<flag>\d)(?P<systolic>\d{3})(?P<diastolic>\d{3})(?P<pulse_rate>\d{3})"
)
SIZE = 20
UNITS = {Measure.SYSTOLIC: "mm[Hg]", Measure.DIASTOLIC: "mm[Hg]", Measure.PULSE_RATE: "/min"}
LOST_YEAR = 2040
"""Ours: real memories hold 2044; from here on it is not the time of a measurement but a lost clock."""


class AnswerFramer(DelimitedFramer):
    """Answers from STX to ETX; also, given out at a silence, one bare record that came all alone."""

    def __init__(self) -> None:
        super().__init__((STX, ETX), limit=LONGEST)
        self._alone: bytes | None = b""

    def feed(self, chunk: bytes) -> Iterator[Frame | Noise]:
        """Yield each whole answer, both marks included, and the noise between."""
        if self._alone is not None:
            chunk, self._alone = self._alone + chunk, None
            if len(chunk) <= SIZE and (chunk.isdigit() or not chunk):
                self._alone = chunk
                return
        yield from super().feed(chunk)

    def finish(self) -> Iterator[Frame | Noise]:
        """Yield a record that came alone; anything else that is held is noise."""
        alone, self._alone = self._alone, b""
        if alone:
            yield Frame(alone) if len(alone) == SIZE else Noise(alone, "incomplete")
        yield from super().finish()


def is_dump(frame: bytes) -> bool:
    """Say whether *frame* is an answer with the memory."""
    return frame.startswith(STX + b"M")


def is_clock(frame: bytes) -> bool:
    """Say whether *frame* is an answer of digits alone: the clock, in a layout that no source tells."""
    return frame.startswith(STX) and frame[1:-1].isdigit()


def decode_answer(frame: bytes) -> Iterator[Reading | Event]:
    """Yield what one answer says; a record that cannot be does not take the others with it.

    Raises MalformedValue, after the good records, for what is not documented.
    """
    if not frame.startswith(STX):
        yield _reading("", frame, frame)
    elif is_dump(frame):
        yield from _memory(frame)
    elif is_clock(frame):
        yield Notice("visomat.clock", {"text": frame[1:-1].decode("ascii")})
    else:
        raise MalformedValue("neither a memory nor a clock")


def _memory(frame: bytes) -> Iterator[Reading]:
    refused = []
    for bank, record in _records(frame[1:-1]):
        try:
            yield _reading(bank, record, frame)
        except MalformedValue as impossible:
            refused.append(f"{record!r}: {impossible.detail}")
    if refused:
        raise MalformedValue("; ".join(refused))


def _records(text: bytes) -> list[tuple[str, bytes]]:
    """Return bank and text of each record; raise MalformedValue where banks do not fill *text* exactly."""
    found, at = [], 0
    while at < len(text):
        head = BANK.match(text, at)
        if head is None:
            raise MalformedValue(f"no bank begins at {at}")
        count, begin = int(head["count"]), head.end()
        at = begin + (SIZE * count or 1)
        if at > len(text):
            raise MalformedValue("a bank is cut short")
        found += [
            (head["bank"].decode("ascii"), text[place : place + SIZE])
            for place in range(begin, begin + SIZE * count, SIZE)
        ]
    return found


def _reading(bank: str, record: bytes, frame: bytes) -> Reading:
    """Return one stored result. Its own text is its name: a record says nothing else that is its alone."""
    found = RECORD.fullmatch(record)
    if found is None or found["flag"] not in {b"0", b"1"}:
        raise MalformedValue("not time, flag, systolic, diastolic, pulse")
    values = {measure: Quantity(Decimal(int(found[measure])), unit) for measure, unit in UNITS.items()}
    if not all(quantity.value for quantity in values.values()):
        raise MalformedValue("zero is not a value")
    moment, stated = _time(found["time"]), found["time"].decode("ascii")
    flags = {"clock_lost"} if moment is None else set()
    flags |= {"irregular_pulse"} if found["flag"] == b"1" else set()
    context = ({"bank": bank} if bank else {}) | ({"stated_time": stated} if moment is None else {})
    return Reading(
        Kind.BLOOD_PRESSURE,
        values,
        (frame,),
        device_time=moment,
        context=context,
        flags=frozenset(flags),
        stored=True,
        record=f"bank {bank or '?'} {record.decode('ascii')}",
    )


def _time(text: bytes) -> datetime | None:
    """Return the moment of a record, None where there is no such moment or the clock was lost."""
    try:
        moment = device_time(2000 + int(text[:2]), *(int(text[at : at + 2]) for at in range(2, 10, 2)))
    except MalformedValue:
        return None
    return moment if moment.year < LOST_YEAR else None
