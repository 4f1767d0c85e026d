"""What Bluetooth meters of Sinocare (三诺) say in the frames of `protocol/sinocare.py`.

A live result (04) and one from the memory (0E) have one layout: time and value first; what follows differs by
model, which the machine code names. Source: protocols sheet ble/sinocare.md.
"""

from collections.abc import Iterator

from protocol import sinocare
from protocol.errors import MalformedValue
from protocol.quantities import tenths
from protocol.readings import Event, Kind, Measure, Notice, Reading
from protocol.times import device_time

RESULT, HISTORY = 0x04, 0x0E
OTHER_PROTOCOL = frozenset({b"\x20\x00", b"\x20\x02"})
"""Machine codes of newer models whose layout no source tells."""
TWO_ANALYTES = frozenset({b"\x00\x20", b"\x00\x24"})
"""UG-11: glucose and uric acid; the kind at 14, the value at 15."""
CLOCKS = {10: 5, 12: 6, 14: 6}
"""Content length of a result to the bytes of its time: WL-1 without and with seconds, An Wen+."""


def machine(frame: bytes) -> bytes:
    """Return the machine code, which names the model."""
    return frame[3:5]


def number(frame: bytes) -> int:
    """Return the command of a frame."""
    return frame[5]


def decode_frame(frame: bytes) -> Iterator[Reading | Event]:
    """Yield what one frame of a meter says; raise MalformedValue for what is not documented."""
    if machine(frame) in OTHER_PROTOCOL:
        raise MalformedValue(f"machine {machine(frame).hex()} speaks another protocol")
    if number(frame) not in {RESULT, HISTORY}:
        yield from sinocare.decode_frame(frame)
    elif machine(frame) in TWO_ANALYTES:
        yield _two_analytes(frame)
    else:
        yield _result(frame[6:-1], frame)


def _result(content: bytes, frame: bytes) -> Reading:
    """Return a glucose result; where sources disagree which byte is the unit, both must say mmol/L."""
    clock = CLOCKS.get(len(content))
    if clock is None:
        raise MalformedValue(f"a result of {len(content)} bytes is not documented")
    if any(content[12:]):
        raise MalformedValue(f"which unit: {content[12:].hex(' ')}", code="sinocare_ble.unit")
    tail = content[clock + 2 :]
    context = {
        "sample_type": str(tail[0]),
        "meter_temperature": format(tenths(int.from_bytes(tail[1:3], "big"), "Cel").value, "f"),
    }
    if clock == 6:
        context["correction_code"] = str(tail[3])
    return _glucose(content[:clock], content[clock : clock + 2], frame, context)


def _two_analytes(frame: bytes) -> Reading | Notice:
    if len(frame) < 18:
        raise MalformedValue("too short for a kind and a value")
    clock, raw = frame[6:12], int.from_bytes(frame[15:17], "big")
    if frame[14] == 0:
        return _glucose(clock, frame[15:17], frame, {})
    moment = device_time(2000 + clock[0], *clock[1:])
    told = {"umol/L": str(raw), "time": moment.isoformat(), "kind": str(frame[14])}
    return Notice("sinocare_ble.uric_acid", told, evidence=frame)


def _glucose(clock: bytes, value: bytes, frame: bytes, context: dict[str, str]) -> Reading:
    """Return one result, under one name live and stored: no two tests begin and end within a minute."""
    moment = device_time(2000 + clock[0], *clock[1:])
    raw = int.from_bytes(value, "big")
    if raw == 0:
        raise MalformedValue("zero is not a value")
    quantity = tenths(raw, "mmol/L")
    return Reading(
        Kind.GLUCOSE,
        {Measure.GLUCOSE: quantity},
        (frame,),
        device_time=moment,
        context={"device_code": machine(frame).hex(), **context},
        stored=number(frame) == HISTORY,
        record=f"glucose {moment.isoformat()} {quantity.value}",
    )
