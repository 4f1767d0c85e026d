"""What the interfaces tell of somebody whose name is under lock without its key, or was erased."""

from pathlib import Path

from tests.web.live import PERSON, Live, pressure

NUMBER = PERSON["identifiers"][0]["value"]


def measured(folder: Path) -> str:
    """Let a gateway that stops again measure somebody; return the exam."""
    with Live(folder) as live, live.client() as client:
        exam = live.open(client)
        live.report("bp-1", pressure())
        assert client.post(f"/v1/exams/{exam}/close", json={}).status_code == 200
        assert client.get("/fhir/Observation").json()["entry"]
        return exam


def test_without_the_key_everything_answers_and_nothing_is_told_under_another_name(tmp_path: Path) -> None:
    exam = measured(tmp_path)
    (tmp_path / "state-key" / "key").unlink()
    with Live(tmp_path) as live, live.client() as client:
        (row,) = client.get("/v1/measurements").json()["measurements"]
        assert row["values"]["systolic"]["value"] == "152"
        assert (row["resident"]["name"], row["resident"]["hidden"]) == (None, "key_missing")
        assert client.get("/v1/measurements", params={"resident": NUMBER}).json()["measurements"] == []
        assert not client.get("/fhir/Observation").json().get("entry")
        assert client.get(f"/v1/exams/{exam}").json()["resident"]["hidden"] == "key_missing"
        assert client.get(f"/?exam={exam}").status_code == 200
        live.report("bp-1", pressure("140"))
        assert len(client.get("/v1/measurements").json()["measurements"]) == 2


def test_an_erased_persons_measurements_stay_of_nobody_nameable(tmp_path: Path) -> None:
    exam = measured(tmp_path)
    with Live(tmp_path) as live, live.client() as client:
        key = client.get(f"/v1/exams/{exam}").json()["resident"]["id"]
        live.run(live.gateway.names.erase(NUMBER, "wang", "asked in writing"))
        (row,) = client.get("/v1/measurements").json()["measurements"]
        assert row["values"]["systolic"]["value"] == "152"
        assert row["resident"] == {
            "id": key, "identifiers": [], "name": None, "sex": None, "birth_date": None, "hidden": "erased",
        }  # fmt: skip
        (entry,) = client.get("/fhir/Observation", params={"code": "85354-9"}).json()["entry"]
        assert key in str(entry["resource"]["subject"])
        assert NUMBER not in client.get("/fhir/Observation").text
        assert client.get("/").status_code == 200
