"""What `doctor` says of the copies on the second medium."""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from gateway.config import load_with_origins
from store.backup import Medium, put
from tests.store.journal_making import heard, opened
from tools.checks import Box, backups

NOW = datetime(2026, 3, 2, 8, tzinfo=UTC)
SHM = Path("/dev/shm")


def box(folder: Path, medium: Path | None, now: datetime = NOW) -> Box:
    path = folder / "gateway.toml"
    table = f'[backup]\nfolder = "{medium}"\n' if medium else ""
    path.write_text(f'gateway = "gw-1"\nstate = "{folder / "state"}"\n{table}')
    return Box(load_with_origins(path, {}), now=lambda: now)


def test_no_medium_a_missing_one_and_the_journal_s_own_disk_are_told(tmp_path: Path) -> None:
    opened(tmp_path).close()
    assert backups.copies(box(tmp_path, None)).result == "warn"
    missing = backups.copies(box(tmp_path, tmp_path / "gone"))
    assert (missing.result, missing.facts) == ("fail", {"configured": True})
    own = backups.copies(box(tmp_path, tmp_path))
    assert (own.result, own.facts["same_disk"]) == ("fail", True)


@pytest.mark.parametrize(("age", "result"), [(0, "ok"), (2, "ok"), (4, "warn")])
def test_an_old_copy_is_told(tmp_path: Path, age: int, result: str) -> None:
    journal = opened(tmp_path)
    journal.submit(heard).result()
    medium = tmp_path / "stick"
    if SHM.stat().st_dev != tmp_path.stat().st_dev:
        medium.symlink_to(SHM / f"copies-{os.getpid()}-{age}")
    target = medium.resolve()
    target.mkdir()
    try:
        put(tmp_path / "state/journal.db", Medium(medium, "gw-1", 3), NOW, timedelta(days=1))
        told = backups.copies(box(tmp_path, medium, NOW + timedelta(days=age)))
        assert told.result == result
    finally:
        for one in target.iterdir():
            one.unlink()
        target.rmdir()
        journal.close()
