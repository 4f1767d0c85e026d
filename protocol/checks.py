"""Check codes of the device protocols, as plain functions over bytes."""


def sum8(data: bytes) -> int:
    """Return the low byte of the sum of *data*."""
    return sum(data) & 0xFF


def inverted_sum8(data: bytes) -> int:
    """Return the low byte of the bitwise complement of the sum of *data*."""
    return ~sum(data) & 0xFF
