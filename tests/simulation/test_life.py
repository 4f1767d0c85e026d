"""Clinic-years in a loop of their own time: the real gateway through crashes, outages and wrong clocks."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tools.life.box import Box
from tools.life.year import Life, live

YEARS = 2
YEAR = Life(clinic_days=25, exams=3)
"""`make faults-long` lives denser ones."""
SHORT = Life(clinic_days=6, exams=4)


@pytest.mark.parametrize("first", range(1, 11, YEARS))
def test_a_clinic_lives_through_its_years(tmp_path: Path, first: int) -> None:
    for seed in range(first, first + YEARS):
        folder = tmp_path / str(seed)
        folder.mkdir()
        tally = live(seed, folder, YEAR).tally
        assert tally.exams >= 70
        assert tally.measurements >= 200
        assert tally.days_checked == YEAR.clinic_days + 1
        assert min(tally.crashes, tally.power_cuts, tally.clock_steps, tally.pruned) >= 5
        assert tally.sent > tally.measurements / 2


def command(seed: int, hash_seed: str, trace: Path) -> dict[str, object]:
    words = ["--seed", str(seed), "--days", "4", "--quiet", "--trace", str(trace)]
    told = subprocess.run(
        [sys.executable, "-m", "tools.life", *words],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
        env={**os.environ, "PYTHONHASHSEED": hash_seed},
    )
    [line] = told.stdout.splitlines()
    said = json.loads(line)
    del said["seconds"]
    return said


def test_a_seed_is_lived_again_bit_for_bit_in_another_process(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    assert command(7, "1", first) == command(7, "2", second)
    assert first.read_bytes() == second.read_bytes()
    assert b"died" in first.read_bytes()


def test_and_again_in_the_same_process(tmp_path: Path) -> None:
    lived = []
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        lived.append(live(7, tmp_path / name, SHORT))
    assert lived[0] == lived[1]
    (tmp_path / "other").mkdir()
    assert live(8, tmp_path / "other", SHORT).trace != lived[0].trace


def test_a_clinic_may_rest_for_months(tmp_path: Path) -> None:
    """Longer than a clock that nobody keeps is believed (`store.history.UNKEPT_DAYS`)."""
    assert live(7, tmp_path, Life(clinic_days=6, exams=4, rest_days=61)).tally.pruned


def test_a_killed_service_leaves_its_wal_and_no_checkpoint(tmp_path: Path, monkeypatch) -> None:
    left = []
    buried = Box.buried

    async def watched(self):
        wal = tmp_path / "state" / "journal.db-wal"
        died = self.gateway is not None and self._writer.dead
        await buried(self)
        if died:
            left.append(wal.exists() and wal.stat().st_size > 0)

    monkeypatch.setattr(Box, "buried", watched)
    live(3, tmp_path, SHORT)
    assert left
    assert all(left)
