"""`journal audit`: who read, took out, bound, corrected and set up what; the note such a command leaves."""

import csv
import io
import os
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import click
import msgspec

from gateway import control, pending
from gateway.audit import Caller, documents
from gateway.config import load
from gateway.control import Note, What
from protocol.errors import GatewayError
from store.audit import Wanted
from store.facts import Audited
from store.queries import Queries
from tools.parameters import CONFIG

PAGE = 1000
COLUMNS = ("seq", "at", "who", "what", "subject", "resident", "reason", "detail")
FORMULA = frozenset("=+-@\t\r")
MOMENT = click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M:%S%z"])


@click.command()
@click.option("--who", help="An operator, or what stands for one: page:…, api:…, command:…, card:…, service.")
@click.option("--what", help="One word: read, pulled, exported, bound, corrected, configured, …")
@click.option("--resident", help="Whom it was about: a key (r-…), a number, or - to be asked for one.")
@click.option("--since", type=MOMENT, help="From this moment on; without a zone, in the box's own.")
@click.option("--until", type=MOMENT, help="Before this moment.")
@click.option("--names", is_flag=True, help="Say who each resident is, if the key is there.")
@click.option("--json", "form", flag_value="json", help="Print one JSON document a line.")
@click.option("--csv", "form", flag_value="csv", help="Print comma-separated lines with a heading.")
@click.option(
    "--file",
    type=click.Path(dir_okay=False, exists=True, path_type=Path),
    help="A journal or a backup itself, without a configuration.",
)
@click.option(
    "--key-file", type=click.Path(dir_okay=False, path_type=Path), help="The key to residents' names."
)
@CONFIG
def audit(
    *,
    who: str | None,
    what: str | None,
    resident: str | None,
    since: datetime | None,
    until: datetime | None,
    names: bool,
    form: str | None,
    file: Path | None,
    key_file: Path | None,
    path: Path | None,
) -> None:
    """Print who did what, oldest first; that this was read is written down too.

    Times are as the box's clock had them then; the number before each says what came first.
    """
    from tools.journal import reading

    zone = ZoneInfo(load(path).timezone) if file is None else UTC
    number = click.prompt("number", hide_input=True) if resident == "-" else resident
    wanted = Wanted(who, what, since=_aware(since, zone), until=_aware(until, zone))
    noted(path, file, "audit_read", "audit", **({"names": "yes"} if names else {}))
    with reading(path, file, key_file) as (_, queries):
        for line in _lines(form, _entries(queries, wanted, number, names=names)):
            click.echo(line)


def _aware(moment: datetime | None, zone: ZoneInfo | Any) -> datetime | None:
    return moment.replace(tzinfo=zone) if moment is not None and moment.tzinfo is None else moment


def _entries(
    queries: Queries, wanted: Wanted, resident: str | None, *, names: bool
) -> Iterator[dict[str, Any]]:
    cursor, more = None, True
    while more:
        entries, cursor, more = queries.audit(wanted, cursor, PAGE, resident=resident)
        yield from documents(queries, entries, names=names)


def _lines(form: str | None, entries: Iterator[dict[str, Any]]) -> Iterator[str]:
    if form == "json":
        yield from (msgspec.json.encode(one).decode() for one in entries)
        return
    if form == "csv":
        yield _row(COLUMNS)
    for one in entries:
        cells = [str(cell) for cell in _cells(one)]
        yield _row(cells) if form == "csv" else "  ".join(cell for cell in cells if cell)


def _cells(one: dict[str, Any]) -> Iterator[object]:
    """Yield what stands in each column; a resident who can be named, by name and key."""
    detail = " ".join(f"{name}={value}" for name, value in one["detail"].items() if name != "settings")
    name = getattr(one.get("person"), "name", None)
    resident = " ".join(filter(None, (name, one["resident"])))
    yield from (one["seq"], one["at"].utc.isoformat(timespec="seconds"), one["who"], one["what"])
    yield from (one["subject"], resident, one["reason"], detail)


def _row(cells: Iterable[str]) -> str:
    written = io.StringIO()
    # A cell that a spreadsheet would take for a formula is text to it behind an apostrophe.
    plain = [f"'{cell}" if cell[:1] in FORMULA else cell for cell in cells]
    csv.writer(written, lineterminator="").writerow(plain)
    return written.getvalue()


def noted(config: Path | None, file: Path | None, what: What, subject: str, **detail: str) -> None:
    """Have it written down what is about to be taken out: by the service, else for its next start.

    Nobody is stopped where that cannot be done, but told. What lies in a copy (*file*) that no service's
    state folder holds is nobody's to write down.
    """
    state = load(config).state if file is None else file.absolute().parent
    entry = Note(what=what, subject=subject, detail=detail)
    try:
        control.ask(state, entry)
    except GatewayError as refused:
        click.echo(f"not written down: {refused}", err=True)
    except OSError:
        if file is None:
            _kept(state, entry)


def _kept(state: Path, note: Note) -> None:
    if not state.is_dir():
        return  # no service ran here yet: there is no journal
    who = Caller.of_user(os.geteuid()).who
    said = {**note.detail, "at": datetime.now(UTC).isoformat()}
    try:
        pending.keep(state, Audited(who, note.what, note.subject, detail=said))
    except OSError as error:
        click.echo(f"not written down: {error.strerror}", err=True)
