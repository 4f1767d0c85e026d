"""A disk that fails to give the journal's file, once or for good: nobody calls the file damaged for that."""

import asyncio
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from gateway.soundness import READ_FAILED, Soundness
from protocol.errors import StoreError
from store import aside
from store.journal import Journal
from store.queries import Queries
from tests.store.journal_making import final, heard, opened, ticking, visit
from tools.faults import plugfs

pytestmark = pytest.mark.xdist_group("faults")
ONCE, FOR_GOOD = 2, sys.maxsize
"""The kernel itself asks for a page twice before it says that it cannot be read."""
READS = range(24)
"""About as often a start reads, and no query reads more often."""


class Box:
    """A journal of five measurements, closed, on a disk that can fail to be read."""

    def __init__(self, volume: plugfs.Volume, folder: Path) -> None:
        self.volume, self.folder, self.path = volume, folder, folder / "state/journal.db"
        journal = opened(folder)
        exam = journal.submit(visit).result()
        self.keys = [journal.submit(lambda tx: final(tx, exam)).result() for _ in range(5)]
        journal.close()

    def fails(self, times: int, after: int = 0) -> None:
        """Let so many reads fail, *after* so many that do not."""
        self.volume.unread = range(after, min(after + times, sys.maxsize))
        self.kernel_forgets()  # last, or somebody who reads meanwhile lets it know the file again

    def kernel_forgets(self) -> None:
        """Let the next reads come to the disk: whoever opens the file empties the kernel's memory of it."""
        subprocess.run(["dd", f"if={self.path}", "count=0"], stderr=subprocess.DEVNULL, check=True)

    def opened(self) -> Journal:
        return Journal.open(self.path, gateway="gw-1", now=ticking(), forwarders=("fhir",), recover=True)

    def untouched(self) -> bool:
        """Say whether nothing was moved aside, nor will be."""
        return not aside.damaged_files(self.path.parent) and not aside.unsound(self.path).exists()


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Box]:
    with plugfs.mounted(tmp_path / "mount", ahead=False) as plugs:
        plugs.volumes["v"] = plugfs.Volume({})
        yield Box(plugs.volumes["v"], tmp_path / "mount/v")


def test_a_read_that_fails_once_at_a_start_costs_nothing(box: Box) -> None:
    for after in READS:
        box.fails(ONCE, after)
        journal = box.opened()
        assert journal.recovery is None, f"read {after} failed once, and the journal was made anew"
        journal.submit(heard).result()
        journal.close()
    assert box.untouched()


def test_a_disk_that_gives_nothing_at_a_start_is_told_as_that_and_the_journal_stays(box: Box) -> None:
    for after in READS[:16:3]:
        box.fails(FOR_GOOD, after)
        with pytest.raises(StoreError) as told:
            box.opened()
        assert told.value.code in {READ_FAILED, "store.disk_failed"}
        box.fails(0)
        assert box.untouched()
    journal = box.opened()
    assert journal.queries.check().problems == []
    journal.close()


def test_a_read_that_fails_while_a_commit_is_made_is_tried_again(box: Box) -> None:
    journal = box.opened()
    for _ in range(5):
        journal.submit(_forgotten).result()
        box.fails(ONCE)
        journal.submit(heard).result()
    journal.submit(_forgotten).result()
    box.fails(FOR_GOOD)
    with pytest.raises(StoreError) as told:
        journal.submit(heard).result()
    assert told.value.code == READ_FAILED
    box.fails(0)
    journal.submit(heard).result()
    assert journal.doubted()
    assert journal.queries.check().problems == []
    journal.close()
    assert box.untouched()


def _forgotten(tx) -> None:
    """Let SQLite forget the pages it holds."""
    tx._connection.execute("PRAGMA shrink_memory")


def failed(ask: Callable[[], object]) -> str | None:
    try:
        ask()
    except StoreError as error:
        return error.code
    return None


def test_a_query_that_a_read_fails_says_so_and_the_next_one_answers(box: Box) -> None:
    told = set()
    for after in READS:
        queries = Queries(box.path)
        box.fails(ONCE, after)
        told.add(failed(partial(queries.measurement, box.keys[0])))
        box.fails(0)
        assert queries.measurement(box.keys[0]) is not None
        queries.close()
    assert READ_FAILED in told
    assert told <= {READ_FAILED, "store.disk_failed", None}


def test_a_check_during_which_a_read_failed_once_finds_no_damage(box: Box) -> None:
    found: list[object] = []
    for after in range(0, 60, 3):
        queries = Queries(box.path)
        box.fails(ONCE, after)
        told = failed(lambda queries=queries: found.extend(queries.check().problems))
        assert told in {None, READ_FAILED, "store.disk_failed"}
        queries.close()
    assert found == []


def test_after_a_failed_read_the_file_is_looked_at_and_found_whole(box: Box) -> None:
    journal = box.opened()
    soundness = Soundness(journal, box.path.parent)
    for after in READS:
        box.fails(ONCE, after)
        asyncio.run(soundness.look())
        assert soundness.fault() in {None, READ_FAILED}, f"read {after} failed once"
    box.fails(FOR_GOOD)
    asyncio.run(soundness.look())
    assert soundness.fault() == READ_FAILED
    box.fails(0)
    asyncio.run(soundness.look())
    assert soundness.fault() is None
    journal.close()
    assert box.untouched()
