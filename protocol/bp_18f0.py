"""Frames of the "18F0" blood-pressure module (Cigii, Technaxx, BPM-188, Wellue and other makers' names).

`02 40 | DC (host) or DD (module) | LEN | LEN bytes | XOR`: XOR runs over all after 02. Sources: protocols
sheet ble/bp_18f0.md and three of the programs it cites, public sources no. 12118799518 (error frame 3C and
its numbers), 26188494281 (live pressure, battery), 20305761831 (answer to a clock setting; user and time).
"""

from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal

from protocol.checks import xor8
from protocol.errors import MalformedValue
from protocol.framing import LengthFramer
from protocol.quantities import Quantity
from protocol.readings import DeviceClock, Event, Kind, Measure, Notice, Progress, Reading
from protocol.times import device_time

HOST, MODULE = b"\x02\x40\xdc", b"\x02\x40\xdd"
LONGEST = 0x40
"""Ours: no documented frame counts more than 0F; a longer one is a false start."""

START, STOP, HISTORY = b"\xa1", b"\xa2", b"\xb1\x00\x01\x00\x02"
SILENT, LOUD, VERSION, MODE = b"\xa3", b"\xa4", b"\xab", b"\xb2"
ANSWERS = frozenset({START, STOP, SILENT, LOUD})
SET_CLOCK = 0xB0
RESULT, FAILED = 0x1C, 0x3C
SHORT, LONG = 0x0C, 0x0F
"""What a result counts: without and with user and time."""
PRESSURE, BATTERY = 2, 3
"""What the short frames count that carry no type; no source tells how the battery counts."""
ERRORS = {2: "no_result", 4: "cuff_loose", 5: "hose_blocked", 6: "movement", 7: "over_pressure"}
HIGHEST = 300
"""mmHg: above it the module gives a measurement up (error 7)."""


def framer() -> LengthFramer:
    """Return a framer for a module's notifications."""
    return LengthFramer(MODULE, 4, _length, lambda frame: xor8(frame[1:-1]) == frame[-1])


def _length(header: bytes) -> int | None:
    return header[3] + 5 if 1 <= header[3] <= LONGEST else None


def command(body: bytes) -> bytes:
    """Return the host's frame around *body*; ValueError for any that the sheet does not list."""
    clock = len(body) == 7 and body[0] == SET_CLOCK
    if not clock and body not in ANSWERS | {HISTORY, VERSION, MODE}:
        raise ValueError(f"never sent: {body.hex(' ')}")
    counted = HOST + bytes([len(body)]) + body
    return counted + bytes([xor8(counted[1:])])


def clock_body(moment: datetime) -> bytes:
    """Return the body that sets the clock; ValueError for a year that one byte cannot tell."""
    if not 2000 <= moment.year <= 2099:
        raise ValueError(f"no such year: {moment.year}")
    fields = (moment.year - 2000, moment.month, moment.day, moment.hour, moment.minute, moment.second)
    return bytes([SET_CLOCK, *fields])


def decode_frame(frame: bytes) -> Iterator[Reading | Event]:
    """Yield what one frame of a module says; raise MalformedValue for what is not documented."""
    counted, told, content = frame[3], frame[4], frame[5:-1]
    if counted in {SHORT, LONG} and told == RESULT:
        yield _result(content, frame)
    elif counted in {SHORT, LONG} and told == FAILED:
        error = int.from_bytes(content[6:8], "big")
        yield _failed(ERRORS.get(error, f"device_error:{error}"), frame)
    elif counted == PRESSURE:
        yield _pressure(int.from_bytes(frame[4:6], "big"))
    elif counted == 7 and told == SET_CLOCK:
        yield DeviceClock(device_time(2000 + content[0], *content[1:]), frame)
    elif told == HISTORY[0]:
        yield Notice("bp_18f0.history", {"bytes": frame[4:-1].hex(" ")}, evidence=frame)
    elif counted == BATTERY or bytes([told, *content]) in ANSWERS or told in {VERSION[0], MODE[0], SET_CLOCK}:
        yield Notice("bp_18f0.answered", {"bytes": frame[4:-1].hex(" ")})
    else:
        raise MalformedValue(f"type {told:02x} with {counted} bytes is not documented")


def _result(content: bytes, frame: bytes) -> Reading:
    """Return a result. The module does not say whether it is live: here it is one from the memory."""
    if content[0] == 0xFF:
        return _failed(f"device_error:{content[1]}", frame)
    systolic, diastolic, mean, pulse = (int.from_bytes(content[at : at + 2], "big") for at in (0, 2, 4, 6))
    if not (systolic and diastolic) or max(systolic, diastolic, mean, pulse) > HIGHEST:
        raise MalformedValue(f"not a blood pressure: {systolic}/{diastolic}, {mean}, {pulse}")
    values = {Measure.SYSTOLIC: _mmhg(systolic), Measure.DIASTOLIC: _mmhg(diastolic)}
    if mean:
        values[Measure.MEAN_PRESSURE] = _mmhg(mean)
    if pulse:
        values[Measure.PULSE_RATE] = Quantity(Decimal(pulse), "/min")
    moment, user = _user_and_time(content[8:]) if frame[3] == LONG else (None, {})
    return Reading(
        Kind.BLOOD_PRESSURE,
        values,
        (frame,),
        device_time=moment,
        context=user,
        flags=frozenset({"clock_lost"} if user and moment is None else ()),
        stored=True,
        record=f"user {content[8]} {moment.isoformat()} {systolic}/{diastolic} {pulse}" if moment else None,
    )


def _user_and_time(tail: bytes) -> tuple[datetime | None, dict[str, str]]:
    """Return the last six bytes of a long result; they stand as they are where they are no time."""
    try:
        return device_time(2000 + tail[1], *tail[2:6]), {"user": str(tail[0])}
    except MalformedValue:
        return None, {"user_and_time": tail.hex(" ")}


def _failed(reason: str, frame: bytes) -> Reading:
    return Reading(Kind.BLOOD_PRESSURE, {}, (frame,), failed=reason, stored=True)


def _pressure(raw: int) -> Progress:
    """Return the cuff pressure; no number where it cannot be one (a source reads the bytes turned round)."""
    shown = {"cuff_pressure": _mmhg(raw)} if raw <= HIGHEST else {}
    return Progress(Kind.BLOOD_PRESSURE, shown, "measuring")


def _mmhg(number: int) -> Quantity:
    return Quantity(Decimal(number), "mm[Hg]")
