"""The central record: answers, refuses, loses answers, is away for weeks; remembers all it was ever told."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from gateway.forwarders import Accepted, Outcome, Outgoing, Rejected
from protocol.errors import Unreachable
from tools.life.world import DAY_S, World

PATIENCE_S = 30.0
Copy = tuple[int, str, tuple[tuple[str, str], ...], tuple[tuple[str, str], ...]]
"""Version, status, the resident's identifiers, values."""


@dataclass(slots=True)
class Held:
    """One measurement as the centre has it; every copy it was ever given, in order."""

    copies: list[Copy] = field(default_factory=list)

    @property
    def standing(self) -> bool:
        """Say whether it counts."""
        return self.copies[-1][1] != "entered-in-error"


class Centre:
    """One for a life; `held` by measurement id."""

    name = "fhir"

    def __init__(self, world: World, days: int) -> None:
        self.held: dict[str, Held] = {}
        self.news: dict[str, None] = {}
        """What came since somebody looked last."""
        self.well = False
        """Whether all trouble is over: the end of a life, when everything must arrive."""
        self.times_sent = 0
        self._world = world
        self._away = [self._spell(days) for _ in range(world.chance.randint(1, 3))]
        self._poisoned: set[str] = set()

    def _spell(self, days: int) -> tuple[float, float]:
        begin = self._world.between(0, days) * DAY_S
        return begin, begin + self._world.between(0.2, 35) * DAY_S

    @property
    def away(self) -> bool:
        """Say whether nobody answers now."""
        return not self.well and any(begin <= self._world.now() < end for begin, end in self._away)

    async def deliver(self, batch: Sequence[Outgoing]) -> list[Outcome]:
        """Take what it takes of *batch*; see `gateway.forwarders.Forwarder`."""
        world = self._world
        self._must_be_in_order(batch)
        if self.away:
            await asyncio.sleep(world.chance.choice((0.01, 5.0, PATIENCE_S)))
            raise Unreachable("nobody answers")
        await asyncio.sleep(world.between(0.01, 0.5))
        if not self.well and world.happens(0.06):
            raise Unreachable("503", retry_after=world.chance.choice((None, 2.0, 120.0)))
        outcomes = [self._taken(item) for item in batch]
        if not self.well and world.happens(0.08):
            await asyncio.sleep(PATIENCE_S)
            raise Unreachable("the answer was lost")
        await asyncio.sleep(world.between(5, 25) if world.happens(0.2) else world.between(0.01, 0.5))
        return outcomes

    def _taken(self, item: Outgoing) -> Outcome:
        one, world = item.measurement, self._world
        self.times_sent += 1
        if not self.well and (one.id in self._poisoned or world.happens(0.02)):
            if world.happens(0.3):
                self._poisoned ^= {one.id}
            world.note("refused", one.id, one.version)
            return Rejected("422: not today")
        who = tuple((each.system, each.value) for each in item.resident.identifiers)
        values = tuple((name, value.value) for name, value in one.values.items())
        copy = (one.version, one.status, who, values)
        held = self.held.setdefault(one.id, Held())
        if held.copies and one.version < held.copies[-1][0]:
            self._world.breaks(f"{one.id}: version {one.version} after {held.copies[-1][0]}")
        if not held.copies or held.copies[-1] != copy:
            if held.copies and held.copies[-1][0] == one.version:
                self._world.breaks(f"{one.id}: two different versions {one.version}")
            held.copies.append(copy)
            self.news[one.id] = None
        world.note("taken", one.id, one.version, one.status)
        return Accepted({"Observation": one.id})

    def _must_be_in_order(self, batch: Sequence[Outgoing]) -> None:
        """What waited longest comes first: within one boot that is seen by the time since boot."""
        latest: dict[str, int] = {}
        for one in batch:
            recorded = one.measurement.recorded
            if recorded.boottime_ns < latest.setdefault(recorded.boot_id, recorded.boottime_ns):
                self._world.breaks("a delivery overtook an earlier one")
            latest[recorded.boot_id] = recorded.boottime_ns

    async def close(self) -> None:
        """Hold nothing."""
