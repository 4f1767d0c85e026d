"""The box on the desk: switched on and off, killed at any moment, started again with nothing but its disk."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TypeVar

from gateway.app import Gateway, Ground
from gateway.clock import Clock
from gateway.config import Config, DeviceConfig, FhirConfig, RetentionConfig
from gateway.delivery import Delivery, JournalOutbox
from gateway.forwarders import Outcome, Outgoing
from protocol.errors import Unreachable
from store.facts import Fact
from store.queries import Queries
from tools.life.centre import Centre
from tools.life.machines import Machine, Ports
from tools.life.truth import Truth
from tools.life.world import BoxTime, World
from tools.life.writer import Fate, SteppedWriter

T = TypeVar("T")
ATTEMPTS = 3
"""Refusals that park a delivery in this clinic."""
KEPT_DAYS = 30
"""How long this clinic keeps raw frames of what the centre has accepted."""
NO_CLOCK_S = -61 * 365 * 86400.0
"""A box without a real-time clock boots in 1970."""


class Down(Exception):
    """The service died before it answered; nobody knows what it did."""


class Box:
    """The gateway's machine; `gateway` is None while the service is down."""

    def __init__(
        self, world: World, folder: Path, machines: Sequence[Machine], centre: Centre, truth: Truth
    ) -> None:
        self.gateway: Gateway | None = None
        self.has_clock = world.happens(0.5)
        self.online = True
        self._world, self._centre, self._truth = world, centre, truth
        self._folder = folder
        self._config = Config(
            gateway="life-1",
            state=folder / "state",
            log_level="error",
            devices=tuple(
                DeviceConfig(name=one.name, driver=one.driver, port=one.port, settings=one.settings)
                for one in machines
            ),
            retention=RetentionConfig(after_days=KEPT_DAYS),
            fhir=FhirConfig(url="http://centre.invalid/fhir", max_attempts=ATTEMPTS),
        )
        self._machines: Mapping[str, Machine] = {one.port: one for one in machines}
        self._time = BoxTime(world, 0.0)
        self._writer: SteppedWriter | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._up, self._gone = asyncio.Event(), asyncio.Event()
        self._fate: tuple[int, Fate] | None = None
        self._witness: Queries | None = None

    async def switch_on(self) -> None:
        """Boot: another boot id, and whatever time the box has then."""
        lost = self._world.chance.choice((NO_CLOCK_S, -self._world.between(0, 30 * 86400)))
        self._time = BoxTime(self._world, self._world.between(-20, 20) if self.has_clock else lost)
        await self.start()

    async def start(self) -> None:
        """Start the service, as systemd does."""
        self._truth.tally.starts += 1
        self._world.note("start")
        ground = Ground(
            clock=lambda: Clock(self._time),
            hotplug=lambda: Ports(self._machines),
            open_link=Ports(self._machines).open_link,
            writer=self._made,
        )
        gateway = Gateway(self._config, ground)
        self._witness = Queries(self._folder / "state" / "journal.db")
        self._witness.counts()
        parts = [*gateway.inside(), ("forward", self._delivery(gateway).run())]
        self._tasks = [asyncio.create_task(run, name=name) for name, run in parts]
        self._tasks.append(asyncio.create_task(gateway.names.begin(), name="names"))
        self.gateway = gateway
        self._gone.clear()
        self._up.set()

    def _made(self, *taken: object) -> SteppedWriter:
        self._writer = partial(SteppedWriter, self._world, self)(*taken)  # type: ignore[arg-type]
        return self._writer

    def _delivery(self, gateway: Gateway) -> Delivery:
        outbox = JournalOutbox(gateway.journal, "fhir", ATTEMPTS)
        forwarder = _Network(self, self._centre)
        return Delivery(outbox, forwarder, gateway.news("fhir"), now=self._time.wall)

    def set_clock(self, wrong_by: float | None) -> None:
        """Let the net (None) or somebody's hand set the wall clock."""
        self._truth.tally.clock_steps += 1
        if wrong_by is None:
            self._time.set_right()
        else:
            self._time.set_wrong(wrong_by)

    def doom(self, commits: int, fate: Fate) -> None:
        """Let the service die at one of the next commits."""
        self._fate = (commits, fate)

    def next_fate(self) -> Fate:
        """Count the commits; see `tools.life.writer.Fates`."""
        if self._fate is None:
            return "goes on"
        commits, fate = self._fate
        self._fate = (commits - 1, fate) if commits else None
        return "goes on" if commits else fate

    def durable(self, facts: Sequence[Fact]) -> None:
        """Let the truth know."""
        self._truth.durable(facts)

    def died(self) -> None:
        """Throw the process away: its tasks, its lines, its memory. The disk stays as it is."""
        self._world.note("died")
        self._truth.tally.crashes += 1
        self._fate = None
        if self._writer is not None and not self._writer.dead:
            self._writer.die()
        for machine in self._machines.values():
            machine.cut()
        for task in self._tasks:
            task.cancel()
        self._up.clear()
        self._gone.set()

    async def buried(self) -> None:
        """Return once nothing of a service that died or was stopped is left."""
        ended = await asyncio.gather(*self._tasks, return_exceptions=True)
        for task, end in zip(self._tasks, ended, strict=True):
            if isinstance(end, Exception):
                self._world.breaks(f"{task.get_name()} ended: {end!r}")
        if self.gateway is not None:
            self.gateway.close()
        if self._witness is not None:
            self._witness.close()
        self.gateway, self._witness, self._tasks = None, None, []

    async def stop(self) -> None:
        """Stop the service in good order."""
        self._world.note("stop")
        self._up.clear()
        self._gone.set()
        for task in reversed(self._tasks):
            task.cancel()
        await self.buried()

    async def cut_power(self) -> None:
        """Take the plug out: the process, and what only the running kernel knew."""
        self._truth.tally.power_cuts += 1
        if self._up.is_set():
            self.died()
        await self.buried()
        (self._folder / "state" / "journal.db-shm").unlink(missing_ok=True)

    async def keep_up(self) -> None:
        """Start the service again each time it has died, until cancelled."""
        while True:
            await self._gone.wait()
            await self.buried()
            await asyncio.sleep(self._world.between(0.5, 20))
            await self.start()

    async def ask(self, what: Callable[[Gateway], Awaitable[T]]) -> T:
        """Ask the service for something, waiting until it is up. Raises Down where it dies meanwhile."""
        await self._up.wait()
        gateway = self.gateway
        assert gateway is not None
        asked, gone = asyncio.ensure_future(what(gateway)), asyncio.ensure_future(self._gone.wait())
        try:
            await asyncio.wait((asked, gone), return_when=asyncio.FIRST_COMPLETED)
            if not asked.done():
                raise Down
            return asked.result()
        finally:
            for task in (asked, gone):
                task.cancel()

    async def queries(self) -> Queries:
        """Return the read side of the service, once it is up."""
        await self._up.wait()
        assert self.gateway is not None
        return self.gateway.journal.queries


class _Network:
    """The centre through the clinic's line, which may be cut."""

    name = "fhir"

    def __init__(self, box: Box, centre: Centre) -> None:
        self._box, self._centre = box, centre

    async def deliver(self, batch: Sequence[Outgoing]) -> list[Outcome]:
        """See `gateway.forwarders.Forwarder`."""
        if not self._box.online:
            raise Unreachable("no network")
        return await self._centre.deliver(batch)

    async def close(self) -> None:
        """Hold nothing."""
