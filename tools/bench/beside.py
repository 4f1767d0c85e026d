"""The journal beside SQLite alone that is told the very same writes in the same commits; what proof costs.

A journal is made and copied. What measurements make SQLite write is recorded on one copy and told to bare
SQLite on the next; on a third the same facts are appended, ready made; on a fourth the service makes them.
"""

import shutil
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from functools import partial
from hashlib import sha256
from itertools import count, islice
from pathlib import Path
from typing import Any, cast

from store import chain, cipher, signing
from store.facts import AnyBody, Fact
from store.journal import Journal, Transaction
from store.keyring import Key
from store.pen import Head, Pen
from store.writer import GROUP, Writer
from tools.bench import stock
from tools.bench.figures import Line, Scale, Target, alternated, median, percentile
from tools.bench.raw import Recorded, SameAgain

FACT = 900
"""Bytes of a fact's body."""
FACTS = 3
"""Facts of a measurement: received, bound, judged."""
READY, WHOLE = f"a measurement's {FACTS} facts, ready made", "a measurement, bound and judged"
AGAINST = "bare SQLite told the same writes"
Command = Callable[[Transaction], object]
Deeds = tuple[Callable[[], object], Callable[[], object], Callable[[], object]]


def measure(scale: Scale, folder: Path, measurements: Callable[[], Iterator[Command]]) -> Iterator[Line]:
    """Measure the proof, then commits of one measurement, then commits of all that wait."""
    yield from _proven(scale.of(2000, 20))
    yield from _alone(folder / "alone", list(islice(measurements(), scale.of(400, 5))))
    rounds, waiting = scale.of(6, 1), scale.of(4 * GROUP, 20)
    yield from _grouped(folder / "grouped", list(islice(measurements(), rounds * waiting)), waiting)


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


def _alone(folder: Path, commands: Sequence[Command]) -> Iterator[Line]:
    with _deeds(folder, commands, 1) as deeds:
        ready, whole, bare = alternated(len(commands), *deeds)
    for what, times, target in ((READY, ready, Target(0.8, most=False)), (WHOLE, whole, None)):
        name = f"{what}, one a commit"
        yield Line(f"{name}: rate", "/s", 1 / median(times), 1 / median(bare), AGAINST, target)
        late, bare_late = (percentile(one, 0.99) * 1e3 for one in (times, bare))
        yield Line(f"{name}: p99", "ms", late, bare_late, AGAINST)
        more = (median(times) - median(bare)) * 1e6
        yield Line(f"{name}: added", "µs", max(0.0, more), note="to what bare SQLite takes")


def _grouped(folder: Path, commands: Sequence[Command], waiting: int) -> Iterator[Line]:
    with _deeds(folder, commands, waiting) as deeds:
        times = alternated(len(commands) // waiting, *deeds)
    ready, whole, bare = (waiting * FACTS / median(one) for one in times)
    target = Target(10_000, on="ours", most=False)
    yield Line(f"{READY}, {waiting} waiting: facts", "/s", ready, bare, AGAINST, target)
    yield Line(f"{WHOLE}, {waiting} waiting: facts", "/s", whole, bare, AGAINST)


def tell(folder: Path, commands: Sequence[Command]) -> None:
    """Print the median seconds of a measurement's commit, its facts ready made, and of bare SQLite's."""
    with _deeds(folder, commands, 1) as (appended, _, told):
        ready, bare = alternated(len(commands), appended, told)
    print(median(ready), median(bare))


@contextmanager
def _deeds(folder: Path, commands: Sequence[Command], waiting: int) -> Iterator[Deeds]:
    """Give what commits the next *waiting* of *commands*: their facts ready made, themselves, bare SQLite."""
    (folder / "base" / "box").mkdir(parents=True)
    journal = stock.opened(folder / "base" / "box")
    journal.submit(stock.open_exam(0)).result()
    journal.close()
    recorded, bodies = _recorded(_copied(folder, "recorded"), commands, waiting)
    appends = [_appending(one) for one in bodies]
    with ExitStack() as left:
        ready = left.enter_context(closing(stock.opened(_copied(folder, "ready"))))
        whole = left.enter_context(closing(stock.opened(_copied(folder, "whole"))))
        bare = left.enter_context(closing(SameAgain(_copied(folder, "bare") / "journal.db", recorded)))
        first, second = _parts(appends, waiting), _parts(commands, waiting)
        yield (
            lambda: _all_done(ready, next(first)),
            lambda: _all_done(whole, next(second)),
            lambda: bare.commit(-(-waiting // GROUP)),
        )


def _copied(folder: Path, name: str) -> Path:
    """Copy the first journal and its key; return the folder it lies in."""
    return Path(shutil.copytree(folder / "base", folder / name)) / "box"


def _parts(commands: Sequence[Command], size: int) -> Iterator[Sequence[Command]]:
    return (commands[start : start + size] for start in range(0, len(commands), size))


def _appending(bodies: Sequence[AnyBody]) -> Command:
    return lambda tx: [tx.append(body) for body in bodies]


def _all_done(journal: Journal, commands: Sequence[Command]) -> None:
    for future in [journal.submit(command) for command in commands]:
        future.result()


def _recorded(
    home: Path, commands: Sequence[Command], waiting: int
) -> tuple[Recorded, Sequence[Sequence[AnyBody]]]:
    """Commit *commands*, so many at once; return what SQLite was told, and the facts of each command."""
    kept: list[Recorded] = []
    bodies: list[list[AnyBody]] = []

    def recording(pen: Pen, head: Head, told: Callable[[Sequence[Fact]], None]) -> Writer:
        kept.append(Recorded(pen.connection))
        return Writer(pen._replace(connection=cast("Any", kept[0])), head, told)

    def keeping(tx: Transaction, command: Command) -> None:
        command(tx)
        bodies.append([fact.body for fact in tx.facts])

    journal = stock.opened(home, recording)
    for part in _parts([partial(keeping, command=one) for one in commands], waiting):
        with _held(journal):
            futures = [journal.submit(one) for one in part]
        for future in futures:
            future.result()
    journal.close()
    return kept[0], bodies


@contextmanager
def _held(journal: Journal) -> Iterator[None]:
    """Let the writer wait, so that all that is submitted meanwhile is committed together."""
    begun, done = threading.Event(), threading.Event()

    def hold(_: Transaction) -> None:
        begun.set()
        done.wait()

    held = journal.submit(hold)
    begun.wait()
    yield
    done.set()
    held.result()
