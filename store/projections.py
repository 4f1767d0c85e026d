"""What facts add up to: the pure fold of one measurement, and the rows that make every query flat."""

import sqlite3
from collections.abc import Callable, Mapping
from hashlib import sha256
from typing import Any

import msgspec

from store import audit, history
from store.exams import Skipped
from store.facts import (
    Bound,
    Corrected,
    Correction,
    Derived,
    DeviceEvent,
    DevicePointed,
    Effective,
    ExamClosed,
    ExamOpened,
    Fact,
    Instant,
    ItemSkipped,
    Judged,
    ManualEntry,
    Measurement,
    Received,
    Reissued,
    Value,
    Voided,
)

AboutMeasurement = Received | ManualEntry | Bound | Judged | Derived | Corrected | Voided | Reissued
NOT_JUDGED = Effective(time=None, quality="unknown", rule="not judged")
encode = msgspec.json.Encoder().encode
replace = msgspec.structs.replace


def fold(measurement: Measurement | None, fact: Fact) -> Measurement:
    """Return *measurement* as it stands after *fact*; pure, `version` and `recorded` stay as they are.

    None only before `Received` and `ManualEntry`; `Reissued` folds onto the measurement it takes over and
    gives a new one. A fact about something else changes nothing. What was withdrawn stays withdrawn.
    """
    body = fact.body
    begin = _BEGINS.get(type(body))
    if begin is not None:
        return begin(body, fact)
    if measurement is None:
        raise ValueError(f"fact {fact.seq} is about a measurement nobody received")
    change = _CHANGES.get(type(body))
    return change(measurement, body, fact.at) if change is not None else measurement


def _received(body: Received, fact: Fact) -> Measurement:
    frames = b"".join(map(bytes.fromhex, [*body.evidence, body.sealed or ""]))
    return Measurement(
        id=body.measurement,
        version=0,
        status="preliminary",
        kind=body.reading,
        values=body.values,
        failed=body.failed,
        source="machine",
        device=body.device,
        driver=body.driver,
        serial=body.serial,
        sequence=body.sequence,
        record=body.record,
        stored=body.stored,
        context=body.context,
        flags=body.flags,
        device_time=body.device_time,
        clock_offset_s=body.clock_offset_s,
        began=body.began,
        received=fact.at,
        recorded=fact.at,
        effective=NOT_JUDGED,
        evidence_sha256=sha256(frames).hexdigest(),
        received_seq=fact.seq,
    )


def _typed(body: ManualEntry, fact: Fact) -> Measurement:
    return Measurement(
        id=body.measurement,
        version=0,
        status="preliminary",
        kind=body.reading,
        values=body.values,
        source="manual",
        device=None,
        driver=None,
        serial=None,
        exam=body.exam,
        resident=body.resident,
        bound_by=body.operator,
        bind_reason=body.reason,
        bound=fact.at,
        began=fact.at,
        received=fact.at,
        recorded=fact.at,
        effective=NOT_JUDGED,
        received_seq=fact.seq,
    )


def _reissued(old: Measurement, body: Reissued, _at: Instant) -> Measurement:
    return replace(
        old,
        id=body.measurement,
        version=0,
        status="preliminary",
        derived={},
        derived_from=[],
        findings=[],
        effective=NOT_JUDGED,
        exam=None,
        resident=None,
        bound=None,
        bound_by=body.by,
        bind_reason=body.reason,
        replaces=old.id,
        replaced_by=None,
    )


def _bound(measurement: Measurement, body: Bound, at: Instant) -> Measurement:
    """Bind; for another person than before, verdict and derived values no longer hold."""
    bound = replace(
        measurement,
        exam=body.exam,
        resident=body.resident,
        bound_by=body.by,
        bind_reason=body.reason,
        bound=at if body.resident is not None else None,
    )
    if body.resident == measurement.resident or measurement.status == "entered-in-error":
        return bound
    return replace(bound, status="preliminary", derived={}, derived_from=[])


def _judged(measurement: Measurement, body: Judged, _at: Instant) -> Measurement:
    status = "entered-in-error" if measurement.status == "entered-in-error" else body.status
    return replace(measurement, status=status, effective=body.effective, findings=body.findings)


def _derived(measurement: Measurement, body: Derived, _at: Instant) -> Measurement:
    sources = [
        *measurement.derived_from,
        *(one for one in body.sources if one not in measurement.derived_from),
    ]
    return replace(
        measurement, derived={**measurement.derived, body.measure: body.value}, derived_from=sources
    )


def _corrected(measurement: Measurement, body: Corrected, at: Instant) -> Measurement:
    """Take a person's values, with what was measured beside them; what was derived no longer holds."""
    status = "corrected" if measurement.status == "final" else measurement.status
    corrected = replace(measurement, values=body.values, status=status, derived={}, derived_from=[])
    if body.measured is None:
        return corrected
    return replace(corrected, correction=Correction(body.operator, body.reason, at, body.measured))


def _voided(measurement: Measurement, body: Voided, _at: Instant) -> Measurement:
    return replace(measurement, status="entered-in-error", replaced_by=body.replaced_by)


_BEGINS: Mapping[type, Callable[[Any, Fact], Measurement]] = {Received: _received, ManualEntry: _typed}
_CHANGES: Mapping[type, Callable[[Measurement, Any, Instant], Measurement]] = {
    Reissued: _reissued,
    Bound: _bound,
    Judged: _judged,
    Derived: _derived,
    Corrected: _corrected,
    Voided: _voided,
}


def likeness(kind: str, values: dict[str, Value]) -> int:
    """Return 63 bits that are equal for equal values of one kind; finds candidates, proves nothing."""
    canonical = encode([kind, sorted((name, v.value, v.unit, v.comparator) for name, v in values.items())])
    return int.from_bytes(sha256(canonical).digest()[:8], "big") >> 1


def settle(connection: sqlite3.Connection, measurement: Measurement, seq: int) -> None:
    """Write the row by which a measurement is found, as it stands with the version at *seq*."""
    machine = measurement.source == "machine"
    connection.execute(
        """INSERT INTO measurements VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE
           SET seq = excluded.seq, status = excluded.status, exam = excluded.exam,
               resident = excluded.resident, likeness = excluded.likeness""",
        (
            measurement.id,
            seq,
            measurement.received_seq,
            measurement.status,
            measurement.kind,
            measurement.device,
            measurement.exam,
            measurement.resident,
            likeness(measurement.kind, measurement.values) if machine else None,
        ),
    )


def project(connection: sqlite3.Connection, fact: Fact) -> None:
    """Write the rows that *fact* means for exams, devices and records, and by which an audit finds it."""
    audit.note(connection, fact)
    write = _WRITERS.get(type(fact.body))
    if write is not None:
        write(connection, fact)


def _record(connection: sqlite3.Connection, fact: Fact) -> None:
    body = fact.body
    assert isinstance(body, Received)
    connection.execute(
        """INSERT INTO devices(name, serial, heard) VALUES (?, ?, ?) ON CONFLICT (name) DO UPDATE
           SET heard = excluded.heard, serial = coalesce(excluded.serial, serial)""",
        (body.device, body.serial, encode(fact.at)),
    )
    history.note(connection, fact)
    if body.record is not None:
        connection.execute(
            "INSERT INTO records VALUES (?, ?, ?, ?, ?)",
            (body.driver, body.record, body.measurement, body.device, body.serial),
        )


def _event(connection: sqlite3.Connection, fact: Fact) -> None:
    body = fact.body
    assert isinstance(body, DeviceEvent)
    connection.execute("INSERT INTO device_events VALUES (?, ?)", (body.device, fact.seq))
    history.note(connection, fact)
    if body.code == history.CLOCK_READ:  # the one event that is the device's own word: it was heard
        connection.execute(
            """INSERT INTO devices(name, heard) VALUES (?, ?)
               ON CONFLICT (name) DO UPDATE SET heard = excluded.heard""",
            (body.device, encode(fact.at)),
        )


def _pointed(connection: sqlite3.Connection, fact: Fact) -> None:
    body = fact.body
    assert isinstance(body, DevicePointed)
    connection.execute(
        """INSERT INTO devices(name, pointed) VALUES (?, ?)
           ON CONFLICT (name) DO UPDATE SET pointed = excluded.pointed""",
        (body.device, body.exam),
    )


def _opened(connection: sqlite3.Connection, fact: Fact) -> None:
    body = fact.body
    assert isinstance(body, ExamOpened)
    connection.execute(
        "INSERT INTO exams(id, resident, operator, opened, opened_seq) VALUES (?, ?, ?, ?, ?)",
        (body.exam, body.resident, body.operator, encode(fact.at), fact.seq),
    )


def _closed(connection: sqlite3.Connection, fact: Fact) -> None:
    body = fact.body
    assert isinstance(body, ExamClosed)
    connection.execute(
        "UPDATE exams SET closed = ? WHERE id = ? AND closed IS NULL", (encode(fact.at), body.exam)
    )


def _skipped(connection: sqlite3.Connection, fact: Fact) -> None:
    body = fact.body
    assert isinstance(body, ItemSkipped)
    item = Skipped(reading=body.reading, reason=body.reason, operator=body.operator)
    connection.execute("INSERT INTO skipped VALUES (?, ?, ?)", (body.exam, fact.seq, encode(item)))


_WRITERS: dict[type, Callable[[sqlite3.Connection, Fact], None]] = {
    Received: _record,
    DeviceEvent: _event,
    DevicePointed: _pointed,
    ExamOpened: _opened,
    ExamClosed: _closed,
    ItemSkipped: _skipped,
}
