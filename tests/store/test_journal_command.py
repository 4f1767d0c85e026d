"""The command `journal`, as an operator runs it: beside the service, on its file, on a backup."""

import json
import sqlite3
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from journal_making import final, heard, opened, visit

from store.queries import Queries

ROOT = Path(__file__).parents[2]


def run(*arguments, status=0):
    done = subprocess.run(
        [sys.executable, "-m", "tools.main", "journal", *map(str, arguments)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == status, done.stderr
    return done


@pytest.fixture
def service(tmp_path):
    """Return the configuration file of a service that is running."""
    config = tmp_path / "gateway.toml"
    config.write_text(f'gateway = "gw-1"\nstate = "{tmp_path / "state"}"\n', encoding="utf-8")
    journal = opened(tmp_path)
    exam = journal.submit(visit).result()
    journal.submit(lambda tx: final(tx, exam)).result()
    journal.submit(heard).result()
    yield config
    journal.submit(heard).result()
    journal.close()


def test_verify_beside_the_running_service(service):
    report = json.loads(run("verify", "--config", service, "--json").stdout)
    assert (report["ok"], report["facts"], report["versions"], report["problems"]) == (True, 5, 2, [])
    last = json.loads(run("export", "--config", service).stdout.splitlines()[-1])
    assert report["head"] == last["hash"]
    assert report["head"] in run("verify", "--config", service).stdout


def test_verify_names_the_row_and_ends_with_status_6(service, tmp_path):
    copy = tmp_path / "copy.db"
    run("backup", copy, "--config", service)
    raw = sqlite3.connect(copy)
    raw.execute("DROP TRIGGER facts_keep")
    raw.execute("UPDATE facts SET body = x'7b7d' WHERE seq = 3")
    raw.commit()
    raw.close()
    assert "fact 3: its body was changed" in run("verify", "--file", copy, status=6).stdout
    report = json.loads(run("verify", "--file", copy, "--json", status=6).stdout)
    assert not report["ok"]
    assert 3 in {problem["seq"] for problem in report["problems"]}


def test_export_gives_facts_without_and_measurements_with_identity(service):
    facts = [json.loads(line) for line in run("export", "--config", service).stdout.splitlines()]
    assert [fact["seq"] for fact in facts] == [1, 2, 3, 4, 5]
    assert facts[0]["body"]["kind"] == "exam_opened"
    assert facts == json.loads(run("export", "--config", service, "--json").stdout)
    later = run("export", "--config", service, "--after", 3).stdout.splitlines()
    assert [json.loads(line)["seq"] for line in later] == [4, 5]
    assert "张试" not in json.dumps(facts, ensure_ascii=False)
    first, second = run("export", "--config", service, "--measurements").stdout.splitlines()
    assert json.loads(first)["resident"]["name"] == "张试"
    assert json.loads(second)["resident"] is None


def test_backup_is_one_whole_file_for_its_owner_only(service, tmp_path):
    copy = tmp_path / "copy.db"
    report = json.loads(run("backup", copy, "--config", service, "--json").stdout)
    assert (report["ok"], report["facts"]) == (True, 5)
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith("copy")] == ["copy.db"]
    queries = Queries(copy)
    assert queries.counts().measurements == {"blood_pressure": 2}
    queries.close()


def test_backup_never_writes_over_anything(service, tmp_path):
    taken = tmp_path / "taken.db"
    taken.write_text("mine")
    run("backup", taken, "--config", service, status=1)
    assert taken.read_text() == "mine"


def test_no_journal_is_told(tmp_path):
    config = tmp_path / "gateway.toml"
    config.write_text(f'state = "{tmp_path / "nothing"}"\n', encoding="utf-8")
    assert "there is no journal" in run("verify", "--config", config, status=1).stderr
    run("verify", "--file", tmp_path / "gone.db", status=2)
