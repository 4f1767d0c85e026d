"""A device's history and passport by the API."""

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from protocol.readings import DeviceClock, Identified, Kind, Reading
from tests.web.live import pressure


def history(client, name="bp-1"):
    return client.get(f"/v1/devices/{name}/history").json()


def test_what_a_device_did_today_is_in_its_history(live, client):
    assert history(client)["days"] == []
    live.observe("bp-1", Identified("SIM7", {"firmware": "2.1"}))
    live.observe("bp-1", Identified("SIM7", {"firmware": "2.1"}))
    live.report("bp-1", pressure())
    live.report("bp-1", Reading(Kind.BLOOD_PRESSURE, {}, (b"\x01",), failed="movement"))
    (day,) = history(client)["days"]
    assert (day["results"], day["failed"]) == (1, {"movement": 1})
    assert (day["serial"], day["firmware"]) == ("SIM7", "2.1")
    assert [sign["code"] for sign in history(client)["signs"]] == ["wear.too_few"]
    told = live.gateway.journal.queries.device_events("bp-1")
    assert [one.code for one in told] == ["device.identified"]


def test_a_clock_that_is_off_is_said(live, client):
    here = datetime.now(ZoneInfo("Asia/Shanghai")).replace(tzinfo=None)
    live.observe("glu-1", DeviceClock(here - timedelta(hours=3), b"\x07"))
    signs = {sign["code"] for sign in history(client, "glu-1")["signs"]}
    # Where this computer's own clock is not kept, which of the two is off is not said.
    assert signs & {"wear.clock_off", "wear.clock_apart"}


def test_a_passport_is_written_field_by_field_and_every_writing_stays(live, client):
    first = {"maker": "Berry", "calibration_due": "1999-01-01", "operator": "li"}
    answer = client.post("/v1/devices/bp-1/passport", json=first).json()
    assert answer["passport"] == first
    assert answer["signs"][0]["code"] == "wear.calibration_over"
    again = client.post(
        "/v1/devices/bp-1/passport", json={"calibration_due": "2999-01-01", "operator": "wang"}
    ).json()
    assert again["passport"] == {"maker": "Berry", "calibration_due": "2999-01-01", "operator": "wang"}
    assert len(live.gateway.journal.queries.device_events("bp-1")) == 2


def test_impossible_passports_and_unknown_devices_are_refused(client):
    for wrong in ({"calibration_due": "soon"}, {"patient": "li"}, {}):
        assert client.post("/v1/devices/bp-1/passport", json={**wrong, "operator": ""}).status_code == 422
    assert (
        client.post("/v1/devices/bp-9/passport", json={"operator": "li"}).json()["code"] == "device.unknown"
    )
    assert client.get("/v1/devices/bp-9/history").json()["code"] == "device.unknown"
