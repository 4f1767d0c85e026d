"""The diagnostics bundle of a gateway full of fixture people, searched for all their names and numbers."""

import io
import json
import stat
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import httpx2
import pytest

from gateway.config import load_with_origins
from tests.tools.programs import device
from tests.tools.service import command, running
from tools import allowed, bundle, checks
from tools.checks import Box
from tools.people import person
from tools.stage import free_port

PEOPLE = [person(number) for number in range(3)]
OPERATORS = ("吴试医", "dr-shi-wu")
REASON = "因为赵试一换了椅子"
TYPED = "37030518990101"
"""What a person typed at the machine as their number."""
LINE = f"2026,07,11,09,05,{TYPED:<20},0,120,080,072,0\r\n".encode()
SECRET = "s3cr3t-token-7d1f"
PLACE = "zhao-jia-cun"
"""The village, in every name that somebody chose."""
GOOD = {
    "at": "2026-11-22T03:00:00.000+00:00",
    "level": "info",
    "logger": "gateway.delivery",
    "event": "reach",
    "forwarder": "fhir",
    "condition": "unreachable",
    "code": "delivery.unreachable",
}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Path]]:
    """A gateway that has examined the fixture people, with the most talkative log: its file and its log."""
    home = tmp_path_factory.mktemp(PLACE)
    path = home / "gateway.toml"
    (home / "token").write_text(SECRET)
    (home / "token").chmod(0o600)
    with device(home / f"port-of-{PLACE}") as machine:
        path.write_text(
            f'gateway = "{PLACE}"\nlanguage = "en"\nstate = "{home / "state"}"\nlog_level = "wire"\n'
            f'[http]\nport = {free_port()}\n[fhir]\nurl = "http://{PLACE}.invalid:9/fhir"\n'
            f'token_file = "{home / "token"}"\n[fhir.identifier_systems]\ncn-id = "urn:{PLACE}"\n'
            f'[[devices]]\nname = "{PLACE}.1"\ndriver = "omron_hbp"\nport = "{home / f"port-of-{PLACE}"}"\n'
            f'[[devices]]\nname = "{PLACE}.2"\ndriver = "sinocare_sn"\nport = "/dev/none-{PLACE}"\n'
            f'settings = {{ host_code = "8899" }}\n'
        )
        with running(path) as base, httpx2.Client(base_url=base, trust_env=False) as http:
            examine(http, machine)
            yield path, path.with_suffix(".log")


def examine(http: httpx2.Client, machine: object) -> None:
    """Examine everybody, one after another; the last one's measurement is sent back to the tray."""
    for number, resident in enumerate(PEOPLE):
        who = {
            "identifiers": [{"system": "cn-id", "value": resident.cn_id}],
            "name": resident.name,
        }
        exam = (
            http.post("/v1/exams", json={"resident": who, "operator": OPERATORS[0]}).raise_for_status().json()
        )
        machine.write(LINE.replace(b"120", str(110 + number).encode()))  # type: ignore[attr-defined]
        found = measured(http, number + 1)
        http.get("/v1/measurements", params={"resident": resident.cn_id}).raise_for_status()
        http.post(f"/v1/exams/{exam['id']}/close", json={"operator": OPERATORS[1]}).raise_for_status()
    asked = {"exam": None, "operator": OPERATORS[1], "reason": REASON}
    http.post(f"/v1/measurements/{found}/bind", json=asked).raise_for_status()
    machine.write(b"ID,AGE,SEX\r\n")  # type: ignore[attr-defined]
    machine.write(f"{PEOPLE[0].cn_id}\r\n".encode())  # type: ignore[attr-defined]


def measured(http: httpx2.Client, wanted: int) -> str:
    """Return the id of the newest measurement once there are *wanted*."""
    while True:
        rows = http.get("/v1/measurements", params={"limit": 1000}).raise_for_status().json()["measurements"]
        ids = list(dict.fromkeys(row["id"] for row in rows))
        if len(ids) >= wanted:
            return str(ids[-1])


def files_of(archive: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(archive)) as read:
        return {name: read.read(name) for name in read.namelist()}


def forbidden(path: Path) -> dict[str, str]:
    """Return everything that may stand nowhere in the bundle, by what it is."""
    found = {"typed number": TYPED, "reason": REASON, "token": SECRET, "place": PLACE, "host code": "8899"}
    for number, resident in enumerate(PEOPLE):
        found |= {
            f"name {number}": resident.name,
            f"surname and given {number}": resident.name[1:],
            f"number {number}": resident.cn_id,
            f"birth date {number}": resident.cn_id[6:14],
            f"last digits {number}": resident.cn_id[-6:],
        }
    found |= {f"operator {number}": operator for number, operator in enumerate(OPERATORS)}
    base = f"http://127.0.0.1:{path.read_text().partition('[http]')[2].split()[2]}"
    with httpx2.Client(base_url=base, trust_env=False) as http:
        told = http.get("/v1/measurements").raise_for_status()
        assert all(one.name in told.text and one.cn_id in told.text for one in PEOPLE[:-1]), (
            "it had them to give"
        )
        for row in told.json()["measurements"]:
            found[f"measurement {row['id']}"] = row["id"]
            if row["exam"]:
                found[f"exam {row['exam']}"] = row["exam"]
            if row["resident"]:
                found[f"key {row['resident']['id']}"] = row["resident"]["id"]
        evidence = http.get(f"/v1/measurements/{row['id']}/evidence").raise_for_status().text
        assert TYPED.encode().hex() in evidence
    return found


def texts(files: Mapping[str, bytes]) -> dict[str, str]:
    """Return each file as text, JSON written anew so that no escape hides a character."""
    plain = {}
    for name, content in files.items():
        text = content.decode("utf-8")
        rows = text.splitlines() if name.endswith(".jsonl") else [text]
        parsed = [json.dumps(json.loads(row), ensure_ascii=False) for row in rows] if "json" in name else rows
        plain[name] = text + "".join(parsed)
    return plain


def test_nobody_and_nothing_chosen_stands_in_the_bundle(made: tuple[Path, Path], tmp_path: Path) -> None:
    path, log = made
    target, talkative = tmp_path / "bundle.zip", tmp_path / "log"
    said = [f"opened an exam of {one.name}, {one.cn_id}" for one in PEOPLE]
    shaped = [json.dumps({**GOOD, "event": words, "cause": words, "device": words}) for words in said]
    talkative.write_text("\n".join([log.read_text(), *said, *shaped, *(f'"{words}"' for words in said)]))
    done = command("doctor", "--bundle", target, "--log", talkative, "--config", path)
    assert done.returncode == 0, done.stderr
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    files = files_of(target.read_bytes())
    unwanted = forbidden(path)
    assert len(unwanted) > 20
    for name, text in texts(files).items():
        for what, value in unwanted.items():
            assert value.casefold() not in text.casefold(), f"{what} in {name}"
            assert value.encode().hex() not in text.casefold(), f"{what} as hex in {name}"


def test_what_helps_is_in_it(made: tuple[Path, Path], tmp_path: Path) -> None:
    path, log = made
    target = tmp_path / "bundle.zip"
    command("doctor", "--bundle", target, "--log", log, "--config", path)
    files = files_of(target.read_bytes())
    assert list(files) == [
        "README.txt",
        "machine.json",
        "doctor.json",
        "config.json",
        "devices.json",
        "journal.json",
        "log.jsonl",
    ]
    told = {name: json.loads(content) for name, content in files.items() if name.endswith(".json")}
    assert told["machine.json"]["python"]
    assert "uvicorn" in told["machine.json"]["packages"]
    found = {(check["check"], check.get("device")): check for check in told["doctor.json"]}
    assert found["port", 2]["result"] == "fail"
    assert found["configuration", None]["facts"]["doubt"] == "talkative_log"
    assert found["exams", None]["facts"]["tray"] == 1
    assert told["config.json"]["fhir"]["token"] is True
    assert [one["driver"] for one in told["config.json"]["devices"]] == ["omron_hbp", "sinocare_sn"]
    assert told["config.json"]["devices"][1]["settings"] == {"host_code": allowed.LEFT_OUT}
    [first, second] = told["devices.json"]
    assert first["now"]["readings"] == len(PEOPLE)
    assert "link.opened" in [event["code"] for event in first["events"]]
    assert first["days"][0]["results"] == len(PEOPLE)
    assert second["now"]["condition"] == "lost"
    assert second["now"]["code"] == "link.unavailable"
    assert told["journal.json"]["measurements"] == {"blood_pressure": len(PEOPLE) + 1}, "one was issued anew"
    assert set(told["journal.json"]["outbox"]) == {"fhir"}
    [head, *lines] = [json.loads(line) for line in files["log.jsonl"].decode().splitlines()]
    assert head["lines"] == head["left_out"] + len(lines)
    assert head["left_out"] > 0


def test_the_preview_is_the_bundle(made: tuple[Path, Path]) -> None:
    path, log = made
    box = Box(load_with_origins(path, {}))
    files = bundle.members(box, list(checks.every(box)), bundle.service_log(log))
    archived = files_of(bundle.zipped(files))
    assert archived == files
    printed = bundle.preview(files)
    for name, content in archived.items():
        assert f"=== {name} ===\n{content.decode()}" in printed


def test_the_preview_writes_nothing_and_a_file_is_not_written_over(
    made: tuple[Path, Path], tmp_path: Path
) -> None:
    path, log = made
    target = tmp_path / "bundle.zip"
    shown = command("doctor", "--bundle", target, "--preview", "--log", log, "--config", path)
    assert shown.returncode == 0
    assert not target.exists()
    for name in ("README.txt", "doctor.json", "log.jsonl"):
        assert f"=== {name} ===\n" in shown.stdout
    target.write_text("mine")
    refused = command("doctor", "--bundle", target, "--log", log, "--config", path)
    assert refused.returncode == 2
    assert target.read_text() == "mine"


def test_a_bundle_is_made_without_a_service_and_without_a_journal(tmp_path: Path) -> None:
    path = tmp_path / "gateway.toml"
    path.write_text(
        f'state = "{tmp_path / "none"}"\n[[devices]]\nname = "a"\ndriver = "omron_hbp"\nport = "/dev/none"\n'
        f"[http]\nport = {free_port()}\n"
    )
    (tmp_path / "log").touch()
    done = command("doctor", "--bundle", tmp_path / "b.zip", "--log", tmp_path / "log", "--config", path)
    assert done.returncode == 0, done.stderr
    told = json.loads(files_of((tmp_path / "b.zip").read_bytes())["devices.json"])
    assert told == [{"device": 1, "now": None, "events": [], "days": []}]


def test_a_line_of_ours_passes_whole() -> None:
    assert allowed.log_line(GOOD, {}) == GOOD


@pytest.mark.parametrize(
    "line",
    [
        {**GOOD, "event": "opened the exam of 赵试一"},
        {**GOOD, "event": "reach 370305180001010019"},
        {**GOOD, "level": "debug"},
        {**GOOD, "level": "wire"},
        {**GOOD, "logger": "uvicorn.error"},
        {**GOOD, "logger": "gateway.access"},
        {**GOOD, "logger": None},
        {**GOOD, "event": ["reach"]},
    ],
    ids=lambda line: " ".join(str(line[key]) for key in ("level", "logger", "event")),
)
def test_a_line_that_is_not_certainly_ours_is_left_out(line: Mapping[str, object]) -> None:
    assert allowed.log_line(line, {}) is None


@pytest.mark.parametrize(
    "name", sorted({*allowed.LOG_FIELDS, "device", "exception", "cause", "path", "resident"})
)
@pytest.mark.parametrize(
    "value",
    ["赵试一", "370305180001010019", {"text": "赵试一"}, ["赵试一"], 370305180001010019, "zhao.shi_yi"],
)
def test_no_field_lets_a_person_through(name: str, value: object) -> None:
    kept = allowed.log_line({**GOOD, name: value}, {"bp-1": 1})
    assert kept is None or "赵" not in str(kept)
    assert kept is None or "370305180001010019" not in str(kept)
    assert kept is None or "zhao" not in str(kept)


def test_an_exception_is_told_by_type_and_place_never_by_its_words() -> None:
    at = [
        "/opt/venv/lib/python3.11/site-packages/gateway/delivery.py:12 run",
        "/home/zhao/x.py:3 赵试一",
        "/usr/lib/python3.11/asyncio/tasks.py:3 run",
    ]
    told = {
        "type": "ValueError",
        "code": "delivery.refused",
        "at": at,
        "text": "赵试一",
        "several": ["赵试一"],
    }
    kept = allowed.log_line({**GOOD, "exception": told}, {})
    assert kept is not None
    assert kept["exception"] == {
        "type": "ValueError",
        "code": "delivery.refused",
        "at": ["gateway/delivery.py:12 run"],
    }


def test_a_program_that_somebody_wrote_is_not_named(tmp_path: Path) -> None:
    (tmp_path / "usr/bin").mkdir(parents=True)
    (tmp_path / "usr/bin/minicom").touch()
    assert allowed.program("minicom", tmp_path)
    assert not allowed.program("zhao-shi-yi", tmp_path)
    assert not allowed.program("../../etc/passwd", tmp_path)
