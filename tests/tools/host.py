"""The gateway's half of a conversation with a simulated machine: a real link, conductor and driver."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from drivers import catalogue
from drivers.dialogue import Order
from gateway.conductor import conduct
from gateway.links.opening import open_link
from protocol.framing import Noise
from protocol.readings import Event, Reading

DEADLINE_S = 20.0


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
