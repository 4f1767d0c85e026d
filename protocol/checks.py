"""Check codes of the device protocols, as plain functions over bytes."""

from functools import reduce
from operator import xor


def sum8(data: bytes) -> int:
    """Return the low byte of the sum of *data*."""
    return sum(data) & 0xFF


def inverted_sum8(data: bytes) -> int:
    """Return the low byte of the bitwise complement of the sum of *data*."""
    return ~sum(data) & 0xFF


def zero_sum8(data: bytes) -> int:
    """Return the byte that, put behind *data*, makes the low byte of the sum of all zero."""
    return -sum(data) & 0xFF


def sum16(data: bytes) -> int:
    """Return the low 16 bits of the sum of *data*."""
    return sum(data) & 0xFFFF


def xor8(data: bytes) -> int:
    """Return all bytes of *data* combined by exclusive or."""
    return reduce(xor, data, 0)


def crc16_ccitt(data: bytes) -> int:
    """Return the CRC-16 of *data* with polynomial 1021, begun at FFFF, highest bit first."""
    crc = 0xFFFF
    for byte in data:
        crc ^= byte << 8
        for _ in range(8):
            crc = (crc << 1 ^ 0x1021 if crc & 0x8000 else crc << 1) & 0xFFFF
    return crc


def crc8_maxim(data: bytes) -> int:
    """Return the CRC-8/MAXIM of *data*: polynomial 31, begun at 0, lowest bit first."""
    crc = 0
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ 0x8C if crc & 1 else crc >> 1
    return crc


def crc8(data: bytes) -> int:
    """Return the CRC-8 of *data*: polynomial 07, begun at 0, highest bit first."""
    crc = 0
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc << 1 ^ 0x07 if crc & 0x80 else crc << 1) & 0xFF
    return crc
