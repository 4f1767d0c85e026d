"""Who did what, read from the journal itself: facts of a person's doing and `Audited`, each one entry.

The table `audits` finds them, and keeps the outline of one whose body was pruned; all an entry says stands in
the chained fact. What a machine or a rule did by itself is no entry.
"""

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

import msgspec

from store import cursors, rows
from store.facts import (
    AnyBody,
    Audited,
    Bound,
    Corrected,
    DeviceEvent,
    DevicePointed,
    ExamClosed,
    ExamOpened,
    Fact,
    Instant,
    ItemSkipped,
    KeyChanged,
    ManualEntry,
    Pruned,
    Recovered,
    Resent,
    ResidentErased,
    Voided,
)
from store.history import ORDERED, PASSPORT

ITSELF = "service"
"""Who did what nobody signed for."""
RULE = "rule:"
LATEST = 10**18 - 1
FOUND = "SELECT seq FROM audits"


class Entry(msgspec.Struct, frozen=True):
    """One thing somebody did; `resident` is our key of whom it was about."""

    seq: int
    at: Instant
    who: str
    what: str
    subject: str
    resident: str | None
    reason: str
    detail: dict[str, str]


class Wanted(NamedTuple):
    """Which entries; None takes all. `residents` are keys of ours, `until` is not included."""

    who: str | None = None
    what: str | None = None
    residents: Sequence[str] | None = None
    since: datetime | None = None
    until: datetime | None = None


class Told(NamedTuple):
    """What one fact tells; the resident of *exam* or *measurement* is looked up."""

    who: str
    what: str
    subject: str
    reason: str = ""
    resident: str | None = None
    exam: str | None = None
    measurement: str | None = None
    detail: Mapping[str, str] = {}


def told(body: AnyBody) -> Told | None:
    """Return what a fact says somebody did; None where it is no person's or program's doing."""
    tell = _TELLS.get(type(body))
    return tell(body) if tell is not None else None


def _of_visit(body: AnyBody) -> Told | None:
    match body:
        case ExamOpened(exam=exam):
            return Told(body.operator, "opened", exam, resident=body.resident)
        case ExamClosed(exam=exam):
            return Told(body.operator, "closed", exam, exam=exam)
        case ItemSkipped(exam=exam):
            said = {"kind": body.reading}
            return Told(body.operator, "skipped", exam, body.reason, exam=exam, detail=said)
        case DevicePointed(exam=exam):
            said = {"exam": exam} if exam else {}
            return Told(body.operator, "pointed", body.device, exam=exam, detail=said)
        case DeviceEvent(code=code, detail=detail) if code in {ORDERED, PASSPORT}:
            what = "ordered" if code == ORDERED else "described"
            return Told(detail.get("operator", ""), what, body.device, detail=detail)
        case _:
            return None


def _of_measurement(body: AnyBody) -> Told | None:
    match body:
        case ManualEntry(measurement=key):
            return Told(body.operator, "typed", key, body.reason, body.resident)
        case Bound(measurement=key) if not body.by.startswith(RULE):
            what = "bound" if body.exam else "unbound"
            said = {"exam": body.exam} if body.exam else {}
            return Told(body.by, what, key, body.reason, body.resident, measurement=key, detail=said)
        case Corrected(measurement=key):
            return Told(body.operator, "corrected", key, body.reason, measurement=key)
        case Voided(measurement=key) if not body.by.startswith(RULE):
            said = {"replaced_by": body.replaced_by} if body.replaced_by else {}
            return Told(body.by, "voided", key, body.reason, measurement=key, detail=said)
        case Resent(measurement=key):
            said = {"forwarder": body.forwarder}
            return Told(body.operator, "resent", key, measurement=key, detail=said)
        case _:
            return None


def _of_journal(body: AnyBody) -> Told | None:
    match body:
        case Audited():
            return Told(body.who, body.what, body.subject, body.reason, body.resident, detail=body.detail)
        case ResidentErased(resident=resident):
            return Told(body.operator, "erased", resident, body.reason, resident)
        case KeyChanged():
            return Told(body.operator or ITSELF, "key_changed", body.key, body.reason)
        case Pruned():
            return Told(ITSELF, "pruned", "facts", body.policy)
        case Recovered():
            return Told(ITSELF, "recovered", body.file, detail={"kept": str(body.kept)})
        case _:
            return None


_TELLS: dict[type[AnyBody], Callable[[AnyBody], Told | None]] = {
    **dict.fromkeys((ExamOpened, ExamClosed, ItemSkipped, DevicePointed, DeviceEvent), _of_visit),
    **dict.fromkeys((ManualEntry, Bound, Corrected, Voided, Resent), _of_measurement),
    **dict.fromkeys((Audited, ResidentErased, KeyChanged, Pruned, Recovered), _of_journal),
}
"""What has no entry here is nobody's doing."""


def note(connection: sqlite3.Connection, fact: Fact) -> None:
    """Write the row by which *fact* is found, if it tells what somebody did."""
    row = _row(connection, fact)
    if row is not None:
        connection.execute("INSERT INTO audits VALUES (?, ?, ?, ?, ?, ?)", row)


_Row = tuple[int, str, str, str, str, str | None]


def _row(connection: sqlite3.Connection, fact: Fact) -> _Row | None:
    said = told(fact.body)
    if said is None:
        return None
    resident = _resident(connection, fact.seq, said)
    return fact.seq, _moment(fact.at.utc), said.who, said.what, said.subject, resident


def _resident(connection: sqlite3.Connection, seq: int, said: Told) -> str | None:
    """Return whom it was about: as the fact says, else as it stood just before the fact."""
    if said.resident is not None:
        return said.resident
    if said.exam is not None:
        return rows.whose_exam(connection, said.exam)
    if said.measurement is None:
        return None
    row: tuple[str | None] | None = connection.execute(
        "SELECT resident FROM versions WHERE measurement = ? AND seq < ? ORDER BY version DESC LIMIT 1",
        (said.measurement, seq),
    ).fetchone()
    return row[0] if row else None


def page(
    connection: sqlite3.Connection, wanted: Wanted, after: str | None, limit: int
) -> tuple[list[Entry], str, bool]:
    """Return entries after a cursor, oldest first: the entries, the next cursor, whether more follow.

    Raises RequestRefused `request.cursor`.
    """
    start = cursors.begun(connection, after, cursors.ENTRIES)
    found = _found(connection, wanted, "seq > ?", start, f"ASC LIMIT {limit + 1}")
    shown, more = found[:limit], len(found) > limit
    reached = cursors.written(connection, shown[-1] if shown else start, cursors.ENTRIES)
    return _entries(connection, shown), reached, more


def latest(
    connection: sqlite3.Connection, wanted: Wanted, before: str | None, limit: int
) -> tuple[list[Entry], str, bool]:
    """Return the entries before a cursor, newest first, as `page` does."""
    start = cursors.read(before, cursors.ENTRIES).seq if before else LATEST
    found = _found(connection, wanted, "seq < ?", start, f"DESC LIMIT {limit + 1}")
    shown, more = found[:limit], len(found) > limit
    reached = cursors.written(connection, shown[-1] if shown else start, cursors.ENTRIES)
    return _entries(connection, shown), reached, more


def _found(
    connection: sqlite3.Connection, wanted: Wanted, position: str, start: int, order: str
) -> list[int]:
    where, arguments = [position], list[int | str]([start])
    for name, one in (("who = ?", wanted.who), ("what = ?", wanted.what)):
        if one is not None:
            where.append(name)
            arguments.append(one)
    for name, moment in (("at >= ?", wanted.since), ("at < ?", wanted.until)):
        if moment is not None:
            where.append(name)
            arguments.append(_moment(moment))
    if wanted.residents is not None:
        where.append(f"resident IN ({','.join('?' * len(wanted.residents))})")
        arguments += wanted.residents
    sql = f"{FOUND} WHERE {' AND '.join(where)} ORDER BY seq {order}"
    return [row[0] for row in connection.execute(sql, arguments)]


def _entries(connection: sqlite3.Connection, seqs: Sequence[int]) -> list[Entry]:
    return [_entry(connection, seq) for seq in seqs]


def _entry(connection: sqlite3.Connection, seq: int) -> Entry:
    at, who, what, subject, resident = connection.execute(
        """SELECT f.at, a.who, a.what, a.subject, a.resident FROM audits AS a JOIN facts AS f ON f.seq = a.seq
           WHERE a.seq = ?""",
        (seq,),
    ).fetchone()
    fact = rows.fact(connection, seq)
    said = told(fact.body) if fact is not None else None
    reason, detail = (said.reason, dict(said.detail)) if said else ("", {})
    return Entry(seq, rows.decode_instant(at), who, what, subject, resident, reason, detail)


def _moment(moment: datetime) -> str:
    """Return a time so that text is in the order of time."""
    return moment.astimezone(UTC).isoformat()
