"""`devices pair ADDRESS`: make a bond with a Bluetooth machine and see that it speaks; no reading is kept.

What the machine tells here goes to the screen only. A machine that hands over each result but once has then
handed it over: that is said before, and `--no-test` leaves it out.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, replace

import click

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
from protocol.transcript import reading_line
from tools import stanzas
from tools.forms import in_words
from tools.nearby import signal
from tools.parameters import SET, DriverName, settings_of

Say = Callable[[str], None]
HANDED_OVER = (
    "What the machine tells in this test is kept nowhere. If it may still hold results that it tells but "
    "once, let the service read them first, or say --no-test."
)
ADDRESS = re.compile(r"[0-9A-Fa-f]{2}(:[0-9A-Fa-f]{2}){5}")


@dataclass(frozen=True, slots=True)
class Wish:
    """What is to be paired; `driver` None takes the only one that fits."""

    address: str
    driver: Driver | None
    stated: tuple[str, ...]
    with_passkey: bool
    test: bool
    seconds: float


@click.command()
@click.argument("address")
@click.option("--driver", type=DriverName(), help="Who understands the machine; else the only one that fits.")
@SET
@click.option(
    "--passkey", metavar="DIGITS", help="The six digits on its label; asked for where they are needed."
)
@click.option("--adapter", help="The adapter, where there are several: hci0 or its address.")
@click.option("--seconds", type=click.FloatRange(min=1), default=180.0, show_default=True, help="So long.")
@click.option("--test/--no-test", default=True, help="Let it tell a result, shown here and kept nowhere.")
def pair(
    address: str,
    *,
    driver: Driver | None,
    stated: tuple[str, ...],
    passkey: str | None,
    adapter: str | None,
    seconds: float,
    test: bool,
) -> None:
    """Pair with the Bluetooth machine ADDRESS and let it tell something, which is shown and kept nowhere.

    Stop the service first (systemctl stop checkup-gateway): two programs on one adapter disturb each other.
    A machine belongs to one box: take it out of the phone it was used with.
    """
    from gateway.links.ble import system_radio  # costs memory, and D-Bus

    if not ADDRESS.fullmatch(address):
        raise click.BadParameter("not AA:BB:CC:DD:EE:FF", param_hint="ADDRESS")
    if passkey is not None and not re.fullmatch(r"\d{6}", passkey):
        raise click.BadParameter("not six digits", param_hint="--passkey")
    wish = Wish(address.upper(), driver, stated, passkey is not None, test, seconds)

    async def run() -> None:
        radio = system_radio(adapter, {}, typed(passkey))
        await paired(wish, radio, click.echo)

    asyncio.run(run())


def typed(passkey: str | None) -> Callable[[str], Awaitable[int | None]]:
    """Return what tells a machine's passkey: the stated one, else a person at the keyboard."""

    async def tell(address: str) -> int | None:
        if passkey is not None:
            return int(passkey)
        question = f"The six digits that {address} shows or has on its label"
        return int(await asyncio.to_thread(click.prompt, question, type=click.IntRange(0, 999999)))

    return tell


async def paired(wish: Wish, radio: Radio, say: Say) -> None:
    """Do it, and say each step. Raises LinkError or RequestRefused, whose code says what a person can do."""
    running = asyncio.ensure_future(radio.run())
    try:
        async with asyncio.timeout(wish.seconds):
            advert = await _seen(wish, radio, say)
            driver, settings = _understood(wish, advert)
            if not isinstance(driver.link, Gatt):
                say(f"{driver.title}: it only advertises, there is nothing to pair.")
            else:
                await _spoken_with(wish, radio, driver, settings, say)
    except TimeoutError as late:
        raise Unavailable(
            f"{wish.address}: not within {wish.seconds:.0f} s", code="pairing.not_seen"
        ) from late
    finally:
        running.cancel()
        await asyncio.wait({running})
    say("\n" + _stanza(driver, settings, wish.address))


def _stanza(driver: Driver, settings: Settings, address: str) -> str:
    """Return the machine's stanza, with the settings that were needed to speak to it."""
    text = stanzas.stanza(driver, f"{driver.name}-1", f"ble:{address}")
    for name, default in driver.settings.items():
        before, after = stanzas.written(default), stanzas.written(settings[name])
        if before != after:
            text = text.replace(f"#settings.{name} = {before}", f"settings.{name} = {after}")
    return text


async def _seen(wish: Wish, radio: Radio, say: Say) -> Advert:
    found: asyncio.Future[Advert] = asyncio.get_running_loop().create_future()

    def told(advert: Advert) -> None:
        if advert.address == wish.address and not found.done():
            found.set_result(advert)

    radio.told = told
    if wish.test:
        say(HANDED_OVER)
    say(f"Press the button of the machine now, the pairing button if it has one; looking for {wish.address}.")
    while not found.done():
        await asyncio.wait({found}, timeout=1.0)
        if radio.fault is not None:
            raise radio.fault
    advert = found.result()
    say(f"{wish.address} {advert.name or '(no name)'}: {signal(advert.strength)}")
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
    settings = settings_of(driver, wish.stated)
    shaped = driver.under(settings)
    if wish.with_passkey and isinstance(shaped.link, Gatt):
        shaped = replace(shaped, link=replace(shaped.link, pairing="passkey"))
    return shaped, settings


async def _spoken_with(wish: Wish, radio: Radio, driver: Driver, settings: Settings, say: Say) -> None:
    """Connect, pair where the driver needs it, and hear what the machine tells."""
    assert isinstance(driver.link, Gatt)
    link = await radio.connect(wish.address, driver.link)
    try:
        say(f"Connected; it has what makes it a {driver.title}, and it is secure where it has to be.")
        if wish.test:
            await _tested(link, driver, settings, say)
    finally:
        with suppress(LinkError):
            await link.close()


async def _tested(link: Link, driver: Driver, settings: Settings, say: Say) -> None:
    say("Test: what it tells now is shown here and kept nowhere; take a measurement of nobody, if you like.")
    shown = Shown(say)
    orders: asyncio.Queue[Order] = asyncio.Queue()
    try:
        await conduct(driver, settings, link, shown, orders)
    except (LinkError, ProtocolError) as end:
        if not shown.understood:
            raise
        say(f"It ended the connection ({end.code}).")
    said = "understood: this is the right driver" if shown.understood else "it told nothing"
    say(f"{said}; {shown.readings} results seen, none kept.")


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
        self._say(f"  test, not stored: {reading_line(without_person(reading))}")

    async def known(self, record: str) -> bool:
        """Say that everything is known once one result was seen."""
        del record
        return self.readings > 0

    async def observe(self, event: Event) -> None:
        """Show what is told beside results."""
        self.understood = True
        self._say(f"  {in_words(event)}")

    def noise(self, noise: Noise) -> None:
        """Show what was not understood."""
        self._say(f"  {in_words(noise)}")
