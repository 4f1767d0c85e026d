"""`config check | show | example`: whether the file is right, what is in force, one to start from."""

import json
from pathlib import Path

import click

from drivers import catalogue
from gateway.config import load_with_origins
from tools import stanzas
from tools.parameters import JSON

FILE = click.argument("file", required=False, type=click.Path(path_type=Path))


@click.group()
def config() -> None:
    """Check, show and write the configuration.

    FILE is the one to read; without it the one CHECKUP_GATEWAY_CONFIG names, else
    /etc/checkup-gateway/gateway.toml.
    """


@config.command()
@FILE
def check(file: Path | None) -> None:
    """Read FILE as the service will: exit status 0 if it is right, 3 with one line a fault if not."""
    loaded = load_with_origins(file)
    click.echo(f"{loaded.path}: ok, {len(loaded.config.devices)} device(s)")


@config.command()
@FILE
@click.option("--origin", is_flag=True, help="Say behind each value which file or variable it came from.")
@JSON
def show(file: Path | None, origin: bool, as_json: bool) -> None:
    """Print the configuration in force, defaults included."""
    loaded = load_with_origins(file)
    if not as_json:
        click.echo(stanzas.in_force(loaded, origin=origin), nl=False)
        return
    document: dict[str, object] = {
        "schema": 1,
        "path": str(loaded.path),
        "config": loaded.config.model_dump(mode="json"),
    }
    if origin:
        document["origins"] = dict(loaded.origins)
    click.echo(json.dumps(document, ensure_ascii=False, indent=2))


@config.command()
def example() -> None:
    """Print a commented file with every key, and a stanza for every driver."""
    click.echo(stanzas.example(catalogue.every().values()), nl=False)
