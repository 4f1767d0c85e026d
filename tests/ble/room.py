"""A Bluetooth machine's station with a journal, on any radio: a real one's or an emulated air's."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from peripheral import Machine, blood_pressure

from drivers import catalogue
from gateway import exams
from gateway.clock import Clock
from gateway.config import DeviceConfig
from gateway.links.ble_radio import Radio
from gateway.links.hotplug import Hotplug
from gateway.service import ExamRequest
from gateway.supervisor import Station, Surroundings
from store.facts import Measurement
from store.journal import Journal
from store.residents import Identifier

ZONE = ZoneInfo("Asia/Shanghai")


def here_and_now() -> datetime:
    return datetime.now(ZONE).replace(tzinfo=None, microsecond=0)


def result(taken: datetime, systolic: int = 128) -> bytes:
    return blood_pressure(systolic, 82, 97, 71, taken.timetuple()[:6])


class Room:
    """One machine, its station (device `m-1`), and the journal."""

    def __init__(
        self, radio: Radio, journal: Journal, machine: Machine, driver: str = "sig_blood_pressure"
    ) -> None:
        self.radio, self.journal, self.machine = radio, journal, machine
        self.exams: list[str] = []
        shared = Surroundings(journal, Clock(), Hotplug(), ZONE, lambda: None, radio=radio)
        config = DeviceConfig(name="m-1", driver=driver, port=f"ble:{machine.address}")
        self.station = Station(config, catalogue.every()[driver], shared)

    async def wakes_and_tells(self, *results: bytes) -> None:
        """Advertise until connected to, tell *results*, disconnect: what most cuffs do."""
        subscribed = asyncio.Event()
        self.machine.bp_measurement.once("subscription", lambda *told: subscribed.set())
        await self.machine.start()
        await subscribed.wait()
        for told in results:
            await self.machine.send_blood_pressure(told)
        await self.machine.sleep()

    async def opens_exam(self) -> str:
        request = ExamRequest([Identifier("card", "1")], None, "li")
        exam = await self.journal.run(lambda tx: exams.open_exam(tx, request))
        self.exams.append(exam)
        return exam

    async def closes_exam(self, exam: str) -> None:
        await self.journal.run(lambda tx: exams.close_exam(tx, exam, "li"))

    def measured(self) -> list[Measurement]:
        """Return all there is, in the order in which it came."""
        queries = self.journal.queries
        bound = [one for exam in self.exams for one in queries.exam_measurements(exam)]
        return sorted([*queries.tray(100_000), *bound], key=lambda one: one.received_seq)

    def told(self) -> list[str]:
        """Return the codes that the journal keeps of the device."""
        return [event.code for event in self.journal.queries.device_events("m-1")]


@asynccontextmanager
async def room(
    folder: Path, radio: Radio, machine: Machine, driver: str = "sig_blood_pressure"
) -> AsyncIterator[Room]:
    """Run the station of *machine*, with a journal in *folder*."""
    journal = Journal.open(folder / "journal.db", gateway="g-1", now=Clock().now)
    made = Room(radio, journal, machine, driver)
    running = asyncio.create_task(made.station.run())
    try:
        yield made
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        journal.close()


async def until(condition: Callable[[], object], seconds: float = 20.0) -> None:
    """Wait until *condition()* is true."""
    deadline = asyncio.get_running_loop().time() + seconds
    while not condition():
        assert asyncio.get_running_loop().time() < deadline
        await asyncio.sleep(0.01)
