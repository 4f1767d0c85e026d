"""Which measurement a record is: an id from what the machine itself says, never from when we read it."""

from hashlib import sha256

DIGITS = 40
"""Hex digits of a derived id: 160 bits, so that two records of a whole country never meet."""


def record_id(gateway: str, device: str, serial: str | None, driver: str, record: str) -> str:
    """Return the id of a stored record, in `[A-Za-z0-9.-]`, 42 characters.

    With a serial number it is the same at every gateway; without one it holds for this gateway's device only.
    """
    parts = (
        ("serial", driver, serial, record)
        if serial is not None
        else ("device", gateway, device, driver, record)
    )
    encoded = (part.encode() for part in parts)
    return (
        f"m-{sha256(b''.join(len(part).to_bytes(4, 'big') + part for part in encoded)).hexdigest()[:DIGITS]}"
    )
