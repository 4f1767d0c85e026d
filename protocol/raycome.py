"""Packets of RBP pulse-wave blood-pressure monitors (脉搏波, Raycome 瑞光康泰): one form on every link.

Host `CC 80 | VER | LEN | TYPE SUB | data | XOR`, device `AA 80 | …`: LEN counts TYPE to the last data byte,
XOR runs from VER to there. Source: protocols sheet serial/raycome_rbp.md.
"""

from collections.abc import Iterator
from decimal import Decimal

from protocol.checks import xor8
from protocol.errors import MalformedValue
from protocol.framing import LengthFramer
from protocol.quantities import Quantity
from protocol.readings import Event, Kind, Measure, Notice, Progress, Reading
from protocol.times import device_time

HOST, DEVICE = b"\xcc\x80", b"\xaa\x80"
VERSION = b"\x02"
LONGEST = 0x20
"""Ours: no documented packet counts more than 0F; a longer one is a false start."""

CONNECT, START, STOP, BATTERY = b"\x01\x01", b"\x01\x02", b"\x01\x03", b"\x04\x04"
LIVE, RESULT, ERROR = b"\x01\x05", b"\x01\x06", b"\x01\x07"
LOWEST_MV = 3600
"""At this or below, the monitor should not measure."""


def framer() -> LengthFramer:
    """Return a framer for a monitor's stream."""
    return LengthFramer(DEVICE, 4, _length, lambda frame: xor8(frame[2:-1]) == frame[-1])


def _length(header: bytes) -> int | None:
    return header[3] + 5 if 2 <= header[3] <= LONGEST else None


def command(action: bytes) -> bytes:
    """Return the host's packet for one of the four known actions; ValueError for any other."""
    if action not in {CONNECT, START, STOP, BATTERY}:
        raise ValueError(f"never sent: {action.hex(' ')}")
    checked = VERSION + bytes([len(action) + 1]) + action + b"\0"
    return HOST + checked + bytes([xor8(checked)])


def action(frame: bytes) -> bytes:
    """Return type and sub-type of a packet."""
    return frame[4:6]


def decode_packet(frame: bytes) -> Iterator[Reading | Event]:
    """Yield what one packet of a monitor says; raise MalformedValue for one that is not documented."""
    told, content = action(frame), frame[6:-1]
    if told == RESULT:
        yield _result(content, frame)
    elif told == LIVE:
        yield _live(content)
    elif told == ERROR:
        failed = f"device_error:{content.hex()}" if content else "measurement_error"
        yield Reading(Kind.BLOOD_PRESSURE, {}, (frame,), failed=failed)
    elif told == BATTERY and (charge := battery(frame)) is not None:
        low = charge <= LOWEST_MV
        code = "raycome_rbp.battery_low" if low else "raycome_rbp.battery"
        yield Notice(code, {"mv": str(charge)}, fault=low)
    elif told in {CONNECT, START, STOP}:
        refused = told == CONNECT and any(content)
        code = "raycome_rbp.refused" if refused else "raycome_rbp.answered"
        yield Notice(code, {"bytes": frame[4:-1].hex(" ")}, fault=refused)
    else:
        raise MalformedValue(f"{told.hex(' ')} with {len(content)} bytes is not documented")


def battery(frame: bytes) -> int | None:
    """Return the mV of a battery packet, None for every other packet."""
    content = frame[6:-1]
    return int.from_bytes(content, "big") if action(frame) == BATTERY and len(content) == 2 else None


def _result(content: bytes, frame: bytes) -> Reading:
    """Return the final result, which may be repeated: the same time says that it is the same one."""
    if len(content) != 13:
        raise MalformedValue(f"a result of {len(content)} bytes is not documented")
    moment = device_time(2000 + content[1], *content[2:7])
    systolic, diastolic, pulse = (int.from_bytes(content[at : at + 2], "big") for at in (7, 9, 11))
    if not (systolic and diastolic):
        raise MalformedValue("a result without pressures")
    values = {Measure.SYSTOLIC: _mmhg(systolic), Measure.DIASTOLIC: _mmhg(diastolic)}
    if pulse:
        values[Measure.PULSE_RATE] = Quantity(Decimal(pulse), "/min")
    return Reading(
        Kind.BLOOD_PRESSURE,
        values,
        (frame,),
        device_time=moment,
        context={"user": str(content[0])},
        record=f"user {content[0]} {moment.isoformat()} {systolic}/{diastolic} {pulse}",
    )


def _live(content: bytes) -> Progress:
    """Return the cuff pressure; it is a number only where both known readings of the field agree."""
    agreed = len(content) == 6 and content[1] == content[3] == 0
    return Progress(Kind.BLOOD_PRESSURE, {"cuff_pressure": _mmhg(content[4])} if agreed else {}, "measuring")


def _mmhg(number: int) -> Quantity:
    return Quantity(Decimal(number), "mm[Hg]")
