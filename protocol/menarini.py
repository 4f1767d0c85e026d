"""Text blocks of the Menarini GlucoMen Areo glucose meter.

`[` CR LF, lines, two digits of check code, CR LF `]`; the code is CRC-8/MAXIM of all before it, written in
capitals. Source: sheet serial/other_glucose_meters.md; the lines of an identity and the marks of a result are
glucometer-protocols'.
"""

import re
from collections.abc import Iterator, Mapping
from decimal import Decimal

from protocol.alone import AloneFramer
from protocol.checks import crc8_maxim
from protocol.errors import MalformedValue
from protocol.framing import DelimitedFramer
from protocol.glucose import other_kind, stored
from protocol.quantities import Quantity
from protocol.readings import Event, Identified, Reading
from protocol.times import device_time

READ_IDENTITY, READ_RECORDS = b"\xa2", b"\x80"
BEGIN, END = b"[\r\n", b"\r\n]"
EMPTY = BEGIN + b"\x90\x3d" + END
LONGEST = 65536
"""Ours: bytes of a memory; 2,000 records fill it."""
LONGEST_LINE = 64
CHECKED = re.compile(rb"(?s)(\[\r\n.*\r\n)([0-9A-F]{2})\r\n\]")
IDENTITY = re.compile(rb"\d*,\d*,\d*, *+([!-+\--~]{1,32}), *+([ -+\--~]{1,32})")
RECORD = re.compile(
    rb"([A-Za-z]{1,16}),([0-9.]{1,8}),([A-Za-z/%]{1,8}),(\d\d),(\d\d)(\d\d)(\d\d),(\d\d)(\d\d)"
)
NUMBER = re.compile(rb"\d{1,4}(?:\.\d{1,2})?")
UNITS = {b"mmol/L": "mmol/L", b"mg/dL": "mg/dL"}
MARKS: Mapping[bytes, Mapping[str, str]] = {
    b"00": {},
    b"01": {"mark": "check"},
    b"02": {"meal": "before"},
    b"04": {"meal": "after"},
    b"08": {"mark": "exercise"},
}


def framer() -> AloneFramer:
    """Return a framer for a meter's blocks; a line alone is taken as documents print it."""
    return AloneFramer(
        DelimitedFramer((b"[", b"]"), limit=LONGEST),
        may=lambda held: len(held) <= LONGEST_LINE and b"[" not in held,
        alone=lambda held: RECORD.fullmatch(held.rstrip(b"\r\n")) is not None,
    )


def is_block(frame: bytes) -> bool:
    """Say whether a frame is a block, be it damaged, and no line alone."""
    return frame.startswith(b"[")


def is_identity(block: bytes) -> bool:
    """Say whether a block is whole and names the meter."""
    lines = _lines(block)
    return len(lines) == 1 and IDENTITY.fullmatch(lines[0]) is not None


def is_memory(block: bytes) -> bool:
    """Say whether a block is whole and a memory, be it empty."""
    return block == EMPTY or (bool(_lines(block)) and not is_identity(block))


def decode_block(block: bytes) -> Iterator[Reading | Event]:
    """Yield what a block says, newest first; raise MalformedValue for what is not documented."""
    if block == EMPTY:
        return
    lines = _lines(block) if block.startswith(b"[") else [block.rstrip(b"\r\n")]
    if not lines:
        raise MalformedValue("no check code, or another one")
    if identity := IDENTITY.fullmatch(lines[0]) if len(lines) == 1 else None:
        serial, version = (part.decode("ascii").strip() for part in identity.groups())
        yield Identified(serial, {"version": version})
        return
    refused = []
    for line in lines:
        try:
            yield _record(line)
        except MalformedValue as impossible:
            refused.append(impossible.detail)
    if refused:
        raise MalformedValue("; ".join(refused))


def _lines(block: bytes) -> list[bytes]:
    """Return the lines of a block; none where its check code is not right."""
    checked = CHECKED.fullmatch(block)
    if checked is None or crc8_maxim(checked[1]) != int(checked[2], 16):
        return []
    return checked[1][len(BEGIN) : -2].split(b"\r\n")


def _record(line: bytes) -> Reading | Event:
    record = RECORD.fullmatch(line)
    if record is None:
        raise MalformedValue("not a line of a result")
    kind, number, unit, mark = record.groups()[:4]
    year, *rest = map(int, record.groups()[4:])
    moment = device_time(2000 + year, *rest)
    if kind != b"Glu":
        return other_kind(kind.decode("ascii"), f"{number.decode()} {unit.decode()}", moment, line)
    if not NUMBER.fullmatch(number) or unit not in UNITS or mark not in MARKS:
        raise MalformedValue(f"{number.decode()} {unit.decode()} with mark {mark.decode()} is not documented")
    quantity = Quantity(Decimal(number.decode("ascii")), UNITS[unit])
    return stored(quantity, moment, (line,), context=MARKS[mark])
