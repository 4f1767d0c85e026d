"""Bluetooth LE through bleak: scanning and connecting; with `ble_link.py` the only file that imports it."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from bleak import BleakClient, BleakScanner
from bleak.args.bluez import BlueZScannerArgs
from bleak.backends.client import BaseBleakClient
from bleak.backends.device import BLEDevice
from bleak.backends.scanner import AdvertisementData, BaseBleakScanner

from gateway.links.ble_adverts import Advert, short
from gateway.links.ble_agent import passkeys_from
from gateway.links.ble_bluez import Bluez
from gateway.links.ble_link import CALL_S, FAULTS, BleLink, parted
from gateway.links.ble_parts import Found, Passkey
from gateway.links.ble_radio import Radio
from protocol.errors import Unavailable

WEAKEST_DBM = -127
"""Filters nothing out; but without a filter BlueZ 5.82 keeps to itself who does not call itself discoverable,
as many machines do not once they are bonded."""
CONNECT_S = 20.0
"""Ours: from the first advertisement to a link whose services are known."""


@dataclass(frozen=True, slots=True)
class Backend:
    """bleak's own way in for another Bluetooth than the system's; here and nowhere else is it handed over."""

    scanner: type[BaseBleakScanner] | None = None
    client: type[BaseBleakClient] | None = None


class Central:
    """This box's side of the air."""

    def __init__(self, backend: Backend | None = None) -> None:
        self._backend = backend or Backend()

    @asynccontextmanager
    async def scan(self, adapter: str, hear: Callable[[Found], None]) -> AsyncIterator[None]:
        """Scan actively as long as the context lasts. Raises Unavailable `radio.stuck` if it cannot begin."""

        def heard(device: BLEDevice, data: AdvertisementData) -> None:
            hear(Found(_advert(device, data), device))

        bluez: BlueZScannerArgs = {"adapter": adapter, "filters": {"RSSI": WEAKEST_DBM}}
        scanner = BleakScanner(heard, backend=self._backend.scanner, bluez=bluez)
        try:
            async with asyncio.timeout(CALL_S):
                await scanner.start()
        except FAULTS as fault:
            await parted(scanner.stop())
            raise Unavailable(f"scan: {fault}", code="radio.stuck") from fault
        try:
            yield
        finally:
            await parted(scanner.stop(), CALL_S)  # fails where a power cycle ended the scan

    async def connect(self, found: Found) -> "BleLink":
        """Connect to a device that is advertising. Raises Unavailable `ble.connect` or `ble.no_time`."""
        address, device = found.advert.address, found.device
        assert isinstance(device, BLEDevice)
        link = BleLink(address)
        client = BleakClient(device, link.dropped, timeout=CONNECT_S, backend=self._backend.client, bluez={})
        try:
            async with asyncio.timeout(CONNECT_S + CALL_S):
                await client.connect()
        except TimeoutError as fault:
            await parted(client.disconnect())
            raise Unavailable(f"{address}: no connection in {CONNECT_S:.0f} s", code="ble.no_time") from fault
        except FAULTS as fault:
            await parted(client.disconnect())
            raise Unavailable(f"{address}: {fault}", code="ble.connect") from fault
        link.take_over(client)
        return link


def _advert(device: BLEDevice, data: AdvertisementData) -> Advert:
    return Advert(
        address=device.address.upper(),
        name=_readable(data.local_name or device.name or ""),
        strength=data.rssi,
        services=tuple(map(short, data.service_uuids)),
        service_data={short(uuid): bytes(told) for uuid, told in data.service_data.items()},
        maker_data={company: bytes(told) for company, told in data.manufacturer_data.items()},
    )


def _readable(name: str) -> str:
    """Return a name as it may stand on a screen and in a configuration: the machine chose it itself."""
    return "".join(letter if letter.isprintable() else "?" for letter in name)


def system_radio(
    adapter: str | None,
    passkey_files: Mapping[str, Path],
    passkeys: Callable[[str], Passkey | None] = lambda address: None,
) -> Radio:
    """Return the radio of this box's BlueZ, with the only adapter there is or the named one.

    *passkeys* returns for an address how a person's digits are learned; they go before those of a file.
    """
    in_files = passkeys_from(passkey_files)
    return Radio(Central(), Bluez(adapter), lambda address: passkeys(address) or in_files(address))
