"""Every row that is served, compared with what the facts add up to, which is replayed into a mirror.

The mirror is a file of SQLite's own without a name, gone when it is closed; it holds no document.
"""

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from hashlib import sha256
from typing import NamedTuple

from store import deliveries, migrations, rows
from store.chain import Problem
from store.facts import Instant, Measurement
from store.proof import Proof, Step
from store.replay import TOLD, Replay, origins, tell

Row = tuple[object, ...]


class Table(NamedTuple):
    """A table that is compared row by row in the order of its key, the first *key* columns of *columns*."""

    name: str
    columns: str
    key: int
    seq: int | None = None
    """Which column is the seq of a fact, or of a measurement's first one."""


TABLES = (
    Table("versions", "seq, measurement, version, status, kind, resident, document", 1, 0),
    Table("measurements", "id, seq, received_seq, status, kind, device, exam, resident, likeness", 1, 2),
    Table("records", "driver, record, measurement, device, serial", 3),
    Table("exams", "id, resident, operator, opened, opened_seq, closed", 1),
    Table("skipped", "exam, seq, item", 2, 1),
    Table("devices", "name, serial, heard, pointed", 1),
    Table("device_events", "device, seq", 2, 1),
    Table("device_days", "device, day, document", 2),
    Table("passports", "device, document", 1),
    Table("audits", "seq, at, who, what, subject, resident", 1, 0),
    Table("turns", "seq, before, at, tells", 1, 0),
)
_SCHEMA = "SELECT type, name, tbl_name, sql FROM sqlite_master ORDER BY name"
_FINDING = "SELECT name FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL"
STEPS = "_sqlite_migrations"


def plain() -> sqlite3.Connection:
    """Return a journal's tables, empty, in memory."""
    made = sqlite3.connect(":memory:", isolation_level=None)
    for statement in migrations.statements():
        made.execute(statement)
    return made


def schema_problems(connection: sqlite3.Connection) -> Iterator[Problem]:
    """Yield what of the tables, indices and triggers is not as this release makes them."""
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    if version != migrations.SCHEMA:
        yield Problem(0, f"has schema {version}, not {migrations.SCHEMA}")
        return
    there = {row[1]: row for row in connection.execute(_SCHEMA) if row[2] != STEPS}
    fresh = plain()
    due = {row[1]: row for row in fresh.execute(_SCHEMA)}
    fresh.close()
    for name in sorted(there.keys() | due.keys()):
        if there.get(name) != due.get(name):
            what = "is missing" if name not in there else "is not as it was made"
            yield Problem(0, f"{(there.get(name) or due[name])[0]} {name} {what}")


class _Emptied(Exception):
    """The version before was let go with its facts."""


class Mirror:
    """What the facts add up to, made beside the journal behind *connection*."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._stored = connection
        self.connection = sqlite3.connect("", isolation_level=None)
        self.connection.execute("PRAGMA journal_mode = OFF")
        self.connection.execute("PRAGMA cache_size = -16000")
        for statement in (*migrations.statements(), *TOLD):
            self.connection.execute(statement)
        for (name,) in self.connection.execute(_FINDING).fetchall():  # nothing is looked for but by its key
            self.connection.execute(f"DROP INDEX {name}")
        self.connection.execute("BEGIN")
        self._replay = Replay(self.connection, self._before, _digest)
        self._untold = False
        """Whether facts without a body were met of which no version tells either."""

    def close(self) -> None:
        """Let the mirror go."""
        self.connection.close()

    def take(self, steps: Sequence[Step]) -> Iterator[Problem]:
        """Take the facts of one command. Raises Orphan; yields what cannot be."""
        whole = all(step.fact is not None for step in steps)
        made = {} if whole else origins(self._kept(steps[0].link.seq, steps[-1].link.seq))
        for step in steps:
            at = rows.decode_instant(step.link.at)
            self._replay.clock(step.link.seq, at)
            if step.fact is None:
                self._let_go(step.link.seq, at, made)
                continue
            try:
                self._replay.row(step.fact)
                tell(self.connection, step.fact)
            except sqlite3.IntegrityError as error:
                yield Problem(step.link.seq, f"cannot have been written after the facts before it: {error}")
        try:
            if whole:
                self._replay.versions([step.fact for step in steps if step.fact is not None])
        except _Emptied:
            whole = False
        if not whole:
            self._believe(steps[0].link.seq, steps[-1].link.seq)

    def _let_go(self, seq: int, at: Instant, made: Mapping[int, Measurement]) -> None:
        if seq in made:
            self._replay.let_go(seq, at, made[seq])
        else:
            self._untold = True

    def _kept(self, first: int, last: int) -> Iterator[Measurement]:
        """Yield the versions of a command that are there."""
        for document, resident in self._stored.execute(
            "SELECT document, resident FROM versions WHERE seq BETWEEN ? AND ? ORDER BY seq", (first, last)
        ):
            if document:
                yield rows.restored(document, resident)

    def _before(self, key: str, seq: int) -> Measurement | None:
        row: tuple[bytes, str | None] | None = self._stored.execute(
            """SELECT document, resident FROM versions WHERE measurement = ? AND seq < ?
               ORDER BY version DESC LIMIT 1""",
            (key, seq),
        ).fetchone()
        if row is not None and not row[0]:
            raise _Emptied
        return rows.restored(*row) if row else None

    def _believe(self, first: int, last: int) -> None:
        """Take over the versions of a command whose facts are not all there: nothing else is left."""
        found = self._stored.execute(
            """SELECT seq, measurement, version, status, kind, resident, document FROM versions
               WHERE seq BETWEEN ? AND ?""",
            (first, last),
        ).fetchall()
        for seq, key, version, status, kind, resident, document in found:
            if document:
                self._replay.version(rows.restored(document, resident), seq)
            else:
                row = (seq, key, version, status, kind, resident, _digest(document))
                self.connection.execute("INSERT INTO versions VALUES (?, ?, ?, ?, ?, ?, ?)", row)

    def problems(self, seen: Proof) -> Iterator[Problem]:
        """Yield every row that is not what the facts say, by its table and key."""
        for table in TABLES:
            yield from self._compared(table, seen)
        yield from self._tally()
        yield from deliveries.problems(self._stored, self.connection)
        yield from _work_problems(self._stored)

    def _compared(self, table: Table, seen: Proof) -> Iterator[Problem]:
        order = ", ".join(map(str, range(1, table.key + 1)))
        sql = f"SELECT {table.columns} FROM {table.name} ORDER BY {order}"  # noqa: S608 - names of ours
        stored, due = self._stored.execute(sql), self.connection.execute(sql)
        there, made = _next(stored, table), due.fetchone()
        while there is not None or made is not None:
            key = min((row[: table.key] for row in (there, made) if row is not None), key=_order)
            one = there if there is not None and there[: table.key] == key else None
            other = made if made is not None and made[: table.key] == key else None
            wrong = self._wrong(table, one, other, seen) if one != other else None
            if wrong:
                yield Problem(_seq(table, one or other), f"{table.name} {_named(key)}: {wrong}")
            there = _next(stored, table) if one is not None else there
            made = due.fetchone() if other is not None else made

    def _wrong(self, table: Table, there: Row | None, made: Row | None, seen: Proof) -> str | None:
        """Say what is wrong; None where it rests on facts whose bodies were let go."""
        if there is None:
            elsewhere = self._untold and made is not None and _was_counted_elsewhere(table, made, seen)
            return None if elsewhere else "is missing"
        if self._untold and self._rests_on_bare(table, there, made, seen):
            return None
        return "is not what the facts say" if made is not None else "no fact says so"

    def _rests_on_bare(self, table: Table, there: Row, made: Row | None, seen: Proof) -> bool:
        """Say whether a row is as far what the facts say as their bodies are still there."""
        match table.name:
            case "device_days":
                return str(there[1]) <= seen.days.get(str(there[0]), "")
            case "devices":
                return self._heard(there, made)
            case "records":
                found = self._stored.execute(
                    "SELECT received_seq FROM measurements WHERE id = ?", (there[2],)
                ).fetchone()
                return made is None and found is not None and found[0] in seen.bare
            case _:
                return False

    def _heard(self, there: Row, made: Row | None) -> bool:
        """Say whether a device's row tells nothing but what facts without a body may have told."""
        _, serial, heard, pointed = made or (None, None, None, None)
        if pointed != there[3] or serial not in {None, there[1]}:
            return False
        if heard == there[2]:
            return True
        bare = self._stored.execute("SELECT 1 FROM facts WHERE body IS NULL AND at = ?", (there[2],))
        return bare.fetchone() is not None

    def _tally(self) -> Iterator[Problem]:
        sql = "SELECT which, n FROM tally WHERE what = ? AND n <> 0"
        counted = "SELECT forwarder || '/' || state, count(*) FROM outbox GROUP BY forwarder, state"
        for what, due in (
            ("measurements", dict(self.connection.execute(sql, ("measurements",)))),
            ("outbox", dict(self._stored.execute(counted))),
        ):
            found = dict(self._stored.execute(sql, (what,)))
            for which in sorted(found.keys() | due.keys()):
                if found.get(which, 0) != due.get(which, 0):
                    yield Problem(
                        0, f"tally {what} {which}: is {found.get(which, 0)}, not {due.get(which, 0)}"
                    )
        if self._stored.execute(
            "SELECT 1 FROM tally WHERE what NOT IN ('measurements', 'outbox')"
        ).fetchone():
            yield Problem(0, "tally: counts something that nothing counts")


def _was_counted_elsewhere(table: Table, made: Row, seen: Proof) -> bool:
    """Say whether this day may have been counted for another, by what facts without a body had told."""
    return table.name == "device_days" and str(made[1]) <= seen.days.get(str(made[0]), "")


def _digest(document: bytes) -> bytes:
    return sha256(document).digest()


def _next(cursor: sqlite3.Cursor, table: Table) -> Row | None:
    row: Row | None = cursor.fetchone()
    if row is not None and table.name == "versions" and isinstance(row[6], bytes):
        return (*row[:6], _digest(row[6]))
    return row


def _seq(table: Table, row: Row | None) -> int:
    found = row[table.seq] if row is not None and table.seq is not None else 0
    return found if isinstance(found, int) else 0


def _order(key: Row) -> list[tuple[int, str | int | bytes]]:
    """Return what sorts as SQLite sorts: numbers, then texts, then bytes."""
    return [
        (0, one) if isinstance(one, int) else (1, one.encode()) if isinstance(one, str) else (2, bytes(one))  # type: ignore[call-overload]
        for one in key
    ]


def _named(key: Row) -> str:
    return "/".join(map(str, key))


def _work_problems(connection: sqlite3.Connection) -> Iterator[Problem]:
    """Yield notes of work still to do that speak of what is not there."""
    found = connection.execute(
        "SELECT measurement FROM unsure WHERE measurement NOT IN (SELECT id FROM measurements)"
    )
    for (key,) in found:
        yield Problem(0, f"unsure {key}: there is no such measurement")
    for (seq,) in connection.execute("SELECT seq FROM timed WHERE seq NOT IN (SELECT seq FROM turns)"):
        yield Problem(seq, "timed: the clock did not turn there")
