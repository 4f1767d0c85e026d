"""Journals of earlier releases: brought up to date without a loss, cut off anywhere, no name left open."""

import gzip
import json
import os
import resource
import signal
import sqlite3
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from journal_making import BOOT, START, heard

from protocol.errors import JournalDamaged, StoreError
from store import keyring, upgrade
from store.facts import Instant
from store.journal import Journal
from store.migrations import SCHEMA
from store.residents import Identifier

OLD = Path(__file__).parent / "old"
SCHEMAS = (1, 2, 3)
"""Each kept file was written by the release that had that schema."""
NAMED_OPENLY = (1, 2)
KEYS = (bytes(range(32, 64)), bytes(range(32)))
"""The keys of schema 3's journal, the one in use first."""
PEOPLE_OF_3 = {"110101189001010016": "张试", "110101189102020024": "李样"}
ERASED_OF_3 = "110101189203030032"


def laid(folder: Path, schema: int) -> Path:
    """Put a kept journal in its place."""
    path = folder / "state/journal.db"
    path.parent.mkdir(mode=0o700)
    path.write_bytes(gzip.decompress((OLD / f"schema-{schema}.db.gz").read_bytes()))
    return path


def opened(path: Path) -> Journal:
    later = Instant(START + timedelta(days=1), 10**15, BOOT, False)
    return Journal.open(path, gateway="gw-1", now=lambda: later, forwarders=("fhir",))


def content(path: Path) -> tuple[dict[str, dict], list[tuple]]:
    """Return the people and the facts of an old journal, read with plain SQL."""
    raw = sqlite3.connect(f"file:{path}?mode=ro&immutable=1", uri=True)
    people = {key: json.loads(one) for key, one in raw.execute("SELECT id, document FROM residents")}
    facts = raw.execute("SELECT seq, id, at, body, body_hash, prev, hash FROM facts ORDER BY seq").fetchall()
    raw.close()
    return people, facts


def telling(people: dict[str, dict]) -> list[bytes]:
    """Return every name, number and birth date, as an old journal holds them."""
    texts = [one[field] for one in people.values() for field in ("name", "birth_date") if one[field]]
    texts += [number["value"] for one in people.values() for number in one["identifiers"]]
    return [text.encode() for text in texts]


def whole(path: Path, people: dict[str, dict], facts: list[tuple]) -> None:
    """Assert that everything of the old journal is there, and nobody in the open in any file."""
    journal = opened(path)
    for key, was in people.items():
        now = journal.queries.resident(key)
        assert (now.name, now.sex, now.birth_date) == (was["name"], was["sex"], was["birth_date"])
        assert [(one.system, one.value) for one in now.identifiers] == [
            (one["system"], one["value"]) for one in was["identifiers"]
        ]
        for one in was["identifiers"]:
            assert journal.submit(lambda tx, n=one["value"]: tx.residents_with(n)).result(10) == [key]
            found = journal.submit(
                lambda tx, o=one: tx.resident_for([Identifier(o["system"], o["value"])])
            ).result(10)
            assert found.id == key
    assert journal.queries.check().problems == []
    journal.submit(heard).result(10)
    files = {one.name: one.read_bytes() for one in path.parent.iterdir()}
    assert set(files) == {"journal.db", "journal.db-wal", "journal.db-shm", "journal.db.lock"}
    assert [(name, text) for name, held in files.items() for text in telling(people) if text in held] == []
    journal.close()
    raw = sqlite3.connect(path)
    sql = "SELECT seq, id, at, body, body_hash, prev, hash FROM facts WHERE seq <= ? ORDER BY seq"
    assert raw.execute(sql, (len(facts),)).fetchall() == facts
    assert raw.execute("PRAGMA user_version").fetchone() == (SCHEMA,)
    raw.close()
    assert [text for text in telling(people) if text in path.read_bytes()] == []


def test_every_schema_but_the_last_has_its_kept_journal():
    assert sorted(one.name for one in OLD.iterdir()) == [f"schema-{one}.db.gz" for one in SCHEMAS]
    assert range(1, SCHEMA) == range(1, len(SCHEMAS) + 1)


@pytest.mark.parametrize("schema", NAMED_OPENLY)
def test_everything_is_there_and_nobody_is_left_in_the_open(tmp_path, schema):
    path = laid(tmp_path, schema)
    people, facts = content(path)
    assert all(text in path.read_bytes() for text in telling(people))
    whole(path, people, facts)
    whole(path, people, facts)


@pytest.mark.parametrize("schema", NAMED_OPENLY)
def test_a_name_that_was_left_in_the_wal_is_gone_too(tmp_path, schema):
    path = laid(tmp_path, schema)
    people, facts = content(path)
    raw = sqlite3.connect(path, isolation_level=None)
    raw.execute("PRAGMA journal_mode = WAL")
    raw.execute("PRAGMA wal_autocheckpoint = 0")
    late = {"id": "r-1", "identifiers": [], "name": "王晚来", "sex": None, "birth_date": "1899-12-31"}
    raw.execute("INSERT INTO residents VALUES ('r-1', ?)", (json.dumps(late, ensure_ascii=False).encode(),))
    people["r-1"] = late
    assert "王晚来".encode() in path.with_name("journal.db-wal").read_bytes()
    assert "王晚来".encode() not in path.read_bytes()
    (path.parent / "kept").mkdir()
    for name in ("journal.db", "journal.db-wal"):  # as a power cut leaves them
        (path.parent / "kept" / name).write_bytes(path.with_name(name).read_bytes())
    raw.close()
    for name in ("journal.db", "journal.db-wal"):
        path.with_name(name).unlink(missing_ok=True)
        (path.parent / "kept" / name).rename(path.with_name(name))
    (path.parent / "kept").rmdir()
    whole(path, people, facts)


def lines_of(path: Path) -> list[tuple[str, int]]:
    """Return, in order, every line of the code that changes old journals which opening this one reaches."""
    seen: dict[tuple[str, int], None] = {}

    def look(frame, event, _argument):
        name = Path(frame.f_code.co_filename).name
        if name not in {"upgrade.py", "migrations.py"}:
            return None
        if event == "line":
            seen.setdefault((name, frame.f_lineno))
        return look

    sys.settrace(look)
    try:
        opened(path).close()
    finally:
        sys.settrace(None)
    return list(seen)


def killed_at(path: Path, where: tuple[str, int]) -> None:
    """Open the journal in a process that ends, as killed, when it comes to this line."""

    def look(frame, event, _argument):
        name = Path(frame.f_code.co_filename).name
        if name != where[0]:
            return None
        if event == "line" and frame.f_lineno == where[1]:
            os._exit(9)
        return look

    child = os.fork()
    if child == 0:
        sys.settrace(look)
        try:
            opened(path).close()
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9, f"{where} was not reached"


def test_cut_off_at_any_line_the_next_start_finishes_it(tmp_path):
    trial = tmp_path / "trial"
    trial.mkdir()
    places = lines_of(laid(trial, 2))
    assert len(places) > 40
    for number, where in enumerate(places):
        folder = tmp_path / str(number)
        folder.mkdir()
        path = laid(folder, 2)
        people, facts = content(path)
        killed_at(path, where)
        whole(path, people, facts)


def facts_of(path: Path) -> list[tuple]:
    raw = sqlite3.connect(f"file:{path}?mode=ro&immutable=1", uri=True)
    facts = raw.execute("SELECT seq, id, at, body, body_hash, prev, hash FROM facts ORDER BY seq").fetchall()
    raw.close()
    return facts


def sealed_and_whole(path: Path, facts: list[tuple]) -> None:
    """Assert that schema 3's journal is all there, signed, and shows its people with its key."""
    journal = opened(path)
    for number, name in PEOPLE_OF_3.items():
        (key,) = journal.submit(lambda tx, n=number: tx.residents_with(n)).result(10)
        assert journal.queries.resident(key).name == name
    assert journal.submit(lambda tx: tx.residents_with(ERASED_OF_3)).result(10) == []
    report = journal.queries.check()
    assert (report.problems, report.signed) == ([], report.last)
    journal.close()
    assert facts_of(path)[: len(facts)] == facts
    assert not upgrade.copy_of(path).exists()


def test_a_journal_without_signatures_is_signed_from_its_next_start_on(tmp_path):
    path = laid(tmp_path, 3)
    facts = facts_of(path)
    keyring.make(keyring.default_file(path))
    keyring.replace(keyring.default_file(path), KEYS)
    sealed_and_whole(path, facts)
    sealed_and_whole(path, facts)
    later = [json.loads(one[3])["kind"] for one in facts_of(path)[len(facts) :]]
    assert later == ["clock_set", "key_changed"]


def test_without_its_key_it_is_brought_up_to_date_and_signed_once_the_key_is_back(tmp_path):
    path = laid(tmp_path, 3)
    facts = facts_of(path)
    journal = opened(path)
    journal.submit(heard).result(10)
    report = journal.queries.check()
    assert (report.problems, report.signed) == ([], 0)
    assert [note.seq for note in report.notes] == [report.last]
    journal.close()
    keyring.make(keyring.default_file(path))
    keyring.replace(keyring.default_file(path), KEYS)
    sealed_and_whole(path, facts)


def test_a_journal_under_lock_that_was_cut_off_at_any_line_is_finished(tmp_path):
    trial = tmp_path / "trial"
    trial.mkdir()
    places = lines_of(laid(trial, 3))
    assert len(places) > 30
    for number, where in enumerate(places):
        folder = tmp_path / str(number)
        folder.mkdir()
        path = laid(folder, 3)
        facts = facts_of(path)
        keyring.make(keyring.default_file(path))
        keyring.replace(keyring.default_file(path), KEYS)
        killed_at(path, where)
        sealed_and_whole(path, facts)


def test_the_copy_is_made_and_verified_before_anything_changes(tmp_path, monkeypatch):
    path = laid(tmp_path, 2)
    people, facts = content(path)
    copy = upgrade.copy_of(path)

    def looked_at(*_):
        assert content(copy) == (people, facts)
        assert copy.stat().st_mode & 0o777 == 0o600
        raise StoreError("stop here")

    monkeypatch.setattr("store.migrations.upgrade.seal_people", looked_at)
    with pytest.raises(StoreError):
        opened(path)
    assert content(path) == (people, facts)
    monkeypatch.undo()
    whole(path, people, facts)


def test_without_a_place_for_the_key_the_old_journal_stays_as_it_is(tmp_path):
    path = laid(tmp_path, 2)
    people, facts = content(path)
    (tmp_path / "state-key").write_text("in the way")
    with pytest.raises(StoreError) as told:
        opened(path)
    assert told.value.code.startswith("vault.key_un")
    assert content(path) == (people, facts)
    (tmp_path / "state-key").unlink()
    whole(path, people, facts)


def test_a_key_that_lies_there_already_is_used(tmp_path):
    path = laid(tmp_path, 2)
    key = keyring.default_file(path)
    secret = keyring.make(key)
    opened(path).close()
    assert keyring.read(key) == [secret]


def test_a_new_file_that_is_not_the_old_one_is_refused_and_the_old_one_kept(tmp_path):
    path = laid(tmp_path, 2)
    upgrade.copy_of(path).write_bytes(gzip.decompress((OLD / "schema-1.db.gz").read_bytes()))
    raw = sqlite3.connect(path)
    raw.execute(f"PRAGMA user_version = {SCHEMA}")
    raw.commit()
    raw.close()
    with pytest.raises(JournalDamaged) as told:
        opened(path)
    assert str(upgrade.copy_of(path)) in told.value.detail
    assert upgrade.copy_of(path).exists()


def test_without_room_for_the_copy_nothing_is_changed(tmp_path):
    path = laid(tmp_path, 2)
    before = content(path)
    child = os.fork()
    if child == 0:
        code = 1
        try:
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (64 * 1024, 64 * 1024))
            opened(path)
        except StoreError:
            code = 7
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
    assert content(path) == before
    whole(path, *before)
