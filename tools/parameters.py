"""Command-line parameters that several commands take."""

import difflib
from pathlib import Path

import click
from click.shell_completion import CompletionItem

from drivers import catalogue

CONFIG = click.option(
    "--config",
    "path",
    type=click.Path(dir_okay=False, path_type=Path),
    help="TOML file that names the service.",
)
JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


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
