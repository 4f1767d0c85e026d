"""Measurements beside SQLite alone that is told the very same writes; and what their proof costs."""

import shutil
from collections.abc import Callable, Iterator, Sequence
from hashlib import sha256
from itertools import count, islice
from pathlib import Path
from typing import Any, cast

from store import chain, cipher, signing
from store.facts import Fact
from store.journal import Transaction
from store.keyring import Key
from store.transaction import Head, Pen
from store.writer import Writer
from tools.bench import stock
from tools.bench.figures import Line, Scale, Target, alternated, median, percentile
from tools.bench.raw import Recorded, SameAgain

FACT = 900
"""Bytes of a fact's body."""
FACTS = 3
"""Facts of a measurement: received, bound, judged."""
Command = Callable[[Transaction], object]


def measure(scale: Scale, folder: Path, measurements: Iterator[Command]) -> Iterator[Line]:
    """Measure both."""
    yield from _proven(scale.of(2000, 20))
    yield from _same(folder, measurements, scale.of(400, 5))


def _proven(rounds: int) -> Iterator[Line]:
    key, numbers = Key.of(bytes(range(32))), count(1)
    prev, at, body = bytes(32), bytes(130), bytes(FACT)

    def chained() -> None:
        number = next(numbers)
        chain.digest(prev, number, f"abcdef-{number}", at, sha256(body).digest())

    def signed() -> None:
        cipher.sign(key, signing.message(next(numbers), prev, 0))

    link, signature = (median(times) * 1e6 for times in alternated(rounds, chained, signed))
    yield Line(f"chain of a fact of {FACT} bytes", "µs", link)
    whole, target = "chain and signature a fact", Target(50, on="ours")
    yield Line(f"{whole}, {FACTS} a commit", "µs", link + signature / FACTS, target=target)
    yield Line(f"{whole}, alone in its commit", "µs", link + signature, target=target)


def _same(folder: Path, measurements: Iterator[Command], rounds: int) -> Iterator[Line]:
    home, copy = folder / "recorded", folder / "copied"
    home.mkdir()
    journal = stock.opened(home)
    journal.submit(stock.open_exam(0)).result()
    journal.close()
    shutil.copytree(home, copy)
    same = SameAgain(copy / "journal.db", _writes(home, list(islice(measurements, rounds))))
    journal, ready = stock.opened(home), iter(list(islice(measurements, rounds)))
    ours, bare = alternated(rounds, lambda: journal.submit(next(ready)).result(), same.commit)
    journal.close()
    same.close()
    against, target = "bare SQLite told the same writes", Target(0.8, most=False)
    what = f"a measurement ({FACTS} facts), one a commit"
    yield Line(f"{what}: rate", "/s", 1 / median(ours), 1 / median(bare), against, target)
    late, bare_late = (percentile(one, 0.99) * 1e3 for one in (ours, bare))
    yield Line(f"{what}: p99", "ms", late, bare_late, against)


def _writes(home: Path, commands: Sequence[Command]) -> Recorded:
    """Write *commands* one by one; return what SQLite was told for each."""
    kept: list[Recorded] = []

    def recorded(pen: Pen, head: Head, told: Callable[[Sequence[Fact]], None]) -> Writer:
        kept.append(Recorded(pen.connection))
        return Writer(pen._replace(connection=cast("Any", kept[0])), head, told)

    journal = stock.opened(home, recorded)
    for command in commands:
        journal.submit(command).result()
    journal.close()
    return kept[0]
