"""The composition root: builds the parts, starts them so that ports are read first, and stops them.

Serial ports are open before the web stack is imported, so that a slow box listens at once.
"""

import asyncio
import logging
import signal
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import suppress
from importlib import import_module
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from drivers import catalogue
from drivers.dialogue import Order
from gateway import control, exams, keys
from gateway.broadcast import Broadcast
from gateway.clock import Clock, was_set
from gateway.config import Config, DeviceConfig
from gateway.links.hotplug import Hotplug
from gateway.names import Names
from gateway.service import DeviceState, ExamRequest, Reach
from gateway.supervisor import Station, Surroundings
from protocol.errors import RequestRefused
from protocol.readings import CardRead
from store import history
from store.facts import (
    AnyBody,
    Bound,
    ClockSet,
    Delivered,
    DeviceEvent,
    DevicePointed,
    ExamClosed,
    ExamOpened,
    Fact,
    Judged,
    KeyChanged,
    ManualEntry,
    Received,
    Refused,
    Reissued,
    Resent,
    ResidentErased,
    Voided,
)
from store.journal import Journal

if TYPE_CHECKING:
    from gateway.delivery import Delivery
    from gateway.links.ble_radio import Radio

log = logging.getLogger(__name__)

CLOCK_LOOK_S = 30.0
TOPICS: Mapping[type, tuple[str, ...]] = {
    Received: ("measurement",),
    ManualEntry: ("measurement",),
    Reissued: ("measurement",),
    Bound: ("measurement", "tray"),
    Judged: ("measurement",),
    Voided: ("measurement", "tray"),
    ExamOpened: ("exam",),
    ExamClosed: ("exam",),
    DevicePointed: ("device",),
    ResidentErased: ("exam", "measurement"),
    KeyChanged: ("exam",),
    Delivered: ("outbox",),
    Refused: ("outbox",),
    Resent: ("outbox",),
}
"""Which topics a fact's kind makes news of."""


class Gateway:
    """The running service; implements `gateway.service.Service`."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.clock = Clock()
        self.hotplug = Hotplug()
        self.broadcast = Broadcast()
        self._loop = asyncio.get_running_loop()
        self.closing = asyncio.Event()
        """Set when the service stops, so that open streams end by themselves."""
        self.deliveries: dict[str, Delivery] = {}
        """The delivery loop of every forwarder that runs."""
        self._news: dict[str, asyncio.Event] = {}
        self._front: str | None = None
        forwarders = ("fhir",) if config.fhir else ()
        key_file = keys.key_file(config)
        self.journal = Journal.open(
            keys.journal(config),
            gateway=config.gateway,
            now=self.clock.now,
            forwarders=forwarders,
            on_commit=self._committed,
            key_file=key_file,
        )
        self.names = Names(self.journal, key_file, credential=keys.is_credential(key_file))
        self.radio = _radio(config)
        self.surroundings = Surroundings(
            self.journal,
            self.clock,
            self.hotplug,
            ZoneInfo(config.timezone),
            self._device_changed,
            self._recognise,
            self.radio,
        )
        self.stations = [self._station(device) for device in config.devices]
        for device, exam in self.journal.queries.devices_pointed().items():
            self._point_stations(DevicePointed(device=device, exam=exam, operator=""))

    def _station(self, device: DeviceConfig) -> Station:
        driver = catalogue.every()[device.driver]
        heard = self.journal.queries.device_last_heard().get(device.name)
        return Station(device, driver, self.surroundings, heard)

    def _device_changed(self) -> None:
        self.broadcast.publish("device")

    def _committed(self, facts: Sequence[Fact]) -> None:
        """Called on the writer's thread after COMMIT."""
        with suppress(RuntimeError):  # the loop has ended: nobody listens any more
            self._loop.call_soon_threadsafe(self._publish, facts)

    def _publish(self, facts: Sequence[Fact]) -> None:
        for fact in facts:
            self._point_stations(fact.body)
            if isinstance(fact.body, ExamOpened):
                self._front = fact.body.exam
        topics = {topic for fact in facts for topic in TOPICS.get(type(fact.body), ())}
        if "measurement" in topics:
            self._tell_forwarders()
        for topic in sorted(topics):
            self.broadcast.publish(topic)

    async def open_exam(self, request: ExamRequest) -> str:
        """Open an exam; see Service."""
        return await self.journal.run(lambda tx: exams.open_exam(tx, request))

    async def _recognise(self, device: str, card: CardRead) -> str:
        """Open the exam of a card's holder, or bring the one that is open to the front; return its id."""
        wanted = exams.of_card(card, device)
        measuring = any(station.state.condition == "measuring" for station in self.stations)
        exam = await self.journal.run(lambda tx: exams.recognise(tx, wanted, measuring=measuring))
        self._front = exam
        self.broadcast.publish("card")
        return exam

    def front(self) -> str | None:
        """Return the exam of whoever came last; see Service."""
        return self._front

    async def close_exam(self, exam: str, operator: str) -> None:
        """Close an exam; see Service."""
        await self.journal.run(lambda tx: exams.close_exam(tx, exam, operator))

    async def bind(self, measurement: str, exam: str | None, operator: str, reason: str) -> str:
        """Bind a measurement; see Service."""
        return await self.journal.run(
            lambda tx: exams.bind(
                tx, measurement, exam, operator=operator, reason=reason, zone=self.surroundings.zone
            )
        )

    async def point(self, device: str, exam: str | None, operator: str) -> None:
        """Point a device at an exam; see Service."""
        self._named(device)
        await self.journal.run(lambda tx: exams.point(tx, device, exam, operator))

    async def order(self, device: str, name: str, arguments: Mapping[str, str], operator: str) -> None:
        """Hand a person's order to a device; who asked for what is in the journal before it is sent."""
        station = self._named(device)
        station.may_order(name)
        event = DeviceEvent(
            device=device, code="order.given", detail={"order": name, "operator": operator, **arguments}
        )
        await self._write(event)
        station.order(Order(name, dict(arguments)))

    async def passport(self, device: str, written: Mapping[str, str], operator: str) -> None:
        """Write fields of a device's passport; see Service."""
        self._named(device)
        known = await asyncio.to_thread(self.journal.queries.passport, device)
        detail = {**known, **written, "operator": operator}
        await self._write(DeviceEvent(device=device, code=history.PASSPORT, detail=detail))

    async def resend(self, forwarder: str, measurement: str, operator: str) -> None:
        """Send a parked delivery again; see Service."""
        await self.journal.run(lambda tx: exams.resend(tx, forwarder, measurement, operator))
        self._tell_forwarders()

    def devices(self) -> list[DeviceState]:
        """Return every device's state; see Service."""
        return [station.state for station in self.stations]

    def reach(self) -> Mapping[str, Reach]:
        """Return whether each forwarder's other side answers; see Service."""
        return {name: delivery.reach for name, delivery in self.deliveries.items()}

    def changes(self) -> AsyncIterator[str]:
        """Yield topics as they change; see Service."""
        return self.broadcast.topics()

    def _point_stations(self, body: AnyBody) -> None:
        """Keep what the devices' states say of whom they are pointed at true to the journal."""
        for station in self.stations:
            pointed = station.state.pointed_at
            if isinstance(body, DevicePointed) and body.device == station.config.name:
                station.point(body.exam)
            elif isinstance(body, ExamClosed) and body.exam == pointed:
                station.point(None)

    def news(self, forwarder: str) -> asyncio.Event:
        """Return the event that is set when this forwarder's outbox may hold something new."""
        return self._news.setdefault(forwarder, asyncio.Event())

    def _tell_forwarders(self) -> None:
        for news in self._news.values():
            news.set()

    async def journal_answers(self) -> bool:
        """Return True once the journal's writer came back from a command that does nothing."""
        await self.journal.run(lambda tx: None)
        return True

    def faults(self) -> list[str]:
        """Return, as codes, why the gateway cannot take readings now."""
        return sorted(
            {state.code for state in self.devices() if state.code and state.code.startswith("store.")}
        )

    def notes(self) -> list[str]:
        """Return, as codes, what a person should know although readings are taken."""
        fault = self.names.fault()
        return [fault] if fault else []

    def _named(self, device: str) -> Station:
        for station in self.stations:
            if station.config.name == device:
                return station
        raise RequestRefused(device, code="device.unknown")

    async def _write(self, body: AnyBody) -> None:
        await self.journal.run(lambda tx: tx.append(body))

    async def watch_clock(self) -> None:
        """Keep a `ClockSet` fact of every time somebody set our clock or it became synchronised."""
        before = self.clock.now()
        while True:
            await asyncio.sleep(CLOCK_LOOK_S)
            after = self.clock.now()
            if was_set(before, after):
                await self._write(ClockSet(before=before, after=after))
            before = after

    def close(self) -> None:
        """Close the journal; everything acknowledged is on disk already."""
        self.broadcast.close()
        self.journal.close()


def _radio(config: Config) -> "Radio | None":
    """Return the box's radio; None where no device needs it, and then bleak is never imported."""
    if not any(catalogue.every()[device.driver].bluetooth for device in config.devices):
        return None
    from gateway.links.ble import system_radio  # noqa: PLC0415 - costs memory and D-Bus

    return system_radio(config.bluetooth.adapter, config.bluetooth.passkey_files)


async def run(config: Config, announce: Callable[[str], None] = lambda url: None) -> None:
    """Run the service until SIGTERM or SIGINT; *announce* gets the page's address once it is served."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    gateway = Gateway(config)
    try:
        async with gateway.hotplug, asyncio.TaskGroup() as group:
            running = [
                group.create_task(station.run(), name=f"device {station.config.name}")
                for station in gateway.stations
            ]
            running.append(group.create_task(gateway.watch_clock(), name="clock"))
            if gateway.radio is not None:
                running.append(group.create_task(gateway.radio.run(), name="radio"))
            group.create_task(gateway.names.begin(), name="names")
            running.append(group.create_task(control.serve(gateway.names, config.state), name="control"))
            outside = await asyncio.to_thread(import_module, "gateway.outside")
            running += await outside.start(gateway, group, running, announce)
            await stop.wait()
            gateway.broadcast.close()
            for task in reversed(running):
                task.cancel()
    finally:
        gateway.close()
