"""What a Bluetooth LE device says of itself to everybody, and which drivers that fits. Pure."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from drivers.catalogue import Advertisement, Driver, Gatt, Refusal
from protocol.errors import MalformedValue
from protocol.framing import Frame

_BASE = "-0000-1000-8000-00805f9b34fb"
"""Ends every UUID of 16 bits in its long form (Core specification, volume 3, part B, 2.5.1)."""


@dataclass(frozen=True, slots=True)
class Advert:
    """One advertisement as it was heard. `strength` is in dBm; services are named as drivers name them."""

    address: str
    name: str = ""
    strength: int = 0
    services: tuple[str, ...] = ()
    service_data: Mapping[str, bytes] = field(default_factory=dict)
    maker_data: Mapping[int, bytes] = field(default_factory=dict)


def short(uuid: str) -> str:
    """Return a long UUID as drivers write it: `2A35` for one of the Bluetooth SIG, else as it is."""
    uuid = uuid.lower()
    assigned = uuid.startswith("0000") and uuid.endswith(_BASE)
    return uuid[4:8].upper() if assigned else uuid


def values(advert: Advert, device: Advertisement) -> Iterator[bytes]:
    """Yield what *advert* tells a driver: the data of its services and makers, all where it names none."""
    every = not device.services and not device.companies
    for service, told in advert.service_data.items():
        if told and (every or service in device.services):
            yield told
    for company, told in advert.maker_data.items():
        if told and (every or company in device.companies):
            yield told


def why(advert: Advert, driver: Driver) -> str:
    """Return what in *advert* speaks for *driver*, empty where nothing does or its name speaks against it."""
    match driver.link:
        case Gatt(names=names, services=services, not_names=not_names):
            if not_names and advert.name.startswith(not_names):
                return ""
            offered = {*advert.services, *advert.service_data}
            reasons = [f"it offers service {service}" for service in services if service in offered]
        case Advertisement(names=names) as device:
            told = list(values(advert, device))
            if told and not any(_may_be(value, driver) for value in told):
                return ""
            reasons = [f"it carries data of {source}" for source in _understood(advert, device, driver)]
        case _:
            return ""
    return ", ".join([f"its name begins with {name}" for name in _begun(advert, names)] + reasons)


def _begun(advert: Advert, names: Iterable[str]) -> Iterator[str]:
    return (name for name in names if name and advert.name.startswith(name))


def _understood(advert: Advert, device: Advertisement, driver: Driver) -> Iterator[str]:
    """Yield the services and companies whose data may be this driver's.

    To offer a service says nothing: scales that are connected to offer the same. Nor do the data of a
    service alone: every product of a maker may carry them; what the driver takes for another's is no sign.
    """
    for service in device.services:
        if _may_be(advert.service_data.get(service, b""), driver):
            yield f"service {service}"
    for company in device.companies:
        if _may_be(advert.maker_data.get(company, b""), driver):
            yield f"company {company:04X}"


def _may_be(told: bytes, driver: Driver) -> bool:
    if not told:
        return False
    foreign = {MalformedValue.code, f"{driver.name}.model"}
    said = driver.decode([Frame(told, "ADV")])
    return not any(isinstance(item, Refusal) and item.code in foreign for item in said)


def fitting(advert: Advert, drivers: Iterable[Driver]) -> list[tuple[Driver, str]]:
    """Return the drivers that may be proposed for the device behind *advert*, each with the reason."""
    found = [(driver, why(advert, driver)) for driver in drivers if not driver.experimental]
    return [(driver, reason) for driver, reason in found if reason]
