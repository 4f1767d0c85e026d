"""The "AC02" frames of scales by Lefu: Hutbit, SWAN, Taylor, FitTrack and other names.

`AC 02 | 4 bytes | kind | SUM` over bytes 2 to 6. Sources: protocols sheet ble/scales_vendor.md (weight, kinds
CA and CE, impedance); what the host writes is in public sources no. 54494892372 and 56014548976, replayed
from captures; no contact (FD FF) in no. 57583059977.
"""

from collections.abc import Iterator

from protocol.checks import sum8
from protocol.errors import MalformedValue
from protocol.quantities import tenths
from protocol.readings import Event, Notice, Reading
from protocol.scales import TOLD, UNITS, more, moves, ohms, stands

START, SIZE = b"\xac\x02", 8
STANDS, MOVES, MEASURED, COMMAND = 0xCA, 0xCE, 0xCB, 0xCC
IMPEDANCE, NO_CONTACT = b"\xfd\x01", b"\xfd\xff"
HELLO = bytes.fromhex("fa010000")
UNIT = {"kg": bytes.fromhex("fe060000"), "lb": bytes.fromhex("fe060100")}
"""What the host may say: that it is there, and in which unit the scale is to show and tell the weight."""


def command(body: bytes) -> bytes:
    """Return the host's frame around *body*; ValueError for all that would set a clock or a person."""
    if body != HELLO and body not in UNIT.values():
        raise ValueError(f"never sent: {body.hex(' ')}")
    counted = body + bytes([COMMAND])
    return START + counted + bytes([sum8(counted)])


def decode_frame(frame: bytes, unit: str) -> Iterator[Reading | Event]:
    """Yield what one frame says where the scale shows *unit* (`kg`, `lb`); raise MalformedValue else."""
    if len(frame) != SIZE or not frame.startswith(START):
        raise MalformedValue("no frame of this family")
    if sum8(frame[2:7]) != frame[7]:
        raise MalformedValue("the check code does not match")
    kind, number = frame[6], int.from_bytes(frame[2:4], "big")
    if kind in {STANDS, MOVES}:
        if any(frame[4:6]):
            raise MalformedValue("a weight with more bytes than documented")
        weight = tenths(number, UNITS[unit])
        yield stands(weight, frame) if kind == STANDS else moves(weight)
    elif kind == MEASURED and frame[2:4] == IMPEDANCE and any(frame[4:6]):
        yield more(ohms(int.from_bytes(frame[4:6], "big")))
    elif kind == MEASURED and frame[2:4] == NO_CONTACT:
        yield more({})
    elif kind in {MEASURED, COMMAND}:
        yield Notice(TOLD, {"bytes": frame[2:7].hex(" ")})
    else:
        raise MalformedValue(f"kind {kind:02x} is not documented")
