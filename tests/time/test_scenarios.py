"""The stories of `scenarios.py`, each lived as told and with a restart of the service after every line."""

import re
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from scenarios import SCENARIOS, Scenario

from store.facts import Measurement, Voided
from tools.faults.clockwork import SHANGHAI, Box, Kernel, Machine

DAY = datetime(2026, 3, 2, tzinfo=SHANGHAI)
LINE = re.compile(r"(?:\+(\d+)d )?(\d+):(\d+)(?::(\d+))?\s*(.*)")
EXACT = timedelta(seconds=1)


def moment(words: str) -> tuple[datetime, str]:
    """Return the true time a line begins with, and the rest."""
    days, hours, minutes, seconds, rest = LINE.fullmatch(words.strip()).groups()  # type: ignore[union-attr]
    span = timedelta(int(days or 0), int(seconds or 0), hours=int(hours), minutes=int(minutes))
    return DAY + span, rest


def shown(wall: str) -> datetime:
    return datetime.fromisoformat(wall).replace(tzinfo=SHANGHAI)


def span(words: str) -> timedelta:
    sign = -1 if words[0] == "-" else 1
    if words.endswith("s"):
        return sign * timedelta(seconds=int(words[1:-1]))
    hours, minutes = words[1:].split(":")
    return sign * timedelta(hours=int(hours), minutes=int(minutes))


class Telling:
    """A story being lived."""

    def __init__(self, folder: Path, scenario: Scenario, *, restarts: bool) -> None:
        start, _ = moment(scenario.story.splitlines()[0])
        self.kernel = Kernel(start, scenario.drift_ppm)
        self.zone = ZoneInfo(scenario.zone)
        self.box = Box(folder, self.kernel, self.zone, scenario.machine_zone or None)
        stands = ZoneInfo(scenario.stands_in or scenario.machine_zone or scenario.zone)
        self.device = Machine(zone=stands, follows=scenario.follows)
        self.restarts = restarts
        self.made: dict[str, tuple[datetime, datetime]] = {}
        """When each was truly measured, and what the machine's clock showed."""
        self.keys: dict[str, str] = {}
        self._off = False
        self._began = False

    async def line(self, words: str) -> None:
        at, told = moment(words)
        self.kernel.go(at - self.kernel.truth, off=self._off)
        self._off = False
        verb, *rest = told.split()
        await getattr(self, verb)(*rest)
        if verb not in {"off", "sleep"}:
            await self.box.look()
        if self.restarts and not self._off:
            await self.restart()

    async def boot(self, wall: str) -> None:
        shown = (
            self.kernel.truth if wall == "right" else datetime.fromisoformat(wall).replace(tzinfo=SHANGHAI)
        )
        self.kernel.boot(shown)
        await self.restart()
        if not self._began:
            self._began = True
            await self.box.sit_down()

    async def off(self) -> None:
        self._off = True

    async def sleep(self, how: str = "") -> None:
        self._off = how == "uncounted"

    async def sync(self) -> None:
        self.kernel.set(self.kernel.truth, kept=True)

    async def lose(self) -> None:
        self.kernel.keep(kept=False)

    async def set(self, wall: str) -> None:
        self.kernel.set(shown(wall))

    async def jump(self, by: str) -> None:
        self.kernel.set(self.kernel.wall() + span(by), kept=True)

    async def restart(self) -> None:
        self.box.close()
        self.box.open()
        await self.box.starts()

    async def machine(self, *words: str) -> None:
        if words[0] == "shows":
            self.device.ahead = timedelta()
            self.device.ahead = datetime.fromisoformat(words[1]) - self.device.shows(self.kernel.truth)
        else:
            self.device.ahead = span(words[0])

    async def live(self, name: str) -> None:
        self.made[name] = (self.kernel.truth, self.kernel.truth)
        self.keys[name] = (await self.box.hears(name)).id

    async def record(self, name: str) -> None:
        self.made[name] = (self.kernel.truth, self.device.shows(self.kernel.truth))

    async def clock(self) -> None:
        await self.box.reads(self.device.shows(self.kernel.truth))

    async def tell(self, name: str, blank: str = "") -> None:
        shown = None if blank else self.made[name][1]
        self.keys[name] = (await self.box.hears(name, shown, stored=True)).id

    async def read(self, name: str) -> None:
        await self.clock()
        await self.tell(name)

    async def void(self, name: str) -> None:
        body = Voided(measurement=self.keys[name], by="li", reason="a demonstration", replaced_by=None)
        await self.box.journal.run(lambda tx: tx.append(body))

    def found(self, name: str) -> Measurement:
        return self.box.measurement(self.keys[name])


async def lived(folder: Path, scenario: Scenario, *, restarts: bool) -> Telling:
    told = Telling(folder, scenario, restarts=restarts)
    for words in scenario.story.splitlines():
        await told.line(words)
    return told


def must_be(row: str, told: Telling) -> None:
    name, time, quality, rule, status, *about = re.split(r"\s{2,}", row.strip())
    found, truth = told.found(name), told.made[name][0]
    effective = found.effective
    assert (effective.quality, found.status) == (quality, status)
    assert rule in effective.rule
    if time == "-":
        assert effective.time is None
    else:
        assert effective.time is not None
        assert abs(effective.time - moment(time)[0]) <= timedelta(minutes=1 if about else 0, seconds=1)
    if not about and effective.time is not None:
        assert abs(effective.time - truth) <= EXACT
    if quality != "device_synchronised" and status != "entered-in-error":
        assert effective.earliest is None or effective.earliest <= truth
        assert effective.latest is None or effective.latest >= truth


@pytest.mark.parametrize("restarts", [False, True], ids=["", "restarts"])
@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda one: one.name)
async def test_story(scenario: Scenario, restarts: bool, tmp_path: Path) -> None:
    told = await lived(tmp_path, scenario, restarts=restarts and not scenario.one_contact)
    for row in scenario.gives.splitlines():
        must_be(row, told)
    before = [told.found(name) for name in told.keys]
    facts = told.box.journal.queries.counts().facts
    told.box.close()
    told.box.open()
    await told.box.look()
    assert [told.found(name) for name in told.keys] == before
    assert told.box.journal.queries.counts().facts == facts
    assert told.box.journal.queries.check().problems == []
    told.box.close()


def test_there_are_thirty_and_none_is_told_twice() -> None:
    assert len({scenario.name for scenario in SCENARIOS}) == len(SCENARIOS) >= 30
