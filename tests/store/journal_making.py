"""Facts, persons and an opened journal for the tests of the store; persons here were born in the 1800s."""

import itertools
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from store.facts import Bound, Effective, ExamOpened, Fact, Instant, Judged, Received, Status, Value
from store.journal import Journal, Transaction
from store.residents import Identifier

BOOT = "8a1f2c5e-0000-4000-8000-000000000001"
START = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)


def ticking() -> Callable[[], Instant]:
    """Return a clock that goes on by a second each time it is asked."""
    seconds = itertools.count()

    def now() -> Instant:
        second = next(seconds)
        return Instant(START + timedelta(seconds=second), second * 10**9, BOOT, False)

    return now


def opened(
    folder: Path,
    forwarders: Sequence[str] = ("fhir",),
    gateway: str = "gw-1",
    on_commit: Callable[[Sequence[Fact]], None] = lambda facts: None,
) -> Journal:
    """Open the journal of a folder."""
    return Journal.open(
        folder / "state" / "journal.db",
        gateway=gateway,
        now=ticking(),
        forwarders=forwarders,
        on_commit=on_commit,
    )


def pressure(systolic: int = 120) -> dict[str, Value]:
    """Return the values of one blood pressure."""
    return {
        "systolic": Value(str(systolic), "mm[Hg]"),
        "diastolic": Value("80", "mm[Hg]"),
        "pulse_rate": Value("72", "/min"),
    }


def heard(
    tx: Transaction,
    values: dict[str, Value] | None = None,
    *,
    device: str = "bp",
    record: str | None = None,
    serial: str | None = None,
    reading: str = "blood_pressure",
) -> str:
    """Append what a device said, as the gateway does; return the measurement's id."""
    key = tx.next_measurement_id(device, serial, "omron_hbp", record)
    tx.append(
        Received(
            measurement=key,
            device=device,
            driver="omron_hbp",
            serial=serial,
            reading=reading,
            values=pressure() if values is None else values,
            evidence=["0212", "03"],
            device_time=datetime(2026, 3, 2, 16, 0),
            sequence=None,
            context={},
            flags=[],
            failed=None,
            stored=record is not None,
            record=record,
            began=tx.now(),
            clock_offset_s=None,
        )
    )
    return key


def bound(tx: Transaction, key: str, exam: str | None) -> None:
    """Bind a measurement to an exam's resident, or to nobody."""
    found = tx.exam(exam) if exam else None
    tx.append(
        Bound(
            measurement=key,
            exam=exam,
            resident=found.resident if found else None,
            by="rule:one_open",
            reason="one exam is open",
        )
    )


def judged(tx: Transaction, key: str, status: Status = "final") -> None:
    """Give the verdict."""
    effective = Effective(tx.now().utc, "gateway_unsynchronised", "live")
    tx.append(Judged(measurement=key, status=status, effective=effective, findings=[]))


def visit(tx: Transaction, number: str = "110101189001010016", name: str = "张试") -> str:
    """Open an exam of the resident with this number."""
    resident = tx.resident_for([Identifier("cn-id", number)], name, "male", "1890-01-01")
    exam = f"e-{tx.next_id}"
    tx.append(ExamOpened(exam=exam, resident=resident.id, operator="doctor"))
    return exam


def final(tx: Transaction, exam: str, values: dict[str, Value] | None = None) -> str:
    """Receive, bind and judge one measurement."""
    key = heard(tx, values)
    bound(tx, key, exam)
    judged(tx, key)
    return key
