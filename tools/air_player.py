"""Plays a simulated Bluetooth machine on an emulated air that this box's own bluetoothd hears (/dev/vhci)."""

import asyncio
import sys
from collections.abc import Callable, Mapping
from random import Random

from protocol.errors import LinkError
from tools.air import Air, VirtualController, plugged
from tools.forms import Json
from tools.on_air import AdvertMachine, GattMachine, OnAir
from tools.orders import cues_in, parsed, seconds_of
from tools.peripherals import ADDRESS, PASSKEY, Advertiser, peripheral
from tools.player import MachineClock
from tools.simulators import Measure, OrderRefused, Values

NOT_HERE = ("wrong_baud", "corrupt")


class AirPlayer:
    """The machine for *driver* on an *air*, and a person who follows orders at it.

    *tell* gets a JSON object for everything that person would see, as `tools/player.py` tells it.
    """

    def __init__(
        self, driver: str, air: Air, tell: Callable[[Json], None], *, seed: int = 0, clock_offset: float = 0.0
    ) -> None:
        found = peripheral(driver)
        controller = VirtualController("machine", link=air)
        self._clock = MachineClock(clock_offset)
        self._tell, self._person = tell, found.person
        self._chance = Random(seed)  # noqa: S311 (plausible people, no secret)
        self._passkey = not isinstance(found, Advertiser) and found.pairing == "passkey"
        self._machine: OnAir = (
            AdvertMachine(controller, found, self._clock, tell)
            if isinstance(found, Advertiser)
            else GattMachine(controller, found, self._clock, tell)
        )

    async def start(self) -> None:
        """Switch the machine on and tell its port, and the digits that it shows to who pairs."""
        await self._machine.start()
        told: Json = {"port": f"ble:{ADDRESS}"}
        self._tell({**told, "passkey": f"{PASSKEY:06}"} if self._passkey else told)

    async def order(self, line: bytes) -> None:
        """Follow the order written on *line*; one that cannot be is told as `refused`."""
        try:
            await self._follow(parsed(line))
        except (ValueError, OrderRefused) as error:
            self._tell({"refused": str(error)})

    async def somebody(self) -> None:
        """Let a plausible person use the machine."""
        await self._machine.take(Measure(self._someone()))

    def _someone(self) -> Values:
        return self._person(self._chance)

    async def _follow(self, given: Mapping[str, object]) -> None:
        if impossible := [name for name in NOT_HERE if name in given]:
            raise OrderRefused(f"{impossible[0]}: a radio has no baud rate, and checks every packet")
        machine = self._machine
        if "silence" in given:
            machine.silent = bool(given["silence"])
        if given.get("unplug"):
            await machine.off()
        if given.get("replug") or given.get("silence") is False:
            await machine.wake()
        if "noise" in given:
            machine.noise.append(bytes.fromhex(str(given["noise"])))
        if "clock" in given:
            self._clock.offset_s = seconds_of(given["clock"])
        machine.half |= bool(given.get("half"))
        for cue in cues_in(given, self._someone):
            await machine.take(cue)
        if "wait" in given:
            await asyncio.sleep(seconds_of(given["wait"]))


async def played(
    driver: str,
    tell: Callable[[Json], None],
    *,
    interval: float | None,
    seed: int,
    clock_offset: float,
) -> None:
    """Be the machine for *driver* beside this box's bluetoothd.

    A person uses it every *interval* seconds, for ever; with None orders come from standard input, until it
    ends. Tells `refused` where no emulated adapter can be plugged in.
    """
    try:
        async with plugged() as air:
            player = AirPlayer(driver, air, tell, seed=seed, clock_offset=clock_offset)
            await player.start()
            while interval is not None:
                await player.somebody()
                await asyncio.sleep(interval)
            while line := await asyncio.to_thread(sys.stdin.buffer.readline):
                if line.strip():
                    await player.order(line)
    except (LinkError, OSError, TimeoutError) as fault:
        tell({"refused": f"bluetoothd does not take an emulated adapter ({fault or 'no answer'})"})
