"""`listen`: a device's bytes as they come, both ways, and what they mean beside them.

Plain `listen` never sends. With `--talk` the driver leads its own conversation, as in the service, but no
order is ever given: nothing is started, erased or set. On a terminal it is a screen, else lines.
"""

import asyncio
import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import IO, Literal, get_args

import click

from drivers.catalogue import AnyLink, Driver, Serial
from drivers.dialogue import Settings
from gateway.links.opening import open_link
from protocol.errors import LinkError
from tools import lines
from tools.lines import Line, line_options
from tools.nearby import radio_for
from tools.parameters import SET, DriverName, settings_of
from tools.watching import Choice, Only, Shown, Tell, Watch, as_json, as_line, only_heard, talked
from tools.wire import line_words


@dataclass(frozen=True, slots=True)
class Conversation:
    """What is watched: a port, who understands what comes from it, and whether that one may speak."""

    port: str
    line: Line
    driver: Driver | None
    settings: Settings
    talk: bool

    async def watch(self, tell: Tell) -> None:
        """Open the port and tell everything until it is lost. Raises LinkError."""
        loop = asyncio.get_running_loop()
        began = loop.time()

        def show(shown: Shown) -> None:
            tell(loop.time() - began, shown)

        async with radio_for(self.port) as radio:
            link = await open_link(self.port, _device(self.driver), self.line, radio)
            try:
                if self.talk and self.driver:
                    await talked(link, self.driver, self.settings, show)
                else:
                    await only_heard(link, self.driver, show)
            finally:
                with suppress(LinkError):
                    await link.close()

    @property
    def title(self) -> str:
        """Return port, line and driver, and whether anything is sent."""
        who = self.driver.name if self.driver else "no driver, bytes only"
        sends = "the driver asks, nothing is started" if self.talk else "nothing is sent"
        device = _device(self.driver)
        return f"{self.port}  {line_words(device, self.line)}  {who}  ({sends})"


@click.command(
    epilog="Keys of the screen: space holds it still, a b f n show all, bytes, frames, noise, / looks for a "
    "text, s saves what is shown, q ends."
)
@click.argument("port")
@click.option("--driver", type=DriverName(), help="Who understands the device; else bytes only, 9600 8N1.")
@line_options
@SET
@click.option("--talk", is_flag=True, help="Let the driver ask the device; no order is ever given.")
@click.option("--seconds", type=click.FloatRange(min=0), help="Stop after so long; else with Ctrl-C.")
@click.option(
    "--only", type=click.Choice(get_args(Only)), default="all", help="Show only these.", show_default=True
)
@click.option("--find", "text", default="", metavar="TEXT", help="Show only lines with this text or hex.")
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Keep every line in this new file, shown or not.",
)
@click.option("--plain", is_flag=True, help="Lines on a terminal too, no screen.")
@click.option("--json", "in_json", is_flag=True, help="One JSON object a line.")
def listen(
    port: str,
    *,
    driver: Driver | None,
    baudrate: int | None,
    bytesize: Literal[7, 8] | None,
    parity: Literal["N", "E", "O"] | None,
    stopbits: Literal[1, 2] | None,
    stated: tuple[str, ...],
    talk: bool,
    seconds: float | None,
    only: Only,
    text: str,
    output: Path | None,
    plain: bool,
    in_json: bool,
) -> None:
    """Watch what a device sends on PORT and what it means; without --talk nothing is ever sent to it.

    What a device sends may hold a person's name or number: treat a kept file accordingly.
    """
    if talk and driver is None:
        raise click.UsageError("--talk needs --driver")
    settings = _settings(driver, stated, port)
    understood = driver and driver.under(settings)
    line = Line(baudrate, bytesize, parity, stopbits)
    conversation = Conversation(port, line, understood, settings, talk)
    choice = Choice(only, text)
    with _kept(output) as file:
        watch = _keeping(conversation.watch, file, in_json=in_json) if file else conversation.watch
        if not plain and not in_json and _on_a_screen():
            from tools.screen import Screen, shown_on

            shown_on(Screen(conversation.title, watch, choice), seconds)
        else:
            lines.run_for(_printed(watch, choice, in_json=in_json), seconds)


def _settings(driver: Driver | None, stated: tuple[str, ...], port: str) -> Settings:
    if driver is None and stated:
        raise click.UsageError("--set is for a driver: name one with --driver")
    return settings_of(driver, stated, port) if driver else {}


def _device(driver: Driver | None) -> AnyLink:
    return driver.link if driver else Serial()


def _on_a_screen() -> bool:
    """Say whether there is a terminal to draw on and the library that draws."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()) or os.environ.get("TERM", "dumb") == "dumb":
        return False
    if find_spec("textual") is None:
        click.echo("for a screen install checkup-gateway[tui]; here are lines", err=True)
        return False
    return True


@contextmanager
def _kept(path: Path | None) -> Iterator[IO[str] | None]:
    """Open the new file *path*, for its owner alone: it may hold a person's number."""
    if path is None:
        yield None
        return
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise click.UsageError(f"{path}: {error.strerror}") from None
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        yield file


def _keeping(watch: Watch, file: IO[str], *, in_json: bool) -> Watch:
    """Return *watch* with each line written to *file* as it comes."""

    async def kept(tell: Tell) -> None:
        def keep(offset: float, shown: Shown) -> None:
            file.write(_line(offset, shown, in_json=in_json) + "\n")
            file.flush()
            tell(offset, shown)

        await watch(keep)

    return kept


async def _printed(watch: Watch, choice: Choice, *, in_json: bool) -> None:
    def show(offset: float, shown: Shown) -> None:
        if choice.takes(shown):
            click.echo(_line(offset, shown, in_json=in_json))

    await watch(show)


def _line(offset: float, shown: Shown, *, in_json: bool) -> str:
    return json.dumps(as_json(offset, shown), ensure_ascii=False) if in_json else as_line(offset, shown)
