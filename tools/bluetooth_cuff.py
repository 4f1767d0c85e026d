"""A blood-pressure cuff on an emulated air that this box's own Linux and bluetoothd hear, by /dev/vhci.

`python -m tools.bluetooth_cuff` takes the orders of `simulate --script` that a cuff can follow (`measure`)
and answers alike; its port is `ble:ADDRESS`. Kernel, bluetoothd and the gateway's radio are the real ones;
the adapter and the cuff are not. For development: it needs Bumble.
"""

import asyncio
import json
import os
import struct
import sys
from collections.abc import Mapping
from datetime import datetime
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from protocol.errors import LinkError
from tools.forms import Json

if TYPE_CHECKING:
    from tools.air import Air

ADDRESS = "F0:0D:CA:FE:18:10"
ADAPTER = "00:00:5E:00:53:10"
"""The emulated adapter's address: whoever has others, too, must name it in the configuration."""
NAME = "Yuwell BP-DEMO"
VHCI = Path("/dev/vhci")
BUS = Path("/run/dbus/system_bus_socket")
MEASURES = ("systolic", "diastolic", "mean_pressure", "pulse_rate")
INTERVAL_MS = 100
TAKES_S = 1.0
"""A measurement takes a while: the second it is stamped with lies after its beginning."""


def why_not(vhci: Path = VHCI, bus: Path = BUS) -> str:
    """Return why no Bluetooth machine can be shown here, empty where one may."""
    if not os.access(vhci, os.R_OK | os.W_OK):
        return f"{vhci} is not there or not ours to open (as root: modprobe hci_vhci)"
    if not bus.exists():
        return f"no D-Bus with bluetoothd runs here ({bus})"
    if find_spec("bumble") is None:
        return "the emulated radio (Bumble) is not installed; `make setup` installs it"
    return ""


def pressure(values: Mapping[str, str], taken: datetime) -> bytes:
    """Return a Blood Pressure Measurement (2A35) in mmHg with time and pulse; whole numbers only."""
    systolic, diastolic, mean, pulse = (int(values[name]) for name in MEASURES)
    return (
        struct.pack("<BHHH", 0x06, systolic, diastolic, mean)
        + struct.pack("<HBBBBB", *taken.timetuple()[:6])
        + struct.pack("<H", pulse)
    )


class Cuff:
    """The cuff: wakes with a result, tells it to who subscribes, sleeps again."""

    def __init__(self, air: "Air") -> None:
        from bumble import hci
        from bumble.core import UUID
        from bumble.device import Device, DeviceConfiguration
        from bumble.gatt import Characteristic, CharacteristicValue, Service

        from tools.air import VirtualController

        controller = VirtualController("cuff", link=air)
        config = DeviceConfiguration(name=NAME, address=hci.Address(ADDRESS))
        config.advertising_interval_min = config.advertising_interval_max = INTERVAL_MS
        self._device = Device.from_config_with_hci(config, controller, controller)
        self._listened = asyncio.Event()
        kinds, may = Characteristic.Properties, Characteristic.Permissions
        self._told = Characteristic(UUID("2A35"), kinds.INDICATE, may(0), b"")
        self._told.on("subscription", self._heard)
        now: CharacteristicValue[bytes] = CharacteristicValue(read=lambda _connection: _now())
        clock: Characteristic[bytes] = Characteristic(UUID("2A2B"), kinds.READ, may.READABLE, now)
        self._device.add_services([Service(UUID("1810"), [self._told]), Service(UUID("1805"), [clock])])

    async def start(self) -> None:
        """Switch it on; it sleeps until somebody is measured."""
        await self._device.power_on()

    async def measure(self, values: Mapping[str, str]) -> None:
        """Measure somebody: advertise, and return once the result was told and confirmed."""
        from bumble.core import AdvertisingData

        await asyncio.sleep(TAKES_S)
        self._listened.clear()
        told = [
            (AdvertisingData.FLAGS, b"\x06"),
            (AdvertisingData.COMPLETE_LIST_OF_16_BIT_SERVICE_CLASS_UUIDS, b"\x10\x18"),
            (AdvertisingData.COMPLETE_LOCAL_NAME, NAME.encode()),
        ]
        self._device.advertising_data = bytes(AdvertisingData([*told]))
        await self._device.start_advertising(auto_restart=True)
        await self._listened.wait()
        result = pressure(values, datetime.now())  # noqa: DTZ005 - a machine's clock knows no zone
        await self._device.indicate_subscribers(self._told, result)
        await self._device.stop_advertising()
        for connection in list(self._device.connections.values()):
            await connection.disconnect()

    def _heard(self, _connection: object, _notify: bool, indicate: bool) -> None:
        if indicate:
            self._listened.set()


def _now() -> bytes:
    now = datetime.now()  # noqa: DTZ005 - a machine's clock knows no zone
    return struct.pack("<HBBBBBBBB", *now.timetuple()[:6], now.isoweekday(), 0, 0)


async def play() -> None:
    """Follow orders until standard input ends."""
    from tools.air import plugged

    try:
        async with plugged() as air:
            cuff = Cuff(air)
            await cuff.start()
            _tell({"pty": f"ble:{ADDRESS}"})
            await _follow(cuff)
    except (LinkError, OSError, TimeoutError) as fault:
        _tell({"refused": f"bluetoothd does not take an emulated adapter ({fault or 'no answer'})"})


async def _follow(cuff: Cuff) -> None:
    while line := await asyncio.to_thread(sys.stdin.readline):
        order: Json = json.loads(line)
        values = order.get("measure")
        if not isinstance(values, dict):
            _tell({"refused": "this cuff can only measure"})
            continue
        shown = {name: str(values[name]) for name in MEASURES}
        await cuff.measure(shown)
        _tell({"shown": shown})


def _tell(told: Json) -> None:
    print(json.dumps(told), flush=True)


if __name__ == "__main__":
    asyncio.run(play())
