"""A device's bytes for a technician: record them as a transcript, play a transcript back.

`record` and `replay` use the real driver and conductor, `replay --pty` is the device.
"""

import asyncio
import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import click

from drivers.catalogue import AnyLink, Driver, Hid, Serial, every
from drivers.dialogue import Order, Settings
from gateway.conductor import conduct
from gateway.links.opening import open_link
from gateway.links.recorder import Recorder, without_person
from gateway.links.replay import play
from gateway.links.serial import LineSettings
from protocol.errors import LinkError, RequestRefused
from protocol.framing import Noise
from protocol.readings import PERSONAL, Event, Notice, Reading
from protocol.transcript import Gives, Heard, Transcript, parse, render
from tools.device_side import serve
from tools.forms import Json, Piece, in_words, placed
from tools.lines import Line, line_options, run_for
from tools.lines import in_words as line_in_words
from tools.nearby import radio_for
from tools.parameters import SET, DriverName, pairs, settings_of
from tools.watching import Told


@dataclass(frozen=True, slots=True)
class Device:
    """A device at the other end of a live port."""

    port: str
    driver: Driver
    line: Line


@click.command()
@click.argument("port")
@click.option("--driver", type=DriverName(), required=True, help="Who understands the device.")
@line_options
@click.option("--seconds", type=click.FloatRange(min=0), help="Stop after so long; else with Ctrl-C.")
@click.option("-o", "--output", type=click.Path(dir_okay=False, path_type=Path), required=True)
@SET
@click.option(
    "--order", "asked", multiple=True, metavar="'NAME [KEY=VALUE …]'", help="Ask this of the device first."
)
@click.option("--with-identity", is_flag=True, help="Keep every byte, a person's name and number too.")
def record(
    port: str,
    *,
    driver: Driver,
    baudrate: int | None,
    bytesize: Literal[7, 8] | None,
    parity: Literal["N", "E", "O"] | None,
    stopbits: Literal[1, 2] | None,
    seconds: float | None,
    output: Path,
    stated: tuple[str, ...],
    asked: tuple[str, ...],
    with_identity: bool,
) -> None:
    """Talk with the device on PORT through its driver and write the conversation to a transcript.

    What may name a person is blanked: all bytes that are not known to name nobody. Where a driver cannot do
    that, nothing is recorded without --with-identity.
    """
    if driver.names_people and not driver.redact and not with_identity:
        raise _Identity(driver.name)
    if output.exists():
        raise click.UsageError(f"{output} is there already")
    settings, texts = settings_of(driver, stated, port), pairs(stated)
    texts |= {"mac": str(settings["mac"])} if settings.get("mac") else {}
    orders = [_order(driver, words) for words in asked]
    line = Line(baudrate, bytesize, parity, stopbits)

    def keep(recorder: Recorder) -> None:
        at = line_words(driver.link, line)
        said = f"captured {datetime.now(UTC):%Y-%m-%d} by record, {driver.name} at {at}"
        output.write_text(render(recorder.transcript(said, texts)), encoding="utf-8")

    device = Device(port, driver.under(settings), line)
    run_for(_record(device, settings, orders, keep, blank=not with_identity), seconds)


class _Identity(RequestRefused):
    """A device names people, its driver cannot blank that, and nobody asked for it."""

    code = "record.identity"


async def _record(
    device: Device,
    settings: Settings,
    asked: list[Order],
    keep: Callable[[Recorder], None],
    *,
    blank: bool,
) -> None:
    async with radio_for(device.port) as radio:
        link = await open_link(device.port, device.driver.link, device.line, radio)
        secrets = [bytes.fromhex(str(settings[name])) for name in device.driver.secret_settings]
        recorder = Recorder(link, device.driver if blank else None, secrets)
        await _recorded(device, settings, recorder, asked, keep, blank=blank)


async def _recorded(
    device: Device,
    settings: Settings,
    recorder: Recorder,
    asked: list[Order],
    keep: Callable[[Recorder], None],
    *,
    blank: bool,
) -> None:
    orders: asyncio.Queue[Order] = asyncio.Queue()
    for order in asked:
        recorder.ordered(order)
        orders.put_nowait(order)

    def show(piece: Piece) -> None:
        if blank and not device.driver.redact and _names(piece):
            raise _Identity(device.driver.name)
        if isinstance(piece, Reading | Event):
            recorder.gave(piece)
        if not (blank and device.driver.redact and isinstance(piece, Noise)):
            click.echo(in_words(_nameless(piece) if blank else piece))

    kept = True
    try:
        await conduct(device.driver, settings, recorder, Told(show), orders)
    except _Identity:
        kept = False
        raise
    finally:
        if kept:
            keep(recorder)
        with suppress(LinkError):
            await recorder.close()


def _names(piece: Piece) -> bool:
    return isinstance(piece, Reading) and bool(PERSONAL & piece.context.keys())


def _nameless(piece: Piece) -> Piece:
    """Return *piece* as it may be shown: without a typed number, a notice without the bytes it came from."""
    if isinstance(piece, Reading):
        return without_person(piece)
    if isinstance(piece, Notice):
        return replace(piece, detail={name: said for name, said in piece.detail.items() if name != "frame"})
    return piece


def line_words(device: AnyLink, stated: Line) -> str:
    """Return line settings as technicians write them: `9600 8N1`; other devices have none."""
    if not isinstance(device, Serial):
        return "HID" if isinstance(device, Hid) else "Bluetooth LE"
    return line_in_words(LineSettings.of(device, stated))


def _order(driver: Driver, words: str) -> Order:
    name, *arguments = words.split()
    if name not in driver.orders:
        known = ", ".join(driver.orders) or "none"
        raise click.UsageError(f"{driver.name} takes no order {name!r}; it takes: {known}")
    return Order(name, pairs(arguments))


@click.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--driver", type=DriverName(), help="Else the one that the file is named after.")
@click.option("--chunk", type=click.IntRange(min=1), help="Give the driver so many bytes at a time.")
@click.option(
    "--pty", type=click.Path(path_type=Path), help="Be the device, on a pseudo-terminal with this name."
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object: readings, events, noise, equal.")
@click.pass_context
def replay(
    ctx: click.Context,
    *,
    file: Path,
    driver: Driver | None,
    chunk: int | None,
    pty: Path | None,
    as_json: bool,
) -> None:
    """Play the transcript in FILE to its driver, or with --pty to whoever opens the port.

    Exit status 0 if the driver gives the readings that the file states, else 1.
    """
    transcript = parse(file.read_text(encoding="utf-8", errors="replace"))
    if pty is not None:
        if any(isinstance(turn, Heard) and turn.source for turn in transcript.turns):
            raise click.UsageError("a Bluetooth machine is no port: simulate DRIVER --transcript FILE")
        with suppress(KeyboardInterrupt):
            serve(transcript, pty, lambda words: click.echo(words, err=True))
        return
    if not _replayed(driver or _named_after(file), transcript, chunk, as_json=as_json):
        ctx.exit(1)


def _named_after(file: Path) -> Driver:
    driver = every().get(file.stem.partition("-")[0])
    if driver is None:
        raise click.UsageError(f"no driver is named as {file.name} begins; give --driver")
    return driver


def _replayed(driver: Driver, transcript: Transcript, chunk: int | None, *, as_json: bool) -> bool:
    """Play, print what came of it, and say whether it is what the transcript states."""
    played = play(driver, transcript, chunk)
    stated = [f"= {turn.reading}" for turn in transcript.turns if isinstance(turn, Gives)]
    given = [line for line in played.lines if line.startswith("=")]
    differs = played.fault is not None and played.fault.code == "replay.differs"
    equal = given == stated and not differs
    if as_json:
        lists: dict[str, list[Json]] = {"readings": [], "events": [], "noise": []}
        for piece in (*played.readings, *played.events, *played.noise):
            name, form = placed(piece)
            lists[name].append(form)
        click.echo(json.dumps(lists | {"equal": equal}, ensure_ascii=False))
    else:
        click.echo("\n".join(played.lines))
    for line in stated if given != stated else ():
        click.echo(f"stated: {line}", err=True)
    if played.beyond:
        click.echo(f"said after the end: {played.beyond.hex(' ')}", err=True)
    if played.fault is not None:
        click.echo(f"ended by {played.fault}", err=True)
    return equal
