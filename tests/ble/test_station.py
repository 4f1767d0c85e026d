"""A Bluetooth machine's station: asleep is no fault, what it tells is stored, nobody else gets it."""

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from lab import Lab, lab
from peripheral import Machine, blood_pressure

from drivers import catalogue
from gateway import exams
from gateway.clock import Clock
from gateway.config import DeviceConfig
from gateway.links.hotplug import Hotplug
from gateway.service import ExamRequest
from gateway.supervisor import Station, Surroundings
from protocol.errors import Unavailable
from store.facts import Measurement
from store.journal import Journal
from store.residents import Identifier

ZONE = ZoneInfo("Asia/Shanghai")


def here_and_now() -> datetime:
    return datetime.now(ZONE).replace(tzinfo=None, microsecond=0)


@pytest.fixture
async def journal(tmp_path: Path) -> AsyncIterator[Journal]:
    opened = Journal.open(tmp_path / "journal.db", gateway="g-1", now=Clock().now)
    yield opened
    opened.close()


class Room:
    """A cuff that says it has a clock, its station, and the journal."""

    def __init__(self, here: Lab, journal: Journal, machine: Machine) -> None:
        self.here, self.journal, self.machine = here, journal, machine
        self.exams: list[str] = []
        shared = Surroundings(journal, Clock(), Hotplug(), ZONE, lambda: None, radio=here.radio)
        config = DeviceConfig(name="bp-1", driver="sig_blood_pressure", port=f"ble:{machine.address}")
        self.station = Station(config, catalogue.every()["sig_blood_pressure"], shared)

    async def wakes_and_tells(self, *results: bytes) -> None:
        """Advertise until connected to, tell *results*, disconnect: what most cuffs do."""
        subscribed = asyncio.Event()
        self.machine.bp_measurement.once("subscription", lambda *told: subscribed.set())
        await self.machine.start()
        await subscribed.wait()
        for result in results:
            await self.machine.send_blood_pressure(result)
        await self.machine.device.stop_advertising()
        await self.machine.connection.disconnect()

    async def opens_exam(self) -> str:
        request = ExamRequest([Identifier("card", "1")], None, "li")
        exam = await self.journal.run(lambda tx: exams.open_exam(tx, request))
        self.exams.append(exam)
        return exam

    def measured(self) -> list[Measurement]:
        """Return all there is, in the order in which it came."""
        queries = self.journal.queries
        bound = [one for exam in self.exams for one in queries.exam_measurements(exam)]
        return sorted([*queries.tray(), *bound], key=lambda one: one.received_seq)


@pytest.fixture
async def room(journal: Journal) -> AsyncIterator[Room]:
    async with lab() as here:
        made = Room(here, journal, here.machine(clock=here_and_now))
        running = asyncio.create_task(made.station.run())
        yield made
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def until(condition: Callable[[], object]) -> None:
    deadline = asyncio.get_running_loop().time() + 20
    while not condition():
        assert asyncio.get_running_loop().time() < deadline
        await asyncio.sleep(0.01)


def result(taken: datetime, systolic: int = 128) -> bytes:
    return blood_pressure(systolic, 82, 97, 71, taken.timetuple()[:6])


async def test_asleep_is_waiting_and_a_result_is_stored_and_the_machine_sleeps_again(room: Room):
    await until(lambda: room.station.state.condition == "waiting")
    assert room.station.state.code is None
    exam = await room.opens_exam()
    await room.wakes_and_tells(result(here_and_now() + timedelta(seconds=2)))
    await until(lambda: room.station.state.readings == 1)
    await until(lambda: room.station.state.condition == "waiting")
    assert room.station.state.code is None, "that it went to sleep is no fault"
    codes = [event.code for event in room.journal.queries.device_events("bp-1")]
    assert "ble.lost" not in codes
    [stored] = room.measured()
    assert (stored.values["systolic"].value, stored.exam, stored.stored) == ("128", exam, False)


async def test_what_was_measured_before_the_person_sat_down_is_not_theirs(room: Room):
    """Fresh by the machine's own clock, and yet somebody else's: the exam was opened after it."""
    taken = here_and_now() - timedelta(seconds=20)
    await room.opens_exam()
    await room.wakes_and_tells(result(taken))
    await until(lambda: room.station.state.readings == 1)
    [stored] = room.measured()
    assert (stored.exam, stored.stored) == (None, False)
    assert stored.bind_reason == "tray.before_exam"


async def test_late_records_never_attach_to_the_person_in_the_chair(room: Room):
    now = here_and_now()
    await room.opens_exam()
    await room.wakes_and_tells(result(now - timedelta(days=6), 171), result(now - timedelta(hours=1), 172))
    await until(lambda: room.station.state.readings == 2)
    assert [(one.values["systolic"].value, one.exam, one.stored) for one in room.measured()] == [
        ("171", None, True),
        ("172", None, True),
    ]
    assert {one.bind_reason for one in room.measured()} == {"tray.stored"}


async def test_a_connection_that_breaks_before_a_word_is_a_fault_until_it_is_awaited_again(room: Room):
    await until(lambda: room.station.state.condition == "waiting")
    machine = room.machine
    machine.device.on("connection", lambda connection: connection.cancel_on_disconnection(drop(connection)))

    async def drop(connection):
        await connection.disconnect()

    await machine.start()
    await until(lambda: any(e.code.startswith("ble.") for e in room.journal.queries.device_events("bp-1")))
    await machine.device.stop_advertising()
    await until(lambda: (room.station.state.condition, room.station.state.code) == ("waiting", None))


async def test_a_dead_radio_is_told_and_over_when_it_works_again(room: Room):
    await until(lambda: room.station.state.condition == "waiting")
    room.here.host.fault = Unavailable("pulled out", code="radio.none")
    room.here.host.gone()
    room.here.central.scan_fault = room.here.host.fault
    await until(lambda: room.station.state.code == "radio.none")
    assert room.station.state.condition == "lost"
    room.here.host.fault = room.here.central.scan_fault = None
    await until(lambda: (room.station.state.condition, room.station.state.code) == ("waiting", None))


async def test_a_machine_that_refuses_to_pair_says_so_while_it_is_awaited(room: Room):
    for attribute in room.machine.device.gatt_server.attributes:
        if "2902" in str(attribute.type):
            attribute.permissions |= attribute.permissions.WRITE_REQUIRES_ENCRYPTION
    await room.machine.start()
    await until(lambda: room.station.state.code == "pairing.needed")
    await room.machine.device.stop_advertising()
    await until(lambda: room.station.state.condition == "waiting")
    assert room.station.state.code == "pairing.needed", "a person has to do something"
