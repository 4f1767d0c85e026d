"""AES with keys of 16 bytes, and what scales' protocols build on it: CCM and CBC.

For a few blocks a weighing, written from the public standards (FIPS 197, RFC 3610, PKCS 7). Nothing that this
project keeps is protected by it; that is done in `store/cipher.py`.
"""

from collections.abc import Sequence
from functools import cache, lru_cache
from itertools import pairwise

BLOCK = 16
ROUNDS = 10
REDUCTION = 0x11B
"""The field's polynomial (FIPS 197, 4.2)."""
FORWARD, BACKWARD = (2, 3, 1, 1), (14, 11, 13, 9)
"""A column is mixed by these (FIPS 197, 5.1.3 and 5.3.3)."""


def ccm_open(key: bytes, nonce: bytes, sealed: bytes, tag: bytes, associated: bytes) -> bytes | None:
    """Return what was sealed, None where *tag* does not prove it. *associated* is not empty."""
    size = BLOCK - 1 - len(nonce)

    def keystream(number: int) -> bytes:
        return encrypt(key, bytes([size - 1]) + nonce + number.to_bytes(size, "big"))

    stream = b"".join(keystream(number + 1) for number in range(-(-len(sealed) // BLOCK)))
    plain = _xor(sealed, stream)
    flags = 0x40 | (len(tag) - 2) // 2 << 3 | size - 1
    said = bytes([flags]) + nonce + len(plain).to_bytes(size, "big")
    said += _padded(len(associated).to_bytes(2, "big") + associated) + _padded(plain)
    proof = bytes(BLOCK)
    for block in _blocks(said):
        proof = encrypt(key, _xor(proof, block))
    return plain if _xor(proof, keystream(0))[: len(tag)] == tag else None


def cbc_seal(key: bytes, first: bytes, plain: bytes) -> bytes:
    """Return *plain*, filled up to whole blocks, encrypted; *first* is the initial vector."""
    missing = BLOCK - len(plain) % BLOCK
    sealed, before = b"", first
    for block in _blocks(plain + bytes([missing]) * missing):
        before = encrypt(key, _xor(block, before))
        sealed += before
    return sealed


def cbc_open(key: bytes, first: bytes, sealed: bytes) -> bytes | None:
    """Return what `cbc_seal` was given; None for no whole blocks and for a filling that is none."""
    if not sealed or len(sealed) % BLOCK:
        return None
    before = (first, *_blocks(sealed))
    filled = b"".join(_xor(decrypt(key, block), last) for last, block in pairwise(before))
    missing = filled[-1]
    if not 1 <= missing <= BLOCK or filled[-missing:] != bytes([missing]) * missing:
        return None
    return filled[:-missing]


def encrypt(key: bytes, block: bytes) -> bytes:
    """Return one block encrypted (FIPS 197, 5.1)."""
    keys, box = _round_keys(key), _boxes()[0]
    state = _xor(block, keys[0])
    for number in range(1, ROUNDS + 1):
        state = state.translate(box)
        state = bytes(state[(at + 4 * (at % 4)) % BLOCK] for at in range(BLOCK))
        state = _xor(state if number == ROUNDS else _mixed(state, FORWARD), keys[number])
    return state


def decrypt(key: bytes, block: bytes) -> bytes:
    """Return one block decrypted (FIPS 197, 5.3)."""
    keys, box = _round_keys(key), _boxes()[1]
    state = block
    for number in range(ROUNDS, 0, -1):
        state = _xor(state, keys[number])
        state = state if number == ROUNDS else _mixed(state, BACKWARD)
        state = bytes(state[(at - 4 * (at % 4)) % BLOCK] for at in range(BLOCK)).translate(box)
    return _xor(state, keys[0])


@lru_cache(maxsize=8)
def _round_keys(key: bytes) -> tuple[bytes, ...]:
    if len(key) != BLOCK:
        raise ValueError(f"a key of {len(key)} bytes")
    words, step = list(_parts(key, 4)), 1
    for number in range(4, 4 * (ROUNDS + 1)):
        word = words[-1]
        if number % 4 == 0:
            word = _xor((word[1:] + word[:1]).translate(_boxes()[0]), bytes([step, 0, 0, 0]))
            step = _times(step, 2)
        words.append(_xor(word, words[number - 4]))
    return tuple(b"".join(words[at : at + 4]) for at in range(0, len(words), 4))


@cache
def _boxes() -> tuple[bytes, bytes]:
    """Return the substitution of bytes and its reverse (FIPS 197, 5.1.1)."""
    powers = [1]
    for _ in range(254):
        powers.append(_times(powers[-1], 3))
    inverse = {power: powers[-at % 255] for at, power in enumerate(powers)} | {0: 0}
    forward = [0x63 ^ _spread(inverse[byte]) for byte in range(256)]
    backward = bytearray(256)
    for byte, other in enumerate(forward):
        backward[other] = byte
    return bytes(forward), bytes(backward)


def _spread(byte: int) -> int:
    twice = byte << 8 | byte
    return (twice ^ twice >> 4 ^ twice >> 5 ^ twice >> 6 ^ twice >> 7) & 0xFF


def _mixed(state: bytes, factors: Sequence[int]) -> bytes:
    mixed = bytearray()
    for column in _parts(state, 4):
        for row in range(4):
            products = [_times(byte, factors[(at - row) % 4]) for at, byte in enumerate(column)]
            mixed.append(products[0] ^ products[1] ^ products[2] ^ products[3])
    return bytes(mixed)


def _times(left: int, right: int) -> int:
    product = 0
    while right:
        product ^= left * (right & 1)
        left = left << 1 ^ (REDUCTION if left & 0x80 else 0)
        right >>= 1
    return product


def _xor(left: bytes, right: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(left, right, strict=False))


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % BLOCK)


def _blocks(data: bytes) -> tuple[bytes, ...]:
    return _parts(data, BLOCK)


def _parts(data: bytes, size: int) -> tuple[bytes, ...]:
    return tuple(data[at : at + size] for at in range(0, len(data), size))
