"""Packets of BerryMed parameter boards (PM6750): the same over a cable and over Bluetooth LE.

`55 AA | N | A1 … An | SUM`: N counts itself and SUM; SUM is the inverted sum of N and all A.
Source: protocols sheet serial/pm6750.md (Abrunacci/berry_med, citing the vendor manual pp. 4-12).
"""

from collections.abc import Iterator, Mapping
from decimal import Decimal

from protocol.checks import inverted_sum8
from protocol.errors import MalformedValue
from protocol.framing import LengthFramer
from protocol.quantities import Quantity
from protocol.readings import Event, Kind, Measure, Notice, Progress, Reading

START = b"\x55\xaa"
LONGEST = 0x40
"""Ours: no documented packet has a longer length byte than 0A; a longer one is a false start."""

NIBP, SPO2, TEMPERATURE = 0x03, 0x04, 0x05

PRESSURE, PATIENT_MODE, FIRST_PRESSURE = 0x02, 0x09, 0x0A
SPO2_OUTPUT, TEMPERATURE_OUTPUT = 0x03, 0x04
ON_OFF = frozenset({0, 1})
COMMANDS: Mapping[int, frozenset[int]] = {
    0x01: ON_OFF,  # ECG output
    PRESSURE: ON_OFF,  # stop, start
    SPO2_OUTPUT: ON_OFF,
    TEMPERATURE_OUTPUT: ON_OFF,
    0x05: frozenset({2, 3}),  # leads
    0x07: frozenset({1, 2, 3, 4}),  # ECG gain
    0x08: frozenset({1, 2, 3}),  # ECG filter
    PATIENT_MODE: frozenset({1, 2, 3}),
    FIRST_PRESSURE: frozenset(range(20, 151)),  # mmHg / 2
    0xFE: ON_OFF,  # SpO2 wave
    0xFF: ON_OFF,  # respiration wave
}
"""All that may ever be sent. The factory functions (0B 0C 0D 0E 10) are not among them."""

UNDERWAY = {1: "measuring", 9: "initialising", 10: "initialised"}
FAILED = {
    2: "stopped_by_host",
    3: "over_pressure",
    4: "cuff_loose",
    5: "timed_out",
    6: "measurement_error",
    7: "movement",
    8: "no_result",
}
NO_FINGER = {1: "sensor_off", 2: "no_finger", 3: "searching", 4: "search_too_long"}


def framer() -> LengthFramer:
    """Return a framer for the board's stream."""
    return LengthFramer(START, 3, _length, _checked)


def command(number: int, argument: int) -> bytes:
    """Return the frame of one command; ValueError for any that is not in `COMMANDS`."""
    if argument not in COMMANDS.get(number, ()):
        raise ValueError(f"never sent: {number:02x} {argument:02x}")
    body = bytes([4, number, argument])
    return START + body + bytes([inverted_sum8(body)])


def _length(header: bytes) -> int | None:
    return header[2] + 2 if 3 <= header[2] <= LONGEST else None


def _checked(frame: bytes) -> bool:
    return inverted_sum8(frame[2:-1]) == frame[-1]


def decode_packet(frame: bytes) -> Iterator[Reading | Event]:
    """Yield what one packet says; raise MalformedValue for one that is not documented."""
    kind, content = frame[3], frame[4:-1]
    if kind == NIBP and len(content) == 5:
        yield _pressure(content, frame)
    elif kind == SPO2 and len(content) == 3:
        yield _oximetry(content, frame)
    elif kind == TEMPERATURE and len(content) == 5:
        yield from _temperature(content, frame)
    else:
        yield _trace(kind, content)


def cuff_state(frame: bytes) -> int:
    """Return the state a blood-pressure packet is in (bits 5-2 of its status)."""
    return frame[4] >> 2 & 0x0F


def _pressure(content: bytes, frame: bytes) -> Reading | Event:
    state, mode = cuff_state(frame), mode_bits(frame)
    _, cuff, systolic, mean, diastolic = content
    if state in UNDERWAY:
        return Progress(
            Kind.BLOOD_PRESSURE, {"cuff_pressure": _mmhg(cuff * 2)}, UNDERWAY[state], underway=state == 1
        )
    if state in FAILED:
        return Reading(Kind.BLOOD_PRESSURE, {}, (frame,), context=mode, failed=FAILED[state])
    if state != 0:
        raise MalformedValue(f"state {state} is not documented")
    if not (systolic and diastolic):
        return Notice("pm6750.no_value", mode)
    values = {Measure.SYSTOLIC: _mmhg(systolic), Measure.DIASTOLIC: _mmhg(diastolic)}
    if mean:
        values[Measure.MEAN_PRESSURE] = _mmhg(mean)
    return Reading(Kind.BLOOD_PRESSURE, values, (frame,), context=mode)


def mode_bits(frame: bytes) -> dict[str, str]:
    """Return the patient mode of a blood-pressure packet as it stands; no source says which is adult."""
    return {"patient_mode_bits": str(frame[4] & 3)}


def _mmhg(number: int) -> Quantity:
    return Quantity(Decimal(number), "mm[Hg]")


def _oximetry(content: bytes, frame: bytes) -> Reading | Event:
    status, saturation, pulse = content
    if status in NO_FINGER:
        return Progress(Kind.OXIMETRY, {}, NO_FINGER[status], underway=False)
    if status != 0 or saturation == 0 or (saturation > 100 and saturation != 127) or pulse == 0:
        raise MalformedValue(f"status {status}, SpO2 {saturation}, pulse {pulse} is not documented")
    values: dict[Measure, Quantity] = {}
    if saturation != 127:
        values[Measure.SPO2] = Quantity(Decimal(saturation), "%")
    if pulse != 255:
        values[Measure.PULSE_RATE] = Quantity(Decimal(pulse), "/min")
    if not values:
        return Progress(Kind.OXIMETRY, {}, "no_value", underway=False)
    return Reading(Kind.OXIMETRY, values, (frame,))


def _temperature(content: bytes, frame: bytes) -> Iterator[Reading | Event]:
    status = content[0]
    if status > 3:
        raise MalformedValue(f"status {status} is not documented")
    probes = (("T1", content[1], content[2]), ("T2", content[3], content[4]))
    worn = [probe for off, probe in zip((1, 2), probes, strict=True) if not status & off]
    if any(tenth > 9 for _, _, tenth in worn):
        raise MalformedValue(f"more than nine tenths: {content.hex(' ')}")
    if not worn:
        yield Progress(Kind.TEMPERATURE, {}, "probes_off", underway=False)
    for channel, whole, tenth in worn:
        values = {Measure.BODY_TEMPERATURE: Quantity(Decimal(f"{whole}.{tenth}"), "Cel")}
        yield Reading(Kind.TEMPERATURE, values, (frame,), context={"channel": channel})


def _trace(kind: int, content: bytes) -> Notice:
    """Return what a packet that carries no measure of this gateway says."""
    match kind, *content:
        case 0x01, _, _, _, _, _, _, _:
            return Notice("pm6750.ecg_wave", {"samples": " ".join(map(str, content))})
        case 0x02, status, heart, breath:
            return Notice("pm6750.ecg_values", _ecg(status, heart, breath))
        case 0x02, status, heart, breath, st, rhythm:
            signed = st - 256 if st > 127 else st
            more = {"st_mv": str(Decimal(signed).scaleb(-2)), "rhythm_code": f"{rhythm:02x}"}
            return Notice("pm6750.ecg_values", _ecg(status, heart, breath) | more)
        case ((0x30 | 0x31), *_):
            return Notice("pm6750.beat", {"mark": "R" if kind == 0x30 else "pulse"})
        case 0xFE, sample:
            return Notice("pm6750.spo2_wave", {"sample": str(sample)})
        case 0xFF, sample:
            return Notice("pm6750.respiration_wave", {"sample": str(sample)})
        case _:
            raise MalformedValue(f"type {kind:02x} with {len(content)} bytes is not documented")


def _ecg(status: int, heart: int, breath: int) -> dict[str, str]:
    return {"status": f"{status:02x}", "heart_rate": str(heart), "respiration": str(breath)}
