"""Which Bluetooth machines are about: what `devices scan` prints of them, which driver fits and why."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

from drivers.catalogue import Driver
from gateway import messages, pairing
from gateway.links.ble_adverts import Advert, fitting
from gateway.links.ble_radio import Radio
from gateway.links.opening import BLUETOOTH
from gateway.stanza import stanza_of, written
from protocol.errors import LinkError


@dataclass(frozen=True, slots=True)
class Nearby:
    """The adapters there are, who advertised, the strongest first, and why nothing can be heard, if so."""

    adapters: tuple[str, ...]
    adverts: tuple[Advert, ...]
    fault: LinkError | None = None


def nearby(seconds: float, adapter: str | None = None) -> Nearby:
    """Listen for so long and return what there is; nothing is connected to."""
    from gateway.links.ble import system_radio  # costs memory, and D-Bus

    async def listen() -> Nearby:
        from gateway.links.ble_bluez import Bluez

        bluez = Bluez(adapter)
        try:
            adapters = tuple(f"{one.name} {one.address}" for one in await bluez.adapters())
        except LinkError as fault:
            return Nearby((), (), fault)
        finally:
            await bluez.close()
        radio = system_radio(adapter, {})
        return Nearby(adapters, await heard(radio, seconds), radio.fault)

    return asyncio.run(listen())


async def heard(radio: Radio, seconds: float) -> tuple[Advert, ...]:
    """Return who advertises within so many seconds, the strongest first."""
    running = asyncio.ensure_future(radio.run())
    with suppress(TimeoutError):
        await asyncio.wait_for(asyncio.shield(running), seconds)
    running.cancel()
    await asyncio.wait({running})
    return tuple(sorted(radio.heard.values(), key=lambda advert: -advert.strength))


@asynccontextmanager
async def radio_for(port: str, adapter: str | None = None) -> AsyncIterator[Radio | None]:
    """Run a radio as long as the context lasts where *port* is a Bluetooth machine's, else give None."""
    if not port.startswith(BLUETOOTH):
        yield None
        return
    from gateway.links.ble import system_radio  # costs memory, and D-Bus

    radio = system_radio(adapter, {})
    running = asyncio.ensure_future(radio.run())
    try:
        yield radio
    finally:
        running.cancel()
        await asyncio.wait({running})


def signal(strength: int) -> str:
    """Return a signal's strength in words a technician can act on."""
    return messages.text(pairing.signal(strength), "en", strength=f"{strength} dBm")


def as_json(advert: Advert, drivers: Iterable[Driver]) -> dict[str, object]:
    """Return one device as `--format json` has it; `drivers` are those that fit, with the reason."""
    return {
        "port": f"ble:{advert.address}",
        "name": advert.name,
        "strength": advert.strength,
        "services": list(advert.services),
        "service_data": {service: told.hex() for service, told in advert.service_data.items()},
        "maker_data": {f"{company:04x}": told.hex() for company, told in advert.maker_data.items()},
        "drivers": [{"name": driver.name, "why": why} for driver, why in fitting(advert, drivers)],
    }


def as_stanza(number: int, advert: Advert, drivers: Sequence[Driver]) -> str:
    """Return the stanza of one device, ready where one driver fits, else commented out; empty where none."""
    fits = fitting(advert, drivers)
    port = f"ble:{advert.address}"
    what = f"# {port} {advert.name or '(no name)'}, {signal(advert.strength)}"
    if not fits:
        return ""
    if len(fits) == 1:
        [(driver, why)] = fits
        ready = stanza_of(driver, f"{driver.name}-{number}", port)
        return f"{what}: {why}.\n# First: checkup-gateway devices pair {advert.address}\n{ready}"
    lines = [f"{what}: several drivers fit.", *(f"#   {driver.name}: {why}" for driver, why in fits)]
    lines += [f"# Try one: checkup-gateway devices pair {advert.address} --driver {fits[0][0].name}"]
    lines += [
        "#[[devices]]",
        f'#name = "device-{number}"',
        '#driver = ""',
        f"#port = {written(port)}",
    ]
    return "\n".join(lines) + "\n"


def report(found: Nearby, drivers: Sequence[Driver]) -> str:
    """Return what a person reads: adapters, a stanza for each machine that a driver fits, how many others."""
    parts = [f"# Bluetooth adapter {one}.\n" for one in found.adapters]
    if found.fault is not None:
        return "".join(parts) + f"# Bluetooth does not work: {found.fault}\n"
    told = [as_stanza(number, advert, drivers) for number, advert in enumerate(found.adverts, 1)]
    parts += [text for text in told if text]
    return "\n".join([*parts, f"# {told.count('')} other Bluetooth devices are about.\n"])
