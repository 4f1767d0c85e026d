"""Appends to the journal beside bare SQLite that stores as many bytes in as many commits.

Seconds, syncs (counted from outside by strace) and bytes given to the disk (counted by the kernel).
"""

import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count, islice
from pathlib import Path
from statistics import fmean

from drivers import catalogue
from gateway.clock import Clock
from gateway.receiving import receive, values_of
from protocol.readings import Reading
from store.facts import Instant, Received
from store.journal import Journal, Transaction
from tools.bench import beside, stock
from tools.bench.figures import Line, Scale, Target, alternated, median
from tools.bench.raw import BareSqlite, JournalRows, RawFile

SAMPLE = 10
"""Appends that tell how many bytes one stores."""
IO = Path("/proc/self/io")
SYNCS = "fsync,fdatasync,sync_file_range,msync"
Command = Callable[[Transaction], object]


@dataclass(frozen=True, slots=True)
class Rig:
    """A journal with an exam open, beside a bare SQLite file and a raw file in the same folder."""

    folder: Path
    journal: Journal
    bare: BareSqlite
    raw: RawFile

    def row(self, commands: Iterator[Command]) -> bytes:
        """Return a row with as many bytes as one of *commands* stores."""
        rows = JournalRows(self.folder / "journal.db")
        before = rows.stored()
        for command in islice(commands, SAMPLE):
            self.journal.submit(command).result()
        stored = rows.stored() - before
        rows.close()
        return bytes(stored // SAMPLE)


def measure(scale: Scale, folder: Path) -> Iterator[Line]:
    """Measure appends one by one, in groups, their bytes and their syncs."""
    with _rig(folder) as rig:
        for what, commands in (("a fact", facts()), ("a measurement (3 facts)", measurements())):
            row = rig.row(commands)
            yield from _one_by_one(rig, what, commands, row, scale.of(400, 5))
            yield _written(rig, what, commands, row, scale.of(200, 5))
    yield from beside.measure(scale, folder, measurements)
    yield _synced(folder, scale.of(1000, 20))


def facts() -> Iterator[Command]:
    """Yield commands that each append one `Received`, no two alike."""
    clock = Clock()
    for number in count():
        reading, began = stock.pressure(number), clock.now()
        yield lambda tx, reading=reading, began=began: tx.append(  # type: ignore[misc]
            _received(tx.next_id, reading, began)
        )


def measurements() -> Iterator[Command]:
    """Yield commands that each write a whole measurement as the service does: received, bound, judged."""
    clock, driver = Clock(), catalogue.every()["omron_hbp"]
    for number in count():
        reading, met = stock.pressure(number), stock.contact(driver, clock)
        yield lambda tx, reading=reading, met=met: receive(tx, reading, met)  # type: ignore[misc]


def append_all(folder: str, commits: int) -> None:
    """Write *commits* measurements one by one; run under strace in a program of its own."""
    journal = stock.opened(Path(folder))
    journal.submit(stock.open_exam(0)).result()
    for command in islice(measurements(), commits):
        journal.submit(command).result()
    journal.close()


def _received(key: str, reading: Reading, began: Instant) -> Received:
    return Received(
        measurement=key,
        device="bench",
        driver="omron_hbp",
        serial=None,
        reading=reading.kind,
        values=values_of(reading),
        evidence=[frame.hex() for frame in reading.evidence],
        device_time=reading.device_time,
        sequence=None,
        context={},
        flags=[],
        failed=None,
        stored=False,
        record=None,
        began=began,
        clock_offset_s=None,
    )


@contextmanager
def _rig(folder: Path) -> Iterator[Rig]:
    journal, bare, raw = stock.opened(folder), BareSqlite(folder / "bare.db"), RawFile(folder / "raw")
    try:
        journal.submit(stock.open_exam(0)).result()
        yield Rig(folder, journal, bare, raw)
    finally:
        raw.close()
        bare.close()
        journal.close()


def _one_by_one(rig: Rig, what: str, commands: Iterator[Command], row: bytes, rounds: int) -> Iterator[Line]:
    ready = iter(list(islice(commands, rounds)))
    ours, bare, raw = alternated(
        rounds,
        lambda: rig.journal.submit(next(ready)).result(),
        lambda: rig.bare.insert([row]),
        rig.raw.append,
    )
    name, target = f"{what}, one a commit", Target(2)
    yield Line(f"{name}: mean", "ms", fmean(ours) * 1e3, fmean(raw) * 1e3, "raw append + fdatasync", target)
    yield Line(f"{name}: p50", "ms", median(ours) * 1e3, median(bare) * 1e3, _against(row))


def _singly(bare: BareSqlite, rows: Sequence[bytes]) -> None:
    for row in rows:
        bare.insert([row])


def _written(rig: Rig, what: str, commands: Iterator[Command], row: bytes, rounds: int) -> Line:
    name, target = f"{what}, one a commit: given to the disk", Target(6, on="ours")
    if not IO.exists():
        return Line(name, "kB", None, note="the kernel does not count it here")
    ready = list(islice(commands, rounds))
    ours = _bytes_of(lambda: [rig.journal.submit(command).result() for command in ready])
    bare = _bytes_of(lambda: _singly(rig.bare, [row] * rounds))
    return Line(name, "kB", ours / rounds / 1e3, bare / rounds / 1e3, _against(row), target)


def _bytes_of(deed: Callable[[], object]) -> int:
    before = _given()
    deed()
    return _given() - before


def _given() -> int:
    fields = dict(line.split(": ") for line in IO.read_text(encoding="ascii").splitlines())
    return int(fields["write_bytes"])


def _synced(folder: Path, commits: int) -> Line:
    """Count the syncs of *commits* measurements, less those of opening and closing."""
    name, target = "a measurement, one a commit: syncs, checkpoints too", Target(1.3, on="ours")
    strace = shutil.which("strace")
    if strace is None:
        return Line(name, "", None, target=target, note="strace is not installed")
    found = [_syncs(strace, folder / f"synced-{number}", number) for number in (0, commits)]
    if None in found:
        return Line(name, "", None, target=target, note="strace may not look into processes here")
    none, some = (number or 0 for number in found)
    return Line(name, "", (some - none) / commits, 1.0, "one sync a commit", target)


def _syncs(strace: str, folder: Path, commits: int) -> int | None:
    folder.mkdir()
    told = folder / "strace"
    code = f"from tools.bench.appends import append_all; append_all({str(folder)!r}, {commits})"
    options = ["-f", "--seccomp-bpf", "-qq", "-c", "-e", f"trace={SYNCS}", "-o", str(told)]
    ended = subprocess.run([strace, *options, sys.executable, "-c", code], capture_output=True, check=False)
    if ended.returncode:
        return None
    rows = [line.split() for line in told.read_text(encoding="utf-8").splitlines()]
    return sum(int(row[3]) for row in rows if row and row[-1] in SYNCS.split(","))


def _against(row: bytes) -> str:
    return f"bare SQLite, rows of {len(row)} bytes"
