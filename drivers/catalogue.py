"""What a driver declares, and how every driver is found."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from pkgutil import iter_modules
from typing import ClassVar, Literal

import drivers
from drivers.dialogue import Dialogue, Settings
from protocol.errors import MalformedValue
from protocol.framing import Frame, Framer
from protocol.readings import Event, Kind, Measure, Reading

Grade = Literal["A", "B", "C"]
Provenance = Literal["captured", "document", "constructed"]
PLUGINS = "checkup_gateway.drivers"


@dataclass(frozen=True, slots=True)
class Serial:
    """The line a serial device needs; every value can be overridden in the configuration."""

    baudrate: int = 9600
    bytesize: Literal[7, 8] = 8
    parity: Literal["N", "E", "O"] = "N"
    stopbits: Literal[1, 2] = 1
    usb: tuple[tuple[int, int], ...] = ()
    """USB vendor and product ids that name this device (not merely its USB-to-serial chip)."""
    bulk: bool = False
    """It has no port: on USB its bytes pass over bulk endpoints. A port or socket may stand in for it."""


@dataclass(frozen=True, slots=True)
class Hid:
    """A USB HID device: every read is one whole report of `report` bytes, and so is every write.

    The bytes carry no report number. `usb` names the device (or the bridge chip inside it); a pseudo-terminal
    or socket that delivers whole reports may stand in for it.
    """

    report: int
    usb: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Gatt:
    """A Bluetooth LE device that is connected to.

    A candidate advertises one of `services` or a name beginning with one of `names`; it is this device once
    it has all of `characteristics` (4 hex digits, or a whole UUID in lower case) and a first frame was
    understood.
    `default` is the characteristic whose values `decode` takes where none is named.
    """

    characteristics: tuple[str, ...]
    default: str
    services: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    pairing: Literal["none", "just_works", "passkey"] = "none"
    not_names: tuple[str, ...] = ()
    """Names of unrelated products with the same services."""
    usb: ClassVar[tuple[tuple[int, int], ...]] = ()


@dataclass(frozen=True, slots=True)
class Advertisement:
    """A Bluetooth LE device that only advertises; a value is the data of one of these services or makers.

    What a driver hears as source `ADV` is the bare service data (after the UUID) or maker's data (after the
    company number).
    """

    services: tuple[str, ...] = ()
    companies: tuple[int, ...] = ()
    names: tuple[str, ...] = ()
    default: str = "ADV"
    usb: ClassVar[tuple[tuple[int, int], ...]] = ()


AnyLink = Serial | Hid | Gatt | Advertisement
"""Every way to a device; `usb` is empty for a Bluetooth one."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """A whole frame whose content its protocol does not allow, with the reason."""

    frame: bytes
    code: str
    reason: str


Decoded = Reading | Event | Refusal
Decode = Callable[[Iterable[Frame]], Iterator[Decoded]]


def no_settings() -> Mapping[str, str | int | bool]:
    """Return no settings."""
    return {}


@dataclass(frozen=True, slots=True)
class Driver:
    """One device family: how to reach it, cut its bytes, understand them and talk with it.

    `decode` is pure: it takes frames and gives what they say, refusing (never raising) what it cannot
    accept; `talk(settings)` is the dialogue. `settings` are the keys a configuration may set with their
    defaults. `orders` are what a person may ask (the only way anything is started on a device).
    `machine_range` holds the machine's own measuring range where its documents state one: a value
    outside it was not measured by this machine. `not_known` says what no document tells.
    """

    name: str
    title: str
    models: tuple[str, ...]
    kinds: tuple[Kind, ...]
    link: AnyLink
    framer: Callable[[], Framer]
    decode: Decode
    talk: Callable[[Settings], Dialogue]
    grade: Grade
    provenance: Provenance
    sources: str
    not_known: tuple[str, ...]
    orders: tuple[str, ...] = ()
    settings: Mapping[str, str | int | bool] = field(default_factory=no_settings)
    machine_range: Mapping[Measure, tuple[Decimal, Decimal]] = field(default_factory=dict)
    shaped: "Callable[[Driver, Settings], Driver] | None" = None
    redact: Callable[[bytes], bytes] | None = None
    """Blanks what may name a person in one whole frame: all that is not known to name nobody becomes filler.

    Always true: as many bytes as before, a frame to the framer again, decoded to the same but for the person,
    and blanking a second time changes nothing. None: nothing names a person, or `names_people` says it may.
    """
    secret_settings: tuple[str, ...] = ()
    """Settings, bytes in hex, with which anybody could open the device: no recording holds them."""
    names_people: bool = False
    """A frame may name a person, and there is no `redact`: recorded only where that is asked for."""

    @property
    def experimental(self) -> bool:
        """Say whether only one source mentions the protocol: never proposed, used where a person names it."""
        return self.grade == "C"

    @property
    def bluetooth(self) -> bool:
        """Say whether the device is a Bluetooth one: what it sends are values, each from a source."""
        return isinstance(self.link, Gatt | Advertisement)

    def stated(self, settings: Settings, port: str) -> Settings:
        """Return all settings at *port*, *settings* over the defaults.

        A Bluetooth machine's address is its port's: an empty `mac` is filled in from `ble:AA:BB:CC:DD:EE:FF`.
        """
        every = {**self.settings, **settings}
        here = {"mac": port.removeprefix("ble:")} if every.get("mac") == "" and self.bluetooth else {}
        return {**every, **here}

    def under(self, settings: Settings) -> "Driver":
        """Return the driver as *settings* (all of them) make it; ValueError where they fit no model."""
        return self.shaped(self, settings) if self.shaped else self


def frame_by_frame(decode_one: Callable[[bytes], Iterable[Reading | Event]]) -> Decode:
    """Lift a function over one frame's bytes to a whole stream; its MalformedValue becomes a Refusal."""

    def decode(frames: Iterable[Frame]) -> Iterator[Decoded]:
        for frame in frames:
            try:
                yield from decode_one(frame.data)
            except MalformedValue as refused:
                yield Refusal(frame.data, refused.code, refused.detail)

    return decode


def every() -> Mapping[str, Driver]:
    """Return every driver by name: the files beside this one and installed plug-ins, sorted."""
    return _loaded()[0]


def left_out() -> Mapping[str, str]:
    """Return the drivers that could not be loaded, by file or plug-in, each with what went wrong.

    The others work all the same: somebody's plug-in must not stop the machines of a clinic.
    """
    return _loaded()[1]


@cache
def _loaded() -> tuple[Mapping[str, Driver], Mapping[str, str]]:
    found, failed = dict[str, Driver](), dict[str, str]()
    for origin, load in (*_files(), *_plug_ins()):
        try:
            driver = load()
        except Exception as wrong:  # whatever somebody's file raises
            failed[origin] = f"{type(wrong).__name__}: {wrong}"
            continue
        if isinstance(driver, Driver) and driver.name in found:
            failed[origin] = f"a driver named {driver.name} is there already"
        elif isinstance(driver, Driver):
            found[driver.name] = driver
    return dict(sorted(found.items())), failed


def _files() -> Iterator[tuple[str, Callable[[], object]]]:
    for module in iter_modules(drivers.__path__, f"{drivers.__name__}."):
        yield module.name, lambda name=module.name: getattr(import_module(name), "DRIVER", None)  # type: ignore[misc]


def _plug_ins() -> Iterator[tuple[str, Callable[[], object]]]:
    for point in entry_points(group=PLUGINS):
        yield f"{point.name} ({point.value})", point.load
