"""The audit of a real service, over real HTTP and with real commands: each thing once, by whom and when."""

import asyncio
import csv
import io
import json
import signal
import sqlite3
import subprocess
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.store import journal_making
from tests.tools.service import GATEWAY, command, http_port, running, written
from tests.tools.service import _wait_until_ready as wait_until_ready
from tools.machines import Machine
from tools.people import Person, person

WHO, OTHER = person(3), person(4)
PRESSURE = {"systolic": "128", "diastolic": "82", "mean_pressure": "97", "pulse_rate": "70"}
DEADLINE_S = 30.0


def client(base: str, **headers: str) -> httpx2.Client:
    return httpx2.Client(base_url=base, trust_env=False, timeout=30, headers=headers)


def audit(config: Path, *words: str) -> list[dict[str, Any]]:
    """Return the entries as the command prints them."""
    done = command("journal", "audit", "--json", "--config", config, *words)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def told(service: httpx2.Client, **wanted: str) -> list[dict[str, Any]]:
    """Return the entries as the service gives them."""
    return list(service.get("/v1/audit", params={"limit": "1000", **wanted}).json()["entries"])


def opened(service: httpx2.Client, who: Person = WHO) -> dict[str, Any]:
    resident = {"identifiers": [{"system": "cn-id", "value": who.cn_id}], "name": who.name}
    answer = service.post("/v1/exams", json={"resident": resident, "operator": "li"})
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


def posted(service: httpx2.Client, path: str, **body: Any) -> dict[str, Any]:
    answer = service.post(path, json=body)
    assert answer.is_success, answer.text
    return dict(answer.json())


@contextmanager
def refusing() -> Iterator[str]:
    """A central record that refuses whatever it is told."""

    class Refusing(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._say(200, {"resourceType": "Bundle", "type": "searchset", "entry": []})

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            issue = [{"severity": "error", "code": "processing", "diagnostics": "no"}]
            self._say(422, {"resourceType": "OperationOutcome", "issue": issue})

        def _say(self, status: int, body: dict[str, Any]) -> None:
            said = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("content-type", "application/fhir+json")
            self.send_header("content-length", str(len(said)))
            self.end_headers()
            self.wfile.write(said)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with HTTPServer(("127.0.0.1", 0), Refusing) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/fhir"
        server.shutdown()
        thread.join()


async def until(condition: Any) -> Any:
    end = asyncio.get_running_loop().time() + DEADLINE_S
    while not (found := condition()):
        assert asyncio.get_running_loop().time() < end, "it never came about"
        await asyncio.sleep(0.05)
    return found


def final(service: httpx2.Client, exam: str) -> list[dict[str, Any]]:
    rows = service.get(f"/v1/exams/{exam}").json()["measurements"]
    return [one for one in rows if one["status"] == "final"]


async def measured(service: httpx2.Client, machine: Machine, exam: str) -> dict[str, Any]:
    """Let the machine measure whoever sits there, ordered by li; return the final measurement."""
    async with asyncio.TaskGroup() as group:
        group.create_task(machine.measure(PRESSURE))
        await asyncio.to_thread(
            posted,
            service,
            "/v1/devices/bp-1/order",
            order="start_blood_pressure",
            arguments={},
            operator="li",
        )
    return (await until(lambda: final(service, exam)))[-1]


async def test_every_kind_of_thing_done_once_is_found_once(tmp_path: Path) -> None:
    began = datetime.now(UTC)
    with refusing() as centre:
        config = written(tmp_path, str(tmp_path / "port"), f'[fhir]\nurl = "{centre}"\nmax_attempts = 1\n')
        async with Machine("pm6750", tmp_path / "port", seed=1) as machine:
            with running(config) as base, client(base, **{"user-agent": "counting/7.2"}) as service:
                await until(lambda: service.get("/v1/devices").json()["devices"][0]["condition"] == "waiting")
                keys = await done_once(service, machine, config)
    said = config.read_text().replace('driver = "pm6750"', 'driver = "pm6750"\nbaudrate = 9600')
    config.write_text(said)
    with running(config):
        pass
    found = audit(config)
    counted = Counter((one["who"], one["what"]) for one in found)
    user = command_user()
    assert counted == Counter(
        {
            ("service", "configured"): 2,
            ("li", "opened"): 2,
            ("li", "ordered"): 1,
            ("li", "read"): 1,
            ("page:127.0.0.1", "read"): 1,
            ("api:127.0.0.1", "listed"): 1,
            ("api:127.0.0.1", "read"): 3,  # exam, measurement, its frames
            ("api:127.0.0.1", "searched"): 2,
            ("api:127.0.0.1", "pulled"): 2,  # where it began, and how far it came
            ("wang", "corrected"): 1,
            ("wang", "resent"): 1,
            ("wang", "voided"): 1,
            ("wang", "bound"): 1,
            ("wang", "described"): 1,
            ("wang", "pointed"): 1,
            ("wang", "closed"): 2,
            ("chen", "erased"): 1,
            ("chen", "key_changed"): 1,
            (user, "exported"): 1,
            (user, "backed_up"): 1,
            (user, "bundled"): 1,
            (user, "audit_read"): 1,  # the one that is read here waits for the next start
            ("api:127.0.0.1", "audit_read"): 1,
        }
    )
    assert [one["seq"] for one in found] == sorted({one["seq"] for one in found})
    times = [datetime.fromisoformat(one["at"]["utc"]) for one in found]
    assert began <= min(times)
    assert max(times) <= datetime.now(UTC)
    by_what = {one["what"]: one for one in found}
    assert by_what["corrected"]["subject"] == keys["measurement"]
    assert by_what["corrected"]["reason"] == "read from the display"
    assert by_what["corrected"]["resident"] == keys["resident"]
    assert by_what["configured"]["detail"]["changed"] == "devices.bp-1.baudrate"
    assert {"counting"} == {one["detail"]["by"] for one in found if one["who"].startswith("api:")}
    assert WHO.name not in json.dumps(found, ensure_ascii=False)
    assert WHO.cn_id not in json.dumps(found)
    assert command("journal", "verify", "--config", config).returncode == 0


async def done_once(service: httpx2.Client, machine: Machine, config: Path) -> dict[str, str]:
    exam = opened(service)
    one = await measured(service, machine, exam["id"])
    with client(str(service.base_url), cookie="operator=li") as page:
        for path in ("/", f"/?exam={exam['id']}", "/fragments/exam", "/fragments/exam"):
            assert page.get(path).is_success
    with client(str(service.base_url)) as page:
        for path in ("/fragments/exam", "/", "/tray", "/devices", "/outbox", "/fragments/bar"):
            assert page.get(path).is_success
    for path in (
        "/v1/exams",
        f"/v1/measurements/{one['id']}",
        f"/v1/measurements/{one['id']}",
        f"/v1/measurements/{one['id']}/evidence",
        "/v1/measurements",
        f"/v1/measurements?resident={WHO.cn_id}",
        "/v1/measurements?resident=110101189001010040",
        "/fhir/Observation",
        f"/fhir/Observation?identifier={one['id']}.pulse_rate",
        "/v1/audit",
        "/v1/devices",
        "/v1/outbox",
        "/metrics",
        "/readyz",
    ):
        assert service.get(path).is_success, path
    corrected = posted(
        service,
        f"/v1/measurements/{one['id']}/correct",
        values={"systolic": {"value": "138"}},
        operator="wang",
        reason="read from the display",
    )
    assert corrected["status"] == "corrected"
    parked = await until(lambda: service.get("/v1/outbox").json()["deliveries"])
    posted(
        service,
        "/v1/outbox/resend",
        forwarder="fhir",
        measurement=parked[0]["measurement"],
        operator="wang",
    )
    second = opened(service, OTHER)
    posted(
        service,
        f"/v1/measurements/{one['id']}/bind",
        exam=second["id"],
        operator="wang",
        reason="sat there instead",
    )
    posted(service, "/v1/devices/bp-1/passport", maker="x", operator="wang")
    posted(service, "/v1/devices/bp-1/point", exam=second["id"], operator="wang")
    for sat in (exam, second):
        posted(service, f"/v1/exams/{sat['id']}/close", operator="wang")
    signed = ("--operator", "chen", "--config", config)
    for words in (
        ("journal", "export", "--config", config),
        ("journal", "backup", config.with_name("copy.db"), "--config", config),
        ("doctor", "--bundle", config.with_name("bundle.zip"), "--config", config),
        ("journal", "audit", "--config", config),
        ("journal", "erase", OTHER.cn_id, "--reason", "asked", *signed),
        ("journal", "rotate-key", *signed),
    ):
        done = command(*words)
        assert done.returncode == 0, done.stderr
    return {"measurement": one["id"], "resident": exam["resident"]["id"]}


def command_user() -> str:
    import getpass

    return f"command:{getpass.getuser()}"


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return written(tmp_path, "/dev/checkup-test-none")


def killed(config: Path, base: str) -> subprocess.Popen[bytes]:
    """Start a service of one's own, to be killed."""
    with config.with_suffix(".log").open("ab") as out:
        gateway = subprocess.Popen([GATEWAY, "run", "--config", config], stdout=out, stderr=out)
    wait_until_ready(base, gateway, config.with_suffix(".log"))
    return gateway


def test_kill_9_loses_no_entry_of_what_was_acknowledged(config: Path) -> None:
    """A read is on disk before what is asked next is acknowledged; an export, before it is printed."""
    base, exams = f"http://127.0.0.1:{http_port(config)}", []
    for turn in range(2):
        gateway = killed(config, base)
        with client(base) as service, client(base, cookie="operator=li") as page:
            for number in range(turn + 1):
                exam = opened(service, person(10 * turn + number))["id"]
                assert page.get("/", params={"exam": exam}).is_success
                assert service.get(f"/v1/exams/{exam}").is_success
                posted(service, f"/v1/exams/{exam}/close", operator="wang")
                exams.append(exam)
        assert command("journal", "export", "--config", config).returncode == 0
        gateway.send_signal(signal.SIGKILL)
        gateway.wait()
    found = Counter((one["who"], one["what"], one["subject"]) for one in audit(config))
    for exam in exams:
        for who, what in (("li", "opened"), ("li", "read"), ("api:127.0.0.1", "read"), ("wang", "closed")):
            assert found[who, what, exam] == 1, (who, what, exam)
    assert found[command_user(), "exported", "facts"] == 2
    assert command("journal", "verify", "--config", config).returncode == 0


def test_what_was_taken_out_while_the_service_stood_still_is_written_at_its_start(config: Path) -> None:
    with running(config) as base, client(base) as service:
        opened(service)
    assert command("journal", "export", "--config", config).returncode == 0
    assert command("journal", "backup", config.with_name("copy.db"), "--config", config).returncode == 0
    pending = config.parent / "state" / "audit.pending"
    kept = pending.read_bytes()
    assert pending.stat().st_mode & 0o777 == 0o600
    pending.write_bytes(kept + b'{"kind":"audited","who":"torn')
    assert "exported" not in {one["what"] for one in audit(config)}  # notes that it was read, too
    with running(config):
        assert not pending.exists()
        pending.write_bytes(kept)  # as if the start had been cut off before it was taken away
    with running(config):
        assert not pending.exists()
        found = Counter(one["what"] for one in audit(config))
    assert (found["exported"], found["backed_up"], found["unreadable"]) == (1, 1, 1)
    assert found["audit_read"] == 2  # the one above, and this one


def test_many_readers_at_once_are_each_written_once(config: Path) -> None:
    with running(config) as base, client(base) as service:
        exams = [opened(service, person(number))["id"] for number in range(5)]
        readers = [f"{letter}-reader" for letter in "abcdefgh"]

        def reads(reader: str) -> None:
            with client(base, **{"user-agent": f"{reader}/1"}) as reading:
                for exam in exams * 3:
                    assert reading.get(f"/v1/exams/{exam}").is_success

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(reads, readers))
        opened(service, person(9))  # acknowledged after all of them: so they are on disk
        found = Counter((one["detail"].get("by"), one["subject"]) for one in told(service, what="read"))
    assert found == Counter({(reader, exam): 1 for reader in readers for exam in exams})


def test_pulling_page_by_page_is_one_caller_and_how_far_they_came(config: Path) -> None:
    with closing(journal_making.opened(config.parent)) as journal:
        exam = journal.submit(journal_making.visit).result()
        for systolic in range(120, 140):
            values = journal_making.pressure(systolic)
            journal.submit(lambda tx, values=values: journal_making.final(tx, exam, values)).result()
    with running(config) as base, client(base) as service:
        cursor, pages = None, 0
        while True:
            page = service.get(
                "/v1/measurements", params={"limit": 5} | ({"after": cursor} if cursor else {})
            )
            cursor, pages = page.json()["next"], pages + 1
            if not page.json()["more"]:
                break
    first, last = audit(config, "--what", "pulled")
    assert (first["detail"]["first"], first["detail"]["pages"]) == ("start", "1")
    assert (last["detail"]["first"], last["detail"]["last"]) == ("start", cursor)
    assert int(last["detail"]["pages"]) == pages > 3


def test_filters_and_forms_of_the_command(config: Path) -> None:
    with running(config) as base, client(base) as service:
        exam = opened(service)
        opened(service, OTHER)
        assert service.get(f"/v1/exams/{exam['id']}").is_success
        posted(service, f"/v1/exams/{exam['id']}/close", operator="wang")
        whole = audit(config)
        every = ("--who", "wang", "--what", "closed", "--resident", WHO.cn_id, "--since", "2020-01-01T08:00")
        assert [one["subject"] for one in audit(config, *every)] == [exam["id"]]
        assert audit(config, *every, "--until", "2020-01-02") == []
        assert [one["what"] for one in told(service, who="wang")] == ["closed"]
        assert [one["subject"] for one in told(service, what="read")] == [exam["id"]]
        about = [one["what"] for one in told(service, resident=exam["resident"]["id"])]
        assert about == ["opened", "read", "closed"]
        assert told(service, until="2020-01-01") == told(service, since="2100-01-01T00:00:00Z") == []
        answer = service.get("/v1/audit", params={"resident": WHO.cn_id, "names": "true", "newest": "true"})
        assert [one["person"]["name"] for one in answer.json()["entries"]] == [WHO.name] * 3
        assert [one["what"] for one in answer.json()["entries"]] == ["closed", "read", "opened"]
        since = datetime.fromisoformat(whole[-1]["at"]["utc"]).isoformat()
        assert service.get("/v1/audit", params={"since": since, "who": "li"}).json()["entries"] == []
        assert service.get("/v1/audit", params={"after": "v1-0"}).status_code == 400
    table = command("journal", "audit", "--csv", "--config", config).stdout
    rows = list(csv.DictReader(io.StringIO(table)))
    assert [row["what"] for row in rows if row["what"] in {"opened", "closed"}] == [
        "opened",
        "opened",
        "closed",
    ]
    assert WHO.name not in table
    named = command("journal", "audit", "--names", "--config", config).stdout
    assert WHO.name in named
    (config.parent / "state-key" / "key").rename(config.parent / "elsewhere")
    blind = command("journal", "audit", "--names", "--config", config)
    assert blind.returncode == 0
    assert WHO.name not in blind.stdout


def test_nobody_signs_as_what_is_no_person(config: Path) -> None:
    with running(config) as base, client(base) as service:
        for name in ("rule:one_open_exam", "service", "api:127.0.0.1", "card:reader", "command:root"):
            body = {"resident": {"name": "Ada"}, "operator": name}
            assert service.post("/v1/exams", json=body).status_code == 422
            assert service.post("/exams", data={"name": "Ada", "operator": name}).status_code == 422
        assert service.get("/v1/exams").json()["exams"] == []


def test_what_cannot_be_written_now_stops_no_reader_and_is_written_later(config: Path) -> None:
    """Another program holds the file: a write waits and then fails, as on a disk that is full."""
    with running(config) as base, client(base) as service:
        exam = opened(service)["id"]
        with closing(sqlite3.connect(config.parent / "state" / "journal.db", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            assert service.get(f"/v1/exams/{exam}").is_success
            while "audit.waiting" not in str(service.get("/readyz").json().get("notes")):
                assert service.get(f"/v1/exams/{exam}").is_success
            happened = datetime.now(UTC)
            other.execute("ROLLBACK")
        while service.get("/readyz").json().get("notes"):
            assert service.get(f"/v1/exams/{exam}").is_success
        [read] = told(service, what="read")
    assert read["subject"] == exam
    assert datetime.fromisoformat(read["detail"]["at"]) < happened < datetime.fromisoformat(read["at"]["utc"])
