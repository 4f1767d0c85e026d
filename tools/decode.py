"""Say what bytes from a device mean, offline: the same framing and the same decoding as the service uses.

Works as a stream: a day's capture takes no more memory than one frame and what the driver holds.
"""

import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import chain
from tempfile import TemporaryFile
from typing import IO

import click

from drivers.catalogue import Driver, Refusal
from protocol.framing import BySource, Frame, Noise
from protocol.readings import Event, Reading
from tools.chunks import CHUNK, Form, Hex, file_chunks, for_driver
from tools.forms import Piece, in_words, placed
from tools.parameters import SET, DriverName, shaped

REFUSED = 6
HARMLESS = frozenset({"", "no frame start"})
"""Reasons of noise that say nothing against the frames around it."""


def sift(driver: Driver, chunks: Iterable[bytes], found: Callable[[Piece], None]) -> None:
    """Feed *chunks* to the driver and tell *found* of each piece, in the stream's order.

    Always true: the bytes of the frames, the noise and the refusals told are the bytes fed, in order;
    a frame that was refused is told as the Refusal alone; neighbouring noise of one reason is told as
    one. Never raises for any bytes.
    """
    teller = _Teller(found)

    def frames() -> Iterator[Frame]:
        for piece in _cut(driver, chunks):
            teller.tell(piece)
            if isinstance(piece, Frame):
                yield piece

    for decoded in driver.decode(frames()):
        teller.tell(decoded)
    teller.flush()


def _cut(driver: Driver, chunks: Iterable[bytes]) -> Iterator[Frame | Noise]:
    framers = BySource(driver.framer)
    for chunk in chunks:
        yield from framers.feed(chunk)
    yield from framers.finish()


class _Teller:
    """Holds the last frame until it is known not to be refused, and noise until something else comes."""

    def __init__(self, found: Callable[[Piece], None]) -> None:
        self._found = found
        self._held: Frame | Noise | None = None

    def tell(self, piece: Piece) -> None:
        held = self._held
        if isinstance(piece, Noise) and isinstance(held, Noise) and _joins(held, piece):
            self._held = Noise(held.data + piece.data, held.reason)
            return
        if isinstance(piece, Refusal) and isinstance(held, Frame) and held.data == piece.frame:
            self._held = None
        self.flush()
        if isinstance(piece, Frame | Noise):
            self._held = piece
        else:
            self._found(piece)

    def flush(self) -> None:
        if self._held is not None:
            self._found(self._held)
            self._held = None


def _joins(held: Noise, more: Noise) -> bool:
    return held.reason == more.reason and len(held.data) + len(more.data) <= CHUNK


@dataclass(slots=True)
class Verdict:
    """Counts what decides the exit status."""

    frames: int = 0
    doubts: int = 0

    @property
    def accepted(self) -> bool:
        """Say whether something was recognised, no check failed and no frame was refused."""
        return self.frames > 0 and self.doubts == 0

    def add(self, piece: Piece) -> None:
        """Count *piece*."""
        self.frames += isinstance(piece, Frame)
        self.doubts += isinstance(piece, Refusal) or (
            isinstance(piece, Noise) and piece.reason not in HARMLESS
        )


@dataclass(slots=True)
class Decoding:
    """Everything some bytes said, in the contract's four lists, each in the stream's order."""

    readings: list[Reading] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    frames: list[Frame] = field(default_factory=list)
    noise: list[Noise | Refusal] = field(default_factory=list)
    verdict: Verdict = field(default_factory=Verdict)

    def add(self, piece: Piece) -> None:
        """Put *piece* into its list."""
        self.verdict.add(piece)
        match piece:
            case Reading():
                self.readings.append(piece)
            case Frame():
                self.frames.append(piece)
            case Noise() | Refusal():
                self.noise.append(piece)
            case _:
                self.events.append(piece)


def decode_chunks(driver: Driver, chunks: Iterable[bytes]) -> Decoding:
    """Return everything that *chunks*, fed one by one, say; never raises for any bytes."""
    decoding = Decoding()
    sift(driver, chunks, decoding.add)
    return decoding


class _Lists:
    """The contract's object, each of its lists kept in a file of its own until the end."""

    def __init__(self, stack: ExitStack) -> None:
        names = ("readings", "events", "frames", "noise")
        self._rows = {name: stack.enter_context(TemporaryFile("w+", encoding="utf-8")) for name in names}  # noqa: SIM115

    def add(self, piece: Piece) -> None:
        name, form = placed(piece)
        rows = self._rows[name]
        rows.write((", " if rows.tell() else "") + json.dumps(form, ensure_ascii=False))

    def write(self) -> None:
        for lead, (name, rows) in zip(("{", ", ", ", ", ", "), self._rows.items(), strict=True):
            click.echo(f'{lead}"{name}": [', nl=False)
            rows.seek(0)
            while part := rows.read(CHUNK):
                click.echo(part, nl=False)
            click.echo("]", nl=False)
        click.echo("}")


@click.command(
    epilog="Exit status: 0 all recognised, 6 nothing recognised, a check failed or a frame was refused."
)
@click.argument("driver", type=DriverName())
@click.option(
    "--hex", "chunks", type=Hex(), multiple=True, help="One chunk the device sent. May be repeated."
)
@click.option("--file", type=click.File("rb"), help="What the device sent; - is standard input.")
@click.option(
    "--form",
    type=click.Choice(["auto", "raw", "hex"]),
    default="auto",
    help="How the file is written: raw bytes, or hex text with one chunk a line. auto looks at it.",
)
@SET
@click.option("--json", "as_json", is_flag=True, help="One JSON object: readings, events, frames, noise.")
@click.pass_context
def decode(
    ctx: click.Context,
    *,
    driver: Driver,
    chunks: tuple[bytes, ...],
    file: IO[bytes] | None,
    form: Form,
    stated: tuple[str, ...],
    as_json: bool,
) -> None:
    """Say what bytes from a device mean, offline."""
    if not chunks and file is None:
        raise click.UsageError("give --hex or --file")
    driver = shaped(driver, stated)
    fed = for_driver(driver, chain(chunks, file_chunks(file, form) if file else ()))
    verdict = Verdict()
    with ExitStack() as stack:
        lists = _Lists(stack) if as_json else None

        def found(piece: Piece) -> None:
            verdict.add(piece)
            lists.add(piece) if lists else click.echo(in_words(piece))

        sift(driver, fed, found)
        if lists:
            lists.write()
    if not verdict.accepted:
        click.echo(
            "nothing recognised" if not verdict.frames else "not all of it could be accepted", err=True
        )
        ctx.exit(REFUSED)
