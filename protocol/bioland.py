"""Frames of Bioland (爱奥乐) glucose meters and blood-pressure monitors.

Host `5A | LEN | category | YY MM DD hh mm ss | SUM`, device `55 | LEN | category | … | SUM`: LEN counts the
whole frame; SUM is the low byte of the sum of all before, or that and 2 (the maker's document contradicts
itself, both are in use). Sources: protocols sheet ble/bioland.md and the library it names
(com.appia.bioland, with test frames). Where the values of a result stand is known from single apps only.
"""

from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal

from protocol.checks import sum8
from protocol.errors import MalformedValue
from protocol.framing import LengthFramer
from protocol.quantities import Quantity
from protocol.readings import Event, Kind, Measure, Notice, Progress, Reading
from protocol.times import device_time

HOST, DEVICE = b"\x5a", b"\x55"
INFO, COUNTDOWN, RESULT = 0x00, 0x02, 0x03
ENDS = frozenset({0x05, 0x06})
LENGTHS = {INFO: {15, 18}, COUNTDOWN: {6}, RESULT: {12, 14}, 0x05: {5}, 0x06: {5}}
GLUCOSE, PRESSURE = 12, 14
OFFSET = 2


def framer() -> LengthFramer:
    """Return a framer for a device's notifications."""
    return LengthFramer(DEVICE, 3, _length, lambda frame: frame[-1] - sum8(frame[:-1]) & 0xFF in {0, OFFSET})


def _length(header: bytes) -> int | None:
    return header[1] if header[1] in LENGTHS.get(header[2], ()) else None


def command(category: int, moment: datetime) -> bytes:
    """Return the host's question for its information (00) or data (03); it carries the time (protocol 3.1).

    Raises ValueError for another category and a year that one byte cannot tell.
    """
    if category not in {INFO, RESULT} or not 2000 <= moment.year <= 2099:
        raise ValueError(f"never sent: {category:02x} {moment.isoformat()}")
    fields = (moment.year - 2000, moment.month, moment.day, moment.hour, moment.minute, moment.second)
    frame = HOST + bytes([10, category, *fields])
    return frame + bytes([sum8(frame) + OFFSET & 0xFF])


def decode_frame(frame: bytes, device: str) -> Iterator[Reading | Event]:
    """Yield what one frame says of a *device*: `bgm`, `bpm` or `auto`.

    Raises MalformedValue for what is not documented, under `bioland.device` for a result that nothing but the
    device tells apart.
    """
    category = frame[2]
    if category == COUNTDOWN:
        yield Progress(Kind.GLUCOSE, {}, "countdown")
    elif category == RESULT:
        yield _result(frame, device)
    else:
        yield Notice("bioland.answered", {"bytes": frame.hex(" ")})


def _result(frame: bytes, device: str) -> Reading:
    moment = device_time(2000 + frame[3], *frame[4:8])
    if len(frame) == GLUCOSE and device != "bpm":
        raw = int.from_bytes(frame[9:11], "little")
        if not raw:
            raise MalformedValue("zero is not a value")
        return _reading(Kind.GLUCOSE, {Measure.GLUCOSE: Quantity(Decimal(raw), "mg/dL")}, moment, frame)
    if len(frame) != PRESSURE or device != "bpm":
        raise MalformedValue(f"a result of {len(frame)} bytes: of which device?", code="bioland.device")
    systolic, between, diastolic, pulse = frame[9:13]
    if between or not systolic > diastolic > 0:
        raise MalformedValue(f"not a blood pressure: {frame[9:13].hex(' ')}")
    values = {
        Measure.SYSTOLIC: Quantity(Decimal(systolic), "mm[Hg]"),
        Measure.DIASTOLIC: Quantity(Decimal(diastolic), "mm[Hg]"),
    }
    if pulse:
        values[Measure.PULSE_RATE] = Quantity(Decimal(pulse), "/min")
    return _reading(Kind.BLOOD_PRESSURE, values, moment, frame)


def _reading(kind: Kind, values: dict[Measure, Quantity], moment: datetime, frame: bytes) -> Reading:
    numbers = " ".join(str(quantity.value) for quantity in values.values())
    return Reading(
        kind,
        values,
        (frame,),
        device_time=moment,
        stored=True,
        record=f"{kind} {moment.isoformat()} {numbers}",
    )
