"""What a Bluetooth LE device says of itself to everybody, and which drivers that fits. Pure."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from drivers.catalogue import Advertisement, Driver, Gatt

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
        case Advertisement(names=names, services=services):
            pass
        case _:
            return ""
    reasons = [f"its name begins with {name}" for name in names if name and advert.name.startswith(name)]
    offered = {*advert.services, *advert.service_data}
    reasons += [f"it offers service {service}" for service in services if service in offered]
    if isinstance(driver.link, Advertisement):
        heard = [company for company in driver.link.companies if company in advert.maker_data]
        reasons += [f"it carries data of company {company:04X}" for company in heard]
    return ", ".join(reasons)


def fitting(advert: Advert, drivers: Iterable[Driver]) -> list[tuple[Driver, str]]:
    """Return the drivers that may be proposed for the device behind *advert*, each with the reason."""
    found = [(driver, why(advert, driver)) for driver in drivers if not driver.experimental]
    return [(driver, reason) for driver, reason in found if reason]
