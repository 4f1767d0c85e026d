"""`journal verify | export | backup | …`: prove that nothing was changed, take everything out, make a copy.

These only read, through the store's own reading side, so they may run beside the service; what changes names
or their key is in `tools/vault.py`.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import click
import msgspec

from gateway import keys
from gateway.config import load
from protocol.errors import StoreError
from store.integrity import Report
from store.queries import Queries
from store.vault import Vault
from tools import audit, journal_restore, vault
from tools.parameters import JSON

PAGE = 1000
DAMAGED = 6
HASH_BYTES = 32
Command = TypeVar("Command", bound=Callable[..., None])


def where(command: Command) -> Command:
    """Add the two ways of naming the journal."""
    config = click.option(
        "--config",
        type=click.Path(dir_okay=False, path_type=Path),
        help="The service's TOML file; default /etc/checkup-gateway/gateway.toml.",
    )
    file = click.option(
        "--file",
        type=click.Path(dir_okay=False, exists=True, path_type=Path),
        help="A journal or a backup itself, without a configuration.",
    )
    return config(file(command))


class _Anchor(click.ParamType[tuple[int, bytes]]):
    """SEQ:HASH, as `verify` prints it."""

    name = "SEQ:HASH"

    def convert(
        self, value: str, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, bytes]:
        seq, _, digest = value.partition(":")
        try:
            found = int(seq), bytes.fromhex(digest)
        except ValueError:
            found = 0, b""
        if len(found[1]) != HASH_BYTES:
            self.fail("not SEQ:HASH as verify prints it", param, ctx)
        return found


ANCHOR = _Anchor()


@contextmanager
def reading(
    config: Path | None, file: Path | None, key_file: Path | None = None
) -> Iterator[tuple[Path, Queries]]:
    """Open the journal for reading; a *file* needs *key_file* to name anybody. Raises StoreError."""
    settings = None if file else load(config)
    path = keys.journal(settings) if settings else file
    if path is None or not path.exists():
        raise StoreError(f"there is no journal at {path}")
    names = Vault(key_file or (keys.key_file(settings) if settings else None))
    queries = Queries(path, names)
    try:
        yield path, queries
    finally:
        queries.close()


@click.group()
def journal() -> None:
    """Verify, export and back up the journal; the key to its names, and erasing one."""


@journal.command()
@where
@click.option(
    "--head",
    "anchor",
    type=ANCHOR,
    metavar="SEQ:HASH",
    help="An end of the chain that was noted earlier: it must still be there. Only this shows that a whole "
    "older journal was put in place of this one.",
)
@JSON
def verify(
    *, config: Path | None, file: Path | None, anchor: tuple[int, bytes] | None, as_json: bool
) -> None:
    """Read everything and say whether it still is what was written; exit status 6 if not.

    The end of the chain that it prints, noted elsewhere, proves later (--head) that nothing before it was
    changed.
    """
    with reading(config, file) as (path, queries):
        report = queries.check(anchor)
    if as_json:
        _print({"schema": 1, "path": str(path), "ok": not report.problems, **_plain(report)})
    else:
        _tell(path, report)
    if report.problems:
        click.get_current_context().exit(DAMAGED)


def _plain(report: Report) -> dict[str, object]:
    problems = [{"seq": problem.seq, "what": problem.what} for problem in report.problems]
    notes = [{"seq": note.seq, "what": note.what} for note in report.notes]
    return {
        "facts": report.facts,
        "versions": report.versions,
        "last": report.last,
        "head": report.head,
        "signed": report.signed,
        "problems": problems,
        "notes": notes,
    }


def _tell(path: Path, report: Report) -> None:
    for problem in report.problems:
        click.echo(f"fact {problem.seq}: {problem.what}" if problem.seq else problem.what)
    for note in report.notes:
        click.echo(f"note, fact {note.seq}: {note.what}")
    verdict = f"{len(report.problems)} problem(s)" if report.problems else "ok"
    counts = f"{report.facts} facts, {report.versions} versions, signed up to fact {report.signed}"
    click.echo(f"{path}: {verdict}, {counts}, end of chain {report.last}:{report.head or '-'}")


@journal.command()
@where
@click.option("--measurements", is_flag=True, help="Every version of every measurement, with its resident.")
@click.option(
    "--key-file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The key to residents' names; default the service's own. Without one nobody is named.",
)
@click.option("--after", type=click.IntRange(min=0), default=0, help="Facts after this number only.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document instead of a line each.")
def export(
    *,
    config: Path | None,
    file: Path | None,
    measurements: bool,
    key_file: Path | None,
    after: int,
    as_json: bool,
) -> None:
    """Print the facts with their chain, one JSON document a line; they hold nobody's name or number."""
    if measurements and after:
        raise click.UsageError("--after counts facts; it does not go with --measurements")
    audit.noted(config, file, "exported", "measurements" if measurements else "facts")
    with reading(config, file, key_file) as (_, queries):
        documents = _versions(queries) if measurements else queries.facts(after)
        out = sys.stdout.buffer
        out.write(b"[" if as_json else b"")
        for number, document in enumerate(documents):
            out.write((b",\n" if as_json else b"\n") if number else b"")
            out.write(document)
        out.write(b"]\n" if as_json else b"\n")
        out.flush()


def _versions(queries: Queries) -> Iterator[bytes]:
    cursor, more = None, True
    while more:
        documents, cursor, more = queries.page(cursor, PAGE)
        yield from documents


@journal.command()
@click.argument("target", type=click.Path(path_type=Path))
@where
@JSON
def backup(target: Path, config: Path | None, file: Path | None, as_json: bool) -> None:
    """Copy the journal as it stands to the new file TARGET and verify the copy; the service may go on."""
    with reading(config, file) as (_, queries):
        audit.noted(config, file, "backed_up", "journal", copy=target.name)
        report = queries.backup(target)
    if as_json:
        _print({"schema": 1, "path": str(target), "ok": not report.problems, **_plain(report)})
    else:
        _tell(target, report)
    if report.problems:
        click.get_current_context().exit(DAMAGED)


for command in (audit.audit, journal_restore.restore, vault.rotate_key, vault.new_key, vault.erase):
    journal.add_command(command)


def _print(document: dict[str, object]) -> None:
    click.echo(msgspec.json.format(msgspec.json.encode(document), indent=2).decode())
