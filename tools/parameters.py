"""Command-line parameters that several commands take."""

import difflib
from collections.abc import Sequence
from pathlib import Path

import click
from click.shell_completion import CompletionItem

from drivers import catalogue
from drivers.dialogue import Settings
from gateway.links.replay import driver_settings
from protocol.transcript import TranscriptError

CONFIG = click.option(
    "--config",
    "path",
    type=click.Path(dir_okay=False, path_type=Path),
    help="TOML file that names the service.",
)
JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON.")

SET = click.option("--set", "stated", multiple=True, metavar="NAME=VALUE", help="A setting of the driver.")


def pairs(words: Sequence[str]) -> dict[str, str]:
    """Return what NAME=VALUE words state; a usage error for one that is none."""
    found: dict[str, str] = {}
    for word in words:
        name, equals, text = word.partition("=")
        if not (name and equals):
            raise click.UsageError(f"not NAME=VALUE: {word}")
        found[name] = text
    return found


def settings_of(driver: catalogue.Driver, words: Sequence[str], port: str = "") -> Settings:
    """Return all the driver's settings with those of *words* over its own; a usage error for a wrong one.

    What a Bluetooth *port* tells is filled in.
    """
    try:
        settings = driver.stated(driver_settings(driver, pairs(words)), port)
        driver.under(settings)
    except TranscriptError as error:
        raise click.BadParameter(error.detail, param_hint="--set") from None
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--set") from None
    return settings


def shaped(driver: catalogue.Driver, words: Sequence[str]) -> catalogue.Driver:
    """Return the driver as `--set` wants it; a usage error where no model is like that."""
    return driver.under(settings_of(driver, words)) if words else driver


class DriverName(click.ParamType[catalogue.Driver]):
    """A driver by its name; a wrong one is answered with the nearest right ones."""

    name = "driver"

    def convert(
        self, value: str | catalogue.Driver, param: click.Parameter | None, ctx: click.Context | None
    ) -> catalogue.Driver:
        """Return the driver called *value*; a usage error where there is none."""
        if isinstance(value, catalogue.Driver):
            return value
        known = catalogue.every()
        if value in known:
            return known[value]
        near = difflib.get_close_matches(value, known, n=3) or list(known)
        raise click.BadParameter(f"no driver is called {value!r}; perhaps {', '.join(near)}", ctx, param)

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Offer the drivers whose name begins so."""
        return [
            CompletionItem(name, help=driver.title)
            for name, driver in catalogue.every().items()
            if name.startswith(incomplete)
        ]
