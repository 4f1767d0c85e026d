"""The vectors of the protocol sheets, and what a driver makes of their bytes."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from drivers.catalogue import Decoded, every
from protocol.framing import Frame

FOLDER = Path(__file__).parent / "vectors"
ROWS: list[dict[str, Any]] = [
    json.loads(line) for line in (FOLDER / "serial.jsonl").read_text(encoding="utf-8").splitlines()
]


def rows(protocol: str, *directions: str) -> list[dict[str, Any]]:
    """Return the vectors of *protocol*, all of them or those of the given directions."""
    mine = [row for row in ROWS if row["protocol"] == protocol]
    return [row for row in mine if not directions or row["direction"] in directions]


def raw(row: Mapping[str, Any]) -> bytes:
    return bytes.fromhex(row["hex"]) if "hex" in row else row["ascii"].encode("latin-1")


def decoded(name: str, data: bytes) -> list[Decoded]:
    driver = every()[name]
    framer = driver.framer()
    pieces = [*framer.feed(data), *framer.finish()]
    return list(driver.decode(piece for piece in pieces if isinstance(piece, Frame)))
