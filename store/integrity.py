"""Whether the journal still is what was written: the chain's end at every start, everything on demand."""

import sqlite3
from collections.abc import Callable, Iterator

import msgspec

from store import chain, comparison, sealing, signing
from store.chain import Link, Problem
from store.proof import LINKS, UNREADABLE, Proof, Step
from store.replay import Orphan
from store.vault import Ring

TAIL = 200
"""Facts checked at every start: enough to meet a torn end, bounded whatever the journal's length."""
MAX_PROBLEMS = 1000
MAY_PASS = ("SQLite: ", "cannot be read", "cannot be folded")
"""How problems begin that a single failed read makes too."""
Keys = Callable[[sqlite3.Connection], Ring]
"""Gives the keys at hand as they fit the journal behind a connection."""


class Report(msgspec.Struct, frozen=True):
    """What a full check found: `problems` is empty exactly when all holds, and stops at MAX_PROBLEMS."""

    facts: int
    versions: int
    head: str
    """The last fact's hash in hex: noted elsewhere, it later proves that nothing before it was changed."""
    problems: list[Problem]
    last: int = 0
    """The last fact's seq."""
    signed: int = 0
    """Up to this fact a signature of the journal's own key says who wrote it."""
    notes: list[Problem] = []
    """What cannot be proven although nothing was changed: unsigned ends, keys that were lost."""


class _Full(Exception):
    """Enough problems were found."""


def tail_problems(connection: sqlite3.Connection) -> list[Problem]:
    """Return what is wrong with the last TAIL facts and the chain's end; reads no more than that.

    A place where facts are missing since a recovery is none: a gap is looked at by the full check.
    """
    try:
        return [*_tail(connection), *_end(connection)]
    except UNREADABLE as error:
        return [Problem(0, f"cannot be read: {error}")]


def _tail(connection: sqlite3.Connection) -> Iterator[Problem]:
    last: int = connection.execute("SELECT coalesce(max(seq), 0) FROM facts").fetchone()[0]
    first = max(1, last - TAIL + 1)
    start = _recovered(connection, first)
    prev = signing.root(connection)
    if start > 1:
        before: tuple[bytes] | None = connection.execute(
            "SELECT hash FROM facts WHERE seq = ?", (start - 1,)
        ).fetchone()
        prev = before[0] if before else b""
    yield from chain.problems(_links(connection, start), start - 1, prev)


def _recovered(connection: sqlite3.Connection, first: int) -> int:
    """Return where facts lie one behind the other without a gap: at *first*, or after the last recovery."""
    row: tuple[int] | None = connection.execute(
        "SELECT seq FROM audits WHERE what = 'recovered' ORDER BY seq DESC LIMIT 1"
    ).fetchone()
    return max(first, row[0] + 1) if row else first


def _end(connection: sqlite3.Connection) -> Iterator[Problem]:
    head: tuple[int, bytes] | None = connection.execute("SELECT seq, hash FROM head").fetchone()
    last: tuple[int, bytes] = connection.execute(
        "SELECT seq, hash FROM facts ORDER BY seq DESC LIMIT 1"
    ).fetchone() or (0, signing.root(connection))
    if head is None:
        yield Problem(last[0], "the note of the chain's end is missing")
    elif head[0] > last[0]:
        yield Problem(last[0] + 1, f"facts {last[0] + 1} to {head[0]} are missing at the end")
    elif head != last:
        yield Problem(last[0], "is not the end of the chain that was written")


def _links(connection: sqlite3.Connection, first: int) -> Iterator[Link]:
    """Yield facts from *first* on; a damaged page can give SQLite rows of any kind, so each is looked at."""
    for row in connection.execute(f"{LINKS} WHERE seq >= ? ORDER BY seq", (first,)):
        yield msgspec.convert(row, Link)


def check(
    connection: sqlite3.Connection, keys: Keys | None = None, anchor: tuple[int, bytes] | None = None
) -> Report:
    """Read everything: SQLite's own structure, the chain with its signatures, every row made anew from facts.

    With the key that *keys* gives at hand, everything sealed is opened too. *anchor* is an end of the chain
    noted elsewhere, (seq, hash). Linear in the journal's length, constant in memory. Damage is a problem in
    the report, never an exception.
    """
    walk = _Check(connection, keys, anchor)
    walk.run()
    return walk.report()


class _Check:
    """One check, as far as it came."""

    def __init__(
        self, connection: sqlite3.Connection, keys: Keys | None, anchor: tuple[int, bytes] | None
    ) -> None:
        self._connection = connection
        self._keys = keys
        self._proof: Proof | None = None
        self._anchor = anchor
        self._problems: list[Problem] = []
        self._orphans: list[Problem] = []
        self._facts = 0

    def run(self) -> None:
        """Look at everything, in parts that each stand alone: where one cannot be read the next goes on."""
        try:
            for part in (self._structure, self._facts_and_rows):
                try:
                    self._add(part())
                except UNREADABLE as error:
                    self._problems.append(Problem(0, f"cannot be read further: {error}"))
        except _Full:
            return

    def report(self) -> Report:
        """Return what was found."""
        try:
            versions: int = self._connection.execute("SELECT count(*) FROM versions").fetchone()[0]
        except UNREADABLE:
            versions = 0
        seen = self._proof
        seq, digest = seen.last if seen is not None and self._facts else (0, b"")
        signed, notes = (seen.signed, seen.notes) if seen is not None else (0, [])
        return Report(self._facts, versions, digest.hex(), self._problems, seq, signed, notes)

    def _add(self, found: Iterator[Problem]) -> None:
        for problem in found:
            self._problems.append(problem)
            if len(self._problems) >= MAX_PROBLEMS:
                raise _Full

    def _structure(self) -> Iterator[Problem]:
        for (text,) in self._connection.execute("PRAGMA integrity_check(20)").fetchall():
            if text != "ok":
                yield Problem(0, f"SQLite: {text}")
        yield from comparison.schema_problems(self._connection)

    def _facts_and_rows(self) -> Iterator[Problem]:
        self._proof = seen = Proof(self._connection, self._anchor)
        mirror = comparison.Mirror(self._connection)
        try:
            command: list[Step] = []
            for step in seen.steps():
                self._facts += 1
                yield from _taken(seen)
                if command and command[0].command != step.command:
                    yield from self._command(mirror, command)
                    command = []
                command.append(step)
            if command:
                yield from self._command(mirror, command)
            yield from _taken(seen)
            yield from seen.end()
            yield from (one for one in self._orphans if not _since_loss(seen, one))
            yield from mirror.problems(seen)
            ring = self._keys(self._connection) if self._keys is not None else None
            yield from sealing.problems(self._connection, mirror.connection, seen, ring)
        finally:
            mirror.close()

    def _command(self, mirror: comparison.Mirror, steps: list[Step]) -> Iterator[Problem]:
        try:
            yield from mirror.take(steps)
        except Orphan as error:
            self._orphans.append(Problem(steps[0].link.seq, f"cannot be folded: {error}"))
        except UNREADABLE as error:
            yield Problem(steps[0].link.seq, f"cannot be folded: {error}")


def _taken(seen: Proof) -> Iterator[Problem]:
    """Yield what was found since this was asked last."""
    found, seen.problems = seen.problems, []
    yield from found


def _since_loss(seen: Proof, problem: Problem) -> bool:
    """Say whether facts before this one were lost, so that what it is about may be among them."""
    return any(low < problem.seq for low, _ in seen.lost)
