"""What stands in the outbox, held against the versions there are and what facts tell of deliveries.

Not provable, because no fact tells of it, is how often a version that waits was tried and what the other side
said last: notes of work under way, which decide at most how soon a person is asked.
"""

import sqlite3
from collections.abc import Iterator
from typing import NamedTuple

from store.chain import Problem
from store.facts import VERIFIED
from store.vault import ERASED

WITHDRAWN = "entered-in-error"
_ROWS = """SELECT o.forwarder, o.measurement, o.seq, o.version, o.resident, o.state, o.reason, o.receipt,
    o.delivered_version, f.name IS NOT NULL, f.left_at, v.status, m.seq,
    (SELECT min(seq) FROM versions WHERE measurement = o.measurement AND seq > o.seq),
    (SELECT resident FROM versions WHERE measurement = o.measurement AND seq <= o.seq
       AND status IN ('final', 'corrected') AND resident IS NOT NULL ORDER BY version DESC LIMIT 1),
    EXISTS (SELECT 1 FROM data_keys WHERE owner = o.resident AND key = ?) OR v.resident IS NULL
    FROM outbox AS o LEFT JOIN forwarders AS f ON f.name = o.forwarder
    LEFT JOIN versions AS v ON v.measurement = o.measurement AND v.version = o.version AND v.seq = o.seq
    LEFT JOIN measurements AS m ON m.id = o.measurement ORDER BY o.forwarder, o.measurement"""
_OWED = """SELECT f.name, m.id, m.seq FROM forwarders AS f JOIN measurements AS m
    LEFT JOIN outbox AS o ON o.forwarder = f.name AND o.measurement = m.id
    WHERE o.seq IS NULL AND m.seq <= coalesce(f.left_at, m.seq) AND m.resident IS NOT NULL
      AND m.status IN ('final', 'corrected')
      AND NOT EXISTS (SELECT 1 FROM data_keys WHERE owner = m.resident AND key = ?)"""

_FEWER = """SELECT 1 FROM tally WHERE what = 'outbox' GROUP BY substr(which, 1, instr(which, '/'))
    HAVING sum(n) > (SELECT count(*) FROM outbox WHERE which LIKE forwarder || '/%')"""
_ONCE_OWED = """SELECT DISTINCT f.name, v.measurement, m.seq FROM forwarders AS f
    JOIN versions AS v ON v.status IN ('final', 'corrected') JOIN measurements AS m ON m.id = v.measurement
    LEFT JOIN outbox AS o ON o.forwarder = f.name AND o.measurement = v.measurement
    WHERE o.seq IS NULL AND (m.status NOT IN ('final', 'corrected')
      OR EXISTS (SELECT 1 FROM data_keys WHERE owner = m.resident AND key = ?))"""
"""Rows that were counted and are not there can only be of measurements that once were to be handed over."""


class _Row(NamedTuple):
    forwarder: str
    measurement: str
    seq: int
    version: int
    resident: str
    state: str
    reason: str | None
    receipt: bytes | None
    delivered: int | None
    known: int
    left_at: int | None
    status: str | None
    latest: int | None
    following: int | None
    owner: str | None
    nobody: int
    """Whether nobody is named by that version any more: erased, or back in the tray."""


class _Told(NamedTuple):
    """What facts tell of one row."""

    delivered: set[int]
    receipt: bytes | None
    refused: dict[int, tuple[int, bytes]]
    resent: int


def problems(stored: sqlite3.Connection, mirror: sqlite3.Connection) -> Iterator[Problem]:
    """Yield each row that cannot be, and each that is missing; *mirror* has the table `told`."""
    for found in stored.execute(_ROWS, (ERASED,)):
        row = _Row(*found)
        wrong = _misplaced(row) or _untold(row, _told(mirror, row.forwarder, row.measurement))
        if wrong:
            yield Problem(row.seq, f"outbox {row.forwarder}/{row.measurement}: {wrong}")
    for name, key, seq in stored.execute(_OWED, (ERASED,)):
        yield Problem(seq, f"outbox {name}/{key}: is missing, or forwarders {name} is made up")
    if stored.execute(_FEWER).fetchone() is not None:
        for name, key, seq in stored.execute(_ONCE_OWED, (ERASED,)):
            yield Problem(seq, f"outbox {name}/{key}: is missing")
    for (name,) in stored.execute("SELECT DISTINCT forwarder FROM outbox EXCEPT SELECT name FROM forwarders"):
        yield Problem(0, f"forwarders {name}: is missing")
    top: int = stored.execute("SELECT coalesce(max(seq), 0) FROM versions").fetchone()[0]
    for name, left_at in stored.execute("SELECT name, left_at FROM forwarders"):
        if left_at is not None and not 0 <= left_at <= top:
            yield Problem(0, f"forwarders {name}: left after the last version")


def _told(mirror: sqlite3.Connection, forwarder: str, measurement: str) -> _Told:
    delivered, receipt = set[int](), None
    refused: dict[int, tuple[int, bytes]] = {}
    resent = 0
    for seq, what, version, said in mirror.execute(
        "SELECT seq, what, version, said FROM told WHERE forwarder = ? AND measurement = ? ORDER BY seq",
        (forwarder, measurement),
    ):
        if what == "delivered":
            delivered.add(version)
            receipt = said
        elif what == "refused":
            refused[version] = (seq, said)
        else:
            resent = seq
    return _Told(delivered, receipt, refused, resent)


def _misplaced(row: _Row) -> str | None:
    """Say what does not fit the forwarders and versions there are."""
    if not row.known:
        return "is for a forwarder that there never was"
    if row.status is None:
        return "is not of a version that there is"
    if row.left_at is None and row.seq != row.latest:
        return "is not of the latest version"
    if row.left_at is not None and (
        row.seq > row.left_at or (row.following or row.left_at + 1) <= row.left_at
    ):
        return f"is not of the version that stood when forwarders {row.forwarder} left"
    if row.resident != row.owner:
        return "is of another person"
    return None


def _untold(row: _Row, told: _Told) -> str | None:
    """Say what no fact tells of."""
    if row.delivered != max(told.delivered, default=None) or row.receipt != told.receipt:
        return "what was delivered is not what the facts say"
    refused = row.version in told.refused and told.refused[row.version][0] > told.resent
    match row.state:
        case "delivered":
            right = row.version in told.delivered
        case "parked":
            said = told.refused.get(row.version, (0, b""))[1].decode()
            right = refused and row.reason in {None, said}
        case "held":
            right = row.status != WITHDRAWN and (row.status not in VERIFIED or bool(row.nobody))
        case "waiting":
            ready = row.status == WITHDRAWN or row.status in VERIFIED
            right = ready and not refused and row.version not in told.delivered
        case _:
            right = False
    return None if right else f"cannot be {row.state}"
