"""Every measurement becomes FHIR that validator and profile table accept, and that says nothing untrue."""

import copy
import json
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from typing import Any

import fhirkit
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.fhir import bundle, codes, devices, provenance, subjects
from gateway.fhir.codes import Unmappable
from gateway.fhir.observations import Around, observation, parts
from store.facts import Effective, Finding, Measurement, Value
from store.residents import Identifier, Resident
from tests.fhir import profile_table
from tests.fhir.made import ADA, MORNING, measurement, setting, with_bmi

Json = dict[str, Any]
exact = msgspec.json.Encoder(decimal_format="number").encode


def refer(value: str) -> Json:
    return {"reference": bundle.full_url("s", value)}


AROUND = Around(
    {"type": "Patient", "identifier": {"value": "x"}},
    {"reference": "Device/gw"},
    {"reference": "Device/m"},
    refer,
)


def written(one: Measurement, part: str | None = None) -> list[Json]:
    """What is on the wire, read back with exact decimals."""
    found = [observation(one, name, AROUND, {}, setting()) for name in parts(one) if part in {None, name}]
    entries = [bundle.create(resource, None, "urn:uuid:1") for resource in found]
    sent = json.loads(bundle.transaction(entries), parse_float=Decimal)
    return [entry["resource"] for entry in sent["entry"]]


GOOD = {
    "pressure": measurement("blood_pressure"),
    "pressure, left arm, kPa": measurement(
        "blood_pressure",
        values={"systolic": Value("16.0", "kPa"), "diastolic": Value("10.7", "kPa")},
        context={"arm": "left"},
    ),
    "systolic alone": measurement("blood_pressure", values={"systolic": Value("120", "mm[Hg]")}),
    "glucose": measurement("glucose"),
    "glucose, fasting": measurement("glucose", context={"fasting": "yes"}),
    "glucose, mg/dL": measurement("glucose", values={"glucose": Value("101", "mg/dL")}),
    "glucose, mg/dL, fasting": measurement(
        "glucose", values={"glucose": Value("101", "mg/dL")}, context={"fasting": "yes"}
    ),
    "glucose, HI": measurement("glucose", values={"glucose": Value("33.3", "mmol/L", ">")}),
    "size": with_bmi(),
    "pounds": measurement("body_size", values={"body_weight": Value("150.4", "[lb_av]")}),
    "temperature": measurement("temperature"),
    "oximetry": measurement("oximetry"),
    "composition": measurement("body_composition"),
    "corrected": measurement("glucose", status="corrected", version=5),
    "withdrawn": measurement("blood_pressure", status="entered-in-error", replaced_by="other"),
    "failed pressure": measurement("blood_pressure", values={}, failed="device.cuff_loose"),
    "failed glucose": measurement("glucose", values={}, failed="device.strip"),
    "withdrawn after it failed": measurement(
        "temperature", values={}, failed="device.fault", status="entered-in-error"
    ),
    "typed": measurement(
        "glucose", source="manual", device=None, driver=None, serial=None, evidence_sha256=None
    ),
    "no time": measurement("glucose", effective=Effective(None, "unknown", "clock_reset")),
    "odd clock": measurement(
        "glucose", device_time=datetime(2026, 11, 21, 9, 12, 5), clock_offset_s=-1087.25, flags=["control"]
    ),
    "doubtful": measurement("blood_pressure", findings=[Finding("pulse_pressure", "warning", "8 mm[Hg]")]),
}


@pytest.mark.parametrize("name", GOOD)
def test_everything_we_send_is_valid_fhir_and_keeps_our_profile(name: str) -> None:
    for resource in written(GOOD[name]):
        assert [str(issue) for issue in fhirkit.validate(exact(resource))] == []
        if "dataAbsentReason" not in resource or resource["status"] == "cancelled":
            assert profile_table.faults(resource) == []


@pytest.mark.parametrize("name", GOOD)
def test_what_stands_behind_it_is_valid_fhir(name: str) -> None:
    one = GOOD[name]
    targets = [refer(part) for part in parts(one)]
    resources = [
        devices.gateway(setting()),
        subjects.patient(ADA, setting()),
        provenance.provenance(one, targets, AROUND),
    ]
    if one.device:
        resources.append(devices.machine(one, setting(), "A monitor", ()))
    for resource in resources:
        assert [str(issue) for issue in fhirkit.validate(exact(resource))] == []


def loinc(resource: Json) -> list[str]:
    return [code["code"] for code in resource["code"]["coding"] if code["system"] == codes.LOINC]


def test_pulse_is_an_observation_of_its_own_and_the_mean_a_component() -> None:
    panel, pulse = written(measurement("blood_pressure"))
    assert [loinc(part)[0] for part in panel["component"]] == ["8480-6", "8462-4", "8478-0"]
    assert [part["valueQuantity"]["value"] for part in panel["component"]] == [128, 82, 97]
    assert (loinc(panel), loinc(pulse)) == (["85354-9"], ["8867-4"])
    assert "valueQuantity" not in panel
    assert {"system": codes.MDC, "code": "150021"} in panel["component"][0]["code"]["coding"]


def test_pulse_from_an_oximeter_is_named_as_such() -> None:
    mdc = {
        part: written(measurement("oximetry"), part)[0]["code"]["coding"][-1]["code"]
        for part in ("spo2", "pulse_rate")
    }
    assert mdc == {"spo2": "150456", "pulse_rate": "149530"}
    assert loinc(written(measurement("oximetry"), "spo2")[0]) == ["2708-6", "59408-5"]


@pytest.mark.parametrize(
    ("unit", "context", "code"),
    [
        ("mmol/L", {}, "14743-9"),
        ("mmol/L", {"fasting": "no"}, "14743-9"),
        ("mmol/L", {"fasting": "yes"}, "14770-2"),
        ("mmol/L", {"meal": "fasting"}, "14743-9"),
        ("mg/dL", {}, "41653-7"),
        ("mg/dL", {"fasting": "yes"}, "41604-0"),
    ],
)
def test_glucose_is_fasting_only_where_a_person_said_so(
    unit: str, context: dict[str, str], code: str
) -> None:
    [resource] = written(measurement("glucose", values={"glucose": Value("5.6", unit)}, context=context))
    assert loinc(resource) == [code]
    assert resource["valueQuantity"]["code"] == unit


def test_a_glucose_code_with_the_wrong_unit_cannot_even_be_written_down() -> None:
    with pytest.raises(ValueError, match="moles/volume"):
        codes.GlucoseCode("14743-9", "moles/volume", fasting=False, unit="mg/dL")
    with pytest.raises(Unmappable):
        codes.glucose("kg", fasting=False)


def test_the_bmi_is_ours_and_says_what_it_came_from() -> None:
    one = with_bmi()
    height, weight, bmi = written(one)
    assert bmi["valueQuantity"]["value"] == Decimal("23.2")
    assert bmi["derivedFrom"] == [refer(f"{one.id}.body_height"), refer(f"{one.id}.body_weight")]
    assert bmi["device"] == AROUND.gateway
    assert height["device"] == weight["device"] == AROUND.machine


def test_a_bmi_the_scale_sent_is_not_passed_off_as_ours() -> None:
    sent = measurement(
        "body_size", values={"body_weight": Value("68.2", "kg"), "bmi": Value("23.1", "kg/m2")}
    )
    assert parts(sent) == ["body_weight"]


def test_a_bmi_from_two_measurements_points_to_both() -> None:
    height = measurement("body_size", id="h", values={"body_height": Value("171.5", "cm")})
    weight = measurement(
        "body_size",
        id="w",
        values={"body_weight": Value("68.2", "kg")},
        derived={"bmi": Value("23.2", "kg/m2")},
        derived_from=["h", "w"],
    )
    found = observation(weight, "bmi", AROUND, {"h": height, "w": weight}, setting())
    assert found["derivedFrom"] == [refer("h.body_height"), refer("w.body_weight")]


def test_above_the_meters_range_keeps_its_limit() -> None:
    [resource] = written(GOOD["glucose, HI"])
    assert (resource["valueQuantity"]["comparator"], resource["valueQuantity"]["value"]) == (
        ">",
        Decimal("33.3"),
    )


def test_a_failed_examination_is_cancelled_with_its_reason() -> None:
    [resource] = written(GOOD["failed pressure"])
    assert resource["status"] == "cancelled"
    assert resource["dataAbsentReason"]["coding"][0]["code"] == "error"
    assert resource["dataAbsentReason"]["text"] == "device.cuff_loose"


def test_a_failed_kind_of_many_measures_gets_no_code_that_nobody_gave_it() -> None:
    [resource] = written(measurement("body_size", values={}, failed="device.overload"))
    assert resource["code"] == {"text": "body_size"}


def test_times_have_seconds_and_the_clinics_zone_and_the_machines_own_clock_is_kept() -> None:
    [resource] = written(GOOD["odd clock"])
    assert resource["effectiveDateTime"] == "2026-11-21T09:30:05+08:00"
    assert resource["issued"] == "2026-11-21T01:30:46.250+00:00"
    record = {part["url"]: part for part in resource["extension"][1]["extension"]}
    assert record["deviceTime"]["valueString"] == "2026-11-21T09:12:05"
    assert record["clockOffset"]["valueDecimal"] == Decimal("-1087.25")
    assert record["received"]["valueInstant"] == "2026-11-21T01:30:45+00:00"
    assert record["timeQuality"]["valueCode"] == "gateway_synchronised"


def test_no_time_is_invented() -> None:
    [resource] = written(GOOD["no time"])
    assert "effectiveDateTime" not in resource
    assert resource["_effectiveDateTime"]["extension"][0]["valueCode"] == "unknown"


def test_the_arm_is_said_only_where_it_is_known() -> None:
    panel = written(GOOD["pressure, left arm, kPa"])[0]
    assert panel["bodySite"]["coding"][0]["code"] == "368208006"
    assert "bodySite" not in written(GOOD["pressure"])[0]


def test_what_nobody_measured_is_marked_so() -> None:
    [typed] = written(GOOD["typed"])
    machine_made = {"system": codes.PHD_CATEGORIES, "code": "phd-observation"}
    assert machine_made not in [code for one in typed["category"] for code in one["coding"]]
    assert machine_made in [code for one in written(GOOD["glucose"])[0]["category"] for code in one["coding"]]
    assert "typed in" in typed["note"][0]["text"]


@pytest.mark.parametrize(
    "one",
    [
        measurement("glucose", status="preliminary"),
        measurement("glucose", values={"glucose": Value("5.6", "kg")}),
        measurement("oximetry", values={"perfusion": Value("5.6", "%")}),
    ],
)
def test_what_cannot_be_said_truly_is_not_said(one: Measurement) -> None:
    with pytest.raises(Unmappable):
        written(one)


def test_the_hash_of_the_frames_and_the_people_behind_it_are_in_the_provenance() -> None:
    one = measurement("glucose", bound_by="nurse-3", evidence_sha256="ab" * 32)
    found = provenance.provenance(one, [refer("x")], AROUND)
    assert found["entity"][0]["what"]["identifier"]["value"] == f"sha-256:{'ab' * 32}"
    parts_played = {agent["type"]["coding"][0]["code"]: agent["who"] for agent in found["agent"]}
    assert parts_played["assembler"] == AROUND.gateway
    assert parts_played["author"] == AROUND.machine
    assert parts_played["verifier"]["identifier"]["value"] == "nurse-3"


def test_a_rule_that_bound_is_no_person() -> None:
    found = provenance.provenance(measurement("glucose"), [refer("x")], AROUND)
    assert [agent["type"]["coding"][0]["code"] for agent in found["agent"]] == ["assembler", "author"]


def test_the_configured_identifier_comes_first_and_nobody_is_without_one() -> None:
    person = Resident("r7", (Identifier("health-record", "1"), Identifier("cn-id", "2")))
    assert subjects.identifiers(person, setting()) == [
        {"system": "urn:oid:2.16.156.10011.1.3", "value": "2"},
        {"system": "urn:checkup-gateway:identifier:health-record", "value": "1"},
    ]
    assert subjects.reference(Resident("r8", (), name="x"), setting())["identifier"]["value"] == "r8"


def test_one_machine_is_one_device_at_every_gateway_if_it_has_a_serial() -> None:
    def found(gateway: str, serial: str | None) -> Any:
        one = measurement("glucose", serial=serial, device="bench")
        return devices.machine(one, setting(gateway), "", ())["identifier"]

    assert found("a", "77") == found("b", "77")
    assert found("a", None) != found("b", None)


@given(st.decimals(allow_nan=False, allow_infinity=False, min_value=0, max_value=1000, places=2))
def test_the_precision_of_a_value_is_on_the_wire(value: Decimal) -> None:
    one = measurement("glucose", id="m", values={"glucose": Value(format(value, "f"), "mmol/L")})
    sent = bundle.transaction(
        [bundle.create(observation(one, "glucose", AROUND, {}, setting()), None, "urn:uuid:1")]
    )
    assert f'"value":{format(value, "f")},'.encode() in sent


def broken(change: Callable[[Json], object]) -> Json:
    resource = copy.deepcopy(written(measurement("blood_pressure", id="m"))[0])
    change(resource)
    return resource


def broken_glucose(change: Callable[[Json], object]) -> Json:
    resource = copy.deepcopy(written(measurement("glucose", id="m"))[0])
    change(resource)
    return resource


BAD: dict[str, Json] = {
    "no status": broken(lambda r: r.pop("status")),
    "unknown status": broken(lambda r: r.update(status="done")),
    "preliminary": broken(lambda r: r.update(status="preliminary")),
    "no category": broken(lambda r: r.pop("category")),
    "two categories": broken(lambda r: r["category"].append(r["category"][0])),
    "glucose as a vital sign": broken_glucose(
        lambda r: r["category"][0]["coding"][0].update(code="vital-signs")
    ),
    "no code": broken(lambda r: r.pop("code")),
    "no subject": broken(lambda r: r.pop("subject")),
    "no identifier": broken(lambda r: r.pop("identifier")),
    "identifier without system": broken(lambda r: r["identifier"][0].pop("system")),
    "no time": broken(lambda r: r.pop("effectiveDateTime")),
    "time without seconds": broken(lambda r: r.update(effectiveDateTime="2026-11-21T09:30+08:00")),
    "time without zone": broken(lambda r: r.update(effectiveDateTime="2026-11-21T09:30:05")),
    "issued without zone": broken(lambda r: r.update(issued="2026-11-21T09:30:05")),
    "date that is none": broken(lambda r: r.update(effectiveDateTime="2026-13-41T09:30:05+08:00")),
    "no diastolic": broken(lambda r: r["component"].pop(1)),
    "systolic twice": broken(lambda r: r["component"].append(r["component"][0])),
    "panel with a value": broken(lambda r: r.update(valueQuantity=r["component"][0]["valueQuantity"])),
    "component without value": broken(lambda r: r["component"][0].pop("valueQuantity")),
    "mmHg as a code": broken(lambda r: r["component"][0]["valueQuantity"].update(code="mmHg")),
    "no unit": broken(lambda r: r["component"][0]["valueQuantity"].pop("unit")),
    "no unit system": broken(lambda r: r["component"][0]["valueQuantity"].pop("system")),
    "value as text": broken(lambda r: r["component"][0]["valueQuantity"].update(value="128")),
    "moles code with mass unit": broken_glucose(
        lambda r: r["valueQuantity"].update(code="mg/dL", unit="mg/dL")
    ),
    "value and absence": broken_glucose(lambda r: r.update(dataAbsentReason={"text": "x"})),
    "neither value nor absence": broken_glucose(lambda r: r.pop("valueQuantity")),
    "cancelled with a value": broken_glucose(lambda r: r.update(status="cancelled")),
    "codes nobody knows": broken_glucose(
        lambda r: r["code"].update(coding=[{"system": "urn:x", "code": "1"}])
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_the_check_itself_refuses_what_is_wrong(name: str) -> None:
    issues = fhirkit.validate(exact(BAD[name]))
    assert issues or profile_table.faults(BAD[name])


def test_the_moments_are_not_our_clock() -> None:
    assert (
        written(measurement("glucose"))[0]["effectiveDateTime"]
        == MORNING.astimezone(setting().zone).isoformat()
    )
