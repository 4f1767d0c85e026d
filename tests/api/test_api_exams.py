"""Exams, devices and outbox by the API."""

import pytest

from gateway import messages
from protocol.errors import StoreError
from protocol.readings import Kind, Notice, Progress
from tests.web.live import DEVICES, OTHER, PERSON, body, pressure, until


def test_open_read_and_close_an_exam(live, client):
    answer = client.post("/v1/exams", json={"resident": PERSON, "operator": "li"})
    assert answer.status_code == 201
    exam = answer.json()
    assert answer.headers["location"] == f"/v1/exams/{exam['id']}"
    assert PERSON["identifiers"][0]["value"] not in answer.headers["location"]
    live.report("hw-1", body())
    read = client.get(answer.headers["location"]).json()
    assert read["state"] == "open"
    assert read["resident"]["birth_date"] == "1854-03-12"
    [measured] = read["measurements"]
    assert measured["derived"]["bmi"]["value"] == "24.7"
    assert [one["id"] for one in client.get("/v1/exams", params={"open": "true"}).json()["exams"]] == [
        exam["id"]
    ]
    closed = client.post(f"/v1/exams/{exam['id']}/close", json={"operator": "wang"}).json()
    assert closed["state"] == "closed"
    assert client.post(f"/v1/exams/{exam['id']}/close").json()["closed"] == closed["closed"]
    assert client.get("/v1/exams", params={"open": "true"}).json()["exams"] == []
    assert len(client.get("/v1/exams", params={"open": "false"}).json()["exams"]) == 1


def test_a_wrong_identity_number_is_refused_with_its_reason(client):
    person = {"identifiers": [{"system": "cn-id", "value": "110101185403120018"}]}
    answer = client.post("/v1/exams", json={"resident": person, "operator": "li"})
    assert (answer.status_code, answer.json()["code"]) == (422, "id.check_digit")
    assert "110101185403120018" not in answer.text


@pytest.mark.parametrize("code", ["store.disk_failed", "store.read_only", "store.disk_full"])
def test_while_the_disk_fails_no_exam_is_opened_and_the_answer_says_why(live, client, code):
    live.gateway.space.failed(StoreError("the disk", code=code))
    refused = client.post("/v1/exams", json={"resident": PERSON, "operator": "li"})
    assert (refused.status_code, refused.json()["code"]) == (503, code)
    assert refused.json()["detail"] == messages.text(code, "zh-CN")


def test_while_the_reserve_is_in_use_no_exam_is_opened(live, client):
    assert live.gateway.space.relieve()
    refused = client.post("/v1/exams", json={"resident": PERSON, "operator": "li"})
    assert (refused.status_code, refused.json()["code"]) == (507, "exam.no_room")


def test_other_identifiers_and_names_alone_are_accepted(live, client):
    passport = {"identifiers": [{"system": "passport", "value": "E1854000"}]}
    assert client.get(f"/v1/exams/{live.open(client, passport)}").json()["resident"]["name"] is None
    assert live.open(client, {"name": "王五"})
    empty = client.post("/v1/exams", json={"resident": {}, "operator": "li"})
    assert (empty.status_code, empty.json()["code"]) == (422, "id.missing")


def test_devices_in_configuration_order(live, client):
    live.report("bp-1", pressure())
    found = client.get("/v1/devices").json()["devices"]
    assert [one["name"] for one in found] == [one["name"] for one in DEVICES]
    assert (found[0]["condition"], found[0]["readings"]) == ("connected", 1)
    assert found[0]["orders"] == ["start_blood_pressure", "stop_blood_pressure"]


def test_an_order_reaches_the_device_only_when_it_can(live, client):
    start = {"order": "start_blood_pressure", "operator": "li"}
    early = client.post("/v1/devices/bp-1/order", json=start)
    assert (early.status_code, early.json()["code"]) == (409, "order.not_now")
    live.report("bp-1", pressure())
    assert client.post("/v1/devices/bp-1/order", json=start | {"arguments": {"patient": "adult"}}).is_success
    order = live.station("bp-1").orders.get_nowait()
    assert (order.name, order.arguments) == ("start_blood_pressure", {"patient": "adult"})
    unknown = client.post("/v1/devices/bp-1/order", json={"order": "explode", "operator": "li"})
    assert unknown.json()["code"] == "order.unknown"
    nowhere = client.post("/v1/devices/bp-9/order", json=start)
    assert (nowhere.status_code, nowhere.json()["code"]) == (404, "device.unknown")


def test_a_device_pointed_at_one_of_two_measures_that_one(live, client):
    first, second = live.open(client), live.open(client, OTHER)
    answer = client.post("/v1/devices/bp-1/point", json={"exam": first, "operator": "li"})
    assert answer.json()["name"] == "bp-1"
    until(lambda: client.get("/v1/devices").json()["devices"][0]["pointed_at"] == first)
    live.report("bp-1", pressure())
    live.report("hw-1", body())
    assert len(client.get(f"/v1/exams/{first}").json()["measurements"]) == 1
    assert client.get(f"/v1/exams/{second}").json()["measurements"] == []


def test_progress_and_notices_show_in_the_state(live, client):
    live.observe(
        "bp-1",
        Progress(Kind.BLOOD_PRESSURE, {"cuff_pressure": pressure("128").values["systolic"]}, "inflating"),
    )
    state = client.get("/v1/devices").json()["devices"][0]
    assert (state["condition"], state["progress"]["cuff_pressure"]) == ("measuring", "128 mm[Hg]")
    live.observe("bp-1", Notice("device.malformed", fault=True))
    assert client.get("/v1/devices").json()["devices"][0]["code"] == "device.malformed"
