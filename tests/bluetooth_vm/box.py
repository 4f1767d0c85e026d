"""A box with the real bleak, bluetoothd and kernel, and emulated machines around it."""

import asyncio
import contextlib
import itertools
import os
import platform
import signal
import struct
import subprocess
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

from peripheral import Machine

from gateway.links.ble import Central
from gateway.links.ble_bluez import Bluez
from gateway.links.ble_parts import Passkey
from gateway.links.ble_radio import Radio
from protocol.errors import LinkError
from tools.air import Air, VirtualController
from tools.air import adapter as plugged_in

ADAPTER, SECOND = "AA:BB:CC:00:00:01", "AA:BB:CC:00:00:02"
PID = Path("/run/bluetoothd.pid")
BUS_PID = Path("/run/dbus.pid")
PATIENCE_S = 900.0
"""For one test: on an emulated processor of a busy machine nothing is late."""
KERNEL = tuple(map(int, platform.release().split("-")[0].split(".")[:2]))
_numbers = itertools.count(1)


class Box:
    """The gateway's radio as it runs in the field, and an air to put machines into."""

    def __init__(self, air: Air, radio: Radio) -> None:
        self.air, self.radio = air, radio
        self.bluez = Bluez()
        """Beside the radio's own, for looking at what there is."""

    async def machine(self, **settings: Any) -> Machine:
        """Make a machine with an address that BlueZ has never seen; it sleeps until it is started."""
        return machine_in(self.air, next(_numbers), **settings)

    async def awake(self, **settings: Any) -> Machine:
        machine = await self.machine(**settings)
        await machine.start()
        return machine

    def plugged(self, adapter: str = ADAPTER) -> contextlib.AbstractAsyncContextManager[None]:
        """Plug a USB adapter in; pull it out at the end."""
        return plugged(self.air, self.bluez, adapter)


def machine_in(air: Air, number: int, **settings: Any) -> Machine:
    """Return a machine with an address of its own; it sleeps until it is started."""
    controller = VirtualController(f"machine {number}", link=air)
    machine = Machine(controller, controller, address=f"F0:F1:F2:F3:F4:{number:02X}", **settings)
    machine.controller = controller
    return machine


@contextlib.asynccontextmanager
async def plugged(air: Air, bluez: Bluez, adapter: str = ADAPTER) -> AsyncIterator[None]:
    """Plug an adapter in that hears *air*, and wait until BlueZ has it; pull it out at the end."""

    async def is_there() -> bool:
        with contextlib.suppress(LinkError):
            return any(one.address == adapter for one in await bluez.adapters())
        return False

    async with plugged_in(air, adapter):
        await becomes(is_there)
        yield


def kill_bluetoothd(with_signal: signal.Signals) -> None:
    ends(PID, with_signal)


def ends(pid: Path, with_signal: signal.Signals) -> None:
    """Send a signal to the process whose number stands in the file *pid*."""
    os.kill(int(pid.read_text()), with_signal)


async def start_bluetoothd() -> None:
    await asyncio.to_thread(subprocess.run, ["/run/start-bluetoothd"], check=True)


async def restart_dbus() -> None:
    """End the system bus, which ends bluetoothd, too; start both."""
    ends(BUS_PID, signal.SIGTERM)
    await becomes(lambda: not Path(f"/proc/{PID.read_text().strip()}").exists())
    await asyncio.to_thread(subprocess.run, ["/run/start-dbus"], check=True)
    await start_bluetoothd()


def block(*, blocked: bool) -> None:
    """Do what `rfkill block bluetooth`, or unblock, does (linux/rfkill.h: CHANGE_ALL of BLUETOOTH)."""
    with Path("/dev/rfkill").open("wb", buffering=0) as switch:
        switch.write(struct.pack("<IBBBB", 0, 2, 3, blocked, 0))


async def becomes(condition: Callable[[], Any], seconds: float = 60.0) -> None:
    """Wait until *condition()*, or what it returns when awaited, is true."""
    async with asyncio.timeout(seconds):
        while True:
            found = condition()
            if await found if asyncio.iscoroutine(found) else found:
                return
            await asyncio.sleep(0.2)


@contextlib.asynccontextmanager
async def box(
    passkey: Passkey | None = None, *, adapter: bool = True, wanted: str | None = None
) -> AsyncIterator[Box]:
    """Run the gateway's radio in a box with an adapter, or where one can be plugged in later.

    The radio uses the adapter *wanted*, else the only one.
    """
    async with contextlib.AsyncExitStack() as stack:
        here = Box(Air(), Radio(Central(), Bluez(wanted), lambda address: passkey))
        stack.push_async_callback(here.bluez.close)
        if adapter:
            await stack.enter_async_context(here.plugged())
        running = asyncio.create_task(here.radio.run())
        try:
            async with asyncio.timeout(PATIENCE_S):
                yield here
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
