"""What a forwarder could not deliver is seen and sent again by a person."""

from pathlib import Path

from tests.web.live import Live, pressure

FHIR = {"url": "http://127.0.0.1:9/fhir"}


def park(live: Live) -> str:
    """Let the other side have refused the one waiting measurement; return its id."""
    [due] = live.gateway.journal.queries.due("fhir", 10)
    one = due.measurement
    live.run(live.gateway.journal.run(lambda tx: tx.parked("fhir", one.id, one.version, "unknown number")))
    return one.id


def test_a_parked_delivery_is_shown_and_sent_again(tmp_path: Path):
    with Live(tmp_path, fhir=FHIR) as live, live.client() as client:
        live.open(client)
        live.report("bp-1", pressure())
        waiting = client.get("/v1/outbox", params={"state": "waiting"}).json()
        assert waiting["forwarders"]["fhir"]["waiting"] == 1
        assert len(waiting["deliveries"]) == 1
        measurement = park(live)
        [parked] = client.get("/v1/outbox").json()["deliveries"]
        assert (parked["measurement"], parked["reason"]) == (measurement, "unknown number")
        asked = {"forwarder": "fhir", "measurement": measurement, "operator": "li"}
        assert client.post("/v1/outbox/resend", json=asked).status_code == 202
        assert client.get("/v1/outbox").json()["forwarders"]["fhir"]["parked"] == 0
        again = client.post("/v1/outbox/resend", json=asked)
        assert (again.status_code, again.json()["code"]) == (404, "delivery.unknown")


def test_metrics_count_devices_and_outbox(tmp_path: Path):
    with Live(tmp_path, fhir=FHIR) as live, live.client() as client:
        live.open(client)
        live.report("bp-1", pressure())
        park(live)
        text = client.get("/metrics").text
        assert 'checkup_readings_total{device="bp-1"} 1.0' in text
        assert 'checkup_outbox{forwarder="fhir",state="parked"} 1.0' in text
        assert 'checkup_device_condition{condition="connected",device="bp-1"} 1.0' in text
        assert 'checkup_measurements{kind="blood_pressure"} 1.0' in text
        assert "110101" not in text
