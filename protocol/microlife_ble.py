"""Frames of Microlife monitors over Bluetooth LE (BP3GY1-2N); not those of `protocol/microlife.py`.

`4D | FF (host) or 3A (monitor) | length (2, high byte first) | content | SUM`: length counts content and
SUM, SUM is the low byte of the sum of all before. Sources: protocols sheet ble/beurer_bp_variants.md and
what it names, derdilla/blood-pressure-monitor-fl, and joergmlpts/blood-pressure-monitor (`bpm_bt.py`),
where that comes from.
"""

from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal

from protocol.checks import sum8
from protocol.errors import MalformedValue
from protocol.framing import LengthFramer
from protocol.quantities import Quantity
from protocol.readings import Event, Kind, Measure, Notice, Reading
from protocol.times import device_time

HOST, MONITOR = b"M\xff", b"M:"
LONGEST = 2048
"""Ours: more than a header and the memory of one user; a longer length is a false start."""
READ_MEMORY, DISCONNECT = bytes(7) + b"\xfd", b"\x04"
SET_CLOCK = 0x0D
DONE = b"\x81"
HEADER, RECORD = 38, 10


def framer() -> LengthFramer:
    """Return a framer for a monitor's notifications."""
    return LengthFramer(MONITOR, 4, _length, lambda frame: sum8(frame[:-1]) == frame[-1])


def _length(header: bytes) -> int | None:
    count = int.from_bytes(header[2:4], "big")
    return count + 4 if 2 <= count <= LONGEST else None


def command(content: bytes) -> bytes:
    """Return the host's frame around *content*; ValueError for any that is not asked here."""
    clock = len(content) == 7 and content[0] == SET_CLOCK
    if not clock and content not in {READ_MEMORY, DISCONNECT}:
        raise ValueError(f"never sent: {content.hex(' ')}")
    frame = HOST + (len(content) + 1).to_bytes(2, "big") + content
    return frame + bytes([sum8(frame)])


def clock_content(moment: datetime) -> bytes:
    """Return the content that sets the clock; ValueError for a year that one byte cannot tell."""
    if not 2000 <= moment.year <= 2255:
        raise ValueError(f"no such year: {moment.year}")
    fields = (moment.year - 2000, moment.month, moment.day, moment.hour, moment.minute, moment.second)
    return bytes([SET_CLOCK, *fields])


def is_memory(frame: bytes) -> bool:
    """Say whether *frame* tells the memory: a header and records."""
    return len(frame) - 5 >= HEADER


def decode_frame(frame: bytes) -> Iterator[Reading | Event]:
    """Yield what one frame says; a record that cannot be does not take the others with it.

    Raises MalformedValue, after the good records, for what is not documented.
    """
    content = frame[4:-1]
    if is_memory(frame):
        yield from _memory(content[HEADER:], frame)
    elif content == DONE:
        yield Notice("microlife_ble.answered", {"bytes": content.hex(" ")})
    else:
        raise MalformedValue(f"an answer of {len(content)} bytes is not documented")


def _memory(records: bytes, frame: bytes) -> Iterator[Reading]:
    refused = []
    for at in range(0, len(records), RECORD):
        record = records[at : at + RECORD]
        if not any(record[:3]):
            continue
        try:
            yield _record(record, frame)
        except MalformedValue as impossible:
            refused.append(f"{record.hex(' ')}: {impossible.detail}")
    if refused:
        raise MalformedValue("; ".join(refused))


def _record(record: bytes, frame: bytes) -> Reading:
    if len(record) < RECORD - 2:
        raise MalformedValue("cut short")
    systolic, diastolic, pulse = record[:3]
    moment = device_time(2000 + record[3], *record[4:8])
    if not systolic > diastolic > 0:
        raise MalformedValue("not a blood pressure")
    values = {
        Measure.SYSTOLIC: Quantity(Decimal(systolic), "mm[Hg]"),
        Measure.DIASTOLIC: Quantity(Decimal(diastolic), "mm[Hg]"),
    }
    if pulse:
        values[Measure.PULSE_RATE] = Quantity(Decimal(pulse), "/min")
    return Reading(
        Kind.BLOOD_PRESSURE,
        values,
        (frame,),
        device_time=moment,
        context={"last_bytes": record[8:].hex(" ")} if any(record[8:]) else {},
        stored=True,
        record=f"{moment.isoformat()} {systolic}/{diastolic} {pulse}",
    )
