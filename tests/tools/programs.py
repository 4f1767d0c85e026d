"""The commands as programs beside a pseudo-terminal: what they print, how they end."""

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

ROOT = Path(__file__).parents[2]
TRANSCRIPTS = ROOT / "tests/transcripts"
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


def appears(path: Path) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not path.is_symlink():
        assert time.monotonic() < deadline
        time.sleep(0.02)
