"""Frames of the Eufy Smart Scale P2 and P2 Pro (T9148, T9149).

A weight is `CF 0E 00 CF | ohm x 10 (2) | kg x 100 (2) | … | XOR` over bytes 2 to 14, least byte first: sheet
ble/scales_vendor.md and its captured vectors. What makes a weight final (byte 12) and the proof that the
scale wants first are in public sources no. 54726523536 and 55976390763, which port one program.
"""

from base64 import b64decode, b64encode
from collections.abc import Iterator
from decimal import Decimal
from hashlib import md5

from protocol import aes
from protocol.checks import xor8
from protocol.errors import MalformedValue
from protocol.quantities import Quantity
from protocol.readings import Event, Notice, Reading
from protocol.scales import TOLD, moves, ohms, stands

WEIGHT, SIZE = b"\xcf\x0e\x00\xcf", 16
ASK, ASKED, PROVE, PROVED = 0xC0, 0xC1, 0xC2, 0xC3
FIRST = b"0" * aes.BLOCK
PIECE = 15
"""Bytes of text that one frame carries."""
OURS = b"checkup-gateway"
"""What we call ourselves: 15 letters, as the maker's app's number has."""
MOST_PIECES = 16
"""Ours: more than any number of the scale's needs."""


def decode_frame(frame: bytes) -> Iterator[Reading | Event]:
    """Yield what one frame of any characteristic says; raise MalformedValue for what is not documented."""
    if frame[:1] and frame[0] in {ASKED, PROVED} and len(frame) > 5 and xor8(frame[:-1]) == frame[-1]:
        yield Notice(TOLD, {"bytes": frame.hex(" ")})
        return
    if len(frame) != SIZE or not frame.startswith(WEIGHT) or xor8(frame[2:15]) != frame[15]:
        raise MalformedValue("no whole frame of this scale")
    weight = Quantity(Decimal(int.from_bytes(frame[6:8], "little")).scaleb(-2), "kg")
    impedance = ohms(Decimal(int.from_bytes(frame[4:6], "little")).scaleb(-1))
    yield moves(weight) if frame[12] else stands(weight, frame, impedance)


def proved(frame: bytes) -> bool | None:
    """Return whether the scale took our proof, None for any other frame."""
    if len(frame) != 6 or frame[0] != PROVED or xor8(frame[:-1]) != frame[-1]:
        return None
    return frame[4] == 0


class Proof:
    """The exchange in which both sides show that they know the scale's address; `address` is 6 bytes."""

    def __init__(self, address: bytes) -> None:
        """Begin with nothing heard."""
        self._key = md5(address.hex().upper().encode("ascii"), usedforsecurity=False).digest()
        self._text = b""
        self._next = 0

    def ask(self) -> Iterator[bytes]:
        """Yield the frames that begin it."""
        return self._frames(ASK, OURS)

    def answer(self, frame: bytes) -> Iterator[bytes]:
        """Yield the proof once the scale's number is whole; nothing before."""
        if not self._take(frame):
            return
        sealed = _decoded(self._text)
        theirs = aes.cbc_open(self._key, FIRST, sealed) if sealed else None
        if theirs is not None:
            yield from self._frames(PROVE, OURS + b"_" + theirs)

    def _take(self, frame: bytes) -> bool:
        """Take a piece of the scale's number; return whether it is whole now."""
        if len(frame) < 6 or frame[0] != ASKED or xor8(frame[:-1]) != frame[-1]:
            return False
        count, number, size = frame[1:4]
        if number == 0:
            self._text, self._next = b"", 0
        if number != self._next or not number < count <= MOST_PIECES:
            return False
        self._text += frame[4:-1]
        self._next += 1
        return self._next == count and len(self._text) == size

    def _frames(self, kind: int, plain: bytes) -> Iterator[bytes]:
        text = b64encode(aes.cbc_seal(self._key, FIRST, plain))
        pieces = [text[at : at + PIECE] for at in range(0, len(text), PIECE)]
        for number, piece in enumerate(pieces):
            counted = bytes([kind, len(pieces), number, len(text)]) + piece
            yield counted + bytes([xor8(counted)])


def _decoded(text: bytes) -> bytes:
    try:
        return b64decode(text, validate=True)
    except ValueError:
        return b""
