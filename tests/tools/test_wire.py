"""The technician's wire tools as programs: a pseudo-terminal on one side, their output on the other."""

import json
import os
import signal
import subprocess
import sys
import time
import tty
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import pytest

from drivers.catalogue import every
from gateway.links.replay import play
from protocol.transcript import Gives, Heard, parse

ROOT = Path(__file__).parents[2]
TRANSCRIPTS = ROOT / "tests/transcripts"
LINE = b"2026,07,11,09,05,                    ,0,120,080,072,0\r\n"
DEADLINE_S = 30.0


@contextmanager
def device(at: Path) -> Iterator[IO[bytes]]:
    """Give the device's end of a pseudo-terminal whose other end is *at*; closing it pulls the cable."""
    master, slave = os.openpty()
    tty.setraw(slave)
    at.symlink_to(os.ttyname(slave))
    os.close(slave)
    with os.fdopen(master, "r+b", buffering=0) as end:
        yield end


def command(*words: str | Path) -> list[str]:
    return [sys.executable, "-m", "tools.main", *map(str, words)]


def run(*words: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(*words), cwd=ROOT, capture_output=True, text=True, timeout=DEADLINE_S, check=False
    )


@contextmanager
def running(*words: str | Path) -> Iterator["subprocess.Popen[str]"]:
    program = subprocess.Popen(
        command(*words),
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    try:
        yield program
    finally:
        program.kill()
        program.communicate()


def lines_until(program: "subprocess.Popen[str]", wanted: str) -> list[str]:
    """Return the program's lines up to the first that contains *wanted*."""
    assert program.stdout is not None
    found: list[str] = []
    while not found or wanted not in found[-1]:
        line = program.stdout.readline()
        assert line, f"ended without {wanted!r}: {found} {program.stderr and program.stderr.read()}"
        found.append(line.rstrip("\n"))
    return found


def interrupted(program: "subprocess.Popen[str]") -> int:
    program.send_signal(signal.SIGINT)
    return program.wait(DEADLINE_S)


def test_listen_shows_the_bytes_and_what_they_mean(tmp_path: Path) -> None:
    with (
        device(tmp_path / "port") as master,
        running("listen", tmp_path / "port", "--driver", "omron_hbp") as it,
    ):
        master.write(LINE)
        shown = lines_until(it, "reading")
        assert LINE[:8].hex(" ") in shown[0]
        assert "2026,07,11" in shown[0]
        assert "systolic 120 mm[Hg]" in shown[-1]
        master.write(b"ID,AGE,SEX\r\n")
        assert "omron_hbp.wrong_format" in lines_until(it, "refused")[-1]
        assert interrupted(it) == 0


def test_listen_gives_json_and_never_sends(tmp_path: Path) -> None:
    with device(tmp_path / "port") as master:
        with running("listen", tmp_path / "port", "--driver", "sinocare_sn", "--json") as it:
            sent = b"".join(turn.data for turn in live_meter() if isinstance(turn, Heard))
            master.write(sent)
            shown = [json.loads(line) for line in lines_until(it, '"type": "reading"')]
            os.set_blocking(master.fileno(), False)
            assert master.read(1) is None
        assert b"".join(bytes.fromhex(one["hex"]) for one in shown if one["type"] == "chunk") == sent
        assert shown[-1]["values"] == {"glucose": {"value": "26.8", "unit": "mmol/L"}}


def live_meter() -> tuple[object, ...]:
    return parse((TRANSCRIPTS / "sinocare_sn-live.txt").read_text()).turns


def test_listen_stops_by_itself(tmp_path: Path) -> None:
    with device(tmp_path / "port"):
        ended = run(
            "listen", tmp_path / "port", "--driver", "omron_hbp", "--seconds", "0.2", "--baudrate", "9600"
        )
    assert ended.returncode == 0, ended.stderr


def test_nothing_there_is_a_link_error(tmp_path: Path) -> None:
    for words in (("listen",), ("record", "-o", tmp_path / "out.txt")):
        ended = run(*words, tmp_path / "nothing", "--driver", "omron_hbp")
        assert ended.returncode == 4, ended.stderr
        assert ended.stdout == ""
        assert "link.unavailable" in ended.stderr
    assert not (tmp_path / "out.txt").exists()


def test_a_pulled_cable_ends_with_the_devices_status(tmp_path: Path) -> None:
    words = ("listen", tmp_path / "port", "--driver", "omron_hbp")
    with device(tmp_path / "port") as master, running(*words) as it:
        master.write(LINE)
        lines_until(it, "reading")
        master.close()
        assert it.wait(DEADLINE_S) == 4


@pytest.mark.parametrize(
    "words",
    [
        ("listen", "/dev/null"),
        ("listen", "/dev/null", "--driver", "no_such_driver"),
        ("listen", "/dev/null", "--driver", "omron_hbp", "--parity", "X"),
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


def appears(path: Path) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not path.is_symlink():
        assert time.monotonic() < deadline
        time.sleep(0.02)


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
