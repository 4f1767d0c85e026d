"""The Bluetooth vectors of the protocol sheets, and what a driver makes of their values."""

import json
from pathlib import Path
from typing import Any

from drivers.catalogue import Decoded, every
from protocol.framing import BySource, Frame, Value
from tools.chunks import for_driver

ROWS: list[dict[str, Any]] = [
    json.loads(line)
    for line in (Path(__file__).parent / "vectors" / "ble.jsonl").read_text(encoding="utf-8").splitlines()
]


def rows(*protocols: str) -> list[dict[str, Any]]:
    """Return the vectors whose protocol's name begins with one of *protocols*."""
    return [row for row in ROWS if row["protocol"].startswith(protocols)]


def decoded(name: str, *values: bytes, source: str = "") -> list[Decoded]:
    """Return what the driver *name* makes of *values*, all of one source (else its usual one)."""
    driver = every()[name]
    framers = BySource(driver.framer)
    given = [Value(value, source) if source else value for value in values]
    pieces = [piece for value in for_driver(driver, given) for piece in framers.feed(value)]
    pieces += framers.finish()
    return list(driver.decode(piece for piece in pieces if isinstance(piece, Frame)))
