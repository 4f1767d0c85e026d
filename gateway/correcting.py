"""A person states other values for a measurement: all or nothing, and the machine's own stay beside them.

What was computed from the old values is computed anew, on whatever measurement it stands. Undoing is another
correction.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from zoneinfo import ZoneInfo

from msgspec import UnsetType

from drivers import catalogue
from gateway import receiving, verification
from gateway.verification import Case
from protocol.errors import RequestRefused
from protocol.readings import Measure
from store.facts import VERIFIED, Corrected, Measurement, Value
from store.journal import Transaction

NUMBER = re.compile(r"\d{1,4}(\.\d{1,3})?")
SIZE = frozenset({Measure.BODY_HEIGHT, Measure.BODY_WEIGHT})
NONSENSE: Mapping[str, str] = {
    "machine_range": "correct.range",
    "systolic_over_diastolic": "correct.contradiction",
    "plausible_range": "correct.unusual",
}
"""Rules by which stated values are refused, and the code that says so."""


@dataclass(frozen=True, slots=True)
class Correction:
    """What a person states: digits by measure, and the unit where they name it.

    `unusual`: they looked again and it is right although people hardly have such a value.
    """

    values: Mapping[str, str]
    units: Mapping[str, str]
    operator: str
    reason: str
    unusual: bool = False


def correct(tx: Transaction, measurement_id: str, asked: Correction, zone: ZoneInfo) -> str:
    """Give a final measurement the values a person states, and a new verdict; return its id.

    Only what it measured can be corrected, in the unit it has. Codes `measurement.unknown`, `correct.…`.
    """
    if not asked.reason.strip():
        raise RequestRefused("say why", code="correct.reason")
    measurement = tx.measurement(measurement_id)
    if measurement is None or measurement.status == "entered-in-error":
        raise RequestRefused(measurement_id, code="measurement.unknown")
    if measurement.status not in VERIFIED:
        raise RequestRefused(measurement_id, code="correct.not_final")
    values = _stated(measurement, asked)
    _must_make_sense(measurement, values, unusual=asked.unusual)
    based_on_it = _based_on(tx, measurement)
    before = measurement.correction
    tx.append(
        Corrected(
            measurement=measurement_id,
            values=values,
            operator=asked.operator,
            reason=asked.reason.strip(),
            measured=measurement.values if isinstance(before, UnsetType) else before.measured,
        )
    )
    _judge_again(tx, measurement, asked.operator, zone)
    for other in based_on_it:
        _judge_again(tx, other, receiving.confirmed_by(other), zone)
    return measurement_id


def _stated(measurement: Measurement, asked: Correction) -> dict[str, Value]:
    """Return all values as they are to stand. A BMI that the machine computed from what was wrong goes."""
    values = dict(measurement.values)
    for name, digits in asked.values.items():
        if name not in values:
            raise RequestRefused(name, code="correct.measure")
        before = values[name]
        if asked.units.get(name, before.unit) != before.unit:
            raise RequestRefused(f"{name} is in {before.unit}", code="correct.unit")
        value = Value(_digits(digits, before.unit), before.unit)
        # The same number written with other digits is no correction.
        if before.comparator or Decimal(value.value) != Decimal(before.value):
            values[name] = value
    changed = {name for name, value in values.items() if value != measurement.values[name]}
    if not changed:
        raise RequestRefused("nothing differs", code="correct.nothing")
    if changed & SIZE and Measure.BMI not in changed:
        values.pop(Measure.BMI, None)
    return values


def _digits(text: str, unit: str) -> str:
    """Return a number as it was typed. Raises RequestRefused `correct.number` where it can be none."""
    digits = text.strip().replace("。", ".").replace("．", ".")
    if not digits.isascii() or not NUMBER.fullmatch(digits) or not Decimal(digits):
        raise RequestRefused("not a number", code="correct.number")
    if unit == "%" and Decimal(digits) > 100:
        raise RequestRefused("more than the whole", code="correct.number")
    return digits


def _must_make_sense(measurement: Measurement, values: dict[str, Value], *, unusual: bool) -> None:
    """Refuse what the rules say of the values alone, with the rule's own code and detail."""
    stated = {name: value for name, value in values.items() if value != measurement.values.get(name)}
    for found in verification.findings(_case(measurement, values)):
        about = found.detail.partition(" ")[0]
        alone = found.rule in {"machine_range", "plausible_range"}
        if alone and about not in stated:
            continue
        if found.rule in NONSENSE and not (unusual and found.rule == "plausible_range"):
            raise RequestRefused(found.detail, code=NONSENSE[found.rule])


def _case(measurement: Measurement, values: dict[str, Value]) -> Case:
    driver = catalogue.every().get(measurement.driver or "")
    return Case(
        values=receiving.quantities_of(values),
        failed=None,
        machine_range=driver.machine_range if driver else {},
        effective=measurement.effective,
        clock_offset_s=None,
    )


def _based_on(tx: Transaction, measurement: Measurement) -> list[Measurement]:
    """Return the other measurements of this exam that hold something computed from this one."""
    return [
        other
        for other in tx.measurements_of_exam(measurement.exam or "")
        if measurement.id in other.derived_from and other.id != measurement.id and other.status in VERIFIED
    ]


def _judge_again(tx: Transaction, before: Measurement, confirmed_by: str | None, zone: ZoneInfo) -> None:
    """Judge a measurement that stood."""
    driver = catalogue.every().get(before.driver or "")
    receiving.judge(
        tx,
        before.id,
        machine_range=driver.machine_range if driver else {},
        zone=zone,
        repeats=receiving.repeats_of(before),
        confirmed_by=confirmed_by,
    )
