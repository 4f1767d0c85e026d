"""The technician's wire tools as programs: a pseudo-terminal on one side, their output on the other."""

import json
import os
from pathlib import Path

import pytest

from drivers.catalogue import every
from gateway.links.replay import play
from protocol.transcript import Gives, parse
from tests.tools.programs import DEADLINE_S, TRANSCRIPTS, appears, interrupted, lines_until, run, running


def test_nothing_there_is_a_link_error(tmp_path: Path) -> None:
    ended = run("record", "-o", tmp_path / "out.txt", tmp_path / "nothing", "--driver", "omron_hbp")
    assert ended.returncode == 4, ended.stderr
    assert ended.stdout == ""
    assert "link.unavailable" in ended.stderr
    assert not (tmp_path / "out.txt").exists()


@pytest.mark.parametrize(
    "words",
    [
        ("record", "/dev/null", "--driver", "omron_hbp"),
        ("record", "/dev/null", "--driver", "omron_hbp", "-o", "new.txt", "--order", "start"),
        ("record", "/dev/null", "--driver", "omron_hbp", "-o", "new.txt", "--set", "no=1"),
        ("replay", "no-such-file.txt"),
    ],
)
def test_usage(words: tuple[str, ...]) -> None:
    assert run(*words).returncode == 2


def test_record_writes_what_replay_plays(tmp_path: Path) -> None:
    """Record the simulated side of a transcript, then play the record: the readings are those stated."""
    made = tmp_path / "pm6750-made.txt"
    port = tmp_path / "port"
    source = TRANSCRIPTS / "pm6750-measurement.txt"
    words = ("record", port, "--driver", "pm6750", "-o", made, "--order", "start_blood_pressure")
    with running("replay", source, "--pty", port) as served:
        appears(port)
        with running(*words) as it:
            lines_until(it, "reading")
            assert interrupted(it) == 0
        assert served.wait(DEADLINE_S) == 0
    recorded = parse(made.read_text())
    assert recorded.provenance.startswith("captured 20")
    assert [turn for turn in recorded.turns if isinstance(turn, Gives)] == [
        turn for turn in parse(source.read_text()).turns if isinstance(turn, Gives)
    ]
    played = run("replay", made)
    assert played.returncode == 0, played.stderr
    assert run(*words).returncode == 2, "a transcript is not written over"


def test_replay_says_whether_the_readings_are_the_stated_ones(tmp_path: Path) -> None:
    source = TRANSCRIPTS / "omron_hbp-format_5.txt"
    same = run("replay", source)
    assert same.returncode == 0
    assert "systolic 120 mm[Hg]" in same.stdout
    wrong = tmp_path / "omron_hbp-wrong.txt"
    wrong.write_text(
        source.read_text().replace("= blood_pressure systolic 120", "= blood_pressure systolic 121")
    )
    differs = run("replay", wrong, "--json")
    assert differs.returncode == 1
    report = json.loads(differs.stdout)
    assert report["equal"] is False
    assert report["readings"][0]["values"]["systolic"]["value"] == "120"
    assert "systolic 121" in differs.stderr


def test_replay_takes_the_driver_by_name_too(tmp_path: Path) -> None:
    nameless = tmp_path / "from-the-field.txt"
    nameless.write_text((TRANSCRIPTS / "sinocare_sn-live.txt").read_text())
    assert run("replay", nameless).returncode == 2
    assert run("replay", nameless, "--driver", "sinocare_sn", "--chunk", "2").returncode == 0
    assert run("replay", nameless, "--driver", "pm6750").returncode == 1


def test_replay_as_the_device_notices_another_word(tmp_path: Path) -> None:
    with running("replay", TRANSCRIPTS / "pm6750-idle.txt", "--pty", tmp_path / "port") as served:
        appears(tmp_path / "port")
        port = os.open(tmp_path / "port", os.O_RDWR | os.O_NOCTTY)
        try:
            os.write(port, b"quite another word, long enough to be heard")
            assert served.wait(DEADLINE_S) == 4
        finally:
            os.close(port)
    assert not (tmp_path / "port").is_symlink()


def test_the_played_file_is_the_shipped_one() -> None:
    """The command and the function agree on a transcript with every kind of turn."""
    transcript = parse((TRANSCRIPTS / "sinocare_sn-live.txt").read_text())
    played = play(every()["sinocare_sn"], transcript)
    shown = run("replay", TRANSCRIPTS / "sinocare_sn-live.txt").stdout.splitlines()
    assert shown == list(played.lines)
