"""The command `checkup-gateway`: finds a sub-command, runs it, turns our errors into words and a status.

A sub-command's module is imported only when it is used, so that `--help` and completion stay quick.
"""

import os
from collections.abc import Iterator
from importlib import import_module
from typing import Any, NoReturn

import click
from click.shell_completion import CompletionItem

from protocol.errors import (
    ConfigError,
    DeliveryError,
    GatewayError,
    JournalHeld,
    LinkError,
    MalformedValue,
    ProtocolError,
    RequestRefused,
)

COMMANDS: dict[str, tuple[str, str]] = {
    "run": ("tools.run:run", "Run the service."),
    "demo": ("tools.demo:demo", "Show the whole job on this machine, with simulated devices."),
    "drivers": ("tools.drivers:drivers", "List every driver and what is known about it."),
    "decode": ("tools.decode:decode", "Say what bytes from a device mean, offline."),
    "all-in-one": ("tools.all_in_one:all_in_one", "Be a machine of several modules at once."),
    "simulate": ("tools.simulate:simulate", "Be a device, on a pseudo-terminal."),
    "listen": ("tools.listen:listen", "Watch a device's bytes."),
    "record": ("tools.wire:record", "Capture a device's bytes as a transcript."),
    "replay": ("tools.wire:replay", "Play a transcript back."),
    "devices": ("tools.devices:devices", "Scan for devices, identify, list and show them."),
    "doctor": ("tools.doctor:doctor", "Find out what is wrong on this box."),
    "config": ("tools.config:config", "Check, show and write the configuration."),
    "journal": ("tools.journal:journal", "Verify, export and back up the journal; erase a name."),
    "outbox": ("tools.outbox:outbox", "List deliveries and send parked ones again."),
}
"""Name to (module:attribute, one line of help), in the order of `--help`."""

STATUSES: tuple[tuple[type[GatewayError], int], ...] = (
    (ConfigError, 3),
    (MalformedValue, 6),
    (RequestRefused, 6),
    (JournalHeld, 75),
    (LinkError, 4),
    (ProtocolError, 4),
    (DeliveryError, 5),
)
"""The first class that fits names the exit status; any other error of ours is 1."""
INTERRUPTED = 130


def status_of(error: GatewayError) -> int:
    """Return the exit status that the command line promises for *error*."""
    return next((status for kind, status in STATUSES if isinstance(error, kind)), 1)


class Lazy(click.Group):
    """A group that knows its commands' names and one-line helps without importing them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return every command's name, in the table's order."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return the command, or None where there is no such name."""
        if cmd_name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[cmd_name][0].partition(":")
        command = getattr(import_module(module), attribute)
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the table of commands."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in COMMANDS.items()])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Complete a command's name, or this group's own options."""
        if incomplete.startswith("-"):
            return click.Command.shell_complete(self, ctx, incomplete)
        return [
            CompletionItem(name, help=COMMANDS[name][1]) for name in COMMANDS if name.startswith(incomplete)
        ]

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; an error of ours ends in its words on stderr and its exit status."""
        try:
            return super().invoke(ctx)
        except GatewayError as error:
            _end(ctx, error)
        except KeyboardInterrupt:
            ctx.exit(INTERRUPTED)
        except BaseExceptionGroup as several:
            for found in _ours(several):
                _end(ctx, found)
            raise


def _end(ctx: click.Context, error: GatewayError) -> NoReturn:
    """Say what happened and what to do in the terminal's language, then the code and its detail; exit."""
    from gateway import messages

    environ = os.environ
    locale = environ.get("LC_ALL") or environ.get("LC_MESSAGES") or environ.get("LANG") or ""
    text = messages.text(error.code, "zh-CN" if locale.startswith("zh") else "en")
    click.echo(f"checkup-gateway: {text}\n{error}", err=True)
    ctx.exit(status_of(error))


def _ours(group: BaseExceptionGroup[BaseException]) -> Iterator[GatewayError]:
    """Yield the errors of ours inside *group*, however deep."""
    for inner in group.exceptions:
        if isinstance(inner, BaseExceptionGroup):
            yield from _ours(inner)
        elif isinstance(inner, GatewayError):
            yield inner


@click.group(
    cls=Lazy,
    epilog="""Exit status: 0 ok, 1 failed, 2 usage, 3 configuration, 4 device or link, 5 network or centre,
    6 data refused, 75 temporary, 130 interrupted.

    \b
    Completion (bash, zsh or fish):
      eval "$(_CHECKUP_GATEWAY_COMPLETE=bash_source checkup-gateway)"
    """,
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(package_name="checkup-gateway")
def cli() -> None:
    """Read checkup machines and hand verified measurements to the central record."""


def main() -> None:
    """Run the command line of this process; never returns."""
    cli(prog_name="checkup-gateway")


if __name__ == "__main__":
    main()
