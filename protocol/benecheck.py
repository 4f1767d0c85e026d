"""Frames of BeneCheck (百捷) meters for glucose, uric acid and cholesterol.

`$PCL | command (2) | parameter (2) | length (2) | data | SUM`, numbers least byte first; SUM is the low
byte of the sum of all after `$`. A result is its index (2), YY MM DD hh mm and the value (2). Sources:
protocols sheet ble/benecheck.md (uric acid); for glucose public source no. 8978684796, a program with a
whole frame of the same form, and no. 36172768636, which names the three commands.
"""

from collections.abc import Iterator
from decimal import Decimal

from protocol.checks import sum8
from protocol.errors import MalformedValue
from protocol.framing import LengthFramer
from protocol.quantities import Quantity, tenths
from protocol.readings import Event, Kind, Measure, Notice, Reading
from protocol.times import device_time

START = b"$PCL"
HEADER = 10
LONGEST = 64
"""Ours: the documented results have 9 bytes of data; a much longer frame is a false start."""
GLUCOSE, URIC_ACID, CHOLESTEROL = 0x41, 0x51, 0x61
RESULT = 9


def framer() -> LengthFramer:
    """Return a framer for a meter's notifications."""
    return LengthFramer(START, HEADER, _length, lambda frame: sum8(frame[1:-1]) == frame[-1])


def _length(header: bytes) -> int | None:
    count = int.from_bytes(header[8:10], "little")
    return HEADER + count + 1 if count <= LONGEST else None


def decode_frame(frame: bytes) -> Iterator[Reading | Event]:
    """Yield what one frame says; raise MalformedValue for what is not documented."""
    command, data = int.from_bytes(frame[4:6], "little"), frame[HEADER:-1]
    if command not in {GLUCOSE, URIC_ACID, CHOLESTEROL} or len(data) != RESULT:
        raise MalformedValue(f"command {command:04x} with {len(data)} bytes is not documented")
    index, raw = int.from_bytes(data[:2], "little"), int.from_bytes(data[7:9], "little")
    moment = device_time(2000 + data[2], *data[3:7])
    if raw == 0:
        raise MalformedValue("zero is not a value")
    told = {"index": str(index), "time": moment.isoformat()}
    if command == URIC_ACID:
        yield Notice(
            "benecheck.uric_acid", {"mg/dL": str(tenths(raw, "mg/dL").value), **told}, evidence=frame
        )
    elif command == CHOLESTEROL:
        yield Notice("benecheck.cholesterol", {"raw": str(raw), **told}, evidence=frame)
    else:
        yield Reading(
            Kind.GLUCOSE,
            {Measure.GLUCOSE: Quantity(Decimal(raw), "mg/dL")},
            (frame,),
            device_time=moment,
            context={"index": str(index)},
            stored=True,
            record=f"glucose {moment.isoformat()} {raw}",
        )
