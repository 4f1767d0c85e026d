"""A journal of five years: its size, its start, its questions and its proof, beside one of a few weeks.

Written through the real pen, exam by exam, delivered as the service delivers; the same file is measured when
it holds few exams and again when it holds all, so that what grows with the journal shows.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from store.journal import Journal
from store.queries import Queries
from tools.bench import stock
from tools.bench.figures import Line, Scale, Target, seconds_of
from tools.bench.raw import JournalRows
from tools.people import person

FEW, ALL = 1_000, 40_000
"""Exams: five weeks, and five years of a clinic that does 8,000 a year."""
LEAST = 60
DISK_GB = 2.0
"""What a box's card must have free for five years of journal, its copy while migrating, and the WAL."""
FLAT = 1.5
"""Beyond this ratio a question is called no longer flat; below it the disk's cache decides."""
ROUNDS = 30
CHUNK = 250
"""Exams written between two looks at the clock."""


@dataclass(frozen=True, slots=True)
class Moment:
    """What was measured while the journal held so many exams."""

    exams: int
    bytes_on_disk: int
    start_s: float
    asked_s: Mapping[str, float]
    verified_s: float
    proven_s: float
    """The same with chain and signatures alone."""
    sqlite_s: float
    """The same with SQLite's own look at its file alone."""
    facts: int


def measure(scale: Scale, folder: Path) -> Iterator[Line]:
    """Fill the journal in two steps and measure after each."""
    few, full = scale.of(FEW, LEAST), scale.of(ALL, 2 * LEAST)
    rate = _filled(folder, 0, few)
    early = _moment(folder, few)
    rate = _filled(folder, few, full - few)
    late = _moment(folder, full)
    yield from _sized(early, late, rate)
    for name in early.asked_s:
        ours, before = late.asked_s[name] * 1e3, early.asked_s[name] * 1e3
        what = f"{name}, {late.exams:,} exams"
        yield Line(what, "ms", ours, before, f"the same at {early.exams:,} exams", Target(FLAT, spare=0.2))


def _filled(folder: Path, first: int, count: int) -> float:
    """Write exams and deliver them; return the facts a second."""
    journal = stock.opened(folder)
    before, began = journal.queries.counts().facts, time.perf_counter()
    for start in range(first, first + count, CHUNK):
        stock.fill(journal, min(CHUNK, first + count - start), start)
        stock.deliver(journal)
    facts = journal.queries.counts().facts - before
    seconds = time.perf_counter() - began
    journal.close()
    return facts / seconds


def _moment(folder: Path, exams: int) -> Moment:
    start = median(_started(folder) for _ in range(5))
    path = folder / "journal.db"
    queries = Queries(path)
    try:
        asked = {name: _asked(question) for name, question in _questions(queries, exams).items()}
        began = time.perf_counter()
        report = queries.check()
        verified = time.perf_counter() - began
    finally:
        queries.close()
    if report.problems:
        raise AssertionError(report.problems[:3])
    rows = JournalRows(path)
    proven, sqlite = seconds_of(rows.prove), seconds_of(rows.look)
    rows.close()
    return Moment(exams, path.stat().st_size, start, asked, verified, proven, sqlite, report.facts)


def _started(folder: Path) -> float:
    """Return the seconds to open the journal as a start does, checks included."""
    opened: list[Journal] = []
    took = seconds_of(lambda: opened.append(stock.opened(folder)))
    opened[0].close()
    return took


def _asked(question: Callable[[], object]) -> float:
    question()
    return median(seconds_of(question) for _ in range(ROUNDS))


def _questions(queries: Queries, exams: int) -> Mapping[str, Callable[[], object]]:
    """Return what a page of the clinic and a puller ask; each of the same size at any length of journal."""
    latest: Sequence[str] = [one.id for one in queries.exams(open=False, limit=1)]
    middle = _middle(queries)
    number = ("cn-id", person(exams // 2).cn_id)
    return {
        "pull: first page of 100": lambda: queries.page(limit=100),
        "pull: page of 100 in the middle": lambda: queries.page(middle, limit=100),
        "pull: one resident's": lambda: queries.page(limit=100, resident_identifier=number),
        "page: latest 50 exams": lambda: queries.exams(open=False, limit=50),
        "page: one exam's measurements": lambda: queries.exam_measurements(latest[0]),
        "page: tray, outbox, counts": lambda: (queries.tray(), queries.outbox_counts(), queries.counts()),
        "page: devices, their days": lambda: (
            queries.device_last_heard(),
            queries.device_days("omron-hbp"),
            queries.device_events("omron-hbp"),
        ),
        "delivery: what is due": lambda: queries.due("fhir", 50),
    }


def _middle(queries: Queries) -> str:
    return queries.page(f"v1-{queries.counts().facts // 2}", limit=1)[1]


def _sized(early: Moment, late: Moment, rate: float) -> Iterator[Line]:
    against = f"the same at {early.exams:,} exams"
    each, before = (one.bytes_on_disk / one.exams / 1e3 for one in (late, early))
    yield Line("journal bytes an exam (3 measurements, delivered)", "kB", each, before, against)
    full = late.bytes_on_disk / 1e9 * ALL / late.exams
    yield Line(f"journal of {ALL:,} exams on disk", "GB", full, target=Target(DISK_GB / 2, on="ours"))
    target = Target(FLAT, spare=20)
    yield Line(
        f"journal opened, {late.exams:,} exams",
        "ms",
        late.start_s * 1e3,
        early.start_s * 1e3,
        against,
        target,
    )
    yield Line("written through the pen, 250 exams waiting", "/s", rate, note="facts, delivered ones too")
    verify, sound, proof = (
        seconds / late.facts * 1e6 for seconds in (late.verified_s, late.sqlite_s, late.proven_s)
    )
    own, name = "SQLite's own check of the same file", "verify a fact"
    yield Line(f"{name}: all that is served, too", "µs", verify, sound, own, Target(200, on="ours"))
    yield Line(f"{name}: chain and signatures alone", "µs", proof, target=Target(50, on="ours"))
