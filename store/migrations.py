"""The journal's tables, step by step; a file written by a newer release is left alone."""

import sqlite3
from collections.abc import Iterable
from typing import TYPE_CHECKING

from protocol.errors import SchemaTooNew
from store import history, rows

if TYPE_CHECKING:
    from sqlite_utils.db import Database

SCHEMA = 2
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


def migrate(connection: sqlite3.Connection) -> None:
    """Bring the file to SCHEMA, a transaction a step; raises SchemaTooNew, changing nothing."""
    found: int = connection.execute("PRAGMA user_version").fetchone()[0]
    if found > SCHEMA:
        raise SchemaTooNew(f"the file has schema {found}, this release knows {SCHEMA}")
    if found < SCHEMA:
        _apply(connection)


def _apply(connection: sqlite3.Connection) -> None:
    # Imported here: a file that is up to date starts without paying for it (160 ms).
    from sqlite_utils.db import Database  # noqa: PLC0415
    from sqlite_utils.migrations import Migrations  # noqa: PLC0415

    steps = Migrations("journal")

    @steps(name="0001_journal")
    def journal(db: "Database", /) -> None:
        _all(db, (*FACTS, *MEASUREMENTS, *VISITS, *DELIVERIES))
        db.execute("PRAGMA user_version = 1")

    @steps(name="0002_history")
    def history(db: "Database", /) -> None:
        _all(db, HISTORY)
        _noted(db.conn)
        db.execute("PRAGMA user_version = 2")

    steps.apply(Database(connection, recursive_triggers=False, execute_plugins=False))


def _noted(connection: sqlite3.Connection) -> None:
    """Add up every device's days from the facts there are."""
    for (seq,) in connection.execute("SELECT seq FROM facts WHERE body IS NOT NULL ORDER BY seq").fetchall():
        fact = rows.fact(connection, seq)
        if fact is not None:
            history.note(connection, fact)


def _all(db: "Database", statements: Iterable[str]) -> None:
    for statement in statements:
        db.execute(statement)
