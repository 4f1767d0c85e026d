"""From a driver's reading to a measurement: stamp, store, bind, verify, in one transaction.

`Received` is written first and stays, whatever becomes of the rest: binding and judging run inside a nested
savepoint, so a fault in a rule can lose a verdict but never a reading.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from zoneinfo import ZoneInfo

import msgspec

from drivers.catalogue import Driver
from gateway import binding, clock, discretion, times, times_known, verification
from gateway.binding import BindingCase, Decision, OpenExam
from gateway.verification import Case
from protocol.quantities import Quantity
from protocol.readings import PERSONAL, Kind, Measure, Reading
from store.facts import VERIFIED, Bound, Derived, Effective, Instant, Judged, Measurement, Received, Value
from store.journal import Transaction

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Contact:
    """One device at the other end of a link, as far as it is known when it reports.

    `began` is the first sign of the measurement; `clock_offset_s` is device clock minus ours as at `at`, read
    at this contact, None if it was not.
    """

    device: str
    driver: Driver
    serial: str | None
    began: Instant
    clock_offset_s: float | None
    zone: ZoneInfo
    at: Instant | None = None
    """None where our clock cannot have been set since."""

    def offset_at(self, now: Instant) -> float | None:
        """Return device clock minus ours as at *now*."""
        if self.clock_offset_s is None or self.at is None:
            return self.clock_offset_s
        return clock.carried(self.clock_offset_s, self.at, now)


def receive(tx: Transaction, reading: Reading, contact: Contact) -> str:
    """Write *reading* and return its measurement's id; a record read before keeps its id, unwritten."""
    if reading.record is not None:
        known = tx.by_record(contact.device, contact.serial, contact.driver.name, reading.record)
        if known is not None:
            return known.id
    repeats = _repeats(tx, reading, contact)
    measurement = _received(tx, reading, contact)
    try:
        with tx.nested():
            _bind(tx, measurement, _decision(tx, reading, contact))
            judge(
                tx,
                measurement,
                machine_range=contact.driver.machine_range,
                zone=contact.zone,
                repeats=repeats,
            )
    except Exception:
        log.exception("judging failed; the reading is stored", extra={"measurement": measurement})
    return measurement


def _received(tx: Transaction, reading: Reading, contact: Contact) -> str:
    measurement = tx.next_measurement_id(contact.device, contact.serial, contact.driver.name, reading.record)
    frames = [frame.hex() for frame in reading.evidence]
    named = not PERSONAL.isdisjoint(reading.context)
    blank = discretion.open_part(contact.driver, reading.evidence, named=named)
    tx.append(
        Received(
            measurement=measurement,
            device=contact.device,
            driver=contact.driver.name,
            serial=contact.serial,
            reading=reading.kind,
            values=values_of(reading),
            evidence=frames if blank is None else [frame.hex() for frame in blank],
            device_time=reading.device_time,
            sequence=reading.sequence,
            context={name: said for name, said in reading.context.items() if name not in PERSONAL},
            flags=sorted(reading.flags),
            failed=reading.failed,
            stored=reading.stored,
            record=reading.record,
            began=contact.began,
            clock_offset_s=contact.offset_at(tx.now()),
            zone=contact.zone.key,
        ),
        secret=None if blank is None else msgspec.json.encode(frames),
    )
    return measurement


def values_of(reading: Reading) -> dict[str, Value]:
    """Return a reading's values as the journal writes them, digits untouched."""
    return {
        str(measure): Value(format(quantity.value, "f"), quantity.unit, quantity.comparator)
        for measure, quantity in reading.values.items()
    }


def quantities_of(values: Mapping[str, Value]) -> dict[Measure, Quantity]:
    """Return journal values as quantities."""
    return {
        Measure(name): Quantity(Decimal(value.value), value.unit, value.comparator)
        for name, value in values.items()
    }


def _repeats(tx: Transaction, reading: Reading, contact: Contact) -> list[str]:
    """Return earlier measurements with the same values and device time; without a time nothing repeats."""
    if reading.device_time is None or reading.failed:
        return []
    similar = tx.similar(contact.device, reading.kind, values_of(reading))
    return [
        earlier.id
        for earlier in similar
        if earlier.device_time == reading.device_time and earlier.stored == reading.stored
    ]


def repeats_of(measurement: Measurement) -> list[str]:
    """Return which earlier measurements it was found to repeat, to be judged again."""
    found = [finding.detail for finding in measurement.findings if finding.rule == "repeated_report"]
    return [detail.partition("; confirmed by ")[0] for detail in found]


def confirmed_by(measurement: Measurement) -> str | None:
    """Return which person bound it, and so overruled what may be overruled."""
    by = measurement.bound_by or ""
    return by if measurement.exam is not None and not by.startswith("rule:") else None


def _decision(tx: Transaction, reading: Reading, contact: Contact) -> Decision:
    exams = [OpenExam(exam.id, exam.resident, exam.opened, exam.opened_seq) for exam in tx.open_exams()]
    return binding.decide(
        BindingCase(
            stored=reading.stored,
            began=contact.began,
            open_exams=exams,
            pointed=tx.pointed(contact.device),
            latest_order=tx.latest_order(),
        )
    )


def _bind(tx: Transaction, measurement: str, decision: Decision) -> None:
    exam = decision.exam
    tx.append(
        Bound(
            measurement=measurement,
            exam=exam.id if exam else None,
            resident=exam.resident if exam else None,
            by=f"rule:{decision.code}",
            reason=decision.code,
        )
    )


def _there(tx: Transaction, key: str) -> Measurement:
    measurement = tx.measurement(key)
    if measurement is None:
        raise LookupError(key)
    return measurement


def judge(
    tx: Transaction,
    measurement_id: str,
    *,
    machine_range: Mapping[Measure, tuple[Decimal, Decimal]],
    zone: ZoneInfo,
    repeats: list[str],
    confirmed_by: str | None = None,
    was: Effective | None = None,
) -> None:
    """Write the verdict on a measurement as it stands, and the BMI where it completes one.

    Judged again, what was final is corrected, and stays so where its time turns out to be unknown. *was* is
    the time it counted for, where this is done because that is known better now. LookupError: no such one.
    """
    measurement = _there(tx, measurement_id)
    timing = times_known.timing(tx, measurement, zone)
    effective = times.effective(timing)
    bmi = body_mass_index(tx, measurement)
    found = verification.findings(
        Case(
            values=quantities_of(measurement.values),
            failed=measurement.failed,
            machine_range=machine_range,
            effective=effective,
            clock_offset_s=times.device_offset(timing),
            derived=quantities_of({Measure.BMI: bmi.value}) if bmi else {},
            flags=frozenset(measurement.flags),
            fasting=measurement.context.get("fasting") == "yes",
            repeats=repeats,
            confirmed_by=confirmed_by,
            was=was,
        )
    )
    status = verification.status(measurement.exam is not None, found)
    if status == "final" and bmi is not None:
        tx.append(bmi)
    if (status == "final" or was is not None) and measurement.status in VERIFIED:
        status = "corrected"
    tx.append(Judged(measurement=measurement_id, status=status, effective=effective, findings=found))


def body_mass_index(tx: Transaction, measurement: Measurement) -> Derived | None:
    """Return the BMI where this measurement completes height and weight of one exam, else None.

    Judged again, one whose height or weight another's BMI came from already gets none of its own.
    """
    if measurement.kind != Kind.BODY_SIZE or measurement.failed or measurement.exam is None:
        return None
    others = _standing(tx, measurement)
    if any(measurement.id in other.derived_from for other in others):
        return None
    sources: dict[Measure, Measurement] = {}
    for candidate in [*others, measurement]:
        for measure in (Measure.BODY_HEIGHT, Measure.BODY_WEIGHT):
            if measure in candidate.values:
                sources[measure] = candidate
    if measurement.id not in {source.id for source in sources.values()}:
        return None
    height, weight = (
        quantities_of(sources[measure].values)[measure] if measure in sources else None
        for measure in (Measure.BODY_HEIGHT, Measure.BODY_WEIGHT)
    )
    bmi = verification.body_mass_index(height, weight)
    if bmi is None:
        return None
    return Derived(
        measurement=measurement.id,
        measure=Measure.BMI,
        value=Value(format(bmi.value, "f"), bmi.unit),
        sources=sorted({source.id for source in sources.values()}),
    )


def _standing(tx: Transaction, measurement: Measurement) -> list[Measurement]:
    """Return the other final measurements of the same exam, in the order they were received."""
    return [
        other
        for other in tx.measurements_of_exam(measurement.exam or "")
        if other.status in VERIFIED and other.id != measurement.id
    ]
