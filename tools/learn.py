"""`devices learn`: from recorded lines and what the display showed, the stanza of a machine nobody knows.

It proposes and shows what it would read from each line; a person decides. Nothing is opened or sent.
"""

import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import IO

import click

from drivers.catalogue import Decoded, Driver, Refusal
from drivers.line import DRIVER
from gateway.stanza import written
from protocol import transcript
from protocol.described import NAMES
from protocol.errors import RequestRefused
from protocol.framing import DelimitedFramer, Frame, Framer, LineFramer
from protocol.lines import EndedFramer, unescaped
from protocol.readings import Reading
from tools import learning
from tools.chunks import file_chunks
from tools.learning import Found, Shown
from tools.parameters import JSON

LIMIT = 1_000_000
"""Bytes of a recording that are looked at."""
ENCODINGS = ("ascii", "utf-8", "gbk")
Read = Counter[tuple[str, tuple[str, ...]]]
SHOWN = re.compile(r"(?P<name>[a-z0-9]+)=(?P<value>\d{1,5}(?:[.,]\d{1,3})?) *(?P<unit>[A-Za-z0-9/%]*)")


class ShownValue(click.ParamType[Shown]):
    """What the display showed, as NAME=VALUE with its unit behind it where there are several."""

    name = "name=value"

    def convert(self, value: str | Shown, param: click.Parameter | None, ctx: click.Context | None) -> Shown:
        """Return the value; a usage error for anything else."""
        if isinstance(value, Shown):
            return value
        found = SHOWN.fullmatch(value)
        if found is None or found["name"] not in NAMES:
            known = ", ".join(NAMES)
            raise click.BadParameter(f"{value!r}: write weight=62.3kg; names are {known}", ctx, param)
        return Shown(found["name"], Decimal(found["value"].replace(",", ".")), found["unit"])


@click.command()
@click.argument("file", type=click.File("rb"))
@click.option(
    "--shown",
    "displayed",
    type=ShownValue(),
    multiple=True,
    required=True,
    help="What the display showed, once for each value: weight=62.3kg.",
)
@click.option("--start", default="", help=r"What every message begins with, if anything: \x02.")
@click.option("--end", default="", help=r"What every line ends with, if not CR or LF: ^ or \x03.")
@click.option("--hex", "as_hex", is_flag=True, help="FILE is hex text, one chunk a line.")
@click.option("--name", default="scale-1", show_default=True, help="The machine's name in the stanza.")
@click.option("--port", default="/dev/serial/by-id/…", help="Its port, as `devices scan` prints it.")
@JSON
def learn(
    file: IO[bytes],
    *,
    displayed: Sequence[Shown],
    start: str,
    end: str,
    as_hex: bool,
    name: str,
    port: str,
    as_json: bool,
) -> None:
    """Propose the stanza of a machine from recorded lines and what its display showed.

    FILE is a transcript of `record` or the raw bytes that the machine said.
    Exit status 6 where the recording does not tell how to read the machine; the reason is said.
    """
    heard = _heard(file, as_hex=as_hex)
    found = Found()
    lines = _lines(heard, found, start, end)
    learning.learn(lines, displayed, found)
    read = _read(heard, found)
    _prove(heard, displayed, found)
    if as_json:
        told = [{"text": text, "times": times, "gives": list(gives)} for (text, gives), times in read.items()]
        whole = {"schema": 1, "settings": found.settings, "notes": found.notes, "lines": told}
        click.echo(json.dumps(whole, ensure_ascii=False, indent=2))
        return
    click.echo(_stanza(name, port, found))
    click.echo("# What it reads from each line:")
    for (text, gives), times in read.items():
        click.echo(f"#   {times} x {text}\n#       {'; '.join(gives) or 'passed over'}")


def _heard(file: IO[bytes], *, as_hex: bool) -> list[bytes]:
    """Return what the machine said, a turn at a time where the file is a transcript."""
    if as_hex:
        return [b"".join(file_chunks(file, "hex"))[:LIMIT]]
    data = file.read(LIMIT)
    try:
        turns = transcript.parse(data.decode("utf-8")).turns
    except (UnicodeDecodeError, transcript.TranscriptError):
        return [data]
    return [turn.data for turn in turns if isinstance(turn, transcript.Heard)]


def _lines(heard: Sequence[bytes], found: Found, start: str, end: str) -> list[str]:
    """Cut what was heard into lines of text; the marks and the encoding go into the settings."""
    data = b"".join(heard)
    if not start and not end and b"\x02" in data and b"\x03" in data:
        start, end = r"\x02", r"\x03"
    found.settings |= {name: mark for name, mark in (("start", start), ("end", end)) if mark}
    try:
        first, last = (unescaped(mark).encode("latin-1") for mark in (start, end))
        framer = _framer(first, last)
    except ValueError as wrong:
        raise click.UsageError(f"--start, --end: {wrong}") from None
    whole = _frames(framer, heard)
    frames = [frame.removeprefix(first).removesuffix(last).strip(b"\r\n\0") for frame in whole]
    encoding = next((one for one in ENCODINGS if frames and _decodes(frames, one)), None)
    if encoding is None:
        reason = "no line of text in it; is the baud rate right? Say how a line ends with --end"
        raise RequestRefused(reason, code="learn.unclear")
    if encoding != "ascii":
        found.settings["encoding"] = encoding
    return [frame.decode(encoding) for frame in frames]


def _framer(start: bytes, end: bytes) -> Framer:
    if start and not end:
        raise ValueError("a start mark needs an end mark")
    if start:
        return DelimitedFramer((start, end))
    return EndedFramer((end, b"\r", b"\n")) if end else LineFramer()


def _frames(framer: Framer, heard: Sequence[bytes]) -> Iterator[bytes]:
    for chunk in heard:
        yield from (piece.data for piece in framer.feed(chunk) if isinstance(piece, Frame))
    yield from (piece.data for piece in framer.finish() if isinstance(piece, Frame))


def _decodes(frames: Sequence[bytes], encoding: str) -> bool:
    try:
        text = b"\n".join(frames).decode(encoding)
    except UnicodeDecodeError:
        return False
    return all(character.isprintable() or character in "\r\n\t" for character in text)


def _read(heard: Sequence[bytes], found: Found) -> Read:
    """Return each different line with what the driver makes of it, and how often it stands there.

    Lines that fit no layout are passed over from then on, which is noted.
    """
    encoding = str(found.settings.get("encoding", "ascii"))
    read = _through(_driver(found), heard, encoding)
    strange = [text for text, gives in read if any(one.startswith("refused") for one in gives)]
    if strange:
        found.settings["ignore_others"] = True
        found.notes.append(f"passed over: {' | '.join(strange[:5])}")
        found.notes.append("if one of these says a failure, put its mark into `failed`")
        read = _through(_driver(found), heard, encoding)
    return read


def _driver(found: Found) -> Driver:
    try:
        return DRIVER.under({**DRIVER.settings, **found.settings})
    except ValueError as wrong:
        raise RequestRefused(f"no layout reads these lines ({wrong})", code="learn.unclear") from None


def _through(driver: Driver, heard: Sequence[bytes], encoding: str) -> Read:
    read: Read = Counter()
    for data in _frames(driver.framer(), heard):
        text = learning.escaped(data.decode(encoding, "backslashreplace").strip("\r\n"))
        read[text, tuple(map(_gives, driver.decode([Frame(data)])))] += 1
    return read


def _gives(said: Decoded) -> str:
    match said:
        case Reading():
            return transcript.reading_line(said)
        case Refusal(reason=reason):
            return f"refused: {reason}"
        case event:
            return transcript.event_line(event)


def _prove(heard: Sequence[bytes], displayed: Sequence[Shown], found: Found) -> None:
    """Raise RequestRefused unless the proposal reads all that the display showed."""
    driver = _driver(found)
    said = driver.decode(Frame(frame) for frame in _frames(driver.framer(), heard))
    read = {
        (name, quantity.value)
        for reading in said
        if isinstance(reading, Reading)
        for name, quantity in reading.values.items()
    }
    if not {(NAMES[one.name], one.value) for one in displayed} <= read:
        raise RequestRefused("the layout found does not read what was shown", code="learn.unclear")


def _stanza(name: str, port: str, found: Found) -> str:
    keys: dict[str, object] = {"name": name, "driver": DRIVER.name, "port": port}
    keys |= {f"settings.{key}": value for key, value in found.settings.items()}
    lines = [f"{key} = {written(value)}" for key, value in keys.items()]
    return "\n".join(["[[devices]]", *lines, *(f"# {note}" for note in found.notes)])
