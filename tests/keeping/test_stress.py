"""Readers, checks, exports and copies beside a writing journal; the long run is the command itself."""

from pathlib import Path

from tools.faults.stress import stressed


def test_some_seconds_of_everything_at_once_leave_a_sound_file(tmp_path: Path) -> None:
    told = stressed(tmp_path, seconds=7, seed=1871)
    assert told["ok"]
    assert int(str(told["facts"])) > 100
    assert int(str(told["kills"])) >= 1
