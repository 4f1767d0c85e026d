"""The journal's tables, step by step; a file written by a newer release is left alone."""

import sqlite3
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from protocol.errors import SchemaTooNew
from store import audit, clocks, history, rows, upgrade
from store.facts import Fact
from store.vault import Vault

if TYPE_CHECKING:
    from sqlite_utils.db import Database

SCHEMA = 4
"""The number of steps below; a file carries the number it was brought to."""

FACTS = (
    """CREATE TABLE facts(
        seq INTEGER PRIMARY KEY, command INTEGER NOT NULL, id TEXT NOT NULL, at BLOB NOT NULL, body BLOB,
        body_hash BLOB NOT NULL, prev BLOB NOT NULL, hash BLOB NOT NULL) STRICT""",
    """CREATE TRIGGER facts_in_order BEFORE INSERT ON facts
        WHEN NEW.seq <> (SELECT coalesce(max(seq), 0) + 1 FROM facts)
        BEGIN SELECT RAISE(ABORT, 'facts are written in order'); END""",
    """CREATE TRIGGER facts_keep BEFORE UPDATE ON facts
        BEGIN SELECT RAISE(ABORT, 'facts are append-only'); END""",
    """CREATE TRIGGER facts_stay BEFORE DELETE ON facts
        BEGIN SELECT RAISE(ABORT, 'facts are append-only'); END""",
    """CREATE TABLE head(
        one INTEGER PRIMARY KEY CHECK (one = 1), mark TEXT NOT NULL, seq INTEGER NOT NULL,
        hash BLOB NOT NULL) STRICT""",
)
"""`command` is the seq of the first fact of the same command; `head` repeats the chain's end, so that a tail
that was cut off shows."""

MEASUREMENTS = (
    """CREATE TABLE versions(
        seq INTEGER PRIMARY KEY, measurement TEXT NOT NULL, version INTEGER NOT NULL, status TEXT NOT NULL,
        kind TEXT NOT NULL, resident TEXT, document BLOB NOT NULL, UNIQUE (measurement, version)) STRICT""",
    "CREATE INDEX versions_resident ON versions(resident, seq) WHERE resident IS NOT NULL",
    """CREATE TRIGGER versions_keep BEFORE UPDATE ON versions
        BEGIN SELECT RAISE(ABORT, 'versions are append-only'); END""",
    """CREATE TRIGGER versions_stay BEFORE DELETE ON versions
        BEGIN SELECT RAISE(ABORT, 'versions are append-only'); END""",
    """CREATE TABLE measurements(
        id TEXT PRIMARY KEY, seq INTEGER NOT NULL, received_seq INTEGER NOT NULL, status TEXT NOT NULL,
        kind TEXT NOT NULL, device TEXT, exam TEXT, resident TEXT, likeness INTEGER) STRICT, WITHOUT ROWID""",
    """CREATE INDEX measurements_resident ON measurements(resident, received_seq, exam)
        WHERE resident IS NOT NULL""",
    """CREATE INDEX measurements_tray ON measurements(received_seq)
        WHERE resident IS NULL AND status <> 'entered-in-error'""",
    """CREATE INDEX measurements_alike ON measurements(device, likeness, received_seq)
        WHERE likeness IS NOT NULL""",
    """CREATE TABLE records(
        driver TEXT NOT NULL, record TEXT NOT NULL, measurement TEXT NOT NULL, device TEXT NOT NULL,
        serial TEXT, PRIMARY KEY (driver, record, measurement)) STRICT, WITHOUT ROWID""",
    """CREATE TABLE tally(
        what TEXT NOT NULL, which TEXT NOT NULL, n INTEGER NOT NULL,
        PRIMARY KEY (what, which)) STRICT, WITHOUT ROWID""",
    """CREATE TRIGGER measurements_tally AFTER INSERT ON measurements BEGIN
        INSERT INTO tally VALUES ('measurements', NEW.kind, 1)
            ON CONFLICT (what, which) DO UPDATE SET n = n + 1; END""",
)

VISITS = (
    """CREATE TABLE exams(
        id TEXT PRIMARY KEY, resident TEXT NOT NULL, operator TEXT NOT NULL, opened BLOB NOT NULL,
        opened_seq INTEGER NOT NULL, closed BLOB) STRICT, WITHOUT ROWID""",
    "CREATE UNIQUE INDEX exams_order ON exams(opened_seq)",
    "CREATE INDEX exams_open ON exams(opened_seq) WHERE closed IS NULL",
    """CREATE TABLE skipped(
        exam TEXT NOT NULL, seq INTEGER NOT NULL, item BLOB NOT NULL,
        PRIMARY KEY (exam, seq)) STRICT, WITHOUT ROWID""",
    """CREATE TABLE devices(
        name TEXT PRIMARY KEY, serial TEXT, heard BLOB, pointed TEXT) STRICT, WITHOUT ROWID""",
    """CREATE TABLE device_events(
        device TEXT NOT NULL, seq INTEGER NOT NULL, PRIMARY KEY (device, seq)) STRICT, WITHOUT ROWID""",
    "CREATE TABLE residents(id TEXT PRIMARY KEY, document BLOB NOT NULL) STRICT, WITHOUT ROWID",
    """CREATE TABLE identifiers(
        value TEXT NOT NULL, system TEXT NOT NULL, resident TEXT NOT NULL,
        PRIMARY KEY (value, system)) STRICT, WITHOUT ROWID""",
)

DELIVERIES = (
    """CREATE TABLE forwarders(name TEXT PRIMARY KEY, left_at INTEGER) STRICT, WITHOUT ROWID""",
    """CREATE TABLE outbox(
        forwarder TEXT NOT NULL, measurement TEXT NOT NULL, seq INTEGER NOT NULL, version INTEGER NOT NULL,
        resident TEXT NOT NULL, state TEXT NOT NULL, attempts INTEGER NOT NULL DEFAULT 0,
        reason TEXT, receipt BLOB, delivered_version INTEGER,
        PRIMARY KEY (forwarder, measurement)) STRICT, WITHOUT ROWID""",
    "CREATE INDEX outbox_waiting ON outbox(forwarder, seq) WHERE state = 'waiting'",
    "CREATE INDEX outbox_settled ON outbox(forwarder, state, seq) WHERE state <> 'waiting'",
    """CREATE TRIGGER outbox_enters AFTER INSERT ON outbox BEGIN
        INSERT INTO tally VALUES ('outbox', NEW.forwarder || '/' || NEW.state, 1)
            ON CONFLICT (what, which) DO UPDATE SET n = n + 1; END""",
    """CREATE TRIGGER outbox_moves AFTER UPDATE OF state ON outbox WHEN OLD.state <> NEW.state BEGIN
        UPDATE tally SET n = n - 1 WHERE what = 'outbox' AND which = OLD.forwarder || '/' || OLD.state;
        INSERT INTO tally VALUES ('outbox', NEW.forwarder || '/' || NEW.state, 1)
            ON CONFLICT (what, which) DO UPDATE SET n = n + 1; END""",
)
"""`seq` and `version` name the version that stands; a `held` row waits for it to become final again."""


HISTORY = (
    """CREATE TABLE device_days(
        device TEXT NOT NULL, day TEXT NOT NULL, document BLOB NOT NULL,
        PRIMARY KEY (device, day)) STRICT, WITHOUT ROWID""",
    "CREATE TABLE passports(device TEXT PRIMARY KEY, document BLOB NOT NULL) STRICT, WITHOUT ROWID",
)


IDENTITY = (
    "CREATE TABLE keys(turn INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, public BLOB NOT NULL) STRICT",
    """CREATE TABLE data_keys(
        n INTEGER PRIMARY KEY, owner TEXT NOT NULL UNIQUE, key TEXT NOT NULL,
        wrapped BLOB NOT NULL) STRICT""",
    "CREATE INDEX data_keys_key ON data_keys(key, n)",
    "CREATE TABLE persons(id TEXT PRIMARY KEY, sealed BLOB NOT NULL) STRICT, WITHOUT ROWID",
    """CREATE TABLE lookups(
        digest BLOB NOT NULL, system TEXT NOT NULL, resident TEXT NOT NULL,
        PRIMARY KEY (digest, system)) STRICT, WITHOUT ROWID""",
    "CREATE INDEX lookups_resident ON lookups(resident)",
)
"""`keys` names every key there was, the last one in use; the keys themselves are in the key file. `data_keys`
are wrapped with one of them each, for a resident or a fact; their rows never change in size."""


GONE = ("DROP TABLE residents", "DROP TABLE identifiers")
"""Who they were stands under lock now."""


EVIDENCE = (
    "ALTER TABLE keys ADD COLUMN signs BLOB",
    "ALTER TABLE head ADD COLUMN key TEXT",
    "ALTER TABLE head ADD COLUMN signature BLOB",
    """CREATE TABLE heads(
        seq INTEGER PRIMARY KEY, hash BLOB NOT NULL, after INTEGER NOT NULL, key TEXT NOT NULL,
        signature BLOB NOT NULL) STRICT""",
    """CREATE TRIGGER heads_keep BEFORE UPDATE ON heads
        BEGIN SELECT RAISE(ABORT, 'signed heads are append-only'); END""",
    """CREATE TRIGGER heads_stay BEFORE DELETE ON heads
        BEGIN SELECT RAISE(ABORT, 'signed heads are append-only'); END""",
    """CREATE TABLE audits(
        seq INTEGER PRIMARY KEY, at TEXT NOT NULL, who TEXT NOT NULL, what TEXT NOT NULL,
        subject TEXT NOT NULL, resident TEXT) STRICT""",
    "CREATE INDEX audits_who ON audits(who, seq)",
    "CREATE INDEX audits_what ON audits(what, seq)",
    "CREATE INDEX audits_resident ON audits(resident, seq) WHERE resident IS NOT NULL",
    """CREATE TRIGGER audits_keep BEFORE UPDATE ON audits
        BEGIN SELECT RAISE(ABORT, 'audits are append-only'); END""",
    """CREATE TRIGGER audits_stay BEFORE DELETE ON audits
        BEGIN SELECT RAISE(ABORT, 'audits are append-only'); END""",
    "DROP TRIGGER facts_keep",
    """CREATE TRIGGER facts_keep BEFORE UPDATE ON facts
        WHEN NEW.body IS NOT NULL
          OR (NEW.seq, NEW.command, NEW.id, NEW.at, NEW.body_hash, NEW.prev, NEW.hash)
          IS NOT (OLD.seq, OLD.command, OLD.id, OLD.at, OLD.body_hash, OLD.prev, OLD.hash)
        BEGIN SELECT RAISE(ABORT, 'facts are append-only'); END""",
    "DROP TRIGGER versions_keep",
    """CREATE TRIGGER versions_keep BEFORE UPDATE ON versions
        WHEN NEW.document IS NOT x''
          OR (NEW.seq, NEW.measurement, NEW.version, NEW.status, NEW.kind, NEW.resident)
          IS NOT (OLD.seq, OLD.measurement, OLD.version, OLD.status, OLD.kind, OLD.resident)
          OR NOT EXISTS (SELECT 1 FROM facts WHERE seq = NEW.seq AND body IS NULL)
          OR NOT EXISTS (SELECT 1 FROM measurements WHERE id = NEW.measurement AND seq > NEW.seq)
        BEGIN SELECT RAISE(ABORT, 'versions are append-only'); END""",
)
"""`keys.signs` is the public half of what a key signs with. `head` has the signature over the newest end of
the chain, made at each commit; `heads` keeps one now and then, `after` being the seq of the kept one before
it (0: none). A fact's body may be let go (NULL), and then a version written with it that is not the latest
any more (empty); nothing else of either ever changes."""


def migrate(connection: sqlite3.Connection, path: Path, vault: Vault) -> None:
    """Bring the file at *path* to SCHEMA, a transaction a step; raises SchemaTooNew, changing nothing.

    What was stored is first copied beside it and the copy verified; it stays until the new file was, too.
    """
    found: int = connection.execute("PRAGMA user_version").fetchone()[0]
    if found > SCHEMA:
        raise SchemaTooNew(f"the file has schema {found}, this release knows {SCHEMA}")
    if 0 < found < SCHEMA:
        upgrade.keep(connection, path)
    if found < SCHEMA:
        _apply(connection, vault)
    if found == 0:
        connection.execute("VACUUM")  # no page is left over from tables that a later step took away
    upgrade.finish(connection, path)


def _apply(connection: sqlite3.Connection, vault: Vault) -> None:
    # Imported here: a file that is up to date starts without paying for it (160 ms).
    from sqlite_utils.db import Database  # noqa: PLC0415
    from sqlite_utils.migrations import Migrations  # noqa: PLC0415

    steps = Migrations("journal")

    @steps(name="0001_journal")
    def journal(db: "Database", /) -> None:
        _all(db, (*FACTS, *MEASUREMENTS, *VISITS, *DELIVERIES))
        db.execute("PRAGMA user_version = 1")

    @steps(name="0002_history")
    def device_days(db: "Database", /) -> None:
        _all(db, HISTORY)
        _each(db.conn, history.note)
        db.execute("PRAGMA user_version = 2")

    @steps(name="0003_identity")
    def identity(db: "Database", /) -> None:
        _all(db, IDENTITY)
        upgrade.seal_people(db.conn, vault)
        _all(db, GONE)
        db.execute("PRAGMA user_version = 3")

    @steps(name="0004_evidence")
    def evidence(db: "Database", /) -> None:
        _all(db, EVIDENCE)
        _all(db, ("DELETE FROM device_days", "DELETE FROM passports"))
        _each(db.conn, history.note)  # they are added up a little otherwise than before
        _each(db.conn, audit.note)
        _all(db, clocks.TABLES)
        clocks.rebuild(db.conn)
        db.execute("PRAGMA user_version = 4")

    steps.apply(Database(connection, recursive_triggers=False, execute_plugins=False))


def schema_of(path: Path) -> int | None:
    """Return the schema of the file at *path*, None where it no longer says."""
    connection = sqlite3.connect(f"file:{quote(str(path.absolute()))}?mode=ro", uri=True)
    try:
        found: int = connection.execute("PRAGMA user_version").fetchone()[0]
    except sqlite3.DatabaseError:
        return None
    finally:
        connection.close()
    return found if found in range(1, SCHEMA + 1) else None


def statements() -> Iterator[str]:
    """Yield all that makes an empty journal's tables, as the steps above do."""
    yield from (*FACTS, *MEASUREMENTS, *VISITS, *DELIVERIES, *HISTORY, *IDENTITY)
    yield from GONE
    yield from (*EVIDENCE, *clocks.TABLES)


def _each(connection: sqlite3.Connection, note: Callable[[sqlite3.Connection, Fact], None]) -> None:
    """Have *note* write its rows for every fact there is, in order."""
    for (seq,) in connection.execute("SELECT seq FROM facts WHERE body IS NOT NULL ORDER BY seq").fetchall():
        fact = rows.fact(connection, seq)
        if fact is not None:
            note(connection, fact)


def _all(db: "Database", statements: Iterable[str]) -> None:
    for statement in statements:
        db.execute(statement)
