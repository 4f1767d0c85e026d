"""Syncs of a program of its own, counted from outside by strace, or each made longer, as a card's are."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from tools.bench.beside import AGAINST, READY
from tools.bench.figures import Line, Scale, Target

SYNCS = "fsync,fdatasync,sync_file_range,msync"
SLOWER_MS = 4
NOT_HERE = "strace is missing, or may not look into processes here"


def measure(scale: Scale, folder: Path) -> Iterator[Line]:
    """Measure the syncs of measurements, then commits whose syncs are slow."""
    yield _counted(folder, scale.of(1000, 20))
    yield _slow(folder / "slow", scale.of(300, 5))


def _counted(folder: Path, commits: int) -> Line:
    """Count the syncs of *commits* measurements, less those of opening and closing."""
    name, target = "a measurement, one a commit: syncs, checkpoints too", Target(1.3, on="ours")
    found = [_count(folder / f"synced-{number}", number) for number in (0, commits)]
    if None in found:
        return Line(name, "", None, target=target, note=NOT_HERE)
    none, some = (number or 0 for number in found)
    return Line(name, "", (some - none) / commits, 1.0, "one sync a commit", target)


def _count(folder: Path, commits: int) -> int | None:
    folder.mkdir()
    told = folder / "strace"
    if _traced(["-c", "-o", str(told)], f"append_all({str(folder)!r}, {commits})") is None:
        return None
    rows = [line.split() for line in told.read_text(encoding="utf-8").splitlines()]
    return sum(int(row[3]) for row in rows if row and row[-1] in SYNCS.split(","))


def _slow(folder: Path, commits: int) -> Line:
    name, target = f"{READY}, each sync {SLOWER_MS} ms longer: rate", Target(0.8, most=False)
    longer = ["-o", os.devnull, "-e", f"inject={SYNCS}:delay_exit={SLOWER_MS}ms"]
    told = _traced(longer, f"beside_bare({str(folder)!r}, {commits})")
    if told is None:
        return Line(name, "/s", None, target=target, note=NOT_HERE)
    ready, bare = (float(seconds) for seconds in told.split())
    return Line(name, "/s", 1 / ready, 1 / bare, AGAINST, target)


def _traced(options: Sequence[str], call: str) -> str | None:
    """Return what *call* of `tools.bench.appends` prints under strace; None where that cannot be."""
    strace = shutil.which("strace")
    if strace is None:
        return None
    command = [strace, "-f", "--seccomp-bpf", "-qq", "-e", f"trace={SYNCS}", *options]
    python = [sys.executable, "-c", f"from tools.bench import appends; appends.{call}"]
    ended = subprocess.run([*command, *python], capture_output=True, text=True, check=False)
    return None if ended.returncode else ended.stdout
