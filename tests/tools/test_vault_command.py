"""`journal rotate-key | new-key | erase` against a service that runs, and what it says without its key."""

import json
import socket
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from gateway import control
from gateway.control import Ping
from protocol.errors import RequestRefused
from store import keyring
from tests.tools.service import command, running, written
from tools.people import person

WHO = person(3)
RESIDENT = {"identifiers": [{"system": "cn-id", "value": WHO.cn_id}], "name": WHO.name}
SIGNED = ("--operator", "wang", "--reason", "asked in writing, sheet 7")


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return written(tmp_path, "/dev/checkup-test-none")


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    return tmp_path / "state-key" / "key"


@pytest.fixture
def service(config: Path) -> Iterator[httpx2.Client]:
    with running(config) as base, client(base) as asking:
        yield asking


def client(base: str) -> httpx2.Client:
    return httpx2.Client(base_url=base, trust_env=False, timeout=30)


def sit_down(service: httpx2.Client, who: dict[str, Any] = RESIDENT) -> dict[str, Any]:
    answer = service.post("/v1/exams", json={"resident": who, "operator": "li"})
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


def seen(service: httpx2.Client, exam: dict[str, Any]) -> dict[str, Any]:
    return dict(service.get(f"/v1/exams/{exam['id']}").json()["resident"])


def facts(config: Path) -> list[dict[str, Any]]:
    """Return what the journal's facts say."""
    lines = command("journal", "export", "--config", config).stdout.splitlines()
    return [json.loads(one)["body"] for one in lines]


def test_the_key_is_changed_while_the_service_runs(
    config: Path, key_file: Path, service: httpx2.Client
) -> None:
    exam = sit_down(service)
    before = keyring.read(key_file)
    told = command("journal", "rotate-key", "--config", config, "--json")
    assert told.returncode == 0, told.stderr
    after = keyring.read(key_file)
    assert len(before) == len(after) == 1
    assert before != after
    assert json.loads(told.stdout)["key"] == keyring.Key.of(after[0]).id
    assert stat.S_IMODE(key_file.stat().st_mode) == 0o600
    assert seen(service, exam)["name"] == WHO.name
    assert sit_down(service)["resident"]["id"] == exam["resident"]["id"]
    left_out = {"device_event", "audited"}
    kinds = [one["kind"] for one in facts(config) if one["kind"] not in left_out]
    assert kinds == ["exam_opened", "key_changed", "exam_opened"]
    assert not any(secret.hex() in told.stdout + told.stderr for secret in before + after)


def test_a_change_that_was_cut_off_goes_on_at_the_next_start_and_ends_with_the_next_command(
    config: Path, key_file: Path
) -> None:
    with running(config) as base, client(base) as service:
        exam = sit_down(service)
    (old,) = keyring.read(key_file)
    new = keyring.new()
    keyring.replace(key_file, [new, old])
    with running(config) as base, client(base) as service:
        assert seen(service, exam)["name"] == WHO.name
        assert command("journal", "rotate-key", "--config", config).returncode == 0
        assert keyring.read(key_file) == [new]
        assert seen(service, exam)["name"] == WHO.name
    with running(config) as base, client(base) as service:
        assert seen(service, exam)["name"] == WHO.name


def test_without_its_key_the_service_runs_says_so_and_makes_none(config: Path, key_file: Path) -> None:
    with running(config) as base, client(base) as service:
        exam = sit_down(service)
    kept = key_file.read_bytes()
    key_file.unlink()
    with running(config) as base, client(base) as service:
        ready = service.get("/readyz", headers={"accept-language": "en"})
        assert (ready.status_code, ready.json()["ready"]) == (200, True)
        assert [one["code"] for one in ready.json()["notes"]] == ["vault.key_missing"]
        assert not key_file.exists()
        hidden = seen(service, exam)
        assert (hidden["name"], hidden["identifiers"], hidden["hidden"]) == (None, [], "key_missing")
        refused = service.post("/v1/exams", json={"resident": RESIDENT, "operator": "li"})
        assert (refused.status_code, refused.json()["code"]) == (503, "vault.key_missing")
        assert service.get("/").status_code == 200
        assert command("journal", "rotate-key", "--config", config).returncode == 6
        assert not key_file.exists()
        key_file.write_bytes(kept)
        assert sit_down(service)["resident"]["id"] == exam["resident"]["id"]
        assert seen(service, exam)["name"] == WHO.name
        assert "notes" not in service.get("/readyz").json()
    log = config.with_suffix(".log").read_text()
    assert '"code": "vault.key_missing"' in log
    assert WHO.name not in log


def test_a_lost_key_is_replaced_by_a_command(config: Path, key_file: Path) -> None:
    with running(config) as base, client(base) as service:
        lost = sit_down(service)
        needless = command("journal", "new-key", "--config", config)
        assert (needless.returncode, "vault.key_at_hand" in needless.stderr) == (6, True)
    key_file.unlink()
    with running(config) as base, client(base) as service:
        made = command("journal", "new-key", "--config", config, "--operator", "wang", "--reason", "stolen")
        assert made.returncode == 0, made.stderr
        new = sit_down(service)
        assert new["resident"]["name"] == WHO.name
        assert new["resident"]["id"] != lost["resident"]["id"]
        assert seen(service, lost)["hidden"] == "key_missing"
        assert command("journal", "verify", "--config", config).returncode == 0
    assert [
        (one["lost"], one["operator"], one["reason"]) for one in facts(config) if one["kind"] == "key_changed"
    ] == [(True, "wang", "stolen")]


def test_a_person_is_erased_by_key_or_by_number(config: Path, service: httpx2.Client) -> None:
    exam, other = sit_down(service), sit_down(service, {"identifiers": [{"system": "card", "value": "B-7"}]})
    key = exam["resident"]["id"]
    busy = command("journal", "erase", key, *SIGNED, "--config", config)
    assert (busy.returncode, "resident.exam_open" in busy.stderr) == (6, True)
    for one in (exam, other):
        service.post(f"/v1/exams/{one['id']}/close", json={"operator": "li"})
    named = command(
        "journal", "erase", key, "--operator", "wang", "--reason", f"{WHO.name} left", "--config", config
    )
    assert (named.returncode, "resident.reason_names" in named.stderr) == (6, True)
    assert WHO.name not in named.stderr
    done = command("journal", "erase", key, *SIGNED, "--config", config, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["resident"] == key
    assert seen(service, exam)["hidden"] == "erased"
    assert command("journal", "erase", "B-7", *SIGNED, "--config", config).returncode == 0
    assert seen(service, other)["hidden"] == "erased"
    for unknown in (WHO.cn_id, "r-0000000000000000"):
        gone = command("journal", "erase", unknown, *SIGNED, "--config", config)
        assert (gone.returncode, "resident.unknown" in gone.stderr) == (6, True)
        assert WHO.cn_id not in gone.stderr
    assert command("journal", "verify", "--config", config).returncode == 0
    erased = [
        (one["resident"], one["operator"], one["reason"])
        for one in facts(config)
        if one["kind"] == "resident_erased"
    ]
    assert erased == [(each["resident"]["id"], "wang", "asked in writing, sheet 7") for each in (exam, other)]


def test_without_a_service_each_says_so_and_no_key_is_made(config: Path, key_file: Path) -> None:
    for words in (("rotate-key",), ("new-key",), ("erase", "r-1", *SIGNED)):
        answer = command("journal", *words, "--config", config)
        assert (answer.returncode, "service.unreachable" in answer.stderr) == (5, True)
    assert not key_file.exists()


def test_another_key_file_than_the_services_is_not_written(
    config: Path, tmp_path: Path, key_file: Path, service: httpx2.Client
) -> None:
    sit_down(service)
    before = keyring.read(key_file)
    wrong = command("journal", "rotate-key", "--key-file", tmp_path / "elsewhere", "--config", config)
    assert (wrong.returncode, "vault.key_not_seen" in wrong.stderr) == (6, True)
    assert not (tmp_path / "elsewhere").exists()
    assert keyring.read(key_file) == before


def test_a_key_handed_over_by_systemd_is_changed_with_a_restart(
    config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The service reads a copy made at its start; the file behind it is the administrator's."""
    source, credentials = tmp_path / "identity-key", tmp_path / "credentials"
    credentials.mkdir()
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(credentials))
    copy = credentials / "identity-key"
    keyring.make(source)

    def start() -> Any:
        copy.unlink(missing_ok=True)
        copy.write_bytes(source.read_bytes())
        copy.chmod(0o400)
        return running(config)

    rotate = ("journal", "rotate-key", "--config", config)
    with start() as base, client(base) as service:
        exam = sit_down(service)
        assert not (tmp_path / "state-key").exists()
        assert "vault.key_not_seen" in command(*rotate).stderr
        first = command(*rotate, "--key-file", source)
        assert (first.returncode, "vault.key_not_seen" in first.stderr) == (6, True)
        assert len(keyring.read(source)) == 2
        assert seen(service, exam)["name"] == WHO.name
    with start() as base, client(base) as service:
        second = command(*rotate, "--key-file", source)
        assert second.returncode == 0, second.stderr
        assert len(keyring.read(source)) == 1
        assert seen(service, exam)["name"] == WHO.name
    with start() as base, client(base) as service:
        assert seen(service, exam)["name"] == WHO.name


def test_the_control_socket_lets_in_its_owner_only_and_takes_no_nonsense(
    config: Path, tmp_path: Path, service: httpx2.Client
) -> None:
    state = tmp_path / "state"
    assert stat.S_IMODE((state / "control.sock").stat().st_mode) == 0o600
    assert stat.S_IMODE(state.stat().st_mode) == 0o700
    for nonsense in (
        b"\n",
        b"{}\n",
        b'{"do":"erase"}\n',
        b"\xff" * 100_000 + b"\n",
        b'{"do":"ping","x":1}\n',
        b"",
    ):
        with socket.socket(socket.AF_UNIX) as calling, control.address(state / "control.sock") as short:
            calling.connect(short)
            calling.sendall(nonsense)
            calling.shutdown(socket.SHUT_WR)
            answer = calling.makefile("rb").readline()
        assert answer == b"" or json.loads(answer)["code"] == "request.refused"
    assert control.ask(state, Ping()).fault is None
    assert service.get("/livez").status_code == 200


def test_the_socket_works_however_deep_its_folder_lies(tmp_path: Path) -> None:
    deep = tmp_path.joinpath(*["a" * 60] * 3)
    deep.mkdir(parents=True)
    with running(written(deep, "/dev/checkup-test-none")):
        assert control.ask(deep / "state", Ping()).key_file == str(deep / "state-key" / "key")
    assert not (deep / "state" / "control.sock").exists()
    with pytest.raises(OSError, match="No such file"):
        control.ask(deep / "state", Ping())


def test_a_refusal_comes_back_with_its_code(tmp_path: Path, config: Path, service: httpx2.Client) -> None:
    key = sit_down(service)["resident"]["id"]
    with pytest.raises(RequestRefused) as refused:
        control.ask(tmp_path / "state", control.Erase(resident=key, operator="", reason="x"))
    assert refused.value.code == "operator.missing"
