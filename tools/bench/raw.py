"""The floor under the journal: a file appended to and synced, and SQLite with nothing of ours around it."""

import os
import sqlite3
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from store.proof import Proof

APPEND = bytes(200)
WRITES = ("BEGIN", "INSERT", "UPDATE", "DELETE", "COMMIT")
Deed = tuple[str, Sequence[Any]]
"""One statement and its values."""


class RawFile:
    """A file that grows by 200 bytes and an fdatasync at a time."""

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)

    def append(self) -> None:
        """Append and sync."""
        os.write(self._descriptor, APPEND)
        os.fdatasync(self._descriptor)

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)


class BareSqlite:
    """One table in WAL mode with full sync, checkpoints as SQLite does them by itself."""

    def __init__(self, path: Path) -> None:
        self._connection = sqlite3.connect(path, isolation_level=None)
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("PRAGMA synchronous = FULL")
        self._connection.execute("CREATE TABLE facts(seq INTEGER PRIMARY KEY, body BLOB NOT NULL)")

    def insert(self, rows: Sequence[bytes]) -> None:
        """Insert *rows* in one commit."""
        self._connection.execute("BEGIN IMMEDIATE")
        self._connection.executemany("INSERT INTO facts(body) VALUES (?)", [(row,) for row in rows])
        self._connection.execute("COMMIT")

    def close(self) -> None:
        """Close the file."""
        self._connection.close()


class Recorded:
    """A connection that keeps what it is told to write, one list a commit."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self.commits: list[list[Deed]] = []

    def execute(self, sql: str, values: Sequence[Any] = ()) -> sqlite3.Cursor:
        """Do it, and keep it where it writes."""
        if sql.startswith("BEGIN"):
            self.commits.append([])
        if self.commits and sql.startswith(WRITES):
            self.commits[-1].append((sql, values))
        return self._connection.execute(sql, values)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)


class SameAgain:
    """Bare SQLite on a copy of a journal, told again what a `Recorded` one was told, and nothing else."""

    def __init__(self, path: Path, recorded: Recorded) -> None:
        self._connection = sqlite3.connect(path, isolation_level=None, cached_statements=256)
        for pragma in ("synchronous = FULL", "secure_delete = ON"):
            self._connection.execute(f"PRAGMA {pragma}")
        self._commits = iter([one for one in recorded.commits if len(one) > len(("BEGIN", "COMMIT"))])

    def commit(self, times: int) -> None:
        """Do the next commits."""
        for commit in islice(self._commits, times):
            for sql, values in commit:
                self._connection.execute(sql, values)

    def close(self) -> None:
        """Close the file."""
        self._connection.close()


class JournalRows:
    """A journal's file, read with plain SQL."""

    def __init__(self, path: Path) -> None:
        self._connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True)

    def stored(self) -> int:
        """Return how many bytes all facts and versions have to keep, indices left out."""
        sizes = (
            "SELECT sum(length(id) + length(at) + length(body) + 96) FROM facts",
            "SELECT sum(length(measurement) + length(document)) FROM versions",
        )
        return sum(int(self._connection.execute(sql).fetchone()[0] or 0) for sql in sizes)

    def prove(self) -> None:
        """Check chain and signatures, each fact read and understood; AssertionError unless they are whole."""
        seen = Proof(self._connection)
        wrong = [seen.problems for _ in seen.steps() if seen.problems] + list(seen.end())
        assert seen.signed, "nothing is signed"
        assert not wrong, wrong

    def look(self) -> None:
        """Have SQLite check its own file. Raises AssertionError if it is not whole."""
        assert self._connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]

    def json_page(self, after: int, limit: int) -> tuple[str, int]:
        """Return a page of versions as SQLite's own JSON array, and the last row in it."""
        found: tuple[str, int] = self._connection.execute(
            """SELECT json_group_array(json(page.document)), max(page.seq) FROM (
                   SELECT v.seq AS seq, CAST(v.document AS TEXT) AS document FROM versions AS v
                   LEFT JOIN persons AS p ON p.id = v.resident
                   WHERE v.seq > ? ORDER BY v.seq LIMIT ?) AS page""",
            (after, limit),
        ).fetchone()
        return found

    def close(self) -> None:
        """Close the file."""
        self._connection.close()
