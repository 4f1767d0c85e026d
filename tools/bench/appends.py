"""Appends to the journal beside bare SQLite that stores as many bytes in as many commits.

Seconds, syncs (counted from outside by strace) and bytes given to the disk (counted by the kernel).
"""

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
from tools.bench import beside, stock, syncs
from tools.bench.figures import Line, Scale, Target, alternated, median
from tools.bench.raw import BareSqlite, JournalRows, RawFile

SAMPLE = 10
"""Appends that tell how many bytes one stores."""
IO = Path("/proc/self/io")
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
    yield from syncs.measure(scale, folder)


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
    """Write *commits* measurements one by one; run in a program of its own."""
    journal = stock.opened(Path(folder))
    journal.submit(stock.open_exam(0)).result()
    for command in islice(measurements(), commits):
        journal.submit(command).result()
    journal.close()


def beside_bare(folder: str, commits: int) -> None:
    """Print what `beside.tell` finds of *commits* measurements; run in a program of its own."""
    beside.tell(Path(folder), list(islice(measurements(), commits)))


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


def _against(row: bytes) -> str:
    return f"bare SQLite, rows of {len(row)} bytes"
