"""A value a person stated is sent as theirs: the machine's own beside it, nothing claims to be measured."""

import fhirkit
import msgspec

from gateway.fhir import codes, provenance
from gateway.fhir.observations import parts
from store.facts import Correction, Measurement, Value
from tests.fhir import profile_table
from tests.fhir.made import PRESSURE, instant, measurement
from tests.fhir.test_mapping import AROUND, exact, refer, written


def corrected(**changes: Value) -> Measurement:
    correction = Correction("wang", "read from the display", instant(60), PRESSURE)
    return measurement(
        "blood_pressure", status="corrected", version=3, values={**PRESSURE, **changes}, correction=correction
    )


def test_only_what_a_person_stated_is_theirs() -> None:
    panel, pulse = written(corrected(systolic=Value("138", "mm[Hg]")))
    assert panel["status"] == pulse["status"] == "corrected"
    assert panel["component"][0]["valueQuantity"]["value"] == 138
    [note] = panel["note"]
    assert "128 mm[Hg]" in note["text"]
    assert "note" not in pulse
    marked = [
        codes.PHD_CATEGORIES in {one["coding"][0]["system"] for one in part["category"]}
        for part in (panel, pulse)
    ]
    assert marked == [False, True]
    for resource in (panel, pulse):
        assert [str(issue) for issue in fhirkit.validate(exact(resource))] == []
        assert profile_table.faults(resource) == []


def test_the_person_is_the_author_and_the_frames_stay_the_source() -> None:
    one = corrected(systolic=Value("138", "mm[Hg]"))
    behind = provenance.provenance(one, [refer(part) for part in parts(one)], AROUND)
    roles = {agent["type"]["coding"][0]["code"]: agent["who"] for agent in behind["agent"]}
    assert roles["author"]["identifier"]["value"] == "wang"
    assert roles["performer"] == AROUND.machine
    assert behind["reason"] == [{"text": "read from the display"}]
    assert behind["entity"][0]["what"]["identifier"]["value"].endswith(str(one.evidence_sha256))
    assert [str(issue) for issue in fhirkit.validate(exact(behind))] == []


def test_undone_it_is_the_machines_again() -> None:
    one = corrected()
    panel, pulse = written(one)
    assert panel == {**written(measurement_without(one))[0], "status": "corrected"}
    assert "note" not in pulse
    roles = [agent["type"]["coding"][0]["code"] for agent in provenance.provenance(one, [], AROUND)["agent"]]
    assert roles == ["assembler", "author"]


def measurement_without(one: Measurement) -> Measurement:
    return msgspec.structs.replace(one, correction=msgspec.UNSET)
