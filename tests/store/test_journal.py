"""The journal keeps its promises: durable, one writer, nobody hurts a neighbour, nothing is changed."""

import asyncio
import shutil
import sqlite3
import stat
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from journal_making import final, heard, opened, ticking, visit

from protocol.errors import JournalDamaged, JournalHeld, RequestRefused, StoreError
from store.facts import Judged
from store.journal import Journal
from store.projections import NOT_JUDGED

DB = Path("state/journal.db")


def test_settings_of_the_writing_connection_are_what_durability_needs(journal):
    def settings(tx):
        one = tx._connection.execute
        return [
            one(f"PRAGMA {name}").fetchone()[0]
            for name in ("journal_mode", "synchronous", "wal_autocheckpoint")
        ]

    assert journal.submit(settings).result() == ["wal", 2, 0]


def test_files_are_for_their_owner_only(tmp_path):
    journal = opened(tmp_path)
    journal.submit(visit).result()
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "state").iterdir()}
    folder = stat.S_IMODE((tmp_path / "state").stat().st_mode)
    journal.close()
    assert folder == 0o700
    assert {"journal.db", "journal.db-wal", "journal.db-shm", "journal.db.lock"} <= modes.keys()
    assert set(modes.values()) == {0o600}


def test_what_is_answered_is_there_after_reopening(tmp_path):
    journal = opened(tmp_path)
    exam = journal.submit(visit).result()
    key = journal.submit(lambda tx: final(tx, exam)).result()
    journal.close()
    again = opened(tmp_path)
    assert again.queries.measurement(key).status == "final"
    assert again.queries.check().problems == []
    again.close()


def test_many_submitters_share_commits_and_all_get_their_own_answer(tmp_path):
    commits = []
    journal = opened(tmp_path, on_commit=lambda facts: commits.append([fact.seq for fact in facts]))
    held = threading.Event()
    first = journal.submit(lambda tx: held.wait(10))
    with ThreadPoolExecutor(8) as pool:
        futures = list(pool.map(lambda n: journal.submit(heard), range(200)))
    held.set()
    assert first.result(10)
    keys = [future.result(10) for future in futures]
    journal.close()
    assert len(set(keys)) == 200
    assert [seq for commit in commits for seq in commit] == list(range(1, 201))
    assert len(commits) < 20


def test_an_answer_is_given_only_after_the_commit(tmp_path):
    journal = opened(tmp_path)
    with sqlite3.connect(tmp_path / DB) as other:
        for expected in range(1, 30):
            journal.submit(heard).result()
            assert other.execute("SELECT max(seq) FROM facts").fetchone() == (expected,)
    other.close()
    journal.close()


def test_a_failing_command_undoes_only_itself(tmp_path):
    commits = []
    journal = opened(tmp_path, on_commit=lambda facts: commits.append(len(facts)))

    def fails(tx):
        heard(tx)
        heard(tx)
        raise ValueError("a rule is broken")

    def breaks_sql(tx):
        heard(tx)
        tx._connection.execute("INSERT INTO nowhere VALUES (1)")

    held = threading.Event()
    journal.submit(lambda tx: held.wait(10))
    good, bad, worse, last = [journal.submit(one) for one in (heard, fails, breaks_sql, heard)]
    held.set()
    with pytest.raises(ValueError, match="a rule is broken"):
        bad.result(10)
    with pytest.raises(StoreError, match="nowhere"):
        worse.result(10)
    keys = [good.result(10), last.result(10)]
    assert journal.queries.counts().facts == 2
    assert [one.id for one in journal.queries.tray()] == keys[::-1]
    assert journal.queries.check().problems == []
    journal.close()
    assert commits == [2]


def test_a_cancelled_command_is_never_run(journal):
    held = threading.Event()
    journal.submit(lambda tx: held.wait(10))
    unwanted = journal.submit(heard)
    assert unwanted.cancel()
    held.set()
    journal.submit(heard).result(10)
    assert journal.queries.counts().facts == 1


def test_nested_undoes_the_inside_and_keeps_the_reading(journal):
    others = []

    def judge_wrongly(tx, key):
        with tx.nested():
            tx.append(Judged(measurement=key, status="final", effective=NOT_JUDGED, findings=[]))
            assert tx.similar("bp", "blood_pressure", tx.measurement(key).values)
            others.append(heard(tx))
            raise ZeroDivisionError

    def command(tx):
        key = heard(tx)
        with pytest.raises(ZeroDivisionError):
            judge_wrongly(tx, key)
        assert tx.measurement(others[0]) is None
        assert tx.measurement(key).status == "preliminary"
        return key

    key = journal.submit(command).result()
    assert journal.queries.measurement(key).status == "preliminary"
    assert journal.queries.counts().facts == 1
    assert journal.queries.check().problems == []


def test_nested_keeps_what_went_well_and_may_be_nested_again(journal):
    def fails(tx):
        with tx.nested():
            heard(tx)
            raise KeyError

    def command(tx):
        with tx.nested():
            key = heard(tx)
            with pytest.raises(KeyError):
                fails(tx)
        return key

    key = journal.submit(command).result()
    assert [one.id for one in journal.queries.tray()] == [key]


async def test_run_is_the_same_for_a_loop(tmp_path):
    journal = opened(tmp_path)
    keys = await asyncio.gather(*(journal.run(heard) for _ in range(20)))
    with pytest.raises(RequestRefused) as refused:
        await journal.run(lambda tx: tx.append(Judged("gone", "final", NOT_JUDGED, [])))
    journal.close()
    assert len(set(keys)) == 20
    assert refused.value.code == "measurement.unknown"


def test_a_second_writer_is_refused_in_this_process_and_in_another(tmp_path):
    journal = opened(tmp_path)
    with pytest.raises(JournalHeld):
        opened(tmp_path)
    child = f"""
import sys; sys.path[:0] = {sys.path!r}
from pathlib import Path
from journal_making import opened
from protocol.errors import JournalHeld
try:
    opened(Path({str(tmp_path)!r}))
except JournalHeld:
    print("held")
"""
    found = subprocess.run([sys.executable, "-c", child], capture_output=True, text=True, check=True)
    assert found.stdout == "held\n"
    journal.close()
    opened(tmp_path).close()


def test_facts_and_versions_refuse_change_deletion_and_gaps(tmp_path):
    journal = opened(tmp_path)
    exam = journal.submit(visit).result()
    journal.submit(lambda tx: final(tx, exam)).result()
    journal.close()
    raw = sqlite3.connect(tmp_path / DB)
    for sql in (
        "UPDATE facts SET body = x'00' WHERE seq = 2",
        "DELETE FROM facts WHERE seq = 4",
        "INSERT OR REPLACE INTO facts SELECT * FROM facts WHERE seq = 2",
        "INSERT INTO facts SELECT 9, command, id, at, body, body_hash, prev, hash FROM facts WHERE seq = 2",
        "UPDATE versions SET status = 'final'",
        "DELETE FROM versions",
    ):
        with pytest.raises(sqlite3.IntegrityError):
            raw.execute(sql)
    raw.close()


def test_a_reader_cannot_write_and_does_not_checkpoint(tmp_path):
    journal = opened(tmp_path)
    journal.submit(visit).result()
    copy = tmp_path / "copy"
    shutil.copytree(tmp_path / "state", copy)
    journal.close()
    before = {path.name: path.read_bytes() for path in copy.iterdir() if not path.name.endswith("-shm")}
    assert before["journal.db-wal"]
    reader = opened_reader(copy / "journal.db")
    assert reader.counts().open_exams == 1
    with reader._reading() as connection, pytest.raises(sqlite3.OperationalError, match="readonly"):
        connection.execute("DELETE FROM devices")
    reader.close()
    after = {path.name: path.read_bytes() for path in copy.iterdir() if not path.name.endswith("-shm")}
    assert after == before


def opened_reader(path):
    from store.queries import Queries

    return Queries(path)


def test_the_wal_is_folded_in_when_nobody_waits(tmp_path):
    journal = opened(tmp_path)
    [future.result(30) for future in [journal.submit(heard) for _ in range(300)]]
    db = tmp_path / DB
    size = threading.Event()
    for _ in range(500):
        if db.stat().st_size > 300_000:
            size.set()
            break
        threading.Event().wait(0.02)
    assert size.is_set()
    journal.close()
    assert not db.with_name("journal.db-wal").exists()


def test_a_closed_journal_refuses_and_finishes_what_was_submitted(tmp_path):
    journal = opened(tmp_path)
    futures = [journal.submit(heard) for _ in range(50)]
    journal.close()
    journal.close()
    assert len({future.result(0) for future in futures}) == 50
    for refused in (lambda: journal.submit(heard), journal.queries.counts):
        with pytest.raises(StoreError) as closed:
            refused()
        assert closed.value.code == "store.closed"


def test_a_listener_that_fails_harms_nobody(tmp_path):
    def listener(facts):
        raise OSError("nobody there")

    journal = opened(tmp_path, on_commit=listener)
    journal.submit(heard).result()
    journal.submit(heard).result()
    assert journal.queries.counts().facts == 2
    journal.close()


def test_what_is_no_journal_is_left_alone(tmp_path):
    (tmp_path / "state").mkdir()
    (tmp_path / DB).write_bytes(b"not a database at all" * 300)
    with pytest.raises(JournalDamaged):
        opened(tmp_path)
    assert (tmp_path / DB).read_bytes() == b"not a database at all" * 300


def test_a_folder_that_cannot_be_made_is_told_in_our_words(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError):
        Journal.open(tmp_path / "file" / "journal.db", gateway="gw", now=ticking())
