"""Opens what a driver needs: a serial line, a HID device, or a Bluetooth device through the radio."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING

from drivers.catalogue import Advertisement, AnyLink, Gatt, Hid
from gateway.links import Link
from gateway.links.cp2110 import Cp2110Link
from gateway.links.hid import held, node, open_hid
from gateway.links.ports import ROOT, hids, resolve
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

    A line may lie behind a HID device (see `cp2110`). Raises as `open_serial`, `open_hid` and `Radio.connect`
    do. Only a line has settings: stated ones say
    nothing to others. For a Bluetooth device that is connected to, this waits until it wakes.
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
    line = LineSettings.of(device, configured)
    if (cable := _bridge(port, root)) is not None:
        return await Cp2110Link.opened(port, held(port, cable), line)
    return await open_serial(port, line)


def _bridge(port: str, root: Path) -> Path | None:
    """Return the HID device a line is behind, None for a plain port. Raises Unavailable: `link.ambiguous`."""
    try:
        return node(resolve(port, root, hids))
    except Unavailable as nothing:
        if nothing.code == "link.ambiguous":
            raise
        return None
