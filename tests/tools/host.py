"""The gateway's half of a conversation with a simulated machine: a real link, conductor and driver."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from random import Random

from drivers import catalogue
from drivers.dialogue import Order
from gateway.conductor import conduct
from gateway.links.opening import open_link
from protocol.framing import Noise
from protocol.readings import Event, Identified, Reading
from tests.rig import start_of, way
from tools.machines import Machine
from tools.simulators import simulator

DEADLINE_S = 20.0
FORGETS = {"dba310"}
"""Machines that forget what they measured when a host comes: the host must have come before."""
AT = "2026-01-01T08:00:00"


class Host:
    """The gateway's half: what a conversation on a port reports, as it comes."""

    def __init__(self, driver: str, settings: Mapping[str, str | int | bool]) -> None:
        self.driver = catalogue.every()[driver]
        self.settings = {**self.driver.settings, **settings}
        self.readings: asyncio.Queue[Reading] = asyncio.Queue()
        self.events: asyncio.Queue[Event] = asyncio.Queue()
        self.orders: asyncio.Queue[Order] = asyncio.Queue()
        self.records: set[str | None] = set()
        self.heard_noise = bytearray()
        self.listening = asyncio.Event()

    async def report(self, reading: Reading) -> None:
        self.records.add(reading.record)
        self.readings.put_nowait(reading)

    async def known(self, record: str) -> bool:
        return record in self.records

    async def observe(self, event: Event) -> None:
        self.events.put_nowait(event)

    def noise(self, noise: Noise) -> None:
        self.heard_noise += noise.data

    async def converse(self, port: object) -> None:
        link = await open_link(str(port), self.driver.link)
        try:
            self.listening.set()
            await conduct(self.driver, self.settings, link, self, self.orders)
        finally:
            self.listening.clear()
            await link.close()

    async def reading(self) -> Reading:
        return await asyncio.wait_for(self.readings.get(), DEADLINE_S)

    async def event(self, wanted: type[Event]) -> Event:
        while not isinstance(event := await asyncio.wait_for(self.events.get(), DEADLINE_S), wanted):
            pass
        return event


@asynccontextmanager
async def talking(host: Host, port: object) -> AsyncIterator[asyncio.Task[None]]:
    conversation = asyncio.create_task(host.converse(port))
    await asyncio.wait_for(host.listening.wait(), DEADLINE_S)
    try:
        yield conversation
    finally:
        conversation.cancel()
        await asyncio.wait({conversation})


def told(reading: Reading) -> dict[str, str]:
    """What a reading says, as the machine's display would show it."""
    return {
        measure.value: f"{quantity.comparator or ''}{quantity.value}"
        for measure, quantity in reading.values.items()
    }


def prepared(name: str, values: Mapping[str, str]) -> dict[str, object]:
    """Let a machine with a memory hold a result with *values*; another one is ordered nothing."""
    return {"stored": [{**values, "at": AT}]} if way(name) == "memory" else {"wait": 0}


async def read(name: str, machine: Machine, host: Host, values: dict[str, str]) -> dict[str, str]:
    """Let the machine measure in its own way and return what its driver reports."""
    if way(name) == "memory":
        return told(await host.reading())
    if name in FORGETS:
        await host.event(Identified)
    measuring = asyncio.create_task(machine.measure(values))
    if way(name) == "order":
        await asyncio.sleep(0)
        host.orders.put_nowait(start_of(host.driver))
    shown = await asyncio.wait_for(measuring, DEADLINE_S)
    said = told(await host.reading())
    assert said == shown
    return said


async def told_by(name: str, machine: Machine, port: object) -> None:
    """See that the driver reads on *port* what its machine shows."""
    host, values = Host(name, {}), dict(simulator(name).person(Random(3)))
    machine.order(prepared(name, values))
    async with talking(host, port):
        assert_same(name, values, await read(name, machine, host, values))
    assert machine.violations == []


def assert_same(name: str, values: dict[str, str], said: dict[str, str]) -> None:
    equal = [measure for measure, value in said.items() if values.get(measure) == value]
    assert equal, f"{name}: of {values} the driver says {said}"
