"""doctor against real files, a real journal, real servers and a real pseudo-terminal."""

import json
import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from gateway.clock import Clock
from gateway.config import DeviceConfig, load_with_origins
from store.facts import ExamClosed, ExamOpened
from store.journal import Journal
from tests.tools.service import command, http_port, running, written
from tools import checks
from tools.checks import Box


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return written(tmp_path, "/dev/none")


@pytest.fixture
def box(path: Path, tmp_path: Path) -> Box:
    return Box(load_with_origins(path, {}), root=tmp_path, unit=lambda name: "")


@contextmanager
def answering(status: int, body: str) -> Iterator[str]:
    """Serve one fixed answer; yields the base address."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *_words: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Answer) as server:
        serving = threading.Thread(target=server.serve_forever, args=(0.01,))
        serving.start()
        yield f"http://127.0.0.1:{server.server_port}/fhir"
        server.shutdown()
        serving.join()


def with_centre(tmp_path: Path, url: str, unit: str = "") -> Box:
    path = written(tmp_path, "/dev/none")
    path.write_text(path.read_text() + f'[fhir]\nurl = "{url}"\n')
    return Box(load_with_origins(path, {}), root=tmp_path, unit=lambda name: unit)


def device(port: str) -> DeviceConfig:
    return DeviceConfig(name="bp-1", driver="pm6750", port=port)


def test_every_line_has_a_number_a_result_and_what_to_do(path):
    told = command("doctor", "--config", path)
    assert told.returncode == 1
    numbered = [line for line in told.stdout.splitlines() if not line.startswith("        ")]
    assert [int(line[:2]) for line in numbered] == list(range(1, len(numbered) + 1))
    assert {line.split()[1] for line in numbered} <= {"ok", "warn", "fail"}
    assert any("fail port of bp-1: /dev/none is not there" in line for line in numbered)
    assert "        run:   checkup-gateway devices scan" in told.stdout.splitlines()


def test_json_has_the_same_checks_and_every_trouble_says_more(path):
    told = command("doctor", "--json", "--config", path)
    document = json.loads(told.stdout)
    assert (told.returncode, told.stderr, document["schema"]) == (1, "", 1)
    assert [check["number"] for check in document["checks"]] == list(range(1, len(document["checks"]) + 1))
    for check in document["checks"]:
        assert check["result"] == "ok" or check["means"] or check["do"] or check["run"]
    names = {check["name"] for check in document["checks"]}
    assert {
        "versions",
        "configuration",
        "state folder",
        "journal",
        "clock",
        "hot-plug",
        "outbox",
        "centre",
    } <= names


def test_a_wrong_configuration_is_one_failed_line_with_the_key(tmp_path):
    path = tmp_path / "wrong.toml"
    path.write_text("[http]\nprot = 1\n")
    told = command("doctor", "--config", path)
    assert told.returncode == 1
    assert 'http.prot: unknown key, did you mean "port"?' in told.stdout


def test_a_running_service_on_a_good_box_has_no_failure(tmp_path):
    ours, theirs = os.openpty()
    try:
        path = written(tmp_path, os.ttyname(theirs))
        os.close(theirs)
        with running(path) as base:
            told = command("doctor", "--json", "--config", path)
    finally:
        os.close(ours)
    found = {check["name"]: check for check in json.loads(told.stdout)["checks"]}
    assert {name for name, check in found.items() if check["result"] == "fail"} == set()
    assert told.returncode == 0
    assert found["service"]["found"] == f"{base} is ready"
    assert found["port of bp-1"]["found"].endswith("open by the gateway")
    assert "facts" in found["journal"]["found"]


def filled(box: Box) -> Path:
    """Make a journal with a few facts and close it."""
    path = box.config.state / "journal.db"
    journal = Journal.open(path, gateway="box", now=Clock().now)
    for number in range(5):
        opened = ExamOpened(exam=f"e{number}", resident="r", operator="o")
        journal.submit(lambda tx, opened=opened: tx.append(opened)).result()
        closed = ExamClosed(exam=f"e{number}", operator="o")
        journal.submit(lambda tx, closed=closed: tx.append(closed)).result()
    journal.close()
    return path


def test_a_sound_journal_is_ok_and_a_changed_one_is_named(box):
    path = filled(box)
    good = checks.journal(box)
    assert (good.result, "10 facts" in good.found) == ("ok", True)
    connection = sqlite3.connect(path)
    for (trigger,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
        connection.execute(f"DROP TRIGGER {trigger}")
    connection.execute("UPDATE facts SET id = 'other' WHERE seq = 3")
    connection.commit()
    connection.close()
    bad = checks.journal(box)
    assert bad.result == "fail"
    assert "fact 3" in bad.found


def test_the_journal_is_read_while_the_service_writes_it(box):
    filled(box)
    writing = Journal.open(box.config.state / "journal.db", gateway="box", now=Clock().now)
    assert checks.journal(box).result == "ok"
    assert checks.outbox(box).result == "ok"
    writing.close()


def test_a_file_that_is_no_journal_is_no_traceback(box):
    box.config.state.mkdir(mode=0o700)
    (box.config.state / "journal.db").write_bytes(b"not a database at all" * 100)
    told = checks.journal(box)
    assert told.result == "fail"
    assert "file is not a database" in told.found


def test_a_state_folder_others_may_read_is_a_failure_with_its_cure(box):
    box.config.state.mkdir()
    box.config.state.chmod(0o755)
    told = checks.state_folder(box)
    assert (told.result, told.run) == ("fail", f"chmod 700 {box.config.state}")
    box.config.state.chmod(0o700)
    assert checks.state_folder(box).result == "ok"


def test_who_holds_a_port_is_named(box):
    ours, theirs = os.openpty()
    name = os.ttyname(theirs)
    whole = replace(box, root=Path("/"))
    held = checks.port(whole, device(name))
    assert held.result == "fail"
    assert f"process {os.getpid()}" in held.found
    os.close(theirs)
    assert checks.port(whole, device(name)).result == "ok"
    os.close(ours)


def test_a_port_is_never_opened(box, tmp_path):
    """Opening this one would wait for ever: nobody is at its other end."""
    os.mkfifo(tmp_path / "port")
    assert checks.port(box, device(str(tmp_path / "port"))).result == "ok"


def test_a_usb_machine_that_is_not_plugged_in(box):
    told = checks.port(box, device("usb:1234:abcd"))
    assert told.result == "fail"
    assert "link.unavailable" in told.found


def test_a_port_behind_a_network_is_not_tried(box):
    assert checks.port(box, device("socket://127.0.0.1:9")).result == "ok"


def test_udev_and_modem_manager_are_seen_under_the_root(box, tmp_path):
    assert checks.hot_plug(box).result == "warn"
    (tmp_path / "run/udev").mkdir(parents=True)
    (tmp_path / "run/udev/control").touch()
    assert checks.hot_plug(box).result == "ok"
    assert checks.modem_manager(box).result == "ok"
    (tmp_path / "proc/42").mkdir(parents=True)
    (tmp_path / "proc/42/comm").write_text("ModemManager\n")
    assert checks.modem_manager(box).result == "warn"


@pytest.mark.parametrize(
    ("status", "body", "result"),
    [
        (200, '{"resourceType": "CapabilityStatement"}', "ok"),
        (200, '{"resourceType": "Patient"}', "fail"),
        (200, "<html>log in to the guest network</html>", "fail"),
        (200, "[]", "fail"),
        (404, "", "fail"),
        (401, "", "fail"),
    ],
)
def test_the_centre_is_judged_by_its_answer(tmp_path, status, body, result):
    with answering(status, body) as url:
        told = checks.centre(with_centre(tmp_path, url))
    assert told.result == result
    assert told.result == "ok" or str(status) in told.found


def test_being_offline_is_a_state_and_no_failure(tmp_path, path):
    told = checks.centre(with_centre(tmp_path, f"http://127.0.0.1:{http_port(path)}/fhir"))
    assert told.result == "warn"
    assert "stored here" in told.means


def test_no_centre_and_no_device_are_said(box):
    assert checks.centre(box).result == "ok"
    assert checks.service(box).result == "warn"


@pytest.mark.parametrize(
    ("url", "unit", "result"),
    [
        ("http://centre.example/fhir", "127.0.0.0/8 ::1/128", "fail"),
        ("http://centre.example/fhir", "127.0.0.0/8 ::1/128 192.0.2.10/32", "ok"),
        ("http://127.0.0.1:8080/fhir", "127.0.0.0/8 ::1/128", "ok"),
        ("http://centre.example/fhir", "", "ok"),
    ],
)
def test_a_unit_that_shuts_the_centre_out_is_found(tmp_path, url, unit, result):
    assert checks.way_out(with_centre(tmp_path, url, unit)).result == result
