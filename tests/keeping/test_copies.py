"""Copies onto a second medium: made by a real service on a schedule, good ones only, the last never lost."""

import os
import shutil
import stat
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.errors import StoreError
from store import backup
from store.backup import Copy, Medium
from store.journal import Journal
from store.queries import Queries
from tests.keeping.analyser import Analyser
from tests.keeping.clinic import Clinic, until
from tests.keeping.small_disk import small_disk
from tests.store.journal_making import final, heard, opened, visit

DAY = timedelta(days=1)
NOW = datetime(2026, 3, 2, 8, tzinfo=UTC)


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    made = opened(tmp_path)
    exam = made.submit(visit).result()
    made.submit(lambda tx: final(tx, exam)).result()
    yield made
    made.close()


@pytest.fixture
def medium(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Medium:
    """A folder that stands for another disk."""
    folder = tmp_path / "stick"
    folder.mkdir()
    monkeypatch.setattr(backup, "_must_be_another_disk", lambda source, folder: None)
    return Medium(folder, "gw-1", 3)


def put(tmp_path: Path, medium: Medium, now: datetime = NOW) -> Copy | None:
    return backup.put(tmp_path / "state/journal.db", medium, now, DAY)


def names(medium: Medium) -> list[str]:
    return sorted(path.name for path in medium.folder.iterdir())


def test_a_copy_is_whole_private_and_alone_and_the_oldest_beyond_keep_go(
    tmp_path: Path, journal: Journal, medium: Medium
) -> None:
    for day in range(5):
        journal.submit(heard).result()
        made = put(tmp_path, medium, NOW + day * DAY)
        assert made is not None
        assert stat.S_IMODE(made.path.stat().st_mode) == 0o600
        queries = Queries(made.path)
        assert queries.check().problems == []
        assert queries.counts().facts == journal.queries.counts().facts == made.seq
        queries.close()
    assert [one.number for one in backup.copies(medium.folder, "gw-1")] == [3, 4, 5]
    assert len(names(medium)) == 3


def test_nothing_is_due_before_its_time_nor_while_nothing_was_stored(
    tmp_path: Path, journal: Journal, medium: Medium
) -> None:
    assert put(tmp_path, medium) is not None
    assert put(tmp_path, medium, NOW + 10 * DAY) is None
    journal.submit(heard).result()
    assert put(tmp_path, medium, NOW + DAY / 2) is None
    assert put(tmp_path, medium, NOW + DAY) is not None


@given(
    st.lists(st.tuples(st.timedeltas(-400 * DAY, 400 * DAY), st.integers(0, 3)), min_size=1, max_size=30),
    st.integers(1, 5),
)
def test_whatever_the_clock_says_copies_are_counted_and_the_newest_stay(
    steps: list[tuple[timedelta, int]], keep: int
) -> None:
    """A clock that jumps makes a copy too many or waits a day; it never makes an old copy the newest."""
    there: list[Copy] = []
    now, seq = NOW, 1
    for step, written in steps:
        now, seq = now + step, seq + written
        latest = there[-1] if there else None
        if backup.due(latest, seq, now, DAY):
            there.append(Copy(Path(str(len(there))), len(there) + 1, seq, now))
        elif latest is not None:
            assert latest.seq == seq or timedelta() <= now - latest.made < DAY
    kept = there[-keep:]
    assert kept[-1].seq == max(one.seq for one in there)


def test_a_copy_that_is_not_what_was_copied_is_not_kept_and_the_earlier_ones_stay(
    tmp_path: Path, journal: Journal, medium: Medium, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The medium gives back another byte than it was given: found by reading it, never named a copy."""
    first = put(tmp_path, medium)
    assert first is not None
    journal.submit(heard).result()
    advise = os.posix_fadvise

    def forget(descriptor: int, *what: int) -> None:
        path = Path(f"/proc/self/fd/{descriptor}").readlink()
        data = bytearray(path.read_bytes())
        at = data.rindex(b'"systolic"')
        data[at + 3] ^= 1
        path.write_bytes(data)
        advise(descriptor, *what)

    monkeypatch.setattr(os, "posix_fadvise", forget)
    with pytest.raises(StoreError) as told:
        put(tmp_path, medium, NOW + 2 * DAY)
    assert told.value.code == "backup.not_sound"
    assert names(medium) == [first.path.name]


def test_what_was_cut_off_is_swept_away_and_is_never_taken_for_a_copy(
    tmp_path: Path, journal: Journal, medium: Medium
) -> None:
    cut = backup.part_of(medium.folder / "gw-1-copy000001-fact9-20260301T000000Z.db")
    cut.write_bytes(b"half")
    (medium.folder / "somebody else's").write_text("x")
    other = medium.folder / "gw-2-copy000001-fact9-20260301T000000Z.db"
    other.write_bytes(b"of another box")
    made = put(tmp_path, medium)
    assert made is not None
    assert names(medium) == sorted([made.path.name, "somebody else's", other.name])


def test_a_medium_that_is_not_there_or_is_the_journal_s_own_disk_is_told(
    tmp_path: Path, journal: Journal
) -> None:
    for folder in (tmp_path / "not there", tmp_path):
        with pytest.raises(StoreError) as told:
            put(tmp_path, Medium(folder, "gw-1", 3))
        assert told.value.code == "backup.medium_missing"
    assert not [path for path in tmp_path.iterdir() if "copy" in path.name]


def test_a_medium_without_room_gives_up_old_copies_but_never_the_newest(
    tmp_path: Path, journal: Journal, medium: Medium, monkeypatch: pytest.MonkeyPatch
) -> None:
    for day in range(3):
        journal.submit(heard).result()
        put(tmp_path, medium, NOW + day * DAY)
    journal.submit(heard).result()
    real = os.statvfs

    def crowded(folder: Any) -> Any:
        found = real(folder)
        return os.statvfs_result((*found[:4], 0, *found[5:10]))

    monkeypatch.setattr(os, "statvfs", crowded)
    assert put(tmp_path, medium, NOW + 9 * DAY) is not None
    assert [one.number for one in backup.copies(medium.folder, "gw-1")] == [3, 4]


def test_the_service_copies_to_a_medium_says_that_it_is_missing_and_goes_on_when_it_is_back(
    tmp_path: Path,
) -> None:
    with small_disk(tmp_path / "stick", "tmpfs") as stick, Analyser() as analyser:
        if stick is None:
            return
        clinic = Clinic(tmp_path, tmp_path / "state", analyser.port, stick)
        clinic.write(f'[backup]\nfolder = "{stick.point}"\nevery_h = 0.0002\nkeep = 2\n')

        def there() -> list[Copy]:
            return backup.copies(stick.seen, "gw-1")

        with clinic.running():
            until(analyser.sends, "the analyser is heard")
            until(there, "a copy")
            assert not stick.run("umount", stick.point).returncode
            until(lambda: "backup.medium_missing" in clinic.notes(), "the missing medium is said")
            assert clinic.ready()
            assert analyser.sends()
            stick.mount()
            until(there, "a copy once the medium is back")
            until(lambda: clinic.notes() == [], "nothing to say")
            until(analyser.sends, "another result")
            last = len(clinic.stored())
            until(lambda: last in [_values(one.path, tmp_path) for one in there()], "all are in a copy")
        assert 1 <= len(there()) <= 2


def _values(path: Path, home: Path) -> int:
    """Return how many measurements a copy holds; SQLite finds no file through another namespace."""
    brought = home / "brought.db"
    try:
        shutil.copy(path, brought)
    except FileNotFoundError:
        return -1  # it was the oldest, and went meanwhile
    queries = Queries(brought)
    try:
        assert queries.check().problems == []
        return sum(queries.counts().measurements.values())
    finally:
        queries.close()
