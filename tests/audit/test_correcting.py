"""A value corrected by hand: a new version, judged and sent anew; nonsense refused, the measured kept."""

from decimal import Decimal
from typing import Any

import httpx2
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from protocol.readings import Kind
from tests.web.live import OTHER, Live, pressure, reading

WHY = {"operator": "wang", "reason": "read from the display"}


def ask(client: httpx2.Client, key: str, /, values: dict[str, Any], **more: Any) -> httpx2.Response:
    stated = {name: value if isinstance(value, dict) else {"value": value} for name, value in values.items()}
    return client.post(f"/v1/measurements/{key}/correct", json={"values": stated, **WHY, **more})


def latest(client: httpx2.Client, exam: str) -> list[dict[str, Any]]:
    return list(client.get(f"/v1/exams/{exam}").json()["measurements"])


def test_a_correction_is_a_new_version_and_what_was_measured_stays(live: Live, client: httpx2.Client) -> None:
    exam = live.open(client)
    live.report("bp-1", pressure("152"))
    [before] = latest(client, exam)
    frames = client.get(f"/v1/measurements/{before['id']}/evidence").json()
    after = ask(client, before["id"], {"systolic": {"value": "125", "unit": "mm[Hg]"}}).json()
    assert (after["status"], after["version"]) == ("corrected", before["version"] + 1)
    assert after["values"] == {**before["values"], "systolic": {"value": "125", "unit": "mm[Hg]"}}
    assert after["correction"]["measured"] == before["values"]
    assert after["correction"]["operator"] == "wang"
    assert after["effective"] == before["effective"]
    same = {"id", "received", "began", "device", "evidence_sha256", "resident", "exam", "bound_by"}
    assert {name: after[name] for name in same} == {name: before[name] for name in same}
    still = client.get(f"/v1/measurements/{before['id']}/evidence").json()
    assert {name: still[name] for name in ("frames", "sha256", "seq")} == {
        name: frames[name] for name in ("frames", "sha256", "seq")
    }
    versions = client.get("/v1/measurements").json()["measurements"]
    assert [one["values"]["systolic"]["value"] for one in versions] == ["152", "125"]
    assert live.gateway.journal.queries.check().problems == []


def test_the_verdict_is_that_of_the_stated_values(live: Live, client: httpx2.Client) -> None:
    exam = live.open(client)
    live.report("bp-1", pressure("192"))
    [one] = latest(client, exam)
    assert "urgent_high" in {finding["rule"] for finding in one["findings"]}
    calm = ask(client, one["id"], {"systolic": "122", "diastolic": "78"}).json()
    assert [finding["rule"] for finding in calm["findings"] if finding["severity"] != "note"] == []
    again = ask(client, one["id"], {"systolic": "185"}).json()
    assert "urgent_high" in {finding["rule"] for finding in again["findings"]}


def test_undoing_is_another_correction(live: Live, client: httpx2.Client) -> None:
    exam = live.open(client)
    live.report("bp-1", pressure("152"))
    [before] = latest(client, exam)
    ask(client, before["id"], {"systolic": "125"})
    back = ask(client, before["id"], {"systolic": "152"}, reason="the first was right").json()
    assert back["values"] == before["values"]
    assert (back["status"], back["version"]) == ("corrected", before["version"] + 2)
    assert back["correction"]["reason"] == "the first was right"
    assert live.gateway.journal.queries.measurement(before["id"]).by_hand is None
    reasons = [one["reason"] for one in client.get("/v1/audit?what=corrected").json()["entries"]]
    assert reasons == [WHY["reason"], "the first was right"]


def test_the_corrected_version_waits_for_the_central_record(live: Live, client: httpx2.Client) -> None:
    exam = live.open(client)
    live.report("bp-1", pressure("152"))
    [one] = latest(client, exam)
    live.run(
        live.gateway.journal.run(lambda tx: tx.delivered("fhir", one["id"], one["version"], {"x": "O/1"}))
    )
    assert live.gateway.journal.queries.due("fhir", 10) == []
    ask(client, one["id"], {"systolic": "125"})
    [due] = live.gateway.journal.queries.due("fhir", 10)
    assert (due.measurement.status, due.measurement.values["systolic"].value) == ("corrected", "125")
    assert due.receipt == {"x": "O/1"}


def height(value: str) -> Any:
    return reading(Kind.BODY_SIZE, {"body_height": (value, "cm")})


def weight(value: str) -> Any:
    return reading(Kind.BODY_SIZE, {"body_weight": (value, "kg")})


@pytest.mark.parametrize("wrong", ["height", "weight"])
@pytest.mark.parametrize("first", ["height", "weight"])
def test_a_bmi_is_computed_anew_wherever_it_stands(
    live: Live, client: httpx2.Client, wrong: str, first: str
) -> None:
    exam = live.open(client)
    told = {"height": height("186.0"), "weight": weight("68.2")}
    for name in (first, *(other for other in told if other != first)):
        live.report("hw-1", told[name])
    rows = latest(client, exam)
    assert [one["derived"] for one in rows] == [{}, {"bmi": {"value": "19.7", "unit": "kg/m2"}}]
    holder = next(one for one in rows if f"body_{wrong}" in one["values"])
    right = {"height": "166.0", "weight": "50.0"}[wrong]
    ask(client, holder["id"], {f"body_{wrong}": right}).raise_for_status()
    rows = latest(client, exam)
    expected = {"height": "24.7", "weight": "14.5"}[wrong]
    assert [one["derived"].get("bmi", {}).get("value") for one in rows] == [None, expected]
    assert rows[1]["status"] == "corrected"
    due = {one.measurement.id: one.measurement for one in live.gateway.journal.queries.due("fhir", 10)}
    assert due[rows[1]["id"]].derived["bmi"].value == expected
    assert live.gateway.journal.queries.check().problems == []


def test_height_and_weight_of_one_machine_and_its_own_bmi(live: Live, client: httpx2.Client) -> None:
    exam = live.open(client)
    values = {"body_height": ("186.0", "cm"), "body_weight": ("68.2", "kg"), "bmi": ("19.7", "kg/m2")}
    live.report("hw-1", reading(Kind.BODY_SIZE, values))
    [one] = latest(client, exam)
    after = ask(client, one["id"], {"body_height": "166.0"}).json()
    assert "bmi" not in after["values"]
    assert after["derived"]["bmi"]["value"] == "24.7"
    assert after["correction"]["measured"]["bmi"]["value"] == "19.7"
    assert after["findings"] == [] or "bmi_mismatch" not in {f["rule"] for f in after["findings"]}


REFUSED = {
    "no reason": ({"systolic": "125"}, {"reason": " "}, "correct.reason"),
    "not measured": ({"glucose": "5.6"}, {}, "correct.measure"),
    "unit": ({"systolic": {"value": "16.7", "unit": "kPa"}}, {}, "correct.unit"),
    "word": ({"systolic": "high"}, {}, "correct.number"),
    "sign": ({"systolic": "-125"}, {}, "correct.number"),
    "zero": ({"systolic": "0"}, {}, "correct.number"),
    "too long": ({"systolic": "12345"}, {}, "correct.number"),
    "exponent": ({"systolic": "1e2"}, {}, "correct.number"),
    "not finite": ({"systolic": "NaN"}, {}, "correct.number"),
    "unchanged": ({"systolic": "152.0"}, {}, "correct.nothing"),
    "contradiction": ({"systolic": "90"}, {}, "correct.contradiction"),
    "a slip of the key": ({"systolic": "1520"}, {}, "correct.unusual"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_nonsense_is_refused_with_its_code_and_changes_nothing(
    live: Live, client: httpx2.Client, case: str
) -> None:
    values, more, code = REFUSED[case]
    exam = live.open(client)
    live.report("bp-1", pressure("152", "94"))
    [before] = latest(client, exam)
    answer = ask(client, before["id"], values, **more)
    assert (answer.status_code, answer.json()["code"]) == (422, code)
    assert latest(client, exam) == [before]


def test_what_is_unusual_but_right_is_taken_and_said(live: Live, client: httpx2.Client) -> None:
    exam = live.open(client)
    live.report("bp-1", pressure("152", "94"))
    [one] = latest(client, exam)
    taken = ask(client, one["id"], {"systolic": "305"}, unusual=True).json()
    assert taken["status"] == "corrected"
    assert "plausible_range" in {finding["rule"] for finding in taken["findings"]}


def test_what_is_nobodys_withdrawn_or_not_there_cannot_be_corrected(
    live: Live, client: httpx2.Client
) -> None:
    live.report("bp-1", pressure("152"))
    [loose] = client.get("/v1/measurements").json()["measurements"]
    answer = ask(client, loose["id"], {"systolic": "125"})
    assert (answer.status_code, answer.json()["code"]) == (409, "correct.not_final")
    exam = live.open(client)
    live.report("bp-1", pressure("153"))
    [gone] = latest(client, exam)
    other = live.open(client, OTHER)
    bind = {"exam": other, "operator": "wang", "reason": "sat there"}
    client.post(f"/v1/measurements/{gone['id']}/bind", json=bind).raise_for_status()
    for key in (gone["id"], "nothing-1"):
        answer = ask(client, key, {"systolic": "125"})
        assert (answer.status_code, answer.json()["code"]) == (404, "measurement.unknown")


def test_a_corrected_measurement_that_was_somebody_elses_keeps_what_was_stated(
    live: Live, client: httpx2.Client
) -> None:
    exam = live.open(client)
    live.report("bp-1", pressure("152"))
    [one] = latest(client, exam)
    ask(client, one["id"], {"systolic": "125"})
    other = live.open(client, OTHER)
    bind = {"exam": other, "operator": "wang", "reason": "sat there"}
    moved = client.post(f"/v1/measurements/{one['id']}/bind", json=bind).json()
    assert (moved["status"], moved["values"]["systolic"]["value"]) == ("final", "125")
    assert moved["correction"]["measured"]["systolic"]["value"] == "152"


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(st.tuples(st.integers(95, 260), st.integers(31, 94)), min_size=1, max_size=6))
def test_any_history_of_corrections_ends_with_the_last_one(
    live: Live, client: httpx2.Client, steps: list[tuple[int, int]]
) -> None:
    exam = live.open(client, {"name": f"Ada {steps}"[:40]})
    live.report("bp-1", pressure("152", "94"))
    one = latest(client, exam)[-1]
    standing, version = {"systolic": "152", "diastolic": "94"}, one["version"]
    for systolic, diastolic in steps:
        wanted = {"systolic": str(systolic), "diastolic": str(diastolic)}
        answer = ask(client, one["id"], wanted)
        if wanted == standing:
            assert answer.json()["code"] == "correct.nothing"
            continue
        standing, version = wanted, version + 1
        assert answer.json()["version"] == version
    now = client.get(f"/v1/measurements/{one['id']}").json()
    assert {name: now["values"][name]["value"] for name in standing} == standing
    changed = now.get("correction", {}).get("measured", now["values"])
    assert Decimal(changed["systolic"]["value"]) == 152
    client.post(f"/v1/exams/{exam}/close", json={"operator": "li"}).raise_for_status()
