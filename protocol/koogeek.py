"""Frames of the Koogeek S1 scale: `55 AA 55 AA | command | … | XOR` over all before.

Sources: protocols sheet ble/scales_vendor.md with its captured frame; the check code, the live weight and
what is answered in public source no. 56643768414, which names a scale's owner as its witness.
"""

from collections.abc import Iterator

from protocol.checks import xor8
from protocol.errors import MalformedValue
from protocol.quantities import tenths
from protocol.readings import Event, Notice, Reading
from protocol.scales import TOLD, moves, ohms, stands

START = b"\x55\xaa\x55\xaa"
HELLO, MOVES, STANDS, QUERY = 0x01, 0x02, 0x03, 0x07
SHORTEST, WEIGHT = 6, 14


def decode_frame(frame: bytes) -> Iterator[Reading | Event]:
    """Yield what one frame says; raise MalformedValue for what is not documented."""
    if not whole(frame):
        raise MalformedValue("no whole frame of this scale")
    command = frame[4]
    if command in {MOVES, STANDS}:
        if len(frame) != WEIGHT:
            raise MalformedValue(f"a weight of {len(frame)} bytes is not documented")
        weight = tenths(int.from_bytes(frame[9:11], "big"), "kg")
        impedance = ohms(int.from_bytes(frame[11:13], "big"))
        yield stands(weight, frame, impedance) if command == STANDS else moves(weight)
    elif command in {HELLO, QUERY}:
        yield Notice(TOLD, {"bytes": frame[4:-1].hex(" ")})
    else:
        raise MalformedValue(f"command {command:02x} is not documented")


def answer(frame: bytes) -> bytes:
    """Return what the scale waits for after *frame*, nothing where it waits for none."""
    if whole(frame) and frame[4] == HELLO:
        return _frame(b"\x81\x01\x01")
    if whole(frame) and frame[4] == QUERY and len(frame) > SHORTEST + 1:
        return _frame(bytes([0x87, 0x01, frame[6]]))
    return b""


def whole(frame: bytes) -> bool:
    """Say whether this is a frame and its check code is right."""
    return len(frame) >= SHORTEST and frame.startswith(START) and xor8(frame[:-1]) == frame[-1]


def _frame(body: bytes) -> bytes:
    return START + body + bytes([xor8(START + body)])
