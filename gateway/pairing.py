"""Bringing in a Bluetooth machine: it is looked for, paired where it must be, and tells something as a test.

What the machine tells here is shown and kept nowhere. A machine that hands over each result but once has then
handed it over; that is said before.
"""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace

from drivers import catalogue
from drivers.catalogue import Driver, Gatt
from drivers.dialogue import Order, Settings
from gateway.conductor import conduct
from gateway.links import Link
from gateway.links.ble_adverts import Advert, fitting
from gateway.links.ble_radio import Radio
from gateway.links.recorder import without_person
from protocol.errors import LinkError, ProtocolError, RequestRefused, Unavailable
from protocol.framing import Noise
from protocol.readings import Event, Reading

NEAR_DBM, FAR_DBM = -70, -88
"""Ours: from the first on nothing is lost; below the second connections break."""
LOOK_S = 1.0
NEEDED = "pairing.needed"


@dataclass(frozen=True, slots=True)
class Step:
    """What is done now, as a code of `gateway/messages.py` and the fields of its text."""

    code: str
    fields: Mapping[str, str] = field(default_factory=dict)


Told = Step | Reading | Event | Noise
"""What is shown while a machine is paired; a reading names nobody."""
Say = Callable[[Told], None]


@dataclass(frozen=True, slots=True)
class Wish:
    """What is to be paired; `driver` None takes the only one that fits. `settings` are stated ones."""

    address: str
    driver: Driver | None
    settings: Settings
    with_passkey: bool
    test: bool
    seconds: float


def signal(strength: int) -> str:
    """Return the code of what a signal of so many dBm means."""
    if strength >= NEAR_DBM:
        return "pair.signal_good"
    return "pair.signal_weak" if strength >= FAR_DBM else "pair.signal_bad"


async def paired(wish: Wish, radio: Radio, say: Say) -> tuple[Driver, Settings]:
    """Do it, on a radio that runs, and say each step; return the driver and all its settings.

    Raises LinkError or RequestRefused, whose code says what a person can do.
    """
    try:
        async with asyncio.timeout(wish.seconds):
            advert = await _seen(wish, radio, say)
            driver, settings = _understood(wish, advert)
            if not isinstance(driver.link, Gatt):
                say(Step("pair.nothing", {"driver": driver.title}))
                return driver, settings
            try:
                await _spoken_with(wish, radio, driver, settings, say)
            except LinkError as fault:
                if fault.code != NEEDED or settings.get("pairing") != "none":
                    raise
                say(Step("pair.needs_bond"))
                settings = {**settings, "pairing": "just_works"}
                driver = driver.under(settings)
                await _spoken_with(wish, radio, driver, settings, say)
    except TimeoutError as late:
        detail = f"{wish.address}: not within {wish.seconds:.0f} s"
        raise Unavailable(detail, code="pairing.not_seen") from late
    return driver, settings


async def _seen(wish: Wish, radio: Radio, say: Say) -> Advert:
    if wish.test:
        say(Step("pair.handed_over"))
    say(Step("pair.press", {"address": wish.address}))
    radio.heard.pop(wish.address, None)
    while (advert := radio.heard.get(wish.address)) is None:
        if radio.fault is not None:
            raise radio.fault
        await asyncio.sleep(LOOK_S)
    say(Step("pair.seen", {"name": advert.name, "address": advert.address}))
    say(Step(signal(advert.strength), {"strength": f"{advert.strength} dBm"}))
    return advert


def _understood(wish: Wish, advert: Advert) -> tuple[Driver, Settings]:
    """Return the driver, as the settings shape it, and its settings."""
    driver = wish.driver
    if driver is None:
        fits = fitting(advert, catalogue.every().values())
        if len(fits) != 1:
            names = ", ".join(f"{one.name} ({why})" for one, why in fits) or "none"
            raise RequestRefused(f"--driver is needed; what fits: {names}", code="pairing.no_driver")
        [(driver, _)] = fits
    if not driver.bluetooth:
        raise RequestRefused(f"{driver.name} speaks no Bluetooth", code="pairing.no_driver")
    settings = driver.stated(wish.settings, f"ble:{wish.address}")
    shaped = driver.under(settings)
    if wish.with_passkey and isinstance(shaped.link, Gatt):
        shaped = replace(shaped, link=replace(shaped.link, pairing="passkey"))
    return shaped, settings


async def _spoken_with(wish: Wish, radio: Radio, driver: Driver, settings: Settings, say: Say) -> None:
    """Connect, pair where the driver needs it, and hear what the machine tells."""
    assert isinstance(driver.link, Gatt)
    link = await radio.connect(wish.address, driver.link)
    try:
        say(Step("pair.connected", {"driver": driver.title}))
        if wish.test:
            await _tested(link, driver, settings, say)
    finally:
        with suppress(LinkError):
            await link.close()


async def _tested(link: Link, driver: Driver, settings: Settings, say: Say) -> None:
    say(Step("pair.test"))
    shown = Shown(say)
    orders: asyncio.Queue[Order] = asyncio.Queue()
    try:
        await conduct(driver, settings, link, shown, orders)
    except (LinkError, ProtocolError) as end:
        if end.code == NEEDED or not shown.understood:
            raise
        say(Step("pair.ended", {"cause": end.code}))
    results = str(shown.readings)
    say(Step("pair.understood" if shown.understood else "pair.told_nothing", {"results": results}))


class Shown:
    """A sink that shows and keeps nothing; after one result the rest of a memory counts as known."""

    def __init__(self, say: Say) -> None:
        self.readings = 0
        self.understood = False
        self._say = say

    async def report(self, reading: Reading) -> None:
        """Show a result as a test."""
        self.readings += 1
        self.understood = True
        self._say(without_person(reading))

    async def known(self, record: str) -> bool:
        """Say that everything is known once one result was seen."""
        del record
        return self.readings > 0

    async def observe(self, event: Event) -> None:
        """Show what is told beside results."""
        self.understood = True
        self._say(event)

    def noise(self, noise: Noise) -> None:
        """Show what was not understood."""
        self._say(noise)
