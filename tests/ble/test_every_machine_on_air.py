"""Every Bluetooth driver against a machine on an emulated air that plays its transcripts: nothing is changed.

The radio, the link, pairing and the conductor are the service's own; what comes out is what `tests/play.py`
has the driver give in memory.
"""

import asyncio
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from lab import Lab, lab

from drivers.catalogue import Advertisement, Driver, Gatt
from drivers.dialogue import Order
from gateway.conductor import conduct
from gateway.links.ble_adverts import Advert, why
from gateway.links.replay import LeapingLoop
from protocol.errors import LinkError, ProtocolError
from protocol.framing import Noise
from protocol.readings import Event, Kind, Reading
from protocol.transcript import Gives, Silence, Transcript, reading_line
from tests.play import TRANSCRIPTS, driver_of, play, read, settings_of
from tools.air import VirtualController
from tools.peripherals import PASSKEY
from tools.recital import Recital

BLUETOOTH = [path for path in TRANSCRIPTS if driver_of(path).bluetooth]
ENDING_S = 1.0
"""In which a lost link is noticed and what the driver holds is told."""


class Kept:
    """A sink that keeps everything, and knows the records it kept."""

    def __init__(self) -> None:
        self.readings: list[Reading] = []

    async def report(self, reading: Reading) -> None:
        self.readings.append(reading)

    async def known(self, record: str) -> bool:
        return any(reading.record == record for reading in self.readings)

    async def observe(self, event: Event) -> None:
        """Nothing is done with it here."""

    def noise(self, noise: Noise) -> None:
        """Nothing is done with it here."""


def held_at(path: Path) -> int | None:
    """Return at which turn a scale falls silent while its driver holds a weight."""
    turns = read(path).turns
    if not (isinstance(driver_of(path).link, Gatt) and Kind.BODY_SIZE in driver_of(path).kinds):
        return None
    silences = (at for at, turn in enumerate(turns[:-1]) if isinstance(turn, Silence) and turn.seconds >= 8)
    return next((at for at in silences if isinstance(turns[at + 1], Gives)), None)


HOLDING = [path for path in BLUETOOTH if held_at(path) is not None]


async def passkey(_address: str) -> int:
    return PASSKEY


def on_the_air(driver: Driver, transcript: Transcript) -> tuple[list[Reading], Recital, Advert | None]:
    """Play *transcript* on an air; return the readings, the machine, and how it advertised if it did so."""
    settings = settings_of(driver, transcript)
    shaped = driver.under(settings)

    async def scenario() -> tuple[list[Reading], Recital, Advert | None]:
        orders: asyncio.Queue[Order] = asyncio.Queue()
        async with lab(lambda address: passkey) as here:
            machine = recital(here, shaped, transcript, orders)
            link = await reached(here, shaped, machine)
            kept = Kept()
            talking = asyncio.create_task(conduct(shaped, settings, link, kept, orders))
            over = asyncio.create_task(machine.over.wait())
            await asyncio.wait({talking, over}, return_when=asyncio.FIRST_COMPLETED)
            await asyncio.sleep(ENDING_S)
            for task in (over, talking):
                task.cancel()
            with suppress(LinkError, ProtocolError, asyncio.CancelledError):
                await talking
            await link.close()
            connected = isinstance(shaped.link, Gatt)
            return kept.readings, machine, here.radio.heard[machine.address] if connected else None

    with asyncio.Runner(loop_factory=LeapingLoop) as runner:
        return runner.run(scenario())


@pytest.mark.parametrize("path", BLUETOOTH, ids=lambda path: path.stem)
def test_on_the_air_a_driver_gives_what_it_gives_in_memory(path: Path) -> None:
    driver, transcript = driver_of(path), read(path)
    readings, machine, advert = on_the_air(driver, transcript)
    assert (machine.violations, machine.unsaid) == ([], [])
    assert readings == play(driver, transcript).readings
    assert advert is None or why(advert, driver), "it would be proposed for this machine"
    shaped = driver.under(settings_of(driver, transcript))
    assert machine.pairings == (isinstance(shaped.link, Gatt) and shaped.link.pairing != "none")


@pytest.mark.parametrize("path", HOLDING, ids=lambda path: path.stem)
def test_a_weight_that_stands_is_not_lost_with_the_link(path: Path) -> None:
    """The scale goes to sleep while the driver waits for what might still belong to the weight."""
    driver, transcript = driver_of(path), read(path)
    held = held_at(path)
    assert held is not None
    cut = replace(transcript, turns=transcript.turns[:held])
    readings, machine, _ = on_the_air(driver, cut)
    assert (machine.violations, machine.unsaid) == ([], [])
    given = [turn.reading for turn in transcript.turns[: held + 2] if isinstance(turn, Gives)]
    assert [reading_line(one) for one in readings] == given


def recital(here: Lab, driver: Driver, transcript, orders) -> Recital:
    controller = VirtualController("machine", link=here.air)
    assert isinstance(driver.link, Gatt | Advertisement)
    return Recital(controller, driver.link, transcript, orders=orders)


async def reached(here: Lab, driver: Driver, machine: Recital):
    if isinstance(driver.link, Advertisement):
        link = here.radio.listen(machine.address, driver.link)
        await machine.start()
        return link
    await machine.start()
    return await here.radio.connect(machine.address, driver.link)
