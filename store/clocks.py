"""Where our clock took another course, and which measurements still wait for a better time.

A box without a real-time clock knows the time late, or never. Between two facts of one boot, wall clock and
time since boot move together unless somebody set the clock (slewing moves both alike on Linux). So a few
rows a boot are all that it takes to tell later what time it was.
"""

import sqlite3
from datetime import timedelta
from typing import NamedTuple

import msgspec

from store import rows
from store.facts import Instant
from store.rows import decode_instant

encode = msgspec.json.Encoder().encode

STEP = timedelta(seconds=0.1)
"""A wall clock that moved more than this against the time since boot was set: reading both takes less."""

TABLES = (
    """CREATE TABLE turns(
        seq INTEGER PRIMARY KEY, before BLOB, at BLOB NOT NULL, tells INTEGER NOT NULL) STRICT""",
    "CREATE INDEX turns_tell ON turns(seq) WHERE tells",
    "CREATE TABLE unsure(n INTEGER PRIMARY KEY, measurement TEXT NOT NULL UNIQUE) STRICT",
    "CREATE TABLE timed(one INTEGER PRIMARY KEY CHECK (one = 1), seq INTEGER NOT NULL) STRICT",
)
"""`turns`: each fact whose clock is not the continuation of the fact before, which was written at `before`.
It `tells` something of earlier times unless a boot begins with it, unsynchronised. `unsure`: measurements
received while our clock was not synchronised, whose time may still become better known. `timed`: the turn up
to which these were looked at."""


class Turn(NamedTuple):
    """With the fact `seq` the clock runs another course than at `before`, the fact before it."""

    seq: int
    before: Instant | None
    at: Instant


def ran_on(before: Instant, at: Instant) -> Instant:
    """Return what the clock of *before* would show at the moment *at* of the same boot."""
    return Instant(before.utc + _between(before, at), at.boottime_ns, at.boot_id, before.synchronised)


def _between(first: Instant, second: Instant) -> timedelta:
    """Return what passed between two instants of a boot."""
    return timedelta(microseconds=(second.boottime_ns - first.boottime_ns) // 1000)


def was_set(before: Instant, after: Instant) -> bool:
    """Return whether between two instants of a boot the clock was set, or synchronisation came or went."""
    if before.boot_id != after.boot_id:
        return False
    stepped = abs(after.utc - before.utc - _between(before, after)) > STEP
    return stepped or before.synchronised != after.synchronised


def turns(course: Instant | None, at: Instant) -> bool:
    """Return whether a fact at *at* begins a new course of the clock; *course* is where the one so far began.

    Held against its beginning, many small steps show as well as a large one.
    """
    return course is None or course.boot_id != at.boot_id or was_set(course, at)


def course(connection: sqlite3.Connection) -> Instant | None:
    """Return where the course began that our clock is on; None in an empty journal."""
    row: tuple[bytes] | None = connection.execute(
        "SELECT at FROM turns WHERE seq = (SELECT max(seq) FROM turns)"
    ).fetchone()
    return decode_instant(row[0]) if row else None


def note(connection: sqlite3.Connection, seq: int, before: Instant | None, at: Instant) -> None:
    """Keep the turn at the fact *seq*; *before* is the instant of the fact before it."""
    begins = before is None or before.boot_id != at.boot_id
    tells = at.synchronised or not begins
    stamp = None if before is None else encode(before)
    connection.execute("INSERT INTO turns VALUES (?, ?, ?, ?)", (seq, stamp, encode(at), tells))


def doubt(connection: sqlite3.Connection, measurement: str) -> None:
    """Let a measurement wait for a better time."""
    connection.execute("INSERT OR IGNORE INTO unsure(measurement) VALUES (?)", (measurement,))


def written_at(connection: sqlite3.Connection, seq: int) -> Instant | None:
    """Return the instant of one fact; None where there is none."""
    row: tuple[bytes] | None = connection.execute("SELECT at FROM facts WHERE seq = ?", (seq,)).fetchone()
    return decode_instant(row[0]) if row else None


def rebuild(connection: sqlite3.Connection) -> None:
    """Make these tables anew from the facts and versions there are."""
    for statement in ("DELETE FROM turns", "DELETE FROM unsure", "DELETE FROM timed"):
        connection.execute(statement)
    before = begun = None
    for seq, stamp in connection.execute("SELECT seq, at FROM facts ORDER BY seq").fetchall():
        at = decode_instant(stamp)
        if turns(begun, at):
            note(connection, seq, before, at)
            begun = at
        before = at
    for (key,) in connection.execute("SELECT id FROM measurements ORDER BY received_seq").fetchall():
        found = rows.measurement(connection, key)
        if found is not None and not found.received.synchronised:
            doubt(connection, key)


def _turn(row: tuple[int, bytes | None, bytes]) -> Turn:
    seq, before, at = row
    return Turn(seq, decode_instant(before) if before else None, decode_instant(at))


class ClockRows:
    """The rows above, for a command that holds the pen."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def up_to(self, seq: int, limit: int) -> list[Turn]:
        """Return at most *limit* turns up to the fact *seq*, the latest first."""
        sql = "SELECT seq, before, at FROM turns WHERE seq <= ? ORDER BY seq DESC LIMIT ?"
        return list(map(_turn, self._connection.execute(sql, (seq, limit))))

    def since(self, seq: int, limit: int) -> list[Turn]:
        """Return at most *limit* turns after the fact *seq*, in order."""
        sql = "SELECT seq, before, at FROM turns WHERE seq > ? ORDER BY seq LIMIT ?"
        return list(map(_turn, self._connection.execute(sql, (seq, limit))))

    def unsure(self, after: int, limit: int) -> list[tuple[int, str]]:
        """Return measurements that wait for a better time, after the number *after*, with theirs."""
        sql = "SELECT n, measurement FROM unsure WHERE n > ? ORDER BY n LIMIT ?"
        return self._connection.execute(sql, (after, limit)).fetchall()

    def rebuild(self) -> None:
        """Make these rows anew, so that everything is looked at again."""
        rebuild(self._connection)

    def settle(self, measurement: str) -> None:
        """Let a measurement wait no more: its time will not become better known."""
        self._connection.execute("DELETE FROM unsure WHERE measurement = ?", (measurement,))

    def news(self) -> int | None:
        """Return the last turn that tells of earlier times, if it came after the one given to `looked`."""
        row: tuple[int | None] = self._connection.execute(
            "SELECT max(seq) FROM turns WHERE tells AND seq > (SELECT coalesce(max(seq), 0) FROM timed)"
        ).fetchone()
        return row[0]

    def looked(self, turn: int) -> None:
        """Keep that all that wait were looked at with this turn known."""
        self._connection.execute("INSERT OR REPLACE INTO timed VALUES (1, ?)", (turn,))
