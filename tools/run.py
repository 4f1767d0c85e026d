"""`checkup-gateway run`: the service, as systemd starts it."""

import asyncio
from pathlib import Path

import click


@click.command()
@click.option(
    "--config",
    "path",
    type=click.Path(dir_okay=False, path_type=Path),
    help="TOML file; default /etc/checkup-gateway/gateway.toml.",
)
def run(path: Path | None) -> None:
    """Read devices, store, verify, forward and serve the page, until stopped."""
    from gateway import app, discretion, logs
    from gateway.config import load

    config = load(path)
    logs.setup(config.log_level)
    discretion.no_dumps()
    asyncio.run(app.run(config))
