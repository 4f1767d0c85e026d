"""Messages of Omron monitors that keep their records in an EEPROM: frames, channels, unlocking.

`LEN | type (2) | address (2) | count | data | 00 | XOR`: LEN counts the whole frame, and all its bytes
together give 0. A frame travels in pieces of 16 bytes over four characteristics. Source: protocols sheet
ble/omron.md and what it cites (userx14/omblepy, oliexdev/openScale). Nothing here can write to the memory.
"""

from dataclasses import dataclass

from protocol.checks import xor8
from protocol.errors import MalformedValue

WRITE = "db5b55e0-aee7-11e1-965e-0002a5d5c51b"
"""The first of four; no question of ours is longer than one piece."""
NOTIFY = (
    "49123040-aee8-11e1-a74d-0002a5d5c51b",
    "4d0bf320-aee8-11e1-a0d9-0002a5d5c51b",
    "5128ce60-aee8-11e1-b84b-0002a5d5c51b",
    "560f1420-aee8-11e1-8184-0002a5d5c51b",
)
UNLOCK = "b305b680-aee7-11e1-a730-0002a5d5c51b"
SERVICE = "ecbe3980-c9a2-11e1-b1bd-0002a5d5c51b"

PIECE = 16
OVERHEAD = 8
LONGEST_READ = 0x38
STARTED, READ, WRITTEN, ENDED = b"\x80\x00", b"\x81\x00", b"\x81\xc0", b"\x8f\x00"
ANSWERS = frozenset({STARTED, READ, WRITTEN, ENDED})
QUESTIONS = frozenset({b"\x00\x00", b"\x01\x00", b"\x01\xc0", b"\x0f\x00"})
START, END = bytes.fromhex("08 00 00 00 00 10 00 18"), bytes.fromhex("08 0f 00 00 00 00 00 07")

KEY = 16
UNLOCKED, KEY_MODE, KEY_TAKEN = b"\x81\x00", b"\x82\x00", b"\x80\x00"
ENTER_KEY_MODE = b"\x02" + bytes(KEY)


def read_memory(address: int, count: int) -> bytes:
    """Return the question for *count* bytes of memory; ValueError where one answer cannot hold them."""
    if not (0 < count <= LONGEST_READ and 0 <= address <= 0x3FFF):
        raise ValueError(f"no such read: {count} bytes at {address:04x}")
    question = bytes([OVERHEAD]) + b"\x01\x00" + address.to_bytes(2, "big") + bytes([count, 0])
    return question + bytes([xor8(question)])


def unlock(key: bytes) -> bytes:
    """Return what opens a session with the *key* that was given to the device when it was paired."""
    return b"\x01" + _key(key)


def give_key(key: bytes) -> bytes:
    """Return what gives a *key* to a device that is in pairing mode."""
    return b"\x00" + _key(key)


def _key(key: bytes) -> bytes:
    if len(key) != KEY:
        raise ValueError("a key has 16 bytes")
    return key


@dataclass(frozen=True, slots=True)
class Answer:
    """One whole answer; `data` is as long as it announces (a memory that was erased says less: FF then)."""

    kind: bytes
    address: int
    data: bytes
    status: int
    pieces: tuple[bytes, ...]


def parse(pieces: tuple[bytes, ...]) -> Answer:
    """Return the answer in *pieces*; raise MalformedValue where they are none, or the check is wrong."""
    joined = b"".join(pieces)
    size = joined[0] if joined else 0
    frame = joined[:size]
    if size < OVERHEAD or len(frame) < size or frame[1:3] not in ANSWERS:
        raise MalformedValue(f"no answer: {joined.hex(' ')}")
    if xor8(frame):
        raise MalformedValue(f"check failed: {joined.hex(' ')}")
    count, there = frame[5], frame[6:-2]
    data = there[:count] if count <= len(there) else b"\xff" * count
    return Answer(frame[1:3], int.from_bytes(frame[3:5], "big"), data, frame[6], pieces)


def begins_answer(piece: bytes) -> bool:
    """Say whether *piece* is the first of an answer in several pieces."""
    return len(piece) == PIECE < piece[0] <= 4 * PIECE and piece[1:3] in ANSWERS


class Assembly:
    """Collects the pieces of one answer; holds at most one piece a channel."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self._pieces: dict[int, bytes] = {}

    def take(self, channel: int, piece: bytes) -> tuple[bytes, ...] | None:
        """Take the *piece* of a channel; return all pieces once the answer is whole."""
        self._pieces[channel] = piece
        needed = range(-(-self._pieces.get(0, b"\xff")[0] // PIECE) or 1)
        if not all(at in self._pieces for at in needed):
            return None
        whole = tuple(self._pieces[at] for at in needed)
        self._pieces.clear()
        return whole

    def missing(self) -> tuple[bytes, ...]:
        """Return what is held of an answer that is not whole, and forget it."""
        held = tuple(self._pieces.values())
        self._pieces.clear()
        return held
