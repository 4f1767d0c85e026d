"""What each forwarder still has to hand over: one row a measurement, its latest version, in journal order.

A version that ever waited may have been sent (an answer can be lost), so its withdrawal is always sent too.
"""

import sqlite3
from collections.abc import Mapping, Sequence
from typing import Literal

import msgspec

from store import rows, vault
from store.facts import VERIFIED, Instant, Measurement
from store.residents import Resident, Unnamed
from store.vault import ERASED, Ring

State = Literal["waiting", "parked", "delivered"]
DELIVERY = "SELECT forwarder, measurement, version, state, attempts, reason, receipt, seq FROM outbox"
IN_FORCE = "SELECT name FROM forwarders WHERE left_at IS NULL ORDER BY name"
_decode_receipt = msgspec.json.Decoder(dict[str, str]).decode


class Due(msgspec.Struct, frozen=True):
    """One version that waits; `receipt` is what the other side gave for an earlier one, else empty.

    `resident` is who it was queued for, `Unnamed` only where they were erased, and then it is a withdrawal;
    `sources` are the measurements a derived value came from.
    """

    measurement: Measurement
    resident: Resident
    receipt: dict[str, str]
    sources: list[Measurement]
    attempts: int


class Delivery(msgspec.Struct, frozen=True):
    """The state of one measurement at one forwarder; `reason` is the other side's, where it said no."""

    forwarder: str
    measurement: str
    version: int
    state: State
    attempts: int
    reason: str | None
    receipt: dict[str, str]


class Counts(msgspec.Struct, frozen=True):
    """A forwarder's numbers now; `oldest_waiting` is when the version that waits longest was recorded."""

    waiting: int
    parked: int
    delivered: int
    oldest_waiting: Instant | None


def register(connection: sqlite3.Connection, forwarders: Sequence[str]) -> None:
    """Make these the forwarders in force; one that is new, or back, is owed everything it missed."""
    top: int = connection.execute("SELECT coalesce(max(seq), 0) FROM versions").fetchone()[0]
    known: dict[str, int | None] = dict(connection.execute("SELECT name, left_at FROM forwarders"))
    for name in known.keys() - set(forwarders):
        connection.execute("UPDATE forwarders SET left_at = coalesce(left_at, ?) WHERE name = ?", (top, name))
    for name in forwarders:
        missed_from = known.get(name, 0)
        if missed_from is not None:
            _catch_up(connection, name, missed_from)
            connection.execute("INSERT OR REPLACE INTO forwarders(name, left_at) VALUES (?, NULL)", (name,))


def _catch_up(connection: sqlite3.Connection, forwarder: str, after: int) -> None:
    rows_ = connection.execute(
        """SELECT v.document, v.resident, v.seq FROM versions AS v JOIN measurements AS m ON m.seq = v.seq
           AND m.id = v.measurement WHERE v.seq > ? ORDER BY v.seq""",
        (after,),
    ).fetchall()
    for document, resident, seq in rows_:
        queue(connection, (forwarder,), rows.restored(document, resident), seq)


def queue(
    connection: sqlite3.Connection, forwarders: Sequence[str], measurement: Measurement, seq: int
) -> None:
    """Let the version at *seq* be the one that stands: final and corrected wait, a preliminary one holds.

    A withdrawal waits only where an earlier version waited once. Of a person who was erased nothing is sent
    but withdrawals.
    """
    owner = measurement.resident
    ready = measurement.status in VERIFIED and owner is not None and not vault.is_erased(connection, owner)
    for forwarder in forwarders:
        if ready:
            connection.execute(
                """INSERT INTO outbox(forwarder, measurement, seq, version, resident, state)
                   VALUES (?, ?, ?, ?, ?, 'waiting') ON CONFLICT (forwarder, measurement) DO UPDATE
                   SET seq = excluded.seq, version = excluded.version, resident = excluded.resident,
                       state = 'waiting', attempts = 0, reason = NULL""",
                (forwarder, measurement.id, seq, measurement.version, measurement.resident),
            )
        elif measurement.version > 1:  # a first version has no row yet
            state = "waiting" if measurement.status == "entered-in-error" else "held"
            connection.execute(
                """UPDATE outbox SET seq = ?, version = ?, state = ?, attempts = 0, reason = NULL
                   WHERE forwarder = ? AND measurement = ?""",
                (seq, measurement.version, state, forwarder, measurement.id),
            )


def attempted(
    connection: sqlite3.Connection, forwarder: str, measurement: str, version: int, error: str
) -> int:
    """Count one more refusal of a waiting version; return how many it had, 0 if it no longer waits."""
    row: tuple[int] | None = connection.execute(
        """UPDATE outbox SET attempts = attempts + 1, reason = ?
           WHERE forwarder = ? AND measurement = ? AND version = ? AND state = 'waiting'
           RETURNING attempts""",
        (error, forwarder, measurement, version),
    ).fetchone()
    return row[0] if row else 0


def known(
    connection: sqlite3.Connection, forwarder: str, measurement: str
) -> tuple[str, int, int | None] | None:
    """Return (state, version, version delivered last) of one row."""
    row: tuple[str, int, int | None] | None = connection.execute(
        "SELECT state, version, delivered_version FROM outbox WHERE forwarder = ? AND measurement = ?",
        (forwarder, measurement),
    ).fetchone()
    return row


def delivered(
    connection: sqlite3.Connection,
    forwarder: str,
    measurement: str,
    version: int,
    receipt: Mapping[str, str] | None,
) -> None:
    """Keep the receipt, if there is a new one; the row is settled unless a newer version came meanwhile."""
    connection.execute(
        """UPDATE outbox SET receipt = coalesce(?1, receipt),
               delivered_version = max(coalesce(delivered_version, 0), ?2),
               state = CASE WHEN version = ?2 THEN 'delivered' ELSE state END,
               reason = CASE WHEN version = ?2 THEN NULL ELSE reason END
           WHERE forwarder = ?3 AND measurement = ?4""",
        (
            msgspec.json.encode(dict(receipt)) if receipt is not None else None,
            version,
            forwarder,
            measurement,
        ),
    )


def parked(
    connection: sqlite3.Connection, forwarder: str, measurement: str, version: int, reason: str
) -> None:
    """Take a refused version out of the queue until a person sends it again or a newer one comes."""
    connection.execute(
        """UPDATE outbox SET state = 'parked', reason = ?
           WHERE forwarder = ? AND measurement = ? AND version = ? AND state = 'waiting'""",
        (reason, forwarder, measurement, version),
    )


def resend(connection: sqlite3.Connection, forwarder: str, measurement: str) -> bool:
    """Let a parked row wait again with a clean count; False where nothing is parked."""
    changed = connection.execute(
        """UPDATE outbox SET state = 'waiting', attempts = 0
           WHERE forwarder = ? AND measurement = ? AND state = 'parked'""",
        (forwarder, measurement),
    )
    return changed.rowcount == 1


def hold_back(connection: sqlite3.Connection, resident: str) -> None:
    """Send nothing more of a resident but withdrawals, and forget what the other side answered."""
    rows_ = connection.execute("SELECT DISTINCT id FROM measurements WHERE resident = ?", (resident,))
    for (measurement,) in rows_.fetchall():
        connection.execute("UPDATE outbox SET reason = NULL WHERE measurement = ?", (measurement,))
        connection.execute(
            """UPDATE outbox SET state = 'held' WHERE measurement = ?1 AND state IN ('waiting', 'parked')
               AND EXISTS (SELECT 1 FROM measurements WHERE id = ?1 AND status <> 'entered-in-error')""",
            (measurement,),
        )


def due(connection: sqlite3.Connection, ring: Ring, forwarder: str, limit: int) -> list[Due]:
    """Return what waits longest for *forwarder*, oldest version first.

    What belongs to somebody whose key is not at hand goes on waiting: nothing is sent under another name.
    """
    found: list[_DueRow] = connection.execute(
        """SELECT v.document, v.resident, o.receipt, o.attempts, p.id, k.key, k.wrapped, p.sealed
           FROM outbox AS o JOIN versions AS v ON v.seq = o.seq JOIN persons AS p ON p.id = o.resident
           JOIN data_keys AS k ON k.owner = p.id
           WHERE o.forwarder = ? AND o.state = 'waiting' AND k.key IN (SELECT value FROM json_each(?))
           ORDER BY o.seq LIMIT ?""",
        (forwarder, msgspec.json.encode([ERASED, *ring.keys]).decode(), limit),
    ).fetchall()
    people = [vault.person(ring, row[4:]) for row in found]
    return [
        _due(connection, row, person)
        for row, person in zip(found, people, strict=True)
        if not (isinstance(person, Unnamed) and person.hidden != "erased")
    ]


_DueRow = tuple[bytes, str | None, bytes | None, int, str, str, bytes, bytes]


def _due(connection: sqlite3.Connection, row: _DueRow, person: Resident) -> Due:
    document, key, receipt, attempts, *_ = row
    measurement = rows.restored(document, key)
    sources = (rows.measurement(connection, one) for one in measurement.derived_from)
    return Due(
        measurement=measurement,
        resident=person,
        receipt=_decode_receipt(receipt) if receipt else {},
        sources=[one for one in sources if one is not None],
        attempts=attempts,
    )


def deliveries(connection: sqlite3.Connection, state: State, limit: int) -> list[Delivery]:
    """Return rows in one state: what waits longest first, what is settled newest first."""
    # The partial indices fit only where the statement itself names the state it leaves out.
    waiting = state == "waiting"
    which = "state = 'waiting' AND ?2 = 'waiting'" if waiting else "state <> 'waiting' AND state = ?2"
    order = "ASC" if waiting else "DESC"
    sql = f"{DELIVERY} WHERE forwarder = ?1 AND {which} ORDER BY seq {order} LIMIT ?3"
    found: list[tuple[str, str, int, State, int, str | None, bytes | None, int]] = []
    for (name,) in connection.execute(IN_FORCE).fetchall():
        found += connection.execute(sql, (name, state, limit)).fetchall()
    found.sort(key=lambda row: row[-1], reverse=not waiting)
    return [Delivery(*row[:6], receipt=_decode_receipt(row[6]) if row[6] else {}) for row in found[:limit]]


def counts(connection: sqlite3.Connection) -> dict[str, Counts]:
    """Return every forwarder's numbers."""
    tally: dict[str, int] = dict(connection.execute("SELECT which, n FROM tally WHERE what = 'outbox'"))
    names = [row[0] for row in connection.execute(IN_FORCE)]
    return {
        name: Counts(
            waiting=tally.get(f"{name}/waiting", 0),
            parked=tally.get(f"{name}/parked", 0),
            delivered=tally.get(f"{name}/delivered", 0),
            oldest_waiting=_oldest(connection, name),
        )
        for name in names
    }


def _oldest(connection: sqlite3.Connection, forwarder: str) -> Instant | None:
    row: tuple[bytes] | None = connection.execute(
        """SELECT f.at FROM outbox AS o JOIN facts AS f ON f.seq = o.seq
           WHERE o.forwarder = ? AND o.state = 'waiting' ORDER BY o.seq LIMIT 1""",
        (forwarder,),
    ).fetchone()
    return rows.decode_instant(row[0]) if row else None
