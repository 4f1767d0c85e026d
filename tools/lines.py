"""A live serial port named on the command line: its line settings, and how long it is watched."""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

import click

from gateway.links.serial import LineSettings

Command = TypeVar("Command", bound=Callable[..., None])


@dataclass(frozen=True, slots=True)
class Line:
    """Line settings from the command line; None leaves the driver's."""

    baudrate: int | None = None
    bytesize: Literal[7, 8] | None = None
    parity: Literal["N", "E", "O"] | None = None
    stopbits: Literal[1, 2] | None = None


def line_options(command: Command) -> Command:
    """Add the line settings to *command*."""
    for option in (
        click.option("--stopbits", type=click.Choice([1, 2]), help="Instead of the driver's."),
        click.option("--parity", type=click.Choice(["N", "E", "O"]), help="Instead of the driver's."),
        click.option("--bytesize", type=click.Choice([7, 8]), help="Instead of the driver's."),
        click.option("--baudrate", type=click.IntRange(min=1), help="Instead of the driver's."),
    ):
        command = option(command)
    return command


def in_words(line: LineSettings) -> str:
    """Return line settings as technicians write them: `9600 8N1`."""
    return f"{line.baudrate} {line.bytesize}{line.parity}{line.stopbits}"


def run_for(work: Coroutine[Any, Any, None], seconds: float | None) -> None:
    """Run *work* until it ends, the time is up or Ctrl-C; the last two are as good an end as any."""

    async def bounded() -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await work

    with suppress(KeyboardInterrupt):
        asyncio.run(bounded())
