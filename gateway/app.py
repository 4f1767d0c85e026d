"""The composition root: builds the parts, starts them so that ports are read first, and stops them.

Serial ports are open before the web stack is imported, so that a slow box listens at once.
"""

import asyncio
import logging
import signal
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from drivers import catalogue
from drivers.dialogue import Order
from gateway import control, correcting, exams, keys, times_watch
from gateway.audit import Audit
from gateway.bringing import Bringing
from gateway.broadcast import Broadcast, News
from gateway.clock import Clock
from gateway.config import Config, DeviceConfig
from gateway.correcting import Correction
from gateway.keeping import Copies, Retention
from gateway.links.hotplug import Hotplug
from gateway.links.opening import Opener, open_link
from gateway.names import Names
from gateway.service import DeviceState, ExamRequest, Reach
from gateway.soundness import Soundness
from gateway.space import Space
from gateway.supervisor import Station, Surroundings
from protocol.errors import RequestRefused
from protocol.readings import CardRead
from store import history
from store.facts import (
    AnyBody,
    Bound,
    ClockSet,
    Corrected,
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
from store.writer import Writer, WriterOf

if TYPE_CHECKING:
    from gateway.delivery import Delivery
    from gateway.links.ble_parts import Passkey
    from gateway.links.ble_radio import Radio

log = logging.getLogger(__name__)

TOPICS: Mapping[type, tuple[str, ...]] = {
    Received: ("measurement",),
    ManualEntry: ("measurement",),
    Reissued: ("measurement",),
    Bound: ("measurement", "tray"),
    Corrected: ("measurement",),
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


@dataclass(frozen=True, slots=True)
class Ground:
    """What the gateway stands on: clock, ports, disk. A simulation gives its own."""

    clock: Callable[[], Clock] = Clock
    hotplug: Callable[[], Hotplug] = Hotplug
    open_link: Opener = open_link
    writer: WriterOf = Writer


class Gateway:
    """The running service; implements `gateway.service.Service`."""

    def __init__(self, config: Config, ground: Ground = Ground()) -> None:
        self.config = config
        self.clock = ground.clock()
        self.hotplug = ground.hotplug()
        self.broadcast = Broadcast()
        self._loop = asyncio.get_running_loop()
        self.closing = asyncio.Event()
        """Set when the service stops, so that open streams end by themselves."""
        self.deliveries: dict[str, Delivery] = {}
        """The delivery loop of every forwarder that runs."""
        self._news: dict[str, asyncio.Event] = {}
        self._clock_news = asyncio.Event()
        self._front: str | None = None
        self.space = Space(config.state, self._device_changed)
        self.journal = self._opened(ground.writer)
        self.copies = Copies(keys.journal(config), config.gateway, config.backup)
        key_file = keys.key_file(config)
        self.soundness = Soundness(self.journal, config.state)
        self.retention = Retention(self.journal, config.retention, self.clock.now)
        self.names = Names(self.journal, key_file, credential=keys.is_credential(key_file))
        self.audit = Audit(self.journal, self.clock.now, self.space.faults)
        self.bringing: Bringing = Bringing(
            lambda: _system_radio(config, self.bringing.passkey),
            lambda: self.broadcast.publish("bringing"),
        )
        self.bringing.own = self.radio = _radio(config, self.bringing.passkey)
        self.surroundings = Surroundings(
            self.journal,
            self.clock,
            self.hotplug,
            ZoneInfo(config.timezone),
            self._device_changed,
            self._recognise,
            self.radio,
            ground.open_link,
        )
        self.stations = [self._station(device) for device in config.devices]
        for device, exam in self.journal.queries.devices_pointed().items():
            self._point_stations(DevicePointed(device=device, exam=exam, operator=""))

    def _opened(self, writer: WriterOf) -> Journal:
        path = keys.journal(self.config)
        return self.space.opened(
            path,
            lambda: Journal.open(
                path,
                gateway=self.config.gateway,
                now=self.clock.now,
                forwarders=("fhir",) if self.config.fhir else (),
                on_commit=self._committed,
                key_file=keys.key_file(self.config),
                writer=writer,
                room=self.space,
                recover=True,
            ),
        )

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
            elif isinstance(fact.body, ClockSet):
                self._clock_news.set()
        topics = {topic for fact in facts for topic in TOPICS.get(type(fact.body), ())}
        if "measurement" in topics:
            self._tell_forwarders()
        for topic in sorted(topics):
            self.broadcast.publish(topic)

    async def open_exam(self, request: ExamRequest) -> str:
        """Open an exam; see Service."""
        self.space.must_have_room()
        return await self.journal.run(lambda tx: exams.open_exam(tx, request))

    async def _recognise(self, device: str, card: CardRead) -> str:
        """Open the exam of a card's holder, or bring the one that is open to the front; return its id."""
        self.space.must_have_room()
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

    async def correct(self, measurement: str, asked: Correction) -> str:
        """Correct a measurement's values; see Service."""
        zone = self.surroundings.zone
        return await self.journal.run(lambda tx: correcting.correct(tx, measurement, asked, zone))

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

    def changes(self, after: int | None = None) -> AsyncIterator[News]:
        """Yield news as it comes; see Service."""
        return self.broadcast.news(after)

    def latest(self) -> int:
        """Return the latest news' number; see Service."""
        return self.broadcast.number

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
        told = {state.code for state in self.devices() if state.code and state.code.startswith("store.")}
        return sorted(told | set(self.space.faults()))

    def notes(self) -> list[str]:
        """Return, as codes, what a person should know although readings are taken."""
        told = (self.names.fault(), self.audit.fault(), self.copies.fault(), self.soundness.fault())
        return [fault for fault in told if fault]

    def _named(self, device: str) -> Station:
        for station in self.stations:
            if station.config.name == device:
                return station
        raise RequestRefused(device, code="device.unknown")

    async def _write(self, body: AnyBody) -> None:
        await self.journal.run(lambda tx: tx.append(body))

    async def watch_clock(self) -> None:
        """Keep a `ClockSet` fact of every time our clock was set, and put times right by it."""
        await times_watch.watch(self.journal, self.clock, self.surroundings.zone, self._clock_news)

    def inside(self) -> Iterator[tuple[str, Coroutine[Any, Any, None]]]:
        """Yield what runs for as long as the service does and needs nobody outside, with its name."""
        for station in self.stations:
            yield f"device {station.config.name}", station.run()
        yield "clock", self.watch_clock()
        yield "space", self.space.watch(self.journal)
        yield "copies", self.copies.run()
        yield "retention", self.retention.run()
        yield "audit", self.audit.run()
        if self.radio is not None:
            yield "radio", self.radio.run()

    def close(self) -> None:
        """Close the journal; everything acknowledged is on disk already."""
        self.broadcast.close()
        self.journal.close()


def _radio(config: Config, passkeys: "Callable[[str], Passkey | None]") -> "Radio | None":
    """Return the box's radio; None where no device needs it, and then bleak is never imported."""
    if not any(catalogue.every()[device.driver].bluetooth for device in config.devices):
        return None
    return _system_radio(config, passkeys)


def _system_radio(config: Config, passkeys: "Callable[[str], Passkey | None]") -> "Radio":
    from gateway.links.ble import system_radio  # noqa: PLC0415 - costs memory and D-Bus

    return system_radio(config.bluetooth.adapter, config.bluetooth.passkey_files, passkeys)


async def run(config: Config, announce: Callable[[str], None] = lambda url: None) -> None:
    """Run the service until SIGTERM or SIGINT; *announce* gets the page's address once it is served."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    gateway = Gateway(config)
    try:
        async with gateway.hotplug, asyncio.TaskGroup() as group:
            running = [group.create_task(one, name=name) for name, one in gateway.inside()]
            group.create_task(gateway.names.begin(), name="names")
            running.append(group.create_task(gateway.soundness.run(), name="soundness"))
            before = gateway.audit.begin(config, version("checkup-gateway"))
            running.append(group.create_task(before, name="audit begin"))
            answering = control.serve(gateway.names, gateway.audit, config.state)
            running.append(group.create_task(answering, name="control"))
            outside = await asyncio.to_thread(import_module, "gateway.outside")
            running += await outside.start(gateway, group, running, announce)
            await stop.wait()
            gateway.broadcast.close()
            await gateway.bringing.close()
            for task in reversed(running):
                task.cancel()
    finally:
        gateway.close()
