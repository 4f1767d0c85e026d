"""`doctor`: what is wrong on this box, each line with what it means, what to do and the command for it."""

import json
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path

import click

from gateway import messages
from gateway.config import load_with_origins
from protocol.errors import ConfigError
from tools import checks
from tools.checks import Box, Check
from tools.parameters import JSON

COLOURS = {"ok": "green", "warn": "yellow", "fail": "red"}


@click.command()
@click.option(
    "--config", "path", type=click.Path(dir_okay=False, path_type=Path), help="TOML file to judge by."
)
@JSON
@click.pass_context
def doctor(ctx: click.Context, path: Path | None, as_json: bool) -> None:
    """Find out what is wrong on this box. Nothing is changed, and no device's line is touched.

    Exit status 0 if nothing failed (a warning is no failure), else 1.
    """
    found = looked_at(path)
    if as_json:
        found = list(found)
        document = {
            "schema": 1,
            "checks": [{"number": number, **asdict(check)} for number, check in enumerate(found, 1)],
        }
        click.echo(json.dumps(document, ensure_ascii=False, indent=2))
        failed = any(check.result == "fail" for check in found)
    else:
        failed = _printed(found)
    ctx.exit(1 if failed else 0)


def looked_at(path: Path | None) -> Iterable[Check]:
    """Return every check's outcome; where the configuration cannot be used, no more than that can be said."""
    try:
        box = Box(load_with_origins(path))
    except ConfigError as error:
        means = messages.text(error.code, "en")
        run = "checkup-gateway config check"
        return [checks.versions(), Check("configuration", "fail", error.detail, means, "", run)]
    return checks.every(box)


def _printed(found: Iterable[Check]) -> bool:
    """Print each line as soon as it is known; return whether one failed."""
    failed = False
    for number, check in enumerate(found, 1):
        failed |= check.result == "fail"
        result = click.style(f"{check.result:<4}", fg=COLOURS[check.result])
        click.echo(f"{number:>2} {result} {check.name}: {check.found}")
        for word, text in (("means", check.means), ("do", check.do), ("run", check.run)):
            if text:
                click.echo(f"        {word + ':':<7}{text}")
    return failed
