"""Each rule on values made to trip it and on values beside the limit."""

import re
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from gateway.verification import CONFIRMABLE, RULES, Case, body_mass_index, clinical, findings, status
from protocol.quantities import Quantity
from protocol.readings import Measure
from store.facts import Effective

GOOD_TIME = Effective(datetime(2026, 7, 11, 1, 0, tzinfo=UTC), "gateway_synchronised", "live")


def pressure(systolic: str, diastolic: str, mean: str | None = None) -> Case:
    values = {
        Measure.SYSTOLIC: Quantity(Decimal(systolic), "mm[Hg]"),
        Measure.DIASTOLIC: Quantity(Decimal(diastolic), "mm[Hg]"),
    }
    if mean:
        values[Measure.MEAN_PRESSURE] = Quantity(Decimal(mean), "mm[Hg]")
    ranges = {Measure.SYSTOLIC: (Decimal(60), Decimal(260))}
    return Case(values, None, ranges, GOOD_TIME, None)


def body(height: str, weight: str, bmi: str) -> Case:
    values = {
        Measure.BODY_HEIGHT: Quantity(Decimal(height), "cm"),
        Measure.BODY_WEIGHT: Quantity(Decimal(weight), "kg"),
        Measure.BMI: Quantity(Decimal(bmi), "kg/m2"),
    }
    return Case(values, None, {}, GOOD_TIME, None)


def glucose(value: str) -> Case:
    values = {Measure.GLUCOSE: Quantity(Decimal(value), "mmol/L")}
    return Case(values, None, {}, GOOD_TIME, None)


def weight_with_bmi(bmi: str) -> Case:
    values = {Measure.BODY_WEIGHT: Quantity(Decimal("60.0"), "kg")}
    derived = {Measure.BMI: Quantity(Decimal(bmi), "kg/m2")}
    return Case(values, None, {}, GOOD_TIME, None, derived)


def names(case: Case) -> dict[str, str]:
    return {finding.rule: finding.severity for finding in findings(case)}


def test_a_value_the_machine_doubts_waits_for_a_person():
    doubted = replace(glucose("5.6"), flags=frozenset({"questionable"}))
    assert names(doubted) == {"doubted_by_machine": "blocking"}
    assert status(True, findings(doubted)) == "preliminary"
    assert status(True, findings(replace(doubted, confirmed_by="li"))) == "final"


def test_an_ordinary_reading_has_no_finding_and_is_final_once_bound() -> None:
    assert findings(pressure("128", "82", "97")) == []
    assert status(True, []) == "final"
    assert status(False, []) == "preliminary"


@pytest.mark.parametrize(
    ("case", "expected"),
    [
        (pressure("261", "82"), {"machine_range": "blocking", "urgent_high": "warning"}),
        (pressure("260", "82"), {"urgent_high": "warning"}),
        (pressure("60", "95"), {"systolic_over_diastolic": "blocking", "high": "note"}),
        (pressure("128", "82", "130"), {"systolic_over_diastolic": "blocking"}),
        (pressure("91", "82"), {"pulse_pressure": "warning"}),
        (pressure("92", "82"), {}),
        (pressure("120", "25"), {"plausible_range": "warning"}),
        (body("158.5", "60.54", "678.9"), {"bmi_mismatch": "warning"}),
        (body("158.5", "60.54", "24.4"), {}),
        (body("158.5", "60.54", "24.5"), {"bmi_mismatch": "warning"}),
        (replace(pressure("128", "82"), repeats=["g-7"]), {"repeated_report": "blocking"}),
        (replace(pressure("128", "82"), clock_offset_s=420.0), {"device_clock_off": "note"}),
        (replace(pressure("128", "82"), clock_offset_s=-60.0), {}),
        (pressure("139", "89"), {}),
        (pressure("140", "82"), {"high": "note"}),
        (pressure("128", "90"), {"high": "note"}),
        (pressure("180", "90"), {"urgent_high": "warning"}),
        (pressure("150", "110"), {"urgent_high": "warning"}),
        (glucose("11.0"), {}),
        (glucose("11.1"), {"high": "note"}),
        (glucose("16.7"), {"urgent_high": "warning"}),
        (glucose("3.9"), {"urgent_low": "warning"}),
        (glucose("4.0"), {}),
        (replace(glucose("6.1"), fasting=True), {"high": "note"}),
        (replace(glucose("6.0"), fasting=True), {}),
        (weight_with_bmi("23.9"), {}),
        (weight_with_bmi("24.0"), {"high": "note"}),
        (weight_with_bmi("18.4"), {"low": "note"}),
        (
            replace(pressure("128", "82"), effective=Effective(None, "unknown", "stored")),
            {"time_unknown": "blocking"},
        ),
    ],
)
def test_rules(case: Case, expected: dict[str, str]) -> None:
    assert names(case) == expected


def test_every_threshold_is_dated_and_has_its_sources() -> None:
    levels = {name: rows for name, rows in clinical().items() if name != "dated"}
    assert clinical()["dated"]
    assert levels.keys() <= {rule.name for rule in RULES}
    for row in (row for rows in levels.values() for row in rows):
        assert row["source"]
        assert row["sources"] >= 2


def test_a_failed_measurement_is_never_final() -> None:
    case = Case({}, "cuff_loose", {}, GOOD_TIME, None)
    assert names(case) == {"measurement_failed": "blocking"}
    assert status(True, findings(case)) == "preliminary"


def test_a_person_can_confirm_what_the_machine_said_but_not_what_it_cannot_measure() -> None:
    odd = replace(pressure("60", "95"), confirmed_by="li")
    assert status(True, findings(odd)) == "final"
    assert "confirmed by li" in findings(odd)[0].detail
    impossible = replace(pressure("261", "82"), confirmed_by="li")
    assert status(True, findings(impossible)) == "preliminary"


def test_an_unsynchronised_box_clock_is_noted_and_blocks_nothing() -> None:
    effective = Effective(GOOD_TIME.time, "gateway_unsynchronised", "live")
    found = findings(replace(pressure("128", "82"), effective=effective))
    assert [finding.severity for finding in found] == ["note"]


@pytest.mark.parametrize(
    ("height", "weight", "unit", "bmi"),
    [
        ("158.5", "60.54", "kg", "24.1"),
        ("166.0", "68.2", "kg", "24.7"),
        ("170", "154.3", "[lb_av]", "24.2"),
        ("180.0", "81.0", "kg", "25.0"),
    ],
)
def test_body_mass_index(height: str, weight: str, unit: str, bmi: str) -> None:
    found = body_mass_index(Quantity(Decimal(height), "cm"), Quantity(Decimal(weight), unit))
    assert found == Quantity(Decimal(bmi), "kg/m2")


def test_no_body_mass_index_without_both() -> None:
    assert body_mass_index(None, Quantity(Decimal("60"), "kg")) is None
    assert body_mass_index(Quantity(Decimal("0"), "cm"), Quantity(Decimal("60"), "kg")) is None


def test_the_page_of_rules_says_what_the_code_does() -> None:
    page = (Path(__file__).parents[2] / "docs" / "rules.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \| (\w*) ?\| (.+) \|$", page, re.MULTILINE)
    told = [(name, severity, sure == "yes", about) for name, severity, sure, about in rows]
    assert told == [(r.name, r.severity, r.name in CONFIRMABLE, r.about) for r in RULES]
