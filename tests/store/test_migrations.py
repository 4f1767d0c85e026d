"""The schema: made once, opened again as it is, and a newer one left alone."""

import sqlite3

import pytest
from journal_making import heard, opened

from protocol.errors import SchemaTooNew
from store.migrations import SCHEMA


def schema(path):
    raw = sqlite3.connect(path)
    found = raw.execute("SELECT name, sql FROM sqlite_master ORDER BY name").fetchall()
    applied = raw.execute("SELECT name FROM _sqlite_migrations").fetchall()
    version = raw.execute("PRAGMA user_version").fetchone()
    raw.close()
    return found, applied, version


def test_opening_twice_changes_nothing(tmp_path):
    opened(tmp_path).close()
    first = schema(tmp_path / "state/journal.db")
    opened(tmp_path).close()
    assert schema(tmp_path / "state/journal.db") == first
    assert first[2] == (SCHEMA,) == (len(first[1]),)


def test_a_newer_schema_is_refused_and_not_touched(tmp_path):
    journal = opened(tmp_path)
    journal.submit(heard).result()
    journal.close()
    path = tmp_path / "state/journal.db"
    raw = sqlite3.connect(path)
    raw.execute(f"PRAGMA user_version = {SCHEMA + 1}")
    raw.commit()
    raw.close()
    before = path.read_bytes()
    with pytest.raises(SchemaTooNew):
        opened(tmp_path)
    assert path.read_bytes() == before


def test_a_first_start_that_was_cut_short_is_finished(tmp_path):
    """Only the table of steps was made before the power went."""
    path = tmp_path / "state/journal.db"
    path.parent.mkdir()
    raw = sqlite3.connect(path)
    columns = "id INTEGER PRIMARY KEY, migration_set TEXT, name TEXT, applied_at TEXT"
    raw.execute(f"CREATE TABLE _sqlite_migrations ({columns})")
    raw.commit()
    raw.close()
    journal = opened(tmp_path)
    journal.submit(heard).result()
    assert journal.queries.check().problems == []
    journal.close()
