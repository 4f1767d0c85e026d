"""One clinic-year from the first start to the day everything has arrived, and what came of it."""

import asyncio
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from tools.life.box import Box
from tools.life.centre import Centre
from tools.life.doctor import Doctor, resending
from tools.life.machines import Machine
from tools.life.truth import Tally, Truth
from tools.life.world import DAY_S, Broken, LifeLoop, World, drawn
from tools.people import person

YEAR_DAYS = 365
PEOPLE = 120
WHOLE_EVERY = 12
"""So many clinic days between two full verifications."""
DRAIN_S = 6 * 3600.0
"""How long a well centre may take for what a year has left over."""
ACK = b"\x06"


@dataclass(frozen=True, slots=True)
class Life:
    """How dense a year is: clinic days, and exams on each."""

    clinic_days: int = 30
    exams: int = 4
    rest_days: float = 15.0
    """So long at most from one clinic day to the next, though the life is then shorter than a year."""

    @property
    def every_days(self) -> float:
        """Days from one clinic day to the next."""
        return min(YEAR_DAYS / self.clinic_days, self.rest_days)


@dataclass(frozen=True, slots=True)
class Lived:
    """One year that held: the hash of everything that happened, and how much that was."""

    seed: int
    trace: str
    head: str
    """The chain's end: every byte of every fact is in it."""
    tally: Tally


def live(seed: int, folder: Path, life: Life = Life(), tell: TextIO | None = None) -> Lived:
    """Live one year in *folder*, an empty one. Raises Broken where a promise did not hold."""
    with drawn(seed), _no_errors_logged(), asyncio.Runner(loop_factory=LifeLoop) as runner:
        loop = runner.get_loop()
        assert isinstance(loop, LifeLoop)
        return runner.run(_Year(World(seed, loop, tell), seed, folder, life).lived())


class _Errors(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.told: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.told.append(logging.Formatter().format(record))


@contextmanager
def _no_errors_logged() -> Iterator[None]:
    """Whatever the service logs as an error is a promise that did not hold: none of these troubles is one."""
    root, errors = logging.getLogger(), _Errors()
    root.addHandler(errors)
    try:
        yield
    finally:
        root.removeHandler(errors)
    if errors.told:
        raise Broken(f"{len(errors.told)} errors were logged, first: {errors.told[0]}")


class _Year:
    def __init__(self, world: World, seed: int, folder: Path, life: Life) -> None:
        self.world, self.seed, self.life = world, seed, life
        self.machines = {one.name: one for one in _machines(world)}
        self.truth = Truth(world, [person(number).cn_id for number in range(PEOPLE)])
        self.centre = Centre(world, YEAR_DAYS)
        self.box = Box(world, folder, list(self.machines.values()), self.centre, self.truth)
        self.doctor = Doctor(world, self.box, self.machines, self.truth, PEOPLE)
        analyser = self.machines["analyser"]
        analyser.acknowledged = lambda: self.truth.acknowledged("analyser")

    async def lived(self) -> Lived:
        playing = [asyncio.create_task(one.play()) for one in self.machines.values()]
        try:
            for number in range(self.life.clinic_days):
                begins = (number + self.world.between(0, 0.3)) * self.life.every_days * DAY_S
                await asyncio.sleep(max(0.0, begins - self.world.now()))
                await self._day(number)
            return await self._end()
        finally:
            for task in playing:
                task.cancel()
            await asyncio.gather(*playing, return_exceptions=True)

    async def _day(self, number: int) -> None:
        self.box.online = self.world.happens(0.85)
        await self.box.switch_on()
        for machine in self.machines.values():
            machine.switch(on=machine.name != "meter")
        trouble = [
            asyncio.create_task(one)
            for one in (self.box.keep_up(), self._crashes(), self._clock(), self._plugs())
        ]
        await self.doctor.day(self.life.exams)
        await self._evening(trouble, number)

    async def _evening(self, trouble: list[asyncio.Task[None]], number: int) -> None:
        queries = await self.box.queries()
        self.truth.check_day(queries, self.centre)
        if number % WHOLE_EVERY == WHOLE_EVERY - 1:
            self.truth.check_whole(queries)
        for machine in self.machines.values():
            machine.switch(on=False)
        for task in trouble:
            task.cancel()
        ends = await asyncio.gather(*trouble, return_exceptions=True)
        for end in ends:
            if isinstance(end, Exception):
                raise end
        if self.world.happens(0.05):
            await asyncio.sleep(self.world.between(1, 14) * 3600)  # forgotten, it runs on
        if self.world.happens(0.5):
            await self.box.cut_power()
        else:
            await self.box.stop()

    async def _crashes(self) -> None:
        """Let the service die now and then, at a commit or between two, and the power fail."""
        while True:
            await asyncio.sleep(self.world.chance.expovariate(1 / 4000))
            kind = self.world.chance.random()
            if kind < 0.3:
                self.box.doom(self.world.chance.randint(0, 6), "dies before COMMIT")
            elif kind < 0.6:
                self.box.doom(self.world.chance.randint(0, 6), "dies after COMMIT")
            elif self.box.gateway is not None:
                self.box.died()

    async def _clock(self) -> None:
        """Let the net tell the time again and again, and somebody set it wrongly at times."""
        wait = self.world.between(5, 55 if self.world.happens(0.5) else 1800)
        while True:
            await asyncio.sleep(wait)
            wait = self.world.chance.expovariate(1 / 3000)
            if self.world.happens(0.15):
                self.box.set_clock(self.world.between(-40, 40) * DAY_S)
            elif self.box.online:
                self.box.set_clock(None)

    async def _plugs(self) -> None:
        """Let a cable be loose now and then."""
        while True:
            await asyncio.sleep(self.world.chance.expovariate(1 / 5000))
            machine = self.world.chance.choice([one for one in self.machines.values() if one.name != "meter"])
            machine.switch(on=False)
            await asyncio.sleep(self.world.between(1, 200))
            machine.switch(on=True)

    async def _end(self) -> Lived:
        """Let all trouble be over, and see that everything arrives and stands."""
        self.centre.well = self.box.online = True
        await self.box.switch_on()
        queries, waited = await self.box.queries(), 0.0
        while waited < DRAIN_S:
            for parked in queries.deliveries("parked"):
                await self.box.ask(resending(parked.measurement))
            counts = queries.outbox_counts()["fhir"]
            if not counts.waiting and not counts.parked:
                break
            await asyncio.sleep(60)
            waited += 60
        self.truth.tally.sent = self.centre.times_sent
        self.truth.check_end(queries, self.centre)
        report = queries.check()
        await self.box.stop()
        return Lived(self.seed, self.world.trace, report.head, self.truth.tally)


def _machines(world: World) -> list[Machine]:
    """Return the machines of a clinic: pushing, acknowledging, measuring by themselves, remembering."""
    return [
        Machine("bp", "omron_hbp", world),
        Machine("cuff", "raycome_rbp", world, options={"start": "key"}),
        Machine("scale", "gtech_gl", world),
        Machine("analyser", "astm", world, acknowledges=ACK),
        Machine("meter", "onetouch_ultra2", world),
    ]
