"""Opens what a driver needs: a serial line, a USB device, or a Bluetooth device through the radio."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING

from drivers.catalogue import Advertisement, AnyLink, Gatt, Hid
from gateway.links import Link
from gateway.links.bulk import open_bulk
from gateway.links.cp2110 import Cp2110Link
from gateway.links.hid import held, node, open_hid
from gateway.links.ports import ROOT, Bulk, bulks, candidates, resolve
from gateway.links.serial import LineSettings, Overrides, open_serial
from protocol.errors import Unavailable

if TYPE_CHECKING:
    from gateway.links.ble_radio import Radio

Opener = Callable[[str, AnyLink, Overrides | None, "Radio | None"], Awaitable[Link]]
"""Opens a port as a device needs it, as `open_link` does."""
BLUETOOTH = "ble:"
"""Begins the port of a Bluetooth device; its address follows."""


async def open_link(
    port: str,
    device: AnyLink,
    configured: Overrides | None = None,
    radio: "Radio | None" = None,
    root: Path = ROOT,
) -> Link:
    """Open *port* as *device* needs it, line settings of the configuration over the driver's.

    A line may lie behind a HID device (see `cp2110`) or be a USB device's bulk endpoints (see `bulk`).
    Raises as `open_serial`, `open_hid`, `open_bulk` and `Radio.connect` do. Only a line has settings: stated
    ones say nothing to others. For a Bluetooth device that is connected to, this waits until it wakes.
    """
    if isinstance(device, Gatt | Advertisement):
        if radio is None or not port.startswith(BLUETOOTH):
            raise Unavailable(f"{port}: not ble:AA:BB:CC:DD:EE:FF, or no radio here", code="radio.none")
        address = port.removeprefix(BLUETOOTH).upper()
        if isinstance(device, Gatt):
            return await radio.connect(address, device)
        return radio.listen(address, device)
    if isinstance(device, Hid):
        return await open_hid(port, device)
    line, target = LineSettings.of(device, configured), resolve(port, root, candidates(device))
    if (path := node(target)) is not None:
        return await Cp2110Link.opened(port, held(port, path), line)
    if device.bulk and (bulk := _bulk(target, root)) is not None:
        return await open_bulk(port, bulk)
    return await open_serial(port, line)


def _bulk(target: str, root: Path) -> Bulk | None:
    return next((one.bulk for one in bulks(root) if one.device == target), None)
