"""Generated histories of clocks: boots, synchronisation gained and lost, steps, drift, readings, cuts.

A history is drawn from its seed and lived by the real station, receiving and journal (`clockwork.py`).
Whatever happened, at the end order is right, no time is a lie, and doing it all again changes nothing.
"""

import asyncio
import json
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

import click

from gateway.times_later import retime, settle
from store import clocks
from store.facts import ClockSet, Fact, Measurement
from store.journal import Journal
from tools.faults.clockwork import SHANGHAI, Box, Kernel, Machine

SECOND = timedelta(seconds=1)
RECOVERED = SECOND
"""So exact is a time in a boot whose clock was synchronised within NEAR of it, or before and after."""
NEAR = timedelta(hours=3)
DRIFT_PPM = 50
"""A bad crystal; ours allows for twice as much."""
MEMORY = Path("/dev/shm")  # noqa: S108 - a folder of our own is made in it
"""A disk that needs no waiting: this is not about power cuts."""
ABREAST = 8


class Lie(AssertionError):
    """A history that ended with something wrong; says the seed and what."""


@dataclass
class Made:
    """A measurement: when it truly came, when it was truly made, and in which boot it came."""

    came: datetime
    made: datetime
    boot: str
    stored: bool


@dataclass
class Life:
    """What has happened in one history, and what the world knows of it."""

    box: Box
    kernel: Kernel
    chance: Random
    machine: Machine = field(default_factory=Machine)
    made: dict[str, Made] = field(default_factory=dict)
    pending: list[tuple[str, datetime, datetime]] = field(default_factory=list)
    kept: dict[str, list[datetime]] = field(default_factory=dict)
    """By boot, moments at which its clock was known to be synchronised."""
    n: int = 0

    def name(self) -> str:
        """Return a name nothing else has."""
        self.n += 1
        return f"m{self.n}"

    def pass_(self, least: float, most: float, *, off: bool = False) -> None:
        """Let some time pass, in minutes, short spans more often than long ones."""
        minutes = least * (most / least) ** self.chance.random()
        self.kernel.go(timedelta(minutes=minutes), off=off)

    async def look(self) -> None:
        """Do what the watch does; the world remembers where the clock was right."""
        await self.box.look()
        if self.kernel.synchronised():
            self.kept.setdefault(self.kernel.boot_id(), []).append(self.kernel.truth)


async def boots(life: Life) -> None:
    """Power goes and comes again."""
    life.pass_(1, 3000, off=True)
    life.kernel.boot(_wall(life))
    life.box.close()
    life.box.open()
    await life.box.starts()


def _wall(life: Life) -> datetime:
    """Return what the wall clock shows after power came: nothing, the truth, the past, or anything."""
    truth, chance = life.kernel.truth, life.chance
    wrong = timedelta(seconds=chance.uniform(-1e5, 1e5))
    years = timedelta(days=chance.uniform(300, 3000))
    return chance.choice(
        [datetime(1970, 1, 1, tzinfo=UTC), truth, truth - 3 * abs(wrong), truth + wrong, truth + years]
    )


async def syncs(life: Life) -> None:
    """A time server sets the clock, as well as it can."""
    error = timedelta(seconds=life.chance.uniform(-0.3, 0.3))
    life.kernel.set(life.kernel.truth + error, kept=True)


async def loses(life: Life) -> None:
    """Nobody keeps the clock any more."""
    life.kernel.keep(kept=False)


async def steps(life: Life) -> None:
    """Somebody sets the clock by hand, rightly or not."""
    life.kernel.set(_wall(life))


async def measures(life: Life) -> None:
    """A result is told at once."""
    truth = life.kernel.truth
    found = await life.box.hears(life.name())
    life.made[found.id] = Made(truth, truth, life.kernel.boot_id(), stored=False)


async def records(life: Life) -> None:
    """The machine keeps a result in its memory."""
    truth = life.kernel.truth
    life.pending.append((life.name(), truth, life.machine.shows(truth)))


async def tells(life: Life) -> None:
    """The machine tells its clock and its memory; in between anything may happen to our clock."""
    await life.box.reads(life.machine.shows(life.kernel.truth))
    if life.chance.random() < 0.2:
        await life.chance.choice([syncs, steps, loses])(life)
    for name, truth, shown in life.pending:
        found = await life.box.hears(name, shown, stored=True)
        life.made[found.id] = Made(life.kernel.truth, truth, life.kernel.boot_id(), stored=True)
    life.pending.clear()


async def sets_machine(life: Life) -> None:
    """Somebody sets the machine's clock; what it still keeps is told no more here, for nothing could tell."""
    life.pending.clear()
    life.machine.ahead = timedelta(seconds=life.chance.choice([0, 30, -7000, 86400, -8e8]))


async def restarts(life: Life) -> None:
    """The service starts anew in the same boot."""
    life.box.close()
    life.pass_(0.1, 60)
    life.box.open()
    await life.box.starts()


async def is_cut(life: Life) -> None:
    """The service dies in the middle of putting times right."""
    await life.box.journal.run(lambda tx: tx.look())
    news = await life.box.journal.run(lambda tx: tx.clocks.news())
    if news is not None:
        await life.box.journal.run(lambda tx: retime(tx, 0, SHANGHAI, news, batch=1))
    life.box.close()
    life.box.open()


Happening = Callable[[Life], Awaitable[None]]
HAPPENINGS: dict[Happening, int] = {
    boots: 10,
    syncs: 12,
    loses: 8,
    steps: 8,
    measures: 30,
    records: 12,
    tells: 10,
    sets_machine: 3,
    restarts: 4,
    is_cut: 5,
}


async def live(folder: Path, seed: int) -> Counter[str]:
    """Live the history of *seed* in this empty folder; return how times came to be known. Raises Lie."""
    chance = Random(seed)  # noqa: S311
    kernel = Kernel(drift_ppm=chance.uniform(-DRIFT_PPM, DRIFT_PPM))
    life = Life(Box(folder, kernel), kernel, chance)
    kernel.set(_wall(life))
    await life.box.starts()
    await life.box.sit_down()
    for _ in range(chance.randint(8, 40)):
        life.pass_(0.05, 600)
        [happening] = chance.choices(list(HAPPENINGS), list(HAPPENINGS.values()))
        await happening(life)
        if happening is not is_cut:
            await life.look()
    try:
        return await _checked(life)
    except AssertionError as error:
        raise Lie(f"history {seed}: {error}") from error
    finally:
        life.box.close()


async def _checked(life: Life) -> Counter[str]:
    await life.look()
    ways: Counter[str] = Counter()
    for key, made in life.made.items():
        found = life.box.measurement(key)
        _true(life, found, made)
        _never_in_the_future(life, found, made)
        ways[f"{found.effective.quality}: {found.effective.rule}"] += 1
    _in_order(life)
    await _converged(life)
    return ways


def _true(life: Life, found: Measurement, made: Made) -> None:
    """The truth is in the interval, and found where the boot ever knew the time."""
    told, kept, key = found.effective, life.kept.get(made.boot, []), found.id
    slack = SECOND if made.stored else timedelta()  # the machine shows whole seconds
    if told.earliest is not None:
        assert told.earliest - slack <= made.made, f"{key} before its limits: {told}, truly {made.made}"
    if told.latest is not None:
        assert made.made <= told.latest + slack, f"{key} after its limits: {told}, truly {made.made}"
    near = any(abs(moment - made.came) <= NEAR for moment in kept)
    between = any(moment <= made.came for moment in kept) and any(moment >= made.came for moment in kept)
    if near or between:
        assert told.quality not in {"unknown", "gateway_unsynchronised"}, f"{found.id} could be known: {told}"
        assert told.time is not None
        allowed = RECOVERED + slack if told.quality != "device_synchronised" else timedelta(seconds=120)
        assert abs(told.time - made.made) <= allowed, f"{found.id}: {told}, truly {made.made}"


def _never_in_the_future(life: Life, found: Measurement, made: Made) -> None:
    """No version says a time later than it was written; nor later than it came, once that is sure."""
    for row in life.box.journal.queries.versions(found.id):
        told = json.loads(row)
        when, shown = told["effective"]["time"], datetime.fromisoformat(told["recorded"]["utc"])
        about = SECOND
        if when is not None and "latest" in told["effective"]:
            about = datetime.fromisoformat(told["effective"]["latest"]) - datetime.fromisoformat(when)
        latest = max(shown, life.kernel.truth) + about
        assert when is None or datetime.fromisoformat(when) <= latest, f"{found.id} in the future: {told}"
    if found.effective.quality in {"gateway_synchronised", "device_corrected"}:
        assert found.effective.time is not None
        about = found.effective.latest - found.effective.time if found.effective.latest else RECOVERED
        assert found.effective.time <= made.came + about, f"{found.id} lies after it came: {found.effective}"


def _in_order(life: Life) -> None:
    """The journal's order is the true order; every step of the clock stands before what came after it."""
    came = [life.box.measurement(key).received_seq for key in life.made]
    assert came == sorted(came), "the order of the journal is not the order of arrival"
    before: Fact | None = None
    for fact in _facts(life.box.journal):
        if before is not None and not isinstance(fact.body, ClockSet):
            stepped = abs(fact.at.utc - clocks.ran_on(before.at, fact.at).utc) > 2 * clocks.STEP
            silent = before.at.boot_id == fact.at.boot_id and (
                stepped or before.at.synchronised != fact.at.synchronised
            )
            assert not silent, f"fact {fact.seq} comes after a step nobody told"
        before = fact


def _facts(journal: Journal) -> Iterator[Fact]:
    for seq in range(1, journal.queries.counts().facts + 1):
        found = journal.submit(lambda tx, seq=seq: tx.fact(seq)).result()  # type: ignore[misc]
        assert found is not None
        yield found


async def _converged(life: Life) -> None:
    """Looking again, with what is looked at found anew, changes nothing."""
    facts = life.box.journal.queries.counts().facts
    life.box.close()
    life.box.open()
    await life.box.journal.run(lambda tx: tx.clocks.rebuild())
    await settle(life.box.journal, SHANGHAI)
    assert life.box.journal.queries.counts().facts == facts, "looking again gave new versions"


def many(first: int, histories: int) -> Counter[str]:
    """Live so many histories, from the seed *first* on; return how times came to be known. Raises Lie."""
    with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as name:
        base = Path(name)
        Box(base / "empty", Kernel()).close()
        return asyncio.run(_abreast(base, iter(range(first, first + histories))))


async def _abreast(base: Path, seeds: Iterator[int]) -> Counter[str]:
    """Live histories, ABREAST at a time: each waits for its disk and its writer most of the time."""
    ways: Counter[str] = Counter()

    async def one_after_another() -> None:
        for seed in seeds:
            folder = Path(shutil.copytree(base / "empty", base / str(seed)))
            ways.update(await live(folder, seed))
            shutil.rmtree(folder)

    async with asyncio.TaskGroup() as group:
        for _ in range(ABREAST):
            group.create_task(one_after_another())
    return ways


@click.command()
@click.option("--histories", default=10_000, show_default=True)
@click.option("--first", default=0, help="The first seed.")
def main(histories: int, first: int) -> None:
    """Live generated histories of clocks and say, as one line of JSON, how times came to be known."""
    began = time.monotonic()
    ways = many(first, histories)
    told: dict[str, object] = {"histories": histories, "first": first, "lies": 0}
    told |= {"measurements": ways.total(), "seconds": round(time.monotonic() - began)}
    click.echo(json.dumps({**told, "ways": dict(ways.most_common())}))


if __name__ == "__main__":
    main()
