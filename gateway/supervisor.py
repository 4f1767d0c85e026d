"""Keeps one device's conversation going: opens its port, plays its dialogue, starts again after any fault.

One `Station` per configured device. A fault never leaves this file as anything but a state in words; the only
exception that ends a station is cancellation.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from tenacity import AsyncRetrying, wait_exponential_jitter

from drivers.catalogue import Driver
from drivers.dialogue import Order, Settings
from gateway import clock, discretion
from gateway.clock import Clock
from gateway.conductor import conduct
from gateway.config import DeviceConfig
from gateway.freshness import Arrival, measured
from gateway.links.hotplug import Hotplug
from gateway.links.opening import Opener, open_link
from gateway.receiving import Contact, receive
from gateway.service import DeviceCondition, DeviceState
from gateway.times import NO_EARLIER
from protocol.errors import (
    GatewayError,
    LinkError,
    MalformedValue,
    NoAnswer,
    ProtocolError,
    RequestRefused,
    StoreError,
)
from protocol.framing import Noise
from protocol.readings import PERSONAL, CardRead, DeviceClock, Event, Identified, Notice, Progress, Reading
from store import history
from store.facts import DeviceEvent, Instant
from store.journal import Journal

if TYPE_CHECKING:
    from gateway.links.ble_radio import Radio

log = logging.getLogger(__name__)

PERSONAL_DETAIL = PERSONAL | {"fields"}
"""What a notice tells on the technician's screen and the journal keeps in the raw frame only."""
REMEMBERED = 1000
"""Of so many events of a device its frames are known after a restart."""
NOT_UNDERSTOOD = 16
"""So many bytes without one frame among them: wrong baud rate or the wrong device."""


async def no_exam(_device: str, _card: CardRead) -> str | None:
    """Open nothing: a card read where nobody is examined."""
    return None


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What every station shares.

    `changed` is called when a device's state has changed; `recognise` takes a card that a device read and
    returns the exam its holder now has, or raises RequestRefused.
    """

    journal: Journal
    clock: Clock
    hotplug: Hotplug
    zone: ZoneInfo
    changed: Callable[[], None]
    recognise: Callable[[str, CardRead], Awaitable[str | None]] = no_exam
    radio: "Radio | None" = None
    """None where no device speaks Bluetooth."""
    open_link: Opener = open_link


class Station:
    """One device: its state in words, its order queue, and the sink its dialogue reports to."""

    def __init__(
        self, config: DeviceConfig, driver: Driver, shared: Surroundings, heard: Instant | None = None
    ) -> None:
        """Do nothing yet; *heard* is when the device was last heard in an earlier run."""
        self.config = config
        self.driver = driver.under(driver.stated(config.settings, config.port))
        self.orders: asyncio.Queue[Order] = asyncio.Queue(1)
        self._shared = shared
        self._began: Instant | None = None
        self._offset: float | None = None
        self._offset_read: Instant | None = None
        """When: our clock may be set within a contact."""
        self._zone = ZoneInfo(config.timezone) if config.timezone else shared.zone
        self._unframed = 0
        self._linked = False
        self._noted: set[str] = set()
        """Codes kept in the journal since the device was last heard: a flapping port says nothing new."""
        self._serial: str | None = None
        """As the device told it at this contact; another one may hang on the cable next time."""
        self._identity: dict[str, str] = {}
        self._kept: set[tuple[str, str]] | None = None
        """Code and frame of what was kept as an event; None until somebody asks."""
        self._state = DeviceState(
            name=config.name,
            driver=driver.name,
            title=driver.title,
            port=config.port,
            condition="starting",
            kinds=tuple(driver.kinds),
            orders=driver.orders,
            last_heard=_iso(heard) if heard else None,
        )

    @property
    def state(self) -> DeviceState:
        """Return the device's state now."""
        return self._state

    @property
    def settings(self) -> Settings:
        """Return the driver's settings with the configuration's over them."""
        return self.driver.stated(self.config.settings, self.config.port)

    def point(self, exam: str | None) -> None:
        """Let the state say whom this device is pointed at; the journal decides."""
        self._set(pointed_at=exam)

    def may_order(self, name: str) -> None:
        """Raise RequestRefused where this order cannot be taken now."""
        if name not in self.driver.orders:
            raise RequestRefused(f"{self.config.name}: {name}", code="order.unknown")
        if not self._linked or self.orders.full():
            raise RequestRefused(f"{self.config.name}: {name}", code="order.not_now")

    def order(self, order: Order) -> None:
        """Hand a person's order to the dialogue; raises RequestRefused where it cannot be taken now."""
        self.may_order(order.name)
        self.orders.put_nowait(order)

    async def run(self) -> None:
        """Keep the conversation going for ever, waiting longer between attempts that hear nothing."""
        while True:
            waits = wait_exponential_jitter(multiplier=0.2, max=5.0, jitter=0.2)
            await AsyncRetrying(wait=waits, sleep=self._pause)(self._contact)
            await self._pause(0.2)

    async def _pause(self, seconds: float) -> None:
        await self._shared.hotplug.wait_for(self.config.port, seconds)

    async def _contact(self) -> None:
        """Converse once and put the end into words; raises again where nothing was heard."""
        heard = self._state.last_heard, self._state.readings
        try:
            await self._converse()
        except Exception as error:
            news = heard != (self._state.last_heard, self._state.readings)
            fault = error if isinstance(error, GatewayError) else _driver_fault(error)
            if news and fault.code == "ble.lost":
                return  # a machine that has told what it had to tell goes to sleep
            await self._failed(_condition(fault), fault)
            if not news:
                raise

    def _asleep(self) -> None:
        """Say that a Bluetooth machine which is not heard sleeps; what it said last, or needs, stands."""
        radio = self._shared.radio
        if self.driver.bluetooth and radio is not None and radio.fault is None:
            over = (self._state.code or "").startswith(("link.", "radio.", "ble."))
            self._set(condition="waiting", code=None if over else self._state.code, progress={})

    async def _converse(self) -> None:
        self._asleep()
        shared = self._shared
        link = await shared.open_link(self.config.port, self.driver.link, self.config, shared.radio)
        self._drop_orders()
        self._serial, self._offset, self._began, self._unframed = None, None, None, 0
        try:
            await self._told("link.opened")
            if self._state.condition != "silent":
                self._set(condition="waiting", code=None)
            self._linked = True
            await conduct(self.driver, self.settings, link, self, self.orders)
        finally:
            self._linked = False
            with suppress(LinkError):
                await link.close()

    def _drop_orders(self) -> None:
        """Forget orders given before this contact: nobody wants a cuff to inflate later than they asked."""
        while not self.orders.empty():
            self.orders.get_nowait()

    async def report(self, reading: Reading) -> None:
        """Make *reading* durable; returns after COMMIT."""
        now = self._shared.clock.now()
        began, offset = self._began or now, self._offset_now(now)
        if self.driver.bluetooth and self._began is None:
            reading, began = measured(reading, Arrival(now, offset, self._zone))
        else:
            offset = self._offset_at(reading, now)
        self._began = None
        contact = Contact(
            device=self.config.name,
            driver=self.driver,
            serial=self._serial,
            began=began,
            clock_offset_s=offset,
            zone=self._zone,
            at=now,
        )
        await self._shared.journal.run(lambda tx: receive(tx, reading, contact))
        self._heard()
        self._set(
            condition="connected",
            code=f"failed.{reading.failed.partition(':')[0]}" if reading.failed else None,
            progress={},
            readings=self._state.readings + 1,
            last_heard=_iso(self._shared.clock.now()),
        )

    async def known(self, record: str) -> bool:
        """Say whether the journal holds this record of the device that is at the other end now."""
        told = self.config.name, self._serial, self.driver.name, record
        return await self._shared.journal.run(lambda tx: tx.by_record(*told)) is not None

    def _offset_now(self, now: Instant) -> float | None:
        """Return device clock minus ours as it is now, our clock having been set or not."""
        if self._offset is None or self._offset_read is None:
            return self._offset
        return clock.carried(self._offset, self._offset_read, now)

    def _offset_at(self, reading: Reading, now: Instant) -> float | None:
        """Return device clock minus ours: a live reading that carries a time is itself such a pair."""
        if reading.stored or reading.device_time is None:
            return self._offset_now(now)
        offset = clock.offset(reading.device_time, now, self._zone)
        self._set(clock_offset_s=_shown(offset, now))
        return offset

    async def observe(self, event: Event) -> None:
        """Let an event show in the state; a clock read is kept in the journal as the coincident timestamp."""
        now = self._shared.clock.now()
        self._heard()
        match event:
            case Progress(underway=False):
                self._began = None
                self._set(condition="connected", progress={})
            case Progress(_, values, state):
                self._began = self._began or now
                shown = {str(name): f"{format(q.value, 'f')} {q.unit}" for name, q in values.items()}
                self._set(condition="measuring", code=None, progress={"state": state, **shown})
            case Identified(serial, detail):
                self._serial = serial
                self._set(condition="connected", serial=serial)
                await self._identified({"serial": serial, **detail})
            case DeviceClock(device_time, evidence):
                self._offset = clock.offset(device_time, now, self._zone)
                self._offset_read = now
                self._set(clock_offset_s=_shown(self._offset, now))
                await self._write("clock.read", _coincident(device_time, self._offset, evidence))
            case Notice(code, detail, fault, evidence):
                if evidence:
                    await self._keep(code, detail, evidence.hex())
                self._noticed(code, fault=fault)
            case CardRead():
                await self._recognised(event)
        self._set(last_heard=_iso(now))

    async def _keep(self, code: str, detail: Mapping[str, str], frame: str) -> None:
        """Keep a result without a measure of ours, once: a memory tells it again at every contact."""
        if self._kept is None:
            queries = self._shared.journal.queries
            before = await asyncio.to_thread(queries.device_events, self.config.name, REMEMBERED)
            self._kept = {(event.code, event.detail.get("frame", "")) for event in before}
        if (code, frame) not in self._kept:
            shown = {name: said for name, said in detail.items() if name not in PERSONAL_DETAIL}
            await self._write(code, {**shown, "frame": frame})
            self._kept.add((code, frame))

    async def _identified(self, told: dict[str, str]) -> None:
        """Keep what the device says it is, once until it says something else."""
        if told != self._identity:
            await self._write(history.IDENTIFIED, told)
            self._identity = told

    async def _recognised(self, card: CardRead) -> None:
        """Let the card open its holder's exam; the state says which, or why none, and nothing else of it."""
        try:
            exam = await self._shared.recognise(self.config.name, card)
        except RequestRefused as refused:
            self._set(condition="connected", code=refused.code, recognised=None)
        else:
            self._set(condition="connected", code=None, recognised=exam)

    def _heard(self) -> None:
        """Note that the device said something with sense in it."""
        self._unframed = 0
        self._noted.clear()

    def _noticed(self, code: str, *, fault: bool) -> None:
        """Show a fault until something sensible is heard; a driver's own word outlasts "malformed"."""
        known = (self._state.code or "").startswith(f"{self.driver.name}.")
        if not (fault and known and code == MalformedValue.code):
            self._set(condition="connected", code=code if fault else None, recognised=None)

    def noise(self, noise: Noise) -> None:
        """Count bytes that belong to no frame; many of them and nothing else means a wrong line setting."""
        if not noise.reason:
            return
        self._unframed += len(noise.data)
        self._state = replace(self._state, noise_bytes=self._state.noise_bytes + len(noise.data))
        if self._unframed >= NOT_UNDERSTOOD and self._state.code != "device.noise":
            shown = "" if self.driver.redact else noise.data[:16].hex(" ")
            self._set(code="device.noise", detail=shown)

    async def _failed(self, condition: DeviceCondition, error: GatewayError) -> None:
        puzzled = self._state.code == "device.noise" and isinstance(error, ProtocolError)
        code = "device.noise" if puzzled else error.code
        self._began = None
        self._set(condition=condition, code=code, detail=error.detail, progress={}, recognised=None)
        if isinstance(error, StoreError):
            self._noted.clear()  # so that the next contact must write before it reads
            return
        with suppress(StoreError):
            await self._told(error.code)

    async def _told(self, code: str) -> None:
        """Keep a change of state in the journal, once until the device is heard again. Raises StoreError."""
        if code not in self._noted:
            await self._write(code, {})
            self._noted.add(code)

    async def _write(self, code: str, detail: dict[str, str]) -> None:
        told = DeviceEvent(device=self.config.name, code=code, detail=detail)
        event, secret = discretion.event(self.driver, told)
        await self._shared.journal.run(lambda tx: tx.append(event, secret))

    def _set(self, **fields: object) -> None:
        before = self._state
        self._state = replace(before, **fields)  # type: ignore[arg-type]
        if self._state != before:
            self._shared.changed()


def _iso(instant: Instant) -> str:
    return instant.utc.astimezone(UTC).isoformat(timespec="seconds")


def _shown(offset_s: float, now: Instant) -> float | None:
    """Return how far a device's clock is off, None while our own certainly says nothing."""
    return offset_s if now.synchronised or now.utc >= NO_EARLIER else None


def _coincident(device_time: datetime, offset: float, evidence: bytes) -> dict[str, str]:
    """Return the pair of clocks as the journal keeps it; our half is the fact's own instant."""
    said = device_time.isoformat()
    return {"device_time": said, "offset_s": f"{offset:.0f}", "frame": evidence.hex()}


def _driver_fault(error: Exception) -> GatewayError:
    log.error("a driver failed", exc_info=error)
    return GatewayError(type(error).__name__, code="device.driver_fault")


def _condition(error: GatewayError) -> DeviceCondition:
    if isinstance(error, LinkError):
        return "lost"
    if isinstance(error, NoAnswer):
        return "silent"
    return "connected" if isinstance(error, ProtocolError) else "failed"
