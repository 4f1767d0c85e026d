"""`journal restore`: put a copy in the journal's place, saying first what would be lost by it."""

import getpass
from pathlib import Path

import click
import msgspec

from gateway import keys
from gateway.clock import Clock
from gateway.config import Config, load
from protocol.errors import RequestRefused
from store import cursors
from store import restore as store_restore
from store.facts import Audited
from store.queries import Queries
from store.restore import Comparison
from store.vault import Vault
from tools.parameters import CONFIG, JSON


@click.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--operator", default=getpass.getuser, help="Who does it; default the user's name.")
@click.option("--reason", default="", help="Why; it is kept for ever, so it must name nobody.")
@click.option("--yes", is_flag=True, help="Do it without asking.")
@CONFIG
@JSON
def restore(*, file: Path, operator: str, reason: str, yes: bool, path: Path | None, as_json: bool) -> None:
    """Put the copy FILE in the journal's place; the service must be stopped.

    FILE is checked first. What stands in the journal's place is compared with it, what would be lost is said,
    and it is moved aside, never deleted. What the central record already holds is carried over, so nothing is
    sent twice. Whoever pulls has to begin anew: numbers after the last common fact are given a second time.
    """
    config = load(path)
    journal = keys.journal(config)
    found = _judged(file, journal, config)
    if not as_json:
        click.echo(said(found, file, journal), err=True)
    if not yes:
        click.confirm("Put it in the journal's place?", abort=True, err=True)
    told = Audited(
        who=operator,
        what=cursors.RESTORED,
        subject="journal",
        reason=reason,
        detail=dict(store_restore.words(found)),
    )
    aside = store_restore.restore(
        file,
        journal,
        found,
        told,
        gateway=config.gateway,
        now=Clock().now,
        forwarders=("fhir",) if config.fhir else (),
        key_file=keys.key_file(config),
    )
    _tell(found, journal, aside, as_json=as_json)


def _judged(file: Path, journal: Path, config: Config) -> Comparison:
    """Check the copy and compare it. Raises RequestRefused `restore.…`."""
    if journal.exists() and file.samefile(journal):
        raise RequestRefused(f"{file} is the journal itself", code="restore.itself")
    queries = Queries(file, Vault(keys.key_file(config)))
    try:
        report = queries.check()
    finally:
        queries.close()
    if report.problems:
        first = report.problems[0]
        raise RequestRefused(f"{file}: fact {first.seq}: {first.what}", code="restore.not_sound")
    return store_restore.compared(file, journal)


def said(found: Comparison, file: Path, journal: Path) -> str:
    """Return in words what the restoring would do."""
    begun = f"{file}: sound, up to fact {found.copy}"
    if not found.readable:
        return f"{begun}\n{journal}: cannot be read, so nobody knows what it holds besides; it is moved aside"
    if not found.stands:
        return f"{begun}\n{journal}: nothing stands there"
    if not found.lost:
        return f"{begun}\n{journal}: nothing would be lost"
    return (
        f"{begun}\n{journal}: facts {found.common + 1} to {found.stands} would be lost, among them "
        f"{found.measurements} measurement(s), of which the centre holds {found.sent}"
    )


def _tell(found: Comparison, journal: Path, aside: Path | None, *, as_json: bool) -> None:
    if not as_json:
        click.echo(f"{journal} is the copy now; what stood there: {aside or 'nothing'}")
        return
    document = {
        "schema": 1,
        "path": str(journal),
        "aside": str(aside) if aside else None,
        "copy": found.copy,
        "lost_after": found.common,
        "lost": found.lost,
        "measurements": found.measurements,
        "sent": found.sent,
        "readable": found.readable,
    }
    click.echo(msgspec.json.format(msgspec.json.encode(document), indent=2).decode())
