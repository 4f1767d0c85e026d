"""`outbox list | retry` against a running service with a refused delivery in its journal."""

import json
from pathlib import Path

from tests.api.test_api_outbox import FHIR, park
from tests.tools.service import command
from tests.web.live import Live, pressure
from tools.stage import free_port


def config(folder: Path, port: int) -> Path:
    path = folder / "gateway.toml"
    path.write_text(f"[http]\nport = {port}\n")
    return path


def test_a_parked_delivery_is_listed_and_sent_again(tmp_path: Path) -> None:
    with Live(tmp_path, fhir=FHIR) as live, live.client() as client:
        live.open(client)
        live.report("bp-1", pressure())
        key = park(live)
        named = ("--config", config(tmp_path, int(live.url.rpartition(":")[2])))
        listed = json.loads(command("outbox", "list", "--json", *named).stdout)
        assert listed["forwarders"]["fhir"]["parked"] == 1
        assert [(one["measurement"], one["reason"]) for one in listed["deliveries"]] == [
            (key, "unknown number")
        ]
        words = command("outbox", "list", *named)
        assert key in words.stdout
        assert "unknown number" in words.stdout
        again = command("outbox", "retry", "--all", "--operator", "li", "--json", *named)
        assert (again.returncode, json.loads(again.stdout)["waiting"]) == (0, [key])
        assert json.loads(command("outbox", "list", "--json", *named).stdout)["deliveries"] == []
        gone = command("outbox", "retry", key, "--operator", "li", *named)
        assert gone.returncode == 6
        assert "delivery.unknown" in gone.stderr


def test_without_a_service_it_says_so(tmp_path: Path) -> None:
    answer = command("outbox", "list", "--config", config(tmp_path, free_port()))
    assert answer.returncode == 5
    assert "service.unreachable" in answer.stderr


def test_nothing_or_both_to_send_is_a_usage_error(tmp_path: Path) -> None:
    for words in ([], ["a", "--all"]):
        assert command("outbox", "retry", *words, "--operator", "li").returncode == 2
