"""Messages of BpTRU automated office blood-pressure monitors: 8 bytes each, with a CRC.

`02 | ID D0 D1 D2 D3 | CRC | 03`: the CRC-8 (polynomial 07, begun at 0) runs over the five bytes. Sources:
protocols sheet serial/bptru_bpm200.md and what it names (obiba/onyx-instruments).
"""

from collections.abc import Iterator, Mapping
from decimal import Decimal

from protocol.checks import crc8
from protocol.errors import MalformedValue
from protocol.framing import LengthFramer
from protocol.quantities import Quantity
from protocol.readings import Event, Kind, Measure, Notice, Progress, Reading

SIZE = 8
START, END = b"\x02", 0x03
COMMAND, RESET = 0x11, 0x10
ACK, NACK, BUTTON, NOTIFICATION = 0x06, 0x15, 0x55, 0x21
INFLATING, DEFLATING, RESULT, AVERAGE, REVIEW = 0x49, 0x44, 0x42, 0x41, 0x52
HANDSHAKE, STOPPED, REVIEWED, CYCLED, STARTED, CLEARED = range(6)
"""Commands, the buttons that do the same, and what an ACK repeats."""
PRESSURES = 0x08
ACTIONS = {
    HANDSHAKE: "handshake",
    STOPPED: "stop",
    REVIEWED: "review",
    CYCLED: "cycle",
    STARTED: "start",
    CLEARED: "clear",
    PRESSURES: "pressures",
    0x09: "last result",
}
SENT = frozenset({HANDSHAKE, STOPPED, CYCLED, STARTED, CLEARED})
"""All that may ever be sent."""
CUFF = {INFLATING: "inflating", DEFLATING: "deflating"}

SYSTEM_ERROR = 0x80
ERRORS = (
    "measurement_error:too_few_pulses",
    "movement",
    "over_pressure",
    "measurement_error:inflation_too_slow",
    "measurement_error:inflation_too_fast",
    "measurement_error:deflation_too_slow",
    "measurement_error:deflation_too_fast",
    "device_error:software",
    "measurement_error:weak_pulses",
    "device_error:pressure_below_minus_10",
    "device_error:pressure_high_too_long",
    "device_error:pressure_not_low_enough",
    "device_error:limits",
    "device_error:unexpected_reset",
    "device_error:unexpected_reset",
    "battery_low",
)
"""What the low nibble of a system error means."""
INVALID = {Measure.SYSTOLIC: 0x40, Measure.DIASTOLIC: 0x20, Measure.PULSE_RATE: 0x10}
REASONS = {
    0x14: "indeterminate",
    0x15: "indeterminate",
    0x16: "indeterminate",
    0x17: "under_range",
    0x18: "under_range",
    0x19: "over_range",
    0x20: "over_range",
    0x21: "arithmetic_error",
}
UNITS: Mapping[Measure, str] = {
    Measure.SYSTOLIC: "mm[Hg]",
    Measure.DIASTOLIC: "mm[Hg]",
    Measure.PULSE_RATE: "/min",
}


def command(action: int) -> bytes:
    """Return a command; raises ValueError for one that this project never sends."""
    if action not in SENT:
        raise ValueError(f"never sent: {action:02x}")
    body = bytes([COMMAND, action, 0, 0, 0])
    return START + body + bytes([crc8(body), END])


def framer() -> LengthFramer:
    """Return a framer for what a monitor says."""
    return LengthFramer(START, 1, _length, _checked)


def _length(_header: bytes) -> int:
    return SIZE


def _checked(frame: bytes) -> bool:
    return frame[-1] == END and crc8(frame[1:6]) == frame[6]


def decode_message(frame: bytes) -> Iterator[Reading | Event]:
    """Yield what one message says; raise MalformedValue for what is not documented."""
    number, content = frame[1], frame[2:6]
    if number in CUFF:
        cuff = {"cuff_pressure": _mmhg(content[0] + 256 * content[1])}
        yield Progress(Kind.BLOOD_PRESSURE, cuff, CUFF[number])
    elif number == RESULT:
        yield _result(content, frame)
    elif number in {AVERAGE, REVIEW}:
        yield _summary(number, content, frame)
    elif number in {ACK, BUTTON, COMMAND, RESET} or (number == NOTIFICATION and content[0] == PRESSURES):
        yield Notice("bptru_bpm200.said", _action(number, content))
    elif number == NACK:
        yield Notice("bptru_bpm200.refused", _action(number, content), fault=True)
    else:
        raise MalformedValue(f"message {number:02x} {content[0]:02x} is not documented")


def _result(content: bytes, frame: bytes) -> Reading:
    code = content[0]
    if code & SYSTEM_ERROR:
        return Reading(Kind.BLOOD_PRESSURE, {}, (frame,), failed=ERRORS[code & 0x0F])
    numbers = dict(zip(UNITS, content[1:], strict=True))
    absent = {measure: _reason(numbers[measure]) for measure, bit in INVALID.items() if code & bit}
    values = _values({measure: number for measure, number in numbers.items() if measure not in absent})
    context = {f"no_{measure}": reason for measure, reason in absent.items()}
    if absent.keys() - {Measure.PULSE_RATE}:
        context |= {str(measure): format(quantity.value, "f") for measure, quantity in values.items()}
        return Reading(
            Kind.BLOOD_PRESSURE, {}, (frame,), context=context, failed="measurement_error:no_value"
        )
    return Reading(Kind.BLOOD_PRESSURE, values, (frame,), context=context)


def _reason(number: int) -> str:
    return REASONS.get(number, f"{number:02x}")


def _summary(number: int, content: bytes, frame: bytes) -> Reading:
    """Return the average of a series, or a result shown again at the monitor (0: its average)."""
    numbers = dict(zip(UNITS, content[1:], strict=True))
    values = _values(numbers)
    if number == AVERAGE:
        about = {"average": f"{content[0]} readings"}
    elif content[0] == 0:
        about = {"average": "shown again"}
    else:
        about = {"shown_again": str(content[0])}
    return Reading(Kind.BLOOD_PRESSURE, values, (frame,), context=about, stored=number == REVIEW)


def _action(number: int, content: bytes) -> dict[str, str]:
    """Return what an acknowledgement, a button or a command is about."""
    told = {"bytes": content.hex(" ")}
    if number == ACK and content[0] == HANDSHAKE:
        return {"firmware": f"{content[1]}.{content[2]}{content[3]}"}
    if number == NOTIFICATION:
        return {"restarted": "unexpectedly" if content[1] & 1 else "power_up"}
    action = "reset" if number == RESET else ACTIONS.get(content[0])
    return {"action": action, **told} if action else told


def _values(numbers: Mapping[Measure, int]) -> dict[Measure, Quantity]:
    if not all(numbers.values()):
        raise MalformedValue("zero is not a value")
    return {measure: Quantity(Decimal(number), UNITS[measure]) for measure, number in numbers.items()}


def _mmhg(number: int) -> Quantity:
    return Quantity(Decimal(number), "mm[Hg]")
