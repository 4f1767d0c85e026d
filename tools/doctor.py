"""`doctor`: what is wrong on this box, each line with what it means, what to do and the command for it."""

import json
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path

import click

from gateway import messages
from gateway.config import load_with_origins
from protocol.errors import ConfigError
from tools import audit, bundle, checks, fixes
from tools.checks import Box, Check, software
from tools.fixes import Mended
from tools.parameters import JSON

COLOURS = {"ok": "green", "warn": "yellow", "fail": "red"}


@click.command(
    epilog="--fix does these, and nothing else: makes the missing state folder; takes the rights of others "
    "from it and the files in it; takes the rights of strangers from the token's file; takes the right to "
    "write the configuration from strangers."
)
@click.option(
    "--config", "path", type=click.Path(dir_okay=False, path_type=Path), help="TOML file to judge by."
)
@click.option("--fix", is_flag=True, help="First mend what is safe to mend, and say what was done.")
@click.option(
    "--bundle",
    "target",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write a diagnostics bundle, which names nobody, to this new zip file.",
)
@click.option("--preview", is_flag=True, help="Print all that the bundle would hold; write nothing.")
@click.option(
    "--log",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The service's log for the bundle, where systemd does not keep it.",
)
@JSON
@click.pass_context
def doctor(
    ctx: click.Context,
    *,
    path: Path | None,
    fix: bool,
    target: Path | None,
    preview: bool,
    log: Path | None,
    as_json: bool,
) -> None:
    """Find out what is wrong on this box. No device's line is touched; nothing is changed without --fix.

    Exit status 0 if nothing failed (a warning is no failure), else 1; with a bundle 0 once it is made.
    """
    if target is not None or preview:
        audit.noted(path, None, "bundled", "diagnostics")
        _bundled(Box(load_with_origins(path)), target, log, preview=preview)
        return
    mended = _mended(path) if fix else []
    if as_json:
        found = list(looked_at(path))
        document = {
            "schema": 1,
            "fixed": [asdict(one) for one in mended],
            "checks": [{"number": number, **asdict(check)} for number, check in enumerate(found, 1)],
        }
        click.echo(json.dumps(document, ensure_ascii=False, indent=2))
        failed = any(check.result == "fail" for check in found)
    else:
        for one in mended:
            click.echo(f"   {'fixed' if one.done else 'NOT fixed'}: {one.what}")
        failed = _printed(looked_at(path))
    ctx.exit(1 if failed else 0)


def looked_at(path: Path | None) -> Iterable[Check]:
    """Return every check's outcome; where the configuration cannot be used, no more than that can be said."""
    try:
        box = Box(load_with_origins(path))
    except ConfigError as error:
        means = messages.text(error.code, "en")
        run = "checkup-gateway config check"
        return [software.versions(), Check("configuration", "fail", error.detail, means, "", run)]
    return checks.every(box)


def _mended(path: Path | None) -> list[Mended]:
    try:
        return list(fixes.mend(Box(load_with_origins(path))))
    except ConfigError:
        return []  # without it nobody knows what would be right; the report says so


def _bundled(box: Box, target: Path | None, log: Path | None, *, preview: bool) -> None:
    files = bundle.members(box, list(checks.every(box)), bundle.service_log(log))
    if preview or target is None:
        click.echo(bundle.preview(files), nl=False)
        return
    content = bundle.zipped(files)
    bundle.written(target, content)
    click.echo(f"{target}: {len(files)} files, {len(content)} bytes; nothing in it names anybody", err=True)


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
