"""Packets of the SunTech Advantage OEM blood-pressure module, also inside other makers' boards.

Host `3A | bytes | SUM`, module `3E | LEN | data | SUM`: LEN counts the whole packet, SUM makes all its bytes
add up to 0; numbers are little-endian. Source: protocols sheet serial/suntech_nibp.md.
"""

from collections.abc import Iterator, Mapping
from decimal import Decimal

from protocol.checks import zero_sum8
from protocol.errors import MalformedValue
from protocol.framing import LengthFramer
from protocol.quantities import Quantity
from protocol.readings import Event, Kind, Measure, Notice, Progress, Reading

HOST, MODULE = b"\x3a", b"\x3e"
SHORTEST, LONGEST = 4, 0x43
START, ABORT = b"\x20", b"\x79\x01\x00"
RESULT, PRESSURE = b"\x79\x03\x00", b"\x79\x05\x00"
"""All that is ever sent: start (adult), abort, last result, cuff pressure."""

TAKEN, FINISHED, BUSY, ABORTED, ASLEEP = "OKBAS"
RESULT_BYTES = 21


def framer() -> LengthFramer:
    """Return a framer for the module's stream."""
    return LengthFramer(MODULE, 2, _length, lambda frame: not sum(frame) & 0xFF)


def _length(header: bytes) -> int | None:
    return header[1] if SHORTEST <= header[1] <= LONGEST else None


def command(body: bytes) -> bytes:
    """Return the host's packet around *body*.

    Raises ValueError for what this project never sends: the valves, sleep, wake and reset first of all.
    """
    if body not in {START, ABORT, RESULT, PRESSURE}:
        raise ValueError(f"never sent: {body.hex(' ')}")
    return HOST + body + bytes([zero_sum8(HOST + body)])


def answer(frame: bytes) -> str:
    """Return the letter of a one-letter answer, the empty text for every other packet."""
    return frame[2:-1].decode("latin-1") if len(frame) == SHORTEST else ""


def cuff_pressure(frame: bytes) -> int | None:
    """Return the mmHg of a cuff-pressure packet, None for every other packet."""
    return int.from_bytes(frame[2:4], "little") if len(frame) == 5 else None


def is_result(frame: bytes) -> bool:
    """Say whether *frame* carries the outcome of a measurement."""
    return len(frame) == RESULT_BYTES + 3


def decode_packet(frame: bytes) -> Iterator[Reading | Event]:
    """Yield what one packet says; raise MalformedValue for one that is not documented."""
    pressure, letter = cuff_pressure(frame), answer(frame)
    if pressure is not None:
        cuff = {"cuff_pressure": _mmhg(pressure)}
        yield Progress(Kind.BLOOD_PRESSURE, cuff, "cuff_pressure", underway=False)
    elif is_result(frame):
        yield _result(frame[2:-1], frame)
    elif len(frame) == RESULT_BYTES + 4 and frame[2] == 3:
        yield _result(frame[3:-1], frame)
    elif len(frame) == 7 and frame[2] == 1:
        yield Progress(Kind.BLOOD_PRESSURE, {}, "measuring")
    elif letter and letter in (TAKEN, FINISHED, BUSY, ABORTED, ASLEEP):
        yield Notice("suntech_nibp.answered", {"answer": letter})
    else:
        raise MalformedValue(f"a packet of {len(frame)} bytes that is not documented")


def _result(content: bytes, frame: bytes) -> Reading:
    """Return the outcome; test codes and status stand as they are, no source says what they mean."""
    context = {"beats": str(content[4]), "bp_status": str(content[5]), "test_codes": content[6:14].hex(" ")}
    error, values = content[18], _values(content)
    if error or not {Measure.SYSTOLIC, Measure.DIASTOLIC} <= values.keys():
        failed = f"device_error:{error}" if error else "no_result"
        return Reading(Kind.BLOOD_PRESSURE, {}, (frame,), context=context, failed=failed)
    return Reading(Kind.BLOOD_PRESSURE, values, (frame,), context=context)


def _values(content: bytes) -> Mapping[Measure, Quantity]:
    """Return the numbers that are there; zero is none."""
    numbers = {
        Measure.SYSTOLIC: _mmhg(int.from_bytes(content[0:2], "little")),
        Measure.MEAN_PRESSURE: _mmhg(int.from_bytes(content[16:18], "little")),
        Measure.DIASTOLIC: _mmhg(int.from_bytes(content[2:4], "little")),
        Measure.PULSE_RATE: Quantity(Decimal(content[14]), "/min"),
    }
    return {measure: number for measure, number in numbers.items() if number.value}


def _mmhg(number: int) -> Quantity:
    return Quantity(Decimal(number), "mm[Hg]")
