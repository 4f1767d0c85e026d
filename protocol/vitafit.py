"""Frames of the Vitafit VT701 scale: `5A (scale) or A5 (host) | length | 26 | type | … | XOR | AA`.

The length counts all after itself, XOR runs from it to the last byte of content. Sources: protocols sheet
ble/scales_vendor.md with its captured frame; the layout in public source no. 55842319400, from a capture of
two weighings.
"""

from collections.abc import Iterator
from decimal import Decimal

from protocol.checks import xor8
from protocol.errors import MalformedValue
from protocol.quantities import Quantity
from protocol.readings import Event, Notice, Reading
from protocol.scales import TOLD, more, moves, ohms, stands

SCALE, HOST, END, PRODUCT = 0x5A, 0xA5, 0xAA, 0x26
WEIGHT, IMPEDANCE = 0x10, 0x11
STATES = {0: False, 1: False, 2: True}
HELLO = (b"\x33\x00", b"\x44", b"\x17\x01")
"""What the maker's app says at each contact; no time and no person is in it."""
TAKEN = {WEIGHT: b"\x10\x02", IMPEDANCE: b"\x11\x00"}


def command(body: bytes) -> bytes:
    """Return the host's frame around *body*; ValueError for any other than the known ones."""
    if body not in (*HELLO, *TAKEN.values()):
        raise ValueError(f"never sent: {body.hex(' ')}")
    counted = bytes([len(body) + 3, PRODUCT]) + body
    return bytes([HOST]) + counted + bytes([xor8(counted), END])


def decode_frame(frame: bytes) -> Iterator[Reading | Event]:
    """Yield what one frame says; raise MalformedValue for what is not documented."""
    if not _whole(frame):
        raise MalformedValue("no whole frame of this scale")
    kind = frame[3]
    if kind == WEIGHT and len(frame) == 12:
        if frame[4] not in STATES:
            raise MalformedValue(f"state {frame[4]:02x} is not documented")
        weight = Quantity(Decimal(int.from_bytes(frame[8:10], "big")).scaleb(-2), "kg")
        yield stands(weight, frame) if STATES[frame[4]] else moves(weight)
    elif kind == IMPEDANCE and len(frame) == 13:
        yield more(ohms(int.from_bytes(frame[9:11], "big")))
    elif kind in {WEIGHT, IMPEDANCE}:
        raise MalformedValue(f"type {kind:02x} of {len(frame)} bytes is not documented")
    else:
        yield Notice(TOLD, {"bytes": frame[3:-2].hex(" ")})


def answer(frame: bytes) -> bytes:
    """Return the confirmation that the scale waits for after *frame*, nothing where it waits for none."""
    if not _whole(frame) or frame[3] not in TAKEN or (frame[3] == WEIGHT and frame[4] != 2):
        return b""
    return command(TAKEN[frame[3]])


def _whole(frame: bytes) -> bool:
    if len(frame) < 6 or (frame[0], frame[2], frame[-1]) != (SCALE, PRODUCT, END):
        return False
    return frame[1] == len(frame) - 2 and xor8(frame[1:-2]) == frame[-2]
