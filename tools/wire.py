"""A device's bytes for a technician: watch them, record them as a transcript, play a transcript back.

`listen` never sends; `record` and `replay` use the real driver and conductor, `replay --pty` is the device.
"""

import asyncio
import json
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, TypeVar

import click

from drivers.catalogue import Driver, every
from drivers.dialogue import Order, Settings
from gateway.conductor import conduct
from gateway.links.recorder import Recorder
from gateway.links.replay import driver_settings, play
from gateway.links.serial import LineSettings, open_serial
from protocol.errors import LinkError
from protocol.readings import Event, Reading
from protocol.transcript import Gives, Transcript, TranscriptError, parse, render
from tools.device_side import serve
from tools.forms import Json, Piece, in_words, placed
from tools.parameters import DriverName
from tools.watching import Told, Watched, as_json, as_line, only_listen

Command = TypeVar("Command", bound=Callable[..., None])


@dataclass(frozen=True, slots=True)
class Line:
    """Line settings from the command line; None leaves the driver's."""

    baudrate: int | None
    bytesize: Literal[7, 8] | None
    parity: Literal["N", "E", "O"] | None
    stopbits: Literal[1, 2] | None


@dataclass(frozen=True, slots=True)
class Device:
    """A device at the other end of a live port."""

    port: str
    driver: Driver
    line: LineSettings


def line_options(command: Command) -> Command:
    """Add the options of a live port to *command*."""
    for option in (
        click.option("--seconds", type=click.FloatRange(min=0), help="Stop after so long; else with Ctrl-C."),
        click.option("--stopbits", type=click.Choice([1, 2]), help="Instead of the driver's."),
        click.option("--parity", type=click.Choice(["N", "E", "O"]), help="Instead of the driver's."),
        click.option("--bytesize", type=click.Choice([7, 8]), help="Instead of the driver's."),
        click.option("--baudrate", type=click.IntRange(min=1), help="Instead of the driver's."),
        click.option("--driver", type=DriverName(), required=True, help="Who understands the device."),
    ):
        command = option(command)
    return command


@click.command()
@click.argument("port")
@line_options
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def listen(
    port: str,
    *,
    driver: Driver,
    baudrate: int | None,
    bytesize: Literal[7, 8] | None,
    parity: Literal["N", "E", "O"] | None,
    stopbits: Literal[1, 2] | None,
    seconds: float | None,
    as_json: bool,
) -> None:
    """Watch what a device sends on PORT and what it means; nothing is ever sent to it."""
    line = LineSettings.of(driver.link, Line(baudrate, bytesize, parity, stopbits))
    _run(_listen(Device(port, driver, line), in_json=as_json), seconds)


async def _listen(device: Device, *, in_json: bool) -> None:
    began = asyncio.get_running_loop().time()

    def show(piece: Piece | bytes) -> None:
        offset = asyncio.get_running_loop().time() - began
        click.echo(
            json.dumps(as_json(offset, piece), ensure_ascii=False) if in_json else as_line(offset, piece)
        )

    link = await open_serial(device.port, device.line)
    try:
        mute = replace(device.driver, talk=only_listen(device.driver.decode, show))
        await conduct(mute, {}, Watched(link, show), Told(show), asyncio.Queue())
    finally:
        with suppress(LinkError):
            await link.close()


@click.command()
@click.argument("port")
@line_options
@click.option("-o", "--output", type=click.Path(dir_okay=False, path_type=Path), required=True)
@click.option("--set", "stated", multiple=True, metavar="NAME=VALUE", help="A setting of the driver.")
@click.option(
    "--order", "asked", multiple=True, metavar="'NAME [KEY=VALUE …]'", help="Ask this of the device first."
)
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
) -> None:
    """Talk with the device on PORT through its driver and write the conversation to a transcript.

    The transcript holds every byte, a person's number too where the device sends it.
    """
    if output.exists():
        raise click.UsageError(f"{output} is there already")
    texts = dict(_pair(word) for word in stated)
    try:
        settings = driver_settings(driver, texts)
    except TranscriptError as error:
        raise click.BadParameter(error.detail, param_hint="--set") from None
    orders = [_order(driver, words) for words in asked]
    line = LineSettings.of(driver.link, Line(baudrate, bytesize, parity, stopbits))

    def keep(recorder: Recorder) -> None:
        said = f"captured {datetime.now(UTC):%Y-%m-%d} by record, {driver.name} at {line_words(line)}"
        output.write_text(render(recorder.transcript(said, texts)), encoding="utf-8")

    _run(_record(Device(port, driver, line), settings, orders, keep), seconds)


async def _record(
    device: Device, settings: Settings, asked: list[Order], keep: Callable[[Recorder], None]
) -> None:
    recorder = Recorder(await open_serial(device.port, device.line))
    orders: asyncio.Queue[Order] = asyncio.Queue()
    for order in asked:
        recorder.ordered(order)
        orders.put_nowait(order)

    def show(piece: Piece | bytes) -> None:
        if isinstance(piece, Reading | Event):
            recorder.gave(piece)
        if not isinstance(piece, bytes):
            click.echo(in_words(piece))

    try:
        await conduct(device.driver, settings, recorder, Told(show), orders)
    finally:
        keep(recorder)
        with suppress(LinkError):
            await recorder.close()


def line_words(line: LineSettings) -> str:
    """Return line settings as technicians write them: `9600 8N1`."""
    return f"{line.baudrate} {line.bytesize}{line.parity}{line.stopbits}"


def _pair(word: str) -> tuple[str, str]:
    name, equals, value = word.partition("=")
    if not (name and equals):
        raise click.UsageError(f"not NAME=VALUE: {word}")
    return name, value


def _order(driver: Driver, words: str) -> Order:
    name, *arguments = words.split()
    if name not in driver.orders:
        known = ", ".join(driver.orders) or "none"
        raise click.UsageError(f"{driver.name} takes no order {name!r}; it takes: {known}")
    return Order(name, dict(_pair(word) for word in arguments))


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


def _run(work: Coroutine[Any, Any, None], seconds: float | None) -> None:
    """Run *work* until it ends, the time is up or Ctrl-C; the last two are as good an end as any."""

    async def bounded() -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await work

    with suppress(KeyboardInterrupt):
        asyncio.run(bounded())
