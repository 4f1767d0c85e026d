"""Bytes that a person hands to the command line: hex as an argument, files of raw bytes or of hex lines."""

import re
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import IO, Literal

import click

from drivers.catalogue import Advertisement, Driver, Gatt
from protocol.framing import Value

CHUNK = 4096
Form = Literal["auto", "raw", "hex"]
BLUETOOTH = re.compile(r"(ADV|[0-9A-Fa-f]{4}|[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}):")
HEX_LINES = re.compile(rb"[0-9A-Fa-fV:\- \t\r\n]*")


class Hex(click.ParamType[bytes]):
    """Bytes as pairs of hex digits, blanks or colons between them if wished; Bluetooth: after a source."""

    name = "hex"

    def convert(self, value: str | bytes, param: click.Parameter | None, ctx: click.Context | None) -> bytes:
        """Return the bytes, a `Value` where `CHARACTERISTIC:HEX` names its source; else a usage error."""
        if isinstance(value, bytes):
            return value
        try:
            return unhex(value)
        except ValueError:
            raise click.BadParameter(f"not pairs of hex digits: {value[:60]!r}", ctx, param) from None


def unhex(text: str) -> bytes:
    """Return the bytes that *text* names in hex, a `Value` where it names a source; raises ValueError."""
    source = BLUETOOTH.match(text.strip())
    if source is None:
        return bytes.fromhex(text.replace(":", " "))
    name = source[1].lower() if "-" in source[1] else source[1].upper()
    return Value(bytes.fromhex(text.strip()[source.end() :].replace(":", " ")), name)


def for_driver(driver: Driver, chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Yield *chunks* as *driver* hears them: a Bluetooth value without a source is of its usual one.

    Raises click.UsageError for a source where the device is on a line.
    """
    for chunk in chunks:
        if isinstance(driver.link, Gatt | Advertisement):
            yield chunk if isinstance(chunk, Value) else Value(chunk, driver.link.default)
        elif isinstance(chunk, Value):
            raise click.UsageError(
                "CHARACTERISTIC:HEX is for Bluetooth; this driver's device is on a serial line"
            )
        else:
            yield chunk


def file_chunks(file: IO[bytes], form: Form) -> Iterator[bytes]:
    """Yield *file*'s chunks: of raw bytes as they are, of hex text one a line.

    `auto` takes a file for hex text when its first 4096 bytes hold nothing but hex digits, blanks,
    colons and line ends. Raises click.UsageError for a line that is not hex after all.
    """
    first = file.read(CHUNK)
    rest = chain((first,), iter(lambda: file.read(CHUNK), b""))
    if form == "raw" or (form == "auto" and not HEX_LINES.fullmatch(first)):
        yield from rest
        return
    for number, line in enumerate(_lines(rest), 1):
        try:
            yield unhex(line.decode("ascii"))
        except ValueError:
            raise click.UsageError(f"line {number} of the file is not hex") from None


def _lines(parts: Iterable[bytes]) -> Iterator[bytes]:
    held = b""
    for part in parts:
        *whole, held = (held + part).split(b"\n")
        yield from whole
        if len(held) > 16 * CHUNK:
            raise click.UsageError("a line of the file is longer than 65536 characters")
    yield held
