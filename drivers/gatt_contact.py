"""What conversations with devices of the standard Bluetooth services share; a helper of drivers, none itself.

A contact begins when the device is connected: who it is, its battery and its clock are read first, because
what it tells afterwards may be told only once. A result that carries a time is from the memory unless the
device's own clock says that it is fresh, or its measurement was seen under way at this contact.
Clocks are set only when a person orders it.
"""

from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Literal

from drivers.catalogue import Decode, Decoded, Driver, Gatt, Refusal
from drivers.dialogue import Answer, Dialogue, Known, Listen, Observe, Order, Read, Settings, Step, Write
from drivers.push import pass_on
from protocol.errors import MalformedValue
from protocol.framing import Frame
from protocol.gatt import current_time, device_information
from protocol.gatt.current_time import CURRENT_TIME, DATE_TIME, WRITTEN
from protocol.gatt.device_information import BATTERY, SERIAL, STRINGS
from protocol.readings import DeviceClock, Event, Notice, Progress, Reading

Part = Generator[Step, Answer, None]
Reader = Callable[[bytes], Iterable[Reading | Event]]
COMMON: Mapping[str, Reader] = {**device_information.READERS, **current_time.READERS}
ASKED = ("2A29", "2A24", SERIAL, "2A26")
IDLE = 120.0
"""Ours: seconds in which a device may say nothing at all: a person may still be measuring."""
LONGEST = timedelta(hours=1)
"""Ours: a time further ahead of the clock read at this contact is no fresh one."""
CLOCKS = {"A&D": DATE_TIME, "OMRON": ""}
"""How makers let their clock be set, where they do it in their own way: A&D by a Date Time in the service
itself (ble/and_ua651.md); Omron only within its first notification of the time (ble/omron.md): not by us."""
SETTINGS: Mapping[str, str | int | bool] = {
    "pairing": "none",
    "fresh_seconds": 60,
    "live_without_clock": False,
}
"""`fresh_seconds` is ours: no older a result may be to count as measured now. `live_without_clock` takes for
fresh all that a device tells whose clock cannot be read; only for one that keeps no results of others."""
PAIRINGS: tuple[Literal["none", "just_works", "passkey"], ...] = ("none", "just_works", "passkey")


def one(read: Callable[[bytes], Reading | Event]) -> Reader:
    """Lift a function that gives one thing."""
    return lambda data: (read(data),)


def by_characteristic(default: str, readers: Mapping[str, Reader]) -> Decode:
    """Return the decoding of values, each by its characteristic; one of nobody is taken for *default*."""
    known = {**COMMON, **readers}

    def decode(frames: Iterable[Frame]) -> Iterator[Decoded]:
        for frame in frames:
            yield from read_one(known, frame, default)

    return decode


def read_one(readers: Mapping[str, Reader], frame: Frame, default: str) -> Iterator[Decoded]:
    """Yield what one value says; it is refused where nothing reads its characteristic."""
    source = frame.source or default
    try:
        if source not in readers:
            raise MalformedValue(f"nothing is known of characteristic {source}")
        yield from readers[source](frame.data)
    except MalformedValue as refused:
        yield Refusal(frame.data, refused.code, refused.detail)


def paired(driver: Driver, settings: Settings) -> Driver:
    """Return *driver* with the pairing that the settings name; ValueError where there is no such."""
    for kind in PAIRINGS:
        if kind == settings["pairing"] and isinstance(driver.link, Gatt):
            return replace(driver, link=replace(driver.link, pairing=kind))
    raise ValueError(f"pairing: one of {', '.join(PAIRINGS)}")


def shaping(
    decodings: Mapping[str, Decode], conversation: Callable[[Decode], Callable[[Settings], Dialogue]]
) -> Callable[[Driver, Settings], Driver]:
    """Return what shapes a driver by the settings `model`, one of *decodings*, and `pairing`."""

    def shaped(driver: Driver, settings: Settings) -> Driver:
        decode = decodings.get(str(settings["model"]))
        if decode is None:
            raise ValueError(f"model: one of {', '.join(decodings)}")
        return replace(paired(driver, settings), decode=decode, talk=conversation(decode))

    return shaped


def _alone(_: Frame) -> bool:
    return False


@dataclass(slots=True)
class Contact:
    """One connection to a device.

    `quiet` is how many seconds of silence after a result end it; `follows` says that the next value belongs
    to this one.
    """

    decode: Decode
    settings: Settings
    quiet: float
    follows: Callable[[Frame], bool] = _alone
    orders: Mapping[str, Callable[[], Part]] = field(default_factory=dict)
    clock: datetime | None = None
    clock_at: str = ""
    """The characteristic by which the clock is set; empty where it cannot be."""
    measuring: bool = False

    def begin(self) -> Part:
        """Read who the device is, its battery and its clock."""
        told: dict[str, str] = {}
        for characteristic in (*ASKED, BATTERY):
            answer = yield Read(characteristic)
            if isinstance(answer, Frame):
                told |= _said(answer)
        serial = device_information.serial_number(told.pop("serial", ""))
        if serial or told:
            yield Observe(device_information.described(serial, told))
        yield from self.read_clock()
        maker = told.get("maker", "").upper()
        self.clock_at = next((at for name, at in CLOCKS.items() if maker.startswith(name)), self.clock_at)

    def read_clock(self) -> Part:
        """Read the clock, wherever the device has it."""
        self.clock = None
        for characteristic in (CURRENT_TIME, DATE_TIME):
            answer = yield Read(characteristic)
            if isinstance(answer, Frame):
                self.clock_at = characteristic
                for item in read_one(COMMON, answer, characteristic):
                    self.clock = item.device_time if isinstance(item, DeviceClock) else None
                    yield from pass_on([item])
                return

    def attend(self, idle: float = IDLE) -> Part:
        """Pass on what the device tells and do what a person orders, until it is quiet."""
        patience = idle
        while (answer := (yield Listen(timeout=patience, orders=True))) is not None:
            if isinstance(answer, Order):
                yield from self.obey(answer)
            elif isinstance(answer, Frame):
                result = yield from self.take(answer)
                patience = self.quiet if result else patience

    def take(self, frame: Frame) -> Generator[Step, Answer, bool]:
        """Pass on what a value says, with the one that belongs to it; return whether it was a result."""
        frames = [frame]
        if self.follows(frame):
            more = yield Listen(timeout=self.quiet)
            if not isinstance(more, Frame):
                yield Observe(Notice("gatt.incomplete", fault=True))
                return True
            frames.append(more)
        result = False
        for item in self.decode(frames):
            result = isinstance(item, Reading) or result
            yield from self.tell(item)
        return result

    def tell(self, item: Decoded) -> Part:
        """Pass on one thing; a record that the journal knows is not told again."""
        if isinstance(item, Progress):
            self.measuring = item.underway
        elif isinstance(item, Reading):
            item = self.dated(item)
            if item.record is not None and (yield Known(item.record)) is True:
                return
            self.measuring = False
        yield from pass_on([item])

    def dated(self, reading: Reading) -> Reading:
        """Return *reading* as live where it is fresh, else as it is."""
        if not reading.stored:
            return reading
        if self.clock is None or reading.device_time is None or "clock_lost" in reading.flags:
            fresh = self.measuring or (self.clock is None and bool(self.settings["live_without_clock"]))
        else:
            window = timedelta(seconds=int(self.settings["fresh_seconds"]))
            fresh = -window <= reading.device_time - self.clock <= LONGEST
        return replace(reading, stored=not fresh)

    def obey(self, order: Order) -> Part:
        """Do what a person asked."""
        if order.name == "set_clock":
            yield from self._set_clock(order.arguments.get("time", ""))
        elif order.name in self.orders:
            yield from self.orders[order.name]()

    def _set_clock(self, stated: str) -> Part:
        try:
            moment = datetime.strptime(stated, "%Y-%m-%dT%H:%M:%S")  # noqa: DTZ007 - the device's own time
        except ValueError:
            moment = None
        if moment is None or not self.clock_at:
            reason = "no such time" if moment is None else "this device's clock is not set from here"
            yield Observe(Notice("gatt.clock_refused", {"time": stated, "reason": reason}, fault=True))
            return
        yield Write(self.clock_at, WRITTEN[self.clock_at](moment))
        yield from self.read_clock()


def _said(frame: Frame) -> dict[str, str]:
    """Return what one value of the device information says, nothing where it cannot be read."""
    try:
        if frame.source == BATTERY:
            return {"battery": device_information.battery(frame.data)}
        said = device_information.text(frame.data)
    except MalformedValue:
        return {}
    return {STRINGS[frame.source]: said} if said else {}
