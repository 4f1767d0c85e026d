"""What facts add up to, written anew into tables of one's own, in the way the journal does when they come.

A check compares these rows with those that are served; a recovery makes a new journal of them.
"""

import sqlite3
from collections.abc import Callable, Iterable, Sequence

from store import clocks, history
from store.facts import (
    Delivered,
    Fact,
    Instant,
    Measurement,
    Pruned,
    Received,
    Recovered,
    Refused,
    Resent,
    ResidentErased,
)
from store.projections import AboutMeasurement, encode, fold, project, replace, settle

Before = Callable[[str, int], Measurement | None]
"""Gives a measurement's last version written before a fact."""

TOLD = (
    """CREATE TABLE told(
        forwarder TEXT NOT NULL, measurement TEXT NOT NULL, seq INTEGER NOT NULL, what TEXT NOT NULL,
        version INTEGER, said BLOB, PRIMARY KEY (forwarder, measurement, seq)) STRICT, WITHOUT ROWID""",
    "CREATE TABLE sealed(owner TEXT PRIMARY KEY) STRICT, WITHOUT ROWID",
    "CREATE TABLE erased(owner TEXT PRIMARY KEY) STRICT, WITHOUT ROWID",
)
"""What facts say of deliveries, of what is sealed in them, and of keys that were destroyed."""


class Orphan(ValueError):
    """A fact is about a measurement that is not there."""


class Replay:
    """Takes the facts of one command after another, in order."""

    def __init__(
        self, connection: sqlite3.Connection, before: Before, stored: Callable[[bytes], bytes]
    ) -> None:
        """*stored* gives what is kept of a version's document."""
        self._connection = connection
        self._before = before
        self._stored = stored
        self._last: tuple[int, Instant] | None = None
        self._course: Instant | None = None
        self._versions: dict[str, int] = {}
        """Of measurements whose later versions were lost: the highest there was."""

    def clock(self, seq: int, at: Instant) -> None:
        """Take the instant of a fact, whether its body is there or not."""
        if clocks.turns(self._course, at):
            before = self._last[1] if self._last is not None and self._last[0] == seq - 1 else None
            clocks.note(self._connection, seq, before, at)
            self._course = at
        self._last = (seq, at)

    def row(self, fact: Fact) -> None:
        """Write the rows one fact means by itself."""
        project(self._connection, fact)
        if isinstance(fact.body, Recovered):
            self._versions |= fact.body.versions
        elif isinstance(fact.body, Pruned):
            history.carry_on(self._connection, fact.body.days)

    def let_go(self, seq: int, at: Instant, made: Measurement) -> None:
        """Write the rows of a `Received` without its body: the version it *made* has all of it but frames."""
        self.row(Fact(seq, "", at, _heard(made), b"", b""))

    def versions(self, facts: Sequence[Fact]) -> list[tuple[Measurement, int]]:
        """Write the versions that one command's facts make, each with the seq it is stored under.

        Raises Orphan where a fact is about a measurement that is not there; nothing is written then.
        """
        made = self._folded(facts)
        for one, seq in made:
            self.version(one, seq)
        return made

    def version(self, one: Measurement, seq: int) -> None:
        """Write one version as it stands."""
        document = self._stored(encode(replace(one, resident=None)))
        self._connection.execute(
            "INSERT INTO versions VALUES (?, ?, ?, ?, ?, ?, ?)",
            (seq, one.id, one.version, one.status, one.kind, one.resident, document),
        )
        settle(self._connection, one, seq)

    def _folded(self, facts: Sequence[Fact]) -> list[tuple[Measurement, int]]:
        standing: dict[str, tuple[Measurement, int]] = {}
        numbers: dict[str, int] = {}
        for fact in facts:
            body = fact.body
            if not isinstance(body, AboutMeasurement):
                continue
            key = getattr(body, "of", body.measurement)
            onto = standing[key][0] if key in standing else self._before(key, facts[0].seq)
            begun = onto.version if onto is not None and onto.id == body.measurement else 0
            numbers.setdefault(body.measurement, max(begun, self._versions.pop(body.measurement, 0)))
            try:
                standing[body.measurement] = (fold(onto, fact), fact.seq)
            except ValueError as error:
                raise Orphan(str(error)) from None
        self._versions = {}
        recorded = {fact.seq: fact.at for fact in facts}
        return [
            (replace(one, version=numbers[key] + 1, recorded=recorded[seq]), seq)
            for key, (one, seq) in sorted(standing.items(), key=lambda item: item[1][1])
        ]


def origins(versions: Iterable[Measurement]) -> dict[int, Measurement]:
    """Return, by the seq of the machine's `Received`, the first of one command's *versions* that it made."""
    found: dict[int, Measurement] = {}
    for one in versions:
        if one.source == "machine":
            found.setdefault(one.received_seq, one)
    return found


def _heard(made: Measurement) -> Received:
    return Received(
        measurement=made.id,
        device=made.device or "",
        driver=made.driver or "",
        serial=made.serial,
        reading=made.kind,
        values=made.values,
        evidence=[],
        device_time=made.device_time,
        sequence=made.sequence,
        context=made.context,
        flags=made.flags,
        failed=made.failed,
        stored=made.stored,
        record=made.record,
        began=made.began,
        clock_offset_s=made.clock_offset_s,
    )


def tell(connection: sqlite3.Connection, fact: Fact) -> None:
    """Note in `told`, `sealed` and `erased` what *fact* says of deliveries and keys."""
    body = fact.body
    sealed = getattr(body, "sealed", None)
    if sealed is not None:
        connection.execute("INSERT OR IGNORE INTO sealed VALUES (?)", (f"fact:{fact.id}",))
    match body:
        case Delivered():
            said = (body.version, encode(body.receipt))
        case Refused():
            said = (body.version, body.reason.encode())
        case Resent():
            said = (0, b"")
        case ResidentErased():
            owners = [body.resident, *(f"fact:{one}" for one in body.frames)]
            connection.executemany("INSERT OR IGNORE INTO erased VALUES (?)", [(one,) for one in owners])
            return
        case _:
            return
    what = body.__struct_config__.tag
    connection.execute(
        "INSERT INTO told VALUES (?, ?, ?, ?, ?, ?)",
        (body.forwarder, body.measurement, fact.seq, what, *said),
    )
