"""BerryMed PM6750 parameter board (blood pressure, SpO2, temperature, ECG), built into other makers' machines.

Cable: RS-232 or USB (virtual port), 115200 8N1. The board is silent until outputs are switched on, and it
inflates a cuff when told `02 01`: that is sent on a person's order and at no other time.
A result counts once, and only after the board was heard measuring: it may repeat its last packet for ever.
"""

from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal

from drivers.catalogue import Driver, Refusal, Serial, frame_by_frame
from drivers.dialogue import Answer, Dialogue, Listen, Observe, Order, Report, Send, Settings, Step
from protocol.checks import inverted_sum8
from protocol.errors import ConfigError, MalformedValue, NoAnswer
from protocol.framing import Frame, LengthFramer
from protocol.quantities import Quantity
from protocol.readings import Event, Kind, Measure, Notice, Progress, Reading
from protocol.steady import Steady

START = b"\x55\xaa"
LONGEST = 0x40
"""Ours: no documented packet has a longer length byte than 0A; a longer one is a false start."""

NIBP, SPO2, TEMPERATURE = 0x03, 0x04, 0x05
ON_OFF = frozenset({0, 1})
COMMANDS: Mapping[int, frozenset[int]] = {
    0x01: ON_OFF,  # ECG output
    0x02: ON_OFF,  # blood pressure: stop, start
    0x03: ON_OFF,  # SpO2 output
    0x04: ON_OFF,  # temperature output
    0x05: frozenset({2, 3}),  # leads
    0x07: frozenset({1, 2, 3, 4}),  # ECG gain
    0x08: frozenset({1, 2, 3}),  # ECG filter
    0x09: frozenset({1, 2, 3}),  # patient mode
    0x0A: frozenset(range(20, 151)),  # first pressure / 2
    0xFE: ON_OFF,  # SpO2 wave
    0xFF: ON_OFF,  # respiration wave
}
"""All that may ever be sent. The factory functions (0B 0C 0D 0E 10) are not among them."""

PATIENTS = {"adult": (1, 40, 300, 150), "child": (2, 40, 210, 100), "neonate": (3, 40, 140, 70)}
"""Mode number, lowest, highest and the documented default first pressure in mmHg."""

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
WATCHDOG = 90.0
START_ORDER, STOP_ORDER = "start_blood_pressure", "stop_blood_pressure"


def command(number: int, argument: int) -> bytes:
    """Return the frame of one command; ValueError for any that is not in `COMMANDS`."""
    if argument not in COMMANDS.get(number, ()):
        raise ValueError(f"never sent: {number:02x} {argument:02x}")
    body = bytes([4, number, argument])
    return START + body + bytes([inverted_sum8(body)])


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


def _state(content: bytes) -> int:
    return content[0] >> 2 & 0x0F


def _pressure(content: bytes, frame: bytes) -> Reading | Event:
    state, mode = _state(content), {"patient_mode_bits": str(content[0] & 3)}
    _, cuff, systolic, mean, diastolic = content
    if state in UNDERWAY:
        pressure = {"cuff_pressure": _mmhg(cuff * 2)}
        return Progress(Kind.BLOOD_PRESSURE, dict(pressure), UNDERWAY[state])
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


def _mmhg(number: int) -> Quantity:
    return Quantity(Decimal(number), "mm[Hg]")


def _oximetry(content: bytes, frame: bytes) -> Reading | Event:
    status, saturation, pulse = content
    if status in NO_FINGER:
        return Progress(Kind.OXIMETRY, {}, NO_FINGER[status])
    if status != 0 or saturation == 0 or (saturation > 100 and saturation != 127) or pulse == 0:
        raise MalformedValue(f"status {status}, SpO2 {saturation}, pulse {pulse} is not documented")
    values: dict[Measure, Quantity] = {}
    if saturation != 127:
        values[Measure.SPO2] = Quantity(Decimal(saturation), "%")
    if pulse != 255:
        values[Measure.PULSE_RATE] = Quantity(Decimal(pulse), "/min")
    return Reading(Kind.OXIMETRY, values, (frame,)) if values else Progress(Kind.OXIMETRY, {}, "no_value")


def _temperature(content: bytes, frame: bytes) -> Iterator[Reading | Event]:
    status = content[0]
    if status > 3:
        raise MalformedValue(f"status {status} is not documented")
    if status == 3:
        yield Progress(Kind.TEMPERATURE, {}, "probes_off")
    for channel, off, whole, tenth in (("T1", 1, *content[1:3]), ("T2", 2, *content[3:5])):
        if status & off:
            continue
        if tenth > 9:
            raise MalformedValue(f"{tenth} tenths")
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
        case (0x30 | 0x31), *_:
            return Notice("pm6750.beat", {"mark": "R" if kind == 0x30 else "pulse"})
        case 0xFE, sample:
            return Notice("pm6750.spo2_wave", {"sample": str(sample)})
        case 0xFF, sample:
            return Notice("pm6750.respiration_wave", {"sample": str(sample)})
        case _:
            raise MalformedValue(f"type {kind:02x} with {len(content)} bytes is not documented")


def _ecg(status: int, heart: int, breath: int) -> dict[str, str]:
    return {"status": f"{status:02x}", "heart_rate": str(heart), "respiration": str(breath)}
