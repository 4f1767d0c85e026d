"""Frames of the Lepu (乐普) "VX" parameter board and of the blood-pressure module behind it.

`AA 55 | LEN | IDX | CLASS | TOKEN | TYPE | data | CRC`: LEN counts the whole frame, CRC is CRC-8/MAXIM over
all before it. Numbers of the blood-pressure module are big-endian, all others little-endian.
Source: protocols sheet serial/lepu_vx.md; the class of the blood-pressure commands and the content of the
commands 02 and 20 are from the code that the sheet cites (kimlinzd/VX_DATA, constant/SerialCmd.java).
"""

import re
from collections.abc import Iterator, Mapping
from decimal import Decimal

from protocol.checks import crc8_maxim
from protocol.errors import ConfigError, MalformedValue
from protocol.framing import LengthFramer
from protocol.quantities import Quantity, tenths
from protocol.readings import Event, Kind, Measure, Notice, Progress, Reading

START = b"\xaa\x55"
SHORTEST = 8

COMMAND, CONFIRMATION, REPLY, DATA, STATUS, UP = 0xF0, 0xF1, 0xF2, 0xF3, 0xF4, 0xF6
BOARD, ECG, RESPIRATION, TEMPERATURE, NIBP, SPO2 = 0x00, 0x01, 0x02, 0x03, 0x04, 0x06
TOKENS = frozenset({BOARD, ECG, RESPIRATION, TEMPERATURE, NIBP, SPO2})

SET_ALL, DATA_ON, DATA_OFF = (BOARD, 0x02), (BOARD, 0x04), (BOARD, 0x05)
START_NIBP, CANCEL_NIBP, PATIENT = (NIBP, 0x01), (NIBP, 0x03), (NIBP, 0x04)
FIRST_PRESSURE, TAKEN = (NIBP, 0x05), (NIBP, 0x20)
UNUSED = bytes([0, 0, 0, 0, 10, 3])
"""What command 02 sets besides the patient: leads, channel, calibration signal (off), breathing lead, apnoea
seconds and gain (1); nothing here looks at a curve.
"""
CONTENT: Mapping[tuple[int, int], frozenset[bytes]] = {
    SET_ALL: frozenset(bytes([patient]) + UNUSED for patient in range(3)),
    DATA_ON: frozenset({b""}),
    DATA_OFF: frozenset({b""}),
    START_NIBP: frozenset({b""}),
    CANCEL_NIBP: frozenset({b""}),
    PATIENT: frozenset(bytes([patient]) for patient in range(3)),
    FIRST_PRESSURE: frozenset(pressure.to_bytes(2, "big") for pressure in range(60, 281)),
    TAKEN: frozenset({bytes(2)}),
}
"""All that may ever be sent. Pumps, valves, checks, calibration, sleep and resets are not among it."""

INFLATION = {"adult": (0, 80, 280, 160), "child": (1, 80, 210, 140), "neonate": (2, 60, 140, 90)}
"""Number of the patient, lowest, highest and usual first pressure in mmHg."""

CUFF_ANSWER, CUFF_PRESSURE, CUFF_WAVE, CUFF_RESULT, CUFF_STATE, CUFF_INFO = range(1, 7)
TEMPERATURES, SPO2_VALUES = (TEMPERATURE, 0x00), (SPO2, 0x02)
ANSWERED, PRESSURES, RESULTS = (NIBP, CUFF_ANSWER), (NIBP, CUFF_PRESSURE), (NIBP, CUFF_RESULT)
ANSWERS = {
    "O": "lepu_vx.accepted",
    "K": "lepu_vx.finished",
    "B": "lepu_vx.busy",
    "A": "lepu_vx.cancelled",
    "N": "lepu_vx.not_valid",
    "S": "lepu_vx.asleep",
    "R": "lepu_vx.restarted",
}
FAULTS = frozenset("BN")
INFLATED = 30
"""Ours: mmHg from which a cuff is certainly being used."""
FAILED = {
    2: "cuff_loose",
    3: "leak",
    4: "hose_blocked",
    5: "weak_signal",
    6: "out_of_range",
    7: "movement",
    8: "over_pressure",
    9: "timed_out",
    10: "wrong_cuff",
    11: "measurement_error",
}
PATIENTS = ("adult", "child", "neonate", "large animal", "small animal")
MODES = {0: "idle", 2: "manual", 3: "continuous", 4: "cycle"}
"""The modes whose results may be a blood pressure."""
CHECKS = frozenset({1, 5, 6, 7, 8, 9})
"""Self test, venipuncture, pressure checks, leak test, calibration."""
NO_PULSE = (
    "sensor_off",
    "no_sensor",
    "too_much_light",
    "no_pulse",
    "wrong_sensor",
    "bad_signal",
    "interference",
    "sensor_fault",
    "searching",
)
"""What bits 0 to 8 of the oximeter's flags say; with any of them there is no value to rely on."""
WEAK = 1 << 9
NO_TEMPERATURE = 0x8000
ECG_HEADER = 7


def framer() -> LengthFramer:
    """Return a framer for the board's stream."""
    return LengthFramer(START, 3, _length, _checked)


def command(index: int, what: tuple[int, int], content: bytes = b"") -> bytes:
    """Return the frame of one command; ValueError for any that is not in `CONTENT`."""
    if content not in CONTENT.get(what, ()):
        raise ValueError(f"never sent: {bytes(what).hex(' ')} {content.hex(' ')}")
    frame = START + bytes([SHORTEST + len(content), index, COMMAND, *what]) + content
    return frame + bytes([crc8_maxim(frame)])


def measurement(stated: Mapping[str, str | int | bool]) -> tuple[tuple[tuple[int, int], bytes], ...]:
    """Return the commands of a measurement, in order, as *stated*: patient and first pressure (0: the usual).

    Raises ConfigError for what is outside the documented limits.
    """
    patient, pressure = str(stated["patient"]), str(stated["first_pressure"])
    if patient not in INFLATION or not re.fullmatch("[0-9]{1,4}", pressure):
        raise ConfigError(f"patient {patient!r}, first_pressure {pressure!r}", code="lepu_vx.inflation")
    number, low, high, usual = INFLATION[patient]
    chosen = int(pressure) or usual
    if not low <= chosen <= high:
        raise ConfigError(
            f"first_pressure {pressure}: {low} to {high} for {patient}", code="lepu_vx.inflation"
        )
    return (PATIENT, bytes([number])), (FIRST_PRESSURE, chosen.to_bytes(2, "big")), (START_NIBP, b"")


def _length(header: bytes) -> int | None:
    return header[2] if header[2] >= SHORTEST else None


def _checked(frame: bytes) -> bool:
    return crc8_maxim(frame[:-1]) == frame[-1]


def report_of(frame: bytes) -> tuple[int, int] | None:
    """Return token and type of what the board reports by itself; None for an answer or a heartbeat."""
    return (frame[5], frame[6]) if frame[4] in {DATA, UP} else None


def confirms(frame: bytes, what: tuple[int, int]) -> bool:
    """Say whether the board answers the command *what* with this frame."""
    return frame[4] in {CONFIRMATION, REPLY} and (frame[5], frame[6]) == what


def told(frame: bytes) -> bytes:
    """Return a blood-pressure result without the bit that marks its repetitions."""
    return bytes([frame[7] & 0xFE]) + frame[8:-1]


def repeated(frame: bytes) -> bool:
    """Say whether the module marks this result as told before."""
    return bool(frame[7] & 1)


def answer_of(frame: bytes) -> tuple[int, str]:
    """Return the command that a blood-pressure answer answers, and its letter."""
    return frame[7], chr(frame[8])


def decode_frame(frame: bytes, last: bytes) -> Iterator[Reading | Event]:
    """Yield what one frame of the board says; raise MalformedValue for what is not documented.

    *last* is the blood-pressure result `told` before: its repetition is no result.
    """
    kind, token, number, content = frame[4], frame[5], frame[6], frame[7:-1]
    match report_of(frame):
        case (0x04, 0x04) if repeated(frame) and told(frame) == last:
            yield Notice("lepu_vx.repeated", {"index": str(frame[3])})
        case (0x03, 0x00):
            yield from _temperature(content, frame)
        case (0x06, 0x02):
            yield _oximetry(content, frame)
        case (0x04, _):
            yield _nibp(number, content, frame)
        case (0x01, 0x00):
            yield _ecg(content, frame)
        case (0x02, 0x00) | (0x06, 0x01):
            yield Notice("lepu_vx.wave", {"token": f"{token:02x}", "bytes": content.hex(" ")})
        case None if kind == STATUS or (kind in {CONFIRMATION, REPLY} and token in TOKENS):
            said = {"class": f"{kind:02x}", "token": f"{token:02x}", "type": f"{number:02x}"}
            yield Notice("lepu_vx.answered", {**said, "bytes": content.hex(" ")})
        case _:
            raise MalformedValue(f"class {kind:02x}, token {token:02x}, type {number:02x} is not documented")


def _temperature(content: bytes, frame: bytes) -> Iterator[Reading | Event]:
    if len(content) not in {4, 6} or content[0] & 0x0F != 1:
        raise MalformedValue(f"a temperature of {len(content)} bytes is not documented")
    if content[0] >> 4:
        yield Notice("lepu_vx.temperature_fault", {"error": str(content[0] >> 4)}, fault=True)
        return
    for number, at in enumerate(range(2, len(content), 2)):
        channel, raw = f"T{number + 1}", int.from_bytes(content[at : at + 2], "little")
        if content[1] >> 4 * number & 1:
            yield Progress(Kind.TEMPERATURE, {}, "probe_off", underway=False)
        elif raw == NO_TEMPERATURE:
            yield Progress(Kind.TEMPERATURE, {}, "out_of_range", underway=False)
        else:
            signed = raw - 0x10000 if raw > NO_TEMPERATURE else raw
            values = {Measure.BODY_TEMPERATURE: tenths(signed, "Cel")}
            yield Reading(Kind.TEMPERATURE, values, (frame,), context={"channel": channel})


def _oximetry(content: bytes, frame: bytes) -> Reading | Event:
    if len(content) != 9:
        raise MalformedValue(f"an oximetry of {len(content)} bytes is not documented")
    flags, second, saturation, pulse, perfusion = (
        int.from_bytes(content[at:end], "little") for at, end in ((0, 2), (2, 4), (4, 5), (5, 7), (7, 9))
    )
    for bit, state in enumerate(NO_PULSE):
        if flags >> bit & 1:
            return Progress(Kind.OXIMETRY, {}, state, underway=False)
    if not (saturation and pulse):
        return Progress(Kind.OXIMETRY, {}, "no_value", underway=False)
    if saturation > 100 or flags >> 10:
        raise MalformedValue(f"SpO2 {saturation} with flags {flags:04x} is not documented")
    values = {
        Measure.SPO2: Quantity(Decimal(saturation), "%"),
        Measure.PULSE_RATE: Quantity(Decimal(pulse), "/min"),
    }
    context = {"perfusion": str(perfusion)} | ({"second_status": f"{second:04x}"} if second else {})
    weak = frozenset({"weak_perfusion"} if flags & WEAK else ())
    return Reading(Kind.OXIMETRY, values, (frame,), context=context, flags=weak)


def _ecg(content: bytes, frame: bytes) -> Notice:
    points, channels = content[0] & 0x0F if content else 0, content[1] & 0x0F if len(content) > 1 else 0
    if len(content) != ECG_HEADER + 2 * points * channels:
        raise MalformedValue(f"an ECG of {len(content)} bytes is not documented")
    rate = int.from_bytes(content[4:6], "little")
    values = {
        "points": str(points),
        "channels": str(channels),
        "heart_rate": str(rate),
        "index": str(frame[3]),
    }
    return Notice("lepu_vx.ecg", values)


def _nibp(number: int, content: bytes, frame: bytes) -> Reading | Event:
    if number == CUFF_RESULT and len(content) == 12:
        return _result(content, frame)
    if number == CUFF_PRESSURE and len(content) == 3:
        pressure = int.from_bytes(content[:2], "big")
        values = {"cuff_pressure": Quantity(Decimal(pressure), "mm[Hg]")}
        return Progress(Kind.BLOOD_PRESSURE, values, "measuring", underway=pressure >= INFLATED)
    if number == CUFF_ANSWER and len(content) == 2 and chr(content[1]) in ANSWERS:
        letter = chr(content[1])
        return Notice(ANSWERS[letter], {"command": f"{content[0]:02x}"}, fault=letter in FAULTS)
    if number in {CUFF_WAVE, CUFF_STATE, CUFF_INFO}:
        return Notice("lepu_vx.cuff", {"type": f"{number:02x}", "bytes": content.hex(" ")})
    raise MalformedValue(f"blood pressure, type {number:02x} with {len(content)} bytes is not documented")


def _result(content: bytes, frame: bytes) -> Reading | Event:
    mode, patient, first, second = content[0] >> 4, content[0] >> 1 & 7, content[1], content[2]
    if patient >= len(PATIENTS) or mode not in {*MODES, *CHECKS}:
        raise MalformedValue(f"mode {mode} for patient {patient} is not documented")
    if mode in CHECKS:
        return Notice("lepu_vx.check", {"mode": str(mode), "error": f"{first}/{second}"})
    context = {"mode": MODES[mode], "patient": PATIENTS[patient], "reliability": str(content[3])}
    if repeated(frame):
        context["transmission"] = "repeated"
    if first:
        failed = FAILED.get(first, f"device_error:{first}/{second}")
        context["error"] = f"{first}/{second}"
        return Reading(Kind.BLOOD_PRESSURE, {}, (frame,), context=context, failed=failed)
    numbers = [int.from_bytes(content[at : at + 2], "big") for at in range(4, 12, 2)]
    if not any(numbers):
        return Notice("lepu_vx.no_result", context)
    if not all(numbers):
        raise MalformedValue(f"zero is not a value: {content[4:].hex(' ')}")
    units = {
        Measure.SYSTOLIC: "mm[Hg]",
        Measure.DIASTOLIC: "mm[Hg]",
        Measure.MEAN_PRESSURE: "mm[Hg]",
        Measure.PULSE_RATE: "/min",
    }
    values = {
        measure: Quantity(Decimal(number), unit)
        for (measure, unit), number in zip(units.items(), numbers, strict=True)
    }
    return Reading(Kind.BLOOD_PRESSURE, values, (frame,), context=context)
