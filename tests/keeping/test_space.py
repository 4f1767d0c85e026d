"""The reserve, and what a failed write is called: the parts of `test_full_disk.py` that need no disk."""

import asyncio
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.space import IN_USE, RESERVE, SLICES, Space
from protocol.errors import DiskFull, RequestRefused, StoreError
from store.journal import Journal
from store.room import Room
from tests.keeping.clinic import until
from tests.store.journal_making import heard, opened, ticking

ROOT = Path(__file__).parents[2]
NO_MORE_FILES = """
import os, resource, sys
from pathlib import Path
from protocol.errors import StoreError
from store.queries import Queries
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
queries = Queries(Path(sys.argv[1]))
taken = []
try:
    while True:
        taken.append(os.open(os.devnull, os.O_RDONLY))
except OSError:
    pass
try:
    queries.counts()
except StoreError as error:
    for one in taken:
        os.close(one)
    print(error.code)
print(queries.counts().facts)
"""


def journal_with(room: Room) -> Journal:
    path = room.folder / "journal.db"
    return Journal.open(path, gateway="gw-1", now=ticking(), forwarders=("fhir",), room=room)


@pytest.fixture
def space(tmp_path: Path) -> Space:
    return Space(tmp_path / "state")


@pytest.fixture
def journal(space: Space) -> Iterator[Journal]:
    made = space.opened(space.folder / "journal.db", lambda: journal_with(space))
    yield made
    made.close()


def held(space: Space) -> int:
    """Return how many bytes of the disk the reserve really takes."""
    return (space.folder / "reserve").stat().st_blocks * 512


def test_the_reserve_is_taken_from_the_disk_given_back_in_slices_and_filled_up_again(
    space: Space, journal: Journal
) -> None:
    assert held(space) >= RESERVE
    assert space.faults() == []
    space.must_have_room()
    for given in range(1, SLICES + 1):
        assert space.relieve()
        assert held(space) <= RESERVE - given * RESERVE // SLICES + 4096
        assert space.faults() == [IN_USE]
        with pytest.raises(RequestRefused) as refused:
            space.must_have_room()
        assert refused.value.code == "exam.no_room"
    assert not space.relieve()
    space.refill()
    assert held(space) >= RESERVE
    assert space.faults() == []


def test_a_reserve_that_was_used_up_is_known_for_that_after_a_restart(space: Space, journal: Journal) -> None:
    while space.relieve():
        pass
    journal.close()
    again = Space(space.folder)
    tried: list[int] = []

    def start() -> Journal:
        tried.append(1)
        raise DiskFull

    with pytest.raises(DiskFull):
        again.opened(space.folder / "journal.db", start)
    assert tried == [1]


class _Tight(Room):
    """A disk as full as SQLite's own limit says; each time it is asked it gives room for some pages more."""

    def __init__(self, folder: Path, times: int) -> None:
        super().__init__(folder)
        self.times = times
        self.connection: sqlite3.Connection | None = None
        self.told: list[str] = []

    def relieve(self) -> bool:
        assert self.connection is not None
        if self.times:
            self.times -= 1
            limit = self.connection.execute("PRAGMA max_page_count").fetchone()[0] + 3
            self.connection.execute(f"PRAGMA max_page_count = {limit}")
            return True
        return False

    def wrote(self) -> None:
        self.told.append("wrote")

    def failed(self, error: StoreError) -> None:
        self.told.append(error.code)


@pytest.mark.parametrize("times", [0, 50])
def test_a_commit_without_room_is_done_again_with_what_the_reserve_gives(tmp_path: Path, times: int) -> None:
    room = _Tight(tmp_path / "state", times)
    journal = journal_with(room)

    def tighten(tx: object) -> None:
        room.connection = tx._connection  # type: ignore[attr-defined]
        used = room.connection.execute("PRAGMA page_count").fetchone()[0]
        room.connection.execute(f"PRAGMA max_page_count = {used}")

    journal.submit(tighten).result()
    group = [journal.submit(heard) for _ in range(20)]
    outcomes = [future.exception(10) for future in group]
    if times:
        assert outcomes == [None] * 20
        assert len({future.result() for future in group}) == journal.queries.counts().facts == 20
        assert room.times < 50
        assert set(room.told) == {"wrote"}
    else:
        assert {type(outcome) for outcome in outcomes} == {DiskFull}
        assert journal.queries.counts().facts == 0
        assert set(room.told) == {"store.disk_full"}
    assert journal.queries.check().problems == []
    journal.close()


def test_nothing_is_acknowledged_once_the_file_is_not_where_it_was(space: Space, journal: Journal) -> None:
    journal.submit(heard).result()
    path = space.folder / "journal.db"
    path.rename(path.with_name("elsewhere.db"))
    with pytest.raises(StoreError) as refused:
        journal.submit(heard).result()
    assert refused.value.code == "store.moved"
    with pytest.raises(StoreError) as ended:
        asyncio.run(space.watch(journal))
    assert ended.value.code == "store.moved"
    path.with_name("elsewhere.db").rename(path)
    assert journal.submit(heard).result()
    assert journal.queries.counts().facts == 2


async def test_what_was_wrong_is_tried_again_and_told_when_it_is_over(space: Space, journal: Journal) -> None:
    watching = asyncio.create_task(space.watch(journal))
    await asyncio.to_thread(space.failed, StoreError(code="store.disk_failed"))
    await asyncio.to_thread(until, lambda: not space.faults(), "what was wrong is over")
    watching.cancel()
    await asyncio.wait({watching})
    assert space.faults() == []
    assert journal.queries.counts().facts == 0


def test_too_many_open_files_are_told_as_such(tmp_path: Path) -> None:
    journal = opened(tmp_path)
    journal.submit(heard).result()
    journal.close()
    command = [sys.executable, "-c", NO_MORE_FILES, str(tmp_path / "state/journal.db")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["store.too_many_files", "1"], done.stderr
