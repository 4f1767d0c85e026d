"""What the verification rules say of a reading: pure functions from a case to findings.

Three layers (STANDARDS §9): outside the machine's own range = not measured by this machine (blocking);
urgent = act now; high or low = said. The last two never hold a value back. Numbers: `rules/*.toml`, dated.
"""

import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import ROUND_HALF_UP, Decimal
from functools import cache
from importlib import resources
from typing import Any

from protocol.quantities import Quantity
from protocol.readings import Measure
from store.facts import Effective, Finding, Severity, Status

KG_PER_LB = Decimal("0.45359237")
QUESTIONABLE = "questionable"
"""The flag under which a driver tells that the machine doubts its own value."""
CONFIRMABLE = frozenset({"systolic_over_diastolic", "repeated_report", "doubted_by_machine"})
"""Blocking findings a person may overrule with a reason: the machine did say so."""


@dataclass(frozen=True, slots=True)
class Case:
    """One reading and what surrounds it.

    `repeats` are earlier measurements equal in device, device time and values.
    """

    values: Mapping[Measure, Quantity]
    failed: str | None
    machine_range: Mapping[Measure, tuple[Decimal, Decimal]]
    effective: Effective
    clock_offset_s: float | None
    derived: Mapping[Measure, Quantity] = field(default_factory=dict)
    """What we computed from measured values; judged by the clinical thresholds only."""
    flags: frozenset[str] = frozenset()
    fasting: bool = False
    """Whether a person said that the glucose was fasting."""
    repeats: Sequence[str] = ()
    was: Effective | None = None
    """The time it counted for until now, where this is judged because its time is known better."""
    confirmed_by: str | None = None
    """Who overruled the confirmable findings, if somebody did."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule: what it looks at, how severe a finding of it is, and the function."""

    name: str
    severity: Severity
    check: Callable[[Case], Iterator[str]]
    about: str


def numbers() -> Mapping[str, Any]:
    """Return the dated numbers of `rules/plausibility.toml`."""
    return _table("plausibility.toml")


def clinical() -> Mapping[str, Any]:
    """Return the dated thresholds of `rules/clinical.toml`."""
    return _table("clinical.toml")


@cache
def _table(name: str) -> Mapping[str, Any]:
    return tomllib.loads(resources.files("gateway.rules").joinpath(name).read_text(encoding="utf-8"))


def measurement_failed(case: Case) -> Iterator[str]:
    """The device says that it could not measure."""
    if case.failed:
        yield case.failed


def doubted_by_machine(case: Case) -> Iterator[str]:
    """The machine itself marks the value as questionable (a parity or memory fault)."""
    if QUESTIONABLE in case.flags:
        yield QUESTIONABLE


def machine_range(case: Case) -> Iterator[str]:
    """A value outside the machine's own measuring range was not measured by it."""
    for measure, (low, high) in case.machine_range.items():
        quantity = case.values.get(measure)
        if quantity and not quantity.comparator and not low <= quantity.value <= high:
            yield f"{measure} {quantity.value} {quantity.unit}, machine measures {low} to {high}"


def plausible_range(case: Case) -> Iterator[str]:
    """A value people do not have: measure again; kept and forwarded with the finding."""
    for measure, quantity in case.values.items():
        low, high = map(Decimal, numbers()["range"].get(measure, ("-Infinity", "Infinity")))
        if quantity.unit in {"mm[Hg]", "cm", "kg", "mmol/L"} and not low <= quantity.value <= high:
            yield f"{measure} {quantity.value} {quantity.unit}, expected {low} to {high}"


def systolic_over_diastolic(case: Case) -> Iterator[str]:
    """Systolic pressure is above diastolic, with the mean between them where it was sent."""
    systolic, diastolic = case.values.get(Measure.SYSTOLIC), case.values.get(Measure.DIASTOLIC)
    if systolic and diastolic and systolic.value <= diastolic.value:
        yield f"systolic {systolic.value}, diastolic {diastolic.value}"
    mean = case.values.get(Measure.MEAN_PRESSURE)
    if systolic and diastolic and mean and not diastolic.value <= mean.value <= systolic.value:
        yield f"mean {mean.value} outside {diastolic.value} to {systolic.value}"


def pulse_pressure(case: Case) -> Iterator[str]:
    """Systolic and diastolic pressure lie unusually close together."""
    systolic, diastolic = case.values.get(Measure.SYSTOLIC), case.values.get(Measure.DIASTOLIC)
    if systolic and diastolic and systolic.unit == "mm[Hg]":
        difference = systolic.value - diastolic.value
        if 0 < difference < Decimal(numbers()["pulse_pressure"]["least"]):
            yield f"{difference} {systolic.unit}"


def bmi_mismatch(case: Case) -> Iterator[str]:
    """The BMI the machine sent is not the one of the height and weight it sent."""
    sent = case.values.get(Measure.BMI)
    ours = body_mass_index(case.values.get(Measure.BODY_HEIGHT), case.values.get(Measure.BODY_WEIGHT))
    if sent and ours and abs(sent.value - ours.value) > Decimal(numbers()["bmi"]["difference"]):
        yield f"machine {sent.value}, computed {ours.value}"


def time_unknown(case: Case) -> Iterator[str]:
    """No time can be trusted for this reading."""
    if case.effective.quality == "unknown":
        yield case.effective.rule


def time_unsynchronised(case: Case) -> Iterator[str]:
    """The box's clock was not synchronised; the time is marked to be verified."""
    if case.effective.quality == "gateway_unsynchronised":
        yield _between(case.effective)


def _between(told: Effective) -> str:
    if told.earliest is None and told.latest is None:
        return told.rule
    limits = (
        moment.isoformat(timespec="seconds") if moment else "…" for moment in (told.earliest, told.latest)
    )
    return f"{told.rule}: {' to '.join(limits)}"


def time_corrected(case: Case) -> Iterator[str]:
    """Our clock was set after this was received; its time is known better now and was changed."""
    if case.was is not None:
        before = case.was.time.isoformat(timespec="seconds") if case.was.time else "not known"
        yield f"was {before}, {case.was.rule}"


def device_clock_off(case: Case) -> Iterator[str]:
    """The device's clock is off; its own time is kept beside ours."""
    off = case.clock_offset_s
    if off is not None and abs(off) > tolerance_s():
        yield f"{off:+.0f} s"


def repeated_report(case: Case) -> Iterator[str]:
    """The same device reported the same values with the same device time before."""
    yield from case.repeats


def urgent_high(case: Case) -> Iterator[str]:
    """A value so high that somebody must act now."""
    yield from _beyond("urgent_high", case)


def urgent_low(case: Case) -> Iterator[str]:
    """A value so low that somebody must act now."""
    yield from _beyond("urgent_low", case)


def high(case: Case) -> Iterator[str]:
    """A value above the usual range, not urgent."""
    if not any(_beyond("urgent_high", case)):
        yield from _beyond("high", case)


def low(case: Case) -> Iterator[str]:
    """A value below the usual range, not urgent."""
    if not any(_beyond("urgent_low", case)):
        yield from _beyond("low", case)


def _beyond(level: str, case: Case) -> Iterator[str]:
    """Yield each measured or derived value beyond a threshold of this level, with the threshold."""
    values = {**case.values, **case.derived}
    for row in clinical()[level]:
        quantity = values.get(row["measure"])
        if quantity is None or quantity.unit != row["unit"]:
            continue
        if row["measure"] == Measure.BMI and Measure.BMI not in case.derived:
            continue  # the machine's own BMI is information, never the basis of a judgement
        if row.get("fasting") and not case.fasting:
            continue
        if limit := _crossed(row, quantity.value):
            yield f"{row['measure']} {quantity.value} {quantity.unit}, {limit}"


def _crossed(row: Mapping[str, Any], value: Decimal) -> str:
    """Return the limit of *row* that *value* is at or beyond, in words; empty where it is not."""
    if "at_least" in row and value >= Decimal(row["at_least"]):
        return f"high from {row['at_least']}"
    if "at_most" in row and value <= Decimal(row["at_most"]):
        return f"low to {row['at_most']}"
    return f"low below {row['below']}" if "below" in row and value < Decimal(row["below"]) else ""


def _rule(check: Callable[[Case], Iterator[str]], severity: Severity) -> Rule:
    about = (check.__doc__ or "").strip()
    return Rule(check.__name__, severity, check, about)


RULES: tuple[Rule, ...] = (
    _rule(measurement_failed, "blocking"),
    _rule(doubted_by_machine, "blocking"),
    _rule(machine_range, "blocking"),
    _rule(systolic_over_diastolic, "blocking"),
    _rule(repeated_report, "blocking"),
    _rule(time_unknown, "blocking"),
    _rule(plausible_range, "warning"),
    _rule(pulse_pressure, "warning"),
    _rule(bmi_mismatch, "warning"),
    _rule(urgent_high, "warning"),
    _rule(urgent_low, "warning"),
    _rule(high, "note"),
    _rule(low, "note"),
    _rule(time_unsynchronised, "note"),
    _rule(time_corrected, "note"),
    _rule(device_clock_off, "note"),
)


def findings(case: Case) -> list[Finding]:
    """Return what every rule has to say, in the order of `RULES`; a confirmed finding blocks no more."""
    return [_finding(rule, detail, case.confirmed_by) for rule in RULES for detail in rule.check(case)]


def _finding(rule: Rule, detail: str, confirmed_by: str | None) -> Finding:
    if confirmed_by and rule.name in CONFIRMABLE:
        return Finding(rule.name, "warning", f"{detail}; confirmed by {confirmed_by}")
    return Finding(rule.name, rule.severity, detail)


def status(bound: bool, found: Sequence[Finding]) -> Status:
    """Return final for a bound measurement nothing blocks, else preliminary."""
    blocked = any(finding.severity == "blocking" for finding in found)
    return "final" if bound and not blocked else "preliminary"


def tolerance_s() -> float:
    """Return how far a device clock may be off before it is said, in seconds."""
    return float(numbers()["clock"]["tolerance_s"])


def body_mass_index(height: Quantity | None, weight: Quantity | None) -> Quantity | None:
    """Return weight (kg) over height (m) squared with one decimal, or None where one is missing or zero."""
    if height is None or weight is None or height.value <= 0 or height.comparator or weight.comparator:
        return None
    kilograms = weight.value * KG_PER_LB if weight.unit == "[lb_av]" else weight.value
    bmi = kilograms / (height.value / 100) ** 2
    return Quantity(bmi.quantize(Decimal("0.1"), ROUND_HALF_UP), "kg/m2")
