"""Frames of QN scales: Renpho, FITINDEX, GE Fit Plus, Senssun, Sencor and many other names.

`type | length | protocol | … | SUM` over all before. A weight (10) is in tenths or hundredths of a kilogram;
only the scale's info (12) says which. Sources: protocols sheet ble/scales_vendor.md with its vectors; where
the info says it, the older layout of a weight, and what is set are in public sources no. 52234156919,
65795594043, 67124431600 (captured weights with FE at byte 3) and 70990807438.
"""

from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal

from protocol.checks import sum8
from protocol.errors import MalformedValue
from protocol.quantities import Quantity
from protocol.readings import Event, Notice, Reading
from protocol.scales import TOLD, moves, stands

WEIGHT, INFO = 0x10, 0x12
ANSWERS = frozenset({0x14, 0x21, 0xA1, 0xA3})
STORED = frozenset({0x23, 0xB1, 0xB4})
"""Records of the memory, and what else one dialect tells after a weighing: kept, no value is read."""
LAYOUTS = {11: (3, 5, 6, 1), 14: (5, 4, 7, 2), 15: (5, 4, 7, 2)}
"""Length of a weight's frame to where weight, state and resistances stand, and the final state."""
KILOGRAMS = frozenset({0x01, 0xFE})
"""Byte 3 of every captured weight in the newer layout, all of scales that showed kg."""
CLASSIC = range(12, 18)
"""Lengths of an info whose byte 10 says how the weight counts; longer ones hold other things there."""
EPOCH = datetime(2000, 1, 1)  # noqa: DTZ001 - a scale's clock has no zone


def checked(body: bytes) -> bytes:
    """Return the frame whose check code follows *body*."""
    return body + bytes([sum8(body)])


def config(protocol: int) -> bytes:
    """Return the host's answer to an info: show weights in kg; no person, no clock."""
    return checked(bytes([0x13, 9, protocol, 0x01, 0x10, 0, 0, 0]))


def clock(moment: datetime, protocol: int | None) -> bytes:
    """Return what sets the clock, bare (*protocol* None, on FFE4) or as a frame; ValueError before 2000."""
    seconds = int((moment - EPOCH).total_seconds())
    if not 0 <= seconds < 1 << 32:
        raise ValueError(f"no such year: {moment.year}")
    told = seconds.to_bytes(4, "little")
    return b"\x02" + told if protocol is None else checked(bytes([0x20, 8, protocol]) + told)


def protocol_of(info: bytes) -> int:
    """Return the protocol that an info names; it stands in every answer."""
    return info[2]


def divisor_of(info: bytes) -> int:
    """Return how the weights after an info count, 0 where no source tells where it would say so."""
    if len(info) not in CLASSIC:
        return 0
    return 100 if info[10] == 1 else 10


def is_info(frame: bytes) -> bool:
    """Say whether *frame* is a whole info."""
    return len(frame) >= CLASSIC[0] and frame[0] == INFO and _whole(frame)


def decode_frame(frame: bytes, divisor: int) -> Iterator[Reading | Event]:
    """Yield what one frame says where weights count in 1/*divisor* kg (0: not known).

    Raises MalformedValue for what is not documented.
    """
    if not _whole(frame):
        raise MalformedValue("the length or the check code does not match")
    if frame[0] == WEIGHT:
        yield _weight(frame, divisor)
    elif is_info(frame):
        counts = {"divisor": str(divisor_of(frame))} if divisor_of(frame) else {}
        yield Notice("qn_scale.info", {"protocol": f"{protocol_of(frame):02x}", **counts})
    elif frame[0] in STORED:
        yield Notice("qn_scale.record", {"bytes": frame.hex(" ")}, evidence=frame)
    elif frame[0] in ANSWERS:
        yield Notice(TOLD, {"bytes": frame.hex(" ")})
    else:
        raise MalformedValue(f"type {frame[0]:02x} is not documented")


def _whole(frame: bytes) -> bool:
    return len(frame) > 3 and frame[1] == len(frame) and sum8(frame[:-1]) == frame[-1]


def _weight(frame: bytes, divisor: int) -> Reading | Event:
    if len(frame) not in LAYOUTS:
        raise MalformedValue(f"a weight of {len(frame)} bytes is not documented")
    weight_at, state_at, resistances_at, final = LAYOUTS[len(frame)]
    state, newer = frame[state_at], weight_at == LAYOUTS[14][0]
    if state > final:
        raise MalformedValue(f"state {state} is not documented")
    if newer and frame[3] not in KILOGRAMS:
        raise MalformedValue(f"unit {frame[3]:02x} is not documented", code="qn_scale.unit")
    raw = int.from_bytes(frame[weight_at : weight_at + 2], "big")
    numbers = [int.from_bytes(frame[at : at + 2], "big") for at in (resistances_at, resistances_at + 2)]
    resistances = {f"resistance_{at}": str(number) for at, number in enumerate(numbers, 1) if number}
    if not divisor:
        told = {"raw": str(raw), "state": str(state), **resistances}
        return Notice("qn_scale.divisor", told, evidence=frame if raw and state == final else b"")
    weight = Quantity(Decimal(raw).scaleb(-1 if divisor == 10 else -2), "kg")
    return stands(weight, frame, resistances) if state == final else moves(weight)
