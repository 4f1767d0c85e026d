"""Another program at the journal: refused at the start, noticed later, and nothing acknowledged then."""

import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from protocol.errors import JournalHeld, StoreError
from store import version
from store.journal import Journal
from store.queries import Queries
from tests.store.journal_making import heard, opened
from tools.main import status_of

HOLD = """
import sqlite3, sys
journal = sqlite3.connect(sys.argv[1], uri=True, isolation_level=None)
print(journal.execute("SELECT count(*) FROM facts").fetchone()[0], flush=True)
for line in sys.stdin:
    print(journal.execute(line).fetchone(), flush=True)
"""


@contextmanager
def another_program(path: str) -> Iterator[subprocess.Popen[str]]:
    """Run a program that has the journal open and does with it what it is told."""
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", HOLD, path], stdin=pipe, stdout=pipe, text=True) as program:
        assert program.stdout is not None
        assert program.stdin is not None
        assert program.stdout.readline()
        yield program
        program.stdin.close()


def does(program: subprocess.Popen[str], sql: str) -> None:
    assert program.stdin is not None
    assert program.stdout is not None
    program.stdin.write(f"{sql}\n")
    program.stdin.flush()
    assert program.stdout.readline()


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    made = opened(tmp_path)
    made.submit(heard).result()
    yield made
    made.close()


def test_a_start_beside_a_program_that_could_write_is_refused_and_names_it(tmp_path: Path) -> None:
    opened(tmp_path).close()
    path = tmp_path / "state/journal.db"
    with another_program(str(path)) as program:
        with pytest.raises(JournalHeld) as held:
            opened(tmp_path)
        assert f"process {program.pid}" in held.value.detail
        assert status_of(held.value) == 75
    opened(tmp_path).close()


def test_a_start_beside_readers_goes_on(tmp_path: Path) -> None:
    opened(tmp_path).close()
    with another_program(f"file:{tmp_path}/state/journal.db?mode=ro"):
        journal = opened(tmp_path)
        assert journal.submit(heard).result()
        journal.close()


def test_a_second_writer_is_noticed_at_the_next_commit_and_nothing_is_acknowledged(
    tmp_path: Path, journal: Journal
) -> None:
    with another_program(str(tmp_path / "state/journal.db")) as program:
        journal.submit(heard).result()
        does(program, "UPDATE forwarders SET name = name")
        for _ in range(2):
            with pytest.raises(StoreError) as told:
                journal.submit(heard).result()
            assert told.value.code == "store.second_writer"
    journal.close()
    again = opened(tmp_path)
    again.submit(heard).result()
    assert again.queries.counts().facts == 3
    assert again.queries.check().problems == []
    again.close()


def test_a_program_that_checkpoints_beside_us_is_noticed(tmp_path: Path, journal: Journal) -> None:
    """Our own checkpoints look at the WAL: it must not have begun anew more than once since the last."""
    _until_checkpointed(journal)
    with another_program(str(tmp_path / "state/journal.db")) as program:
        for _ in range(4):
            journal.submit(heard).result()
            does(program, "PRAGMA wal_checkpoint(PASSIVE)")
        _checkpoint_of_ours(journal)
        with pytest.raises(StoreError) as told:
            journal.submit(heard).result()
        assert told.value.code == "store.side_car"


def test_many_checkpoints_of_our_own_are_no_intruder(tmp_path: Path, journal: Journal) -> None:
    readers = Queries(tmp_path / "state/journal.db")
    for _ in range(6):
        for _ in range(20):
            journal.submit(heard).result()
            readers.counts()
        _checkpoint_of_ours(journal)
    assert journal.submit(heard).result()
    readers.close()


def test_forgetting_again_and_again_without_a_word_between_is_no_intruder(journal: Journal) -> None:
    """Each time empties the WAL, and only the next writing shows how often."""
    _until_checkpointed(journal)
    for _ in range(3):
        for _ in range(3):
            _checkpoint_of_ours(journal)
        journal.submit(heard).result()
        _checkpoint_of_ours(journal)
    assert journal.submit(heard).result()


def _until_checkpointed(journal: Journal) -> None:
    for _ in range(2):
        journal.submit(heard).result()
        _checkpoint_of_ours(journal)


def _checkpoint_of_ours(journal: Journal) -> None:
    """Have the writer do what it does when something was erased: empty the WAL before it answers."""

    def forgetful(tx: object) -> None:
        tx.forgetful = True  # type: ignore[attr-defined]

    journal.submit(forgetful).result()


@pytest.mark.parametrize(("found", "safe"), [((3, 51, 2), False), ((3, 51, 3), True), ((3, 50, 7), True)])
def test_which_sqlite_survives_two_writers(
    monkeypatch: pytest.MonkeyPatch, found: tuple[int, int, int], safe: bool
) -> None:
    monkeypatch.setattr(sqlite3, "sqlite_version_info", found)
    assert version.two_writers_are_safe() == safe
    version.must_be_suitable()


def test_an_sqlite_without_strict_tables_is_refused_before_anything_is_touched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite3, "sqlite_version_info", (3, 36, 0))
    with pytest.raises(StoreError) as told:
        opened(tmp_path)
    assert told.value.code == "store.sqlite_unsuitable"
    assert not (tmp_path / "state").exists()
