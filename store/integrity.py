"""Whether the journal still is what was written: the chain's end at every start, everything on demand."""

import sqlite3
from collections.abc import Iterator
from itertools import islice

import msgspec

from store import chain, rows
from store.chain import Link, Problem
from store.facts import Fact, Measurement
from store.projections import AboutMeasurement, encode, fold, replace

TAIL = 200
"""Facts checked at every start: enough to meet a torn end, bounded whatever the journal's length."""
MAX_PROBLEMS = 1000
UNREADABLE = (ValueError, msgspec.MsgspecError, sqlite3.DatabaseError)
"""What reading a damaged row or page may raise."""

LINKS = "SELECT seq, id, at, body, body_hash, prev, hash FROM facts"


class Report(msgspec.Struct, frozen=True):
    """What a full check found: `problems` is empty exactly when all holds, and stops at MAX_PROBLEMS."""

    facts: int
    versions: int
    head: str
    """The last fact's hash in hex: noted elsewhere, it later proves that nothing before it was changed."""
    problems: list[Problem]


def tail_problems(connection: sqlite3.Connection) -> list[Problem]:
    """Return what is wrong with the last TAIL facts and the chain's end; reads no more than that."""
    first: int = connection.execute(
        "SELECT max(1, coalesce(max(seq), 0) - ? + 1) FROM facts", (TAIL,)
    ).fetchone()[0]
    prev = chain.GENESIS
    if first > 1:
        before: tuple[bytes] | None = connection.execute(
            "SELECT hash FROM facts WHERE seq = ?", (first - 1,)
        ).fetchone()
        prev = before[0] if before else b""
    try:
        return [*chain.problems(_links(connection, first), first - 1, prev), *_end(connection)]
    except UNREADABLE as error:
        return [Problem(0, f"cannot be read: {error}")]


def _end(connection: sqlite3.Connection) -> Iterator[Problem]:
    head: tuple[int, bytes] | None = connection.execute("SELECT seq, hash FROM head").fetchone()
    last: tuple[int, bytes] = connection.execute(
        "SELECT seq, hash FROM facts ORDER BY seq DESC LIMIT 1"
    ).fetchone() or (0, chain.GENESIS)
    if head is None:
        yield Problem(last[0], "the note of the chain's end is missing")
    elif head[0] > last[0]:
        yield Problem(last[0] + 1, f"facts {last[0] + 1} to {head[0]} are missing at the end")
    elif head != last:
        yield Problem(last[0], "is not the end of the chain that was written")


def check(connection: sqlite3.Connection) -> Report:
    """Read everything: SQLite's own structure, the whole chain, and every version folded anew from its facts.

    Linear in the journal's length, constant in memory. Damage is a problem in the report, never an exception.
    """
    found: list[Problem] = []
    try:
        found.extend(islice(_all_problems(connection), MAX_PROBLEMS))
        facts, versions, head = _extent(connection)
    except UNREADABLE as error:
        found.append(Problem(0, f"cannot be read further: {error}"))
        facts, versions, head = 0, 0, ""
    return Report(facts, versions, head, found)


def _extent(connection: sqlite3.Connection) -> tuple[int, int, str]:
    facts: int = connection.execute("SELECT count(*) FROM facts").fetchone()[0]
    versions: int = connection.execute("SELECT count(*) FROM versions").fetchone()[0]
    last: tuple[bytes] | None = connection.execute(
        "SELECT hash FROM facts ORDER BY seq DESC LIMIT 1"
    ).fetchone()
    return facts, versions, last[0].hex() if last else ""


def _links(connection: sqlite3.Connection, first: int) -> Iterator[Link]:
    """Yield facts from *first* on; a damaged page can give SQLite rows of any kind, so each is looked at."""
    for row in connection.execute(f"{LINKS} WHERE seq >= ? ORDER BY seq", (first,)):
        yield msgspec.convert(row, Link)


def _all_problems(connection: sqlite3.Connection) -> Iterator[Problem]:
    for (text,) in connection.execute("PRAGMA integrity_check(20)").fetchall():
        if text != "ok":
            yield Problem(0, f"SQLite: {text}")
    yield from chain.problems(_links(connection, 1))
    yield from _end(connection)
    yield from _version_problems(connection)


def _version_problems(connection: sqlite3.Connection) -> Iterator[Problem]:
    """Fold every command's facts onto the versions before it, and compare with the versions stored for it."""
    due = 0
    for facts in _commands(connection):
        try:
            expected = _folded(connection, facts)
        except UNREADABLE as error:
            yield Problem(facts[0].seq, f"cannot be folded: {error}")
            continue
        due += len(expected)
        for version, seq in expected:
            if _stored(connection, seq) != (encode(replace(version, resident=None)), version.resident):
                yield Problem(seq, f"version {version.version} of {version.id} is not what its facts say")
    stored: int = connection.execute("SELECT count(*) FROM versions").fetchone()[0]
    pruned = connection.execute("SELECT 1 FROM facts WHERE body IS NULL LIMIT 1").fetchone()
    if stored > due and not pruned:
        yield Problem(0, f"{stored - due} version(s) have no facts")


def _commands(connection: sqlite3.Connection) -> Iterator[list[Fact]]:
    """Yield the facts of each command whose bodies are all there."""
    reading = connection.execute("SELECT command, seq FROM facts ORDER BY seq")
    command, facts = 0, list[Fact | None]()
    for first, seq in reading:
        if first != command and facts:
            yield [fact for fact in facts if fact is not None]
            facts = []
        command = first
        try:
            facts.append(rows.fact(connection, seq))
        except UNREADABLE:
            facts.append(None)
    if facts:
        yield [fact for fact in facts if fact is not None]


def _folded(connection: sqlite3.Connection, facts: list[Fact]) -> list[tuple[Measurement, int]]:
    """Return the versions these facts make, with the seq each is stored under."""
    standing: dict[str, tuple[Measurement, int]] = {}
    versions: dict[str, int] = {}
    for fact in facts:
        body = fact.body
        if not isinstance(body, AboutMeasurement):
            continue
        key = getattr(body, "of", body.measurement)
        onto = standing[key][0] if key in standing else _before(connection, key, facts[0].seq)
        versions.setdefault(
            body.measurement, onto.version if onto is not None and onto.id == body.measurement else 0
        )
        standing[body.measurement] = (fold(onto, fact), fact.seq)
    recorded = {fact.seq: fact.at for fact in facts}
    return [
        (replace(one, version=versions[key] + 1, recorded=recorded[seq]), seq)
        for key, (one, seq) in standing.items()
    ]


def _before(connection: sqlite3.Connection, key: str, seq: int) -> Measurement | None:
    row: tuple[bytes, str | None] | None = connection.execute(
        """SELECT document, resident FROM versions WHERE measurement = ? AND seq < ?
           ORDER BY version DESC LIMIT 1""",
        (key, seq),
    ).fetchone()
    return rows.restored(*row) if row else None


def _stored(connection: sqlite3.Connection, seq: int) -> tuple[bytes, str | None] | None:
    row: tuple[bytes, str | None] | None = connection.execute(
        "SELECT document, resident FROM versions WHERE seq = ?", (seq,)
    ).fetchone()
    return row
