"""The box's Bluetooth, where a device needs it: an adapter to use, a kernel that survives a lost bond."""

import asyncio
import re

from drivers import catalogue
from gateway.config import DeviceConfig
from gateway.links.ble_adapters import AdapterInfo
from gateway.links.ble_adapters import chosen as choose
from gateway.links.ble_bluez import Bluez
from protocol.errors import LinkError
from tools.checks.report import Box, Check, Fact, told

NAME = "Bluetooth"
SURVIVES = (6, 12)
"""The oldest kernel that was seen to survive a machine which forgot its bond (docs/bluetooth.md)."""
CRASHES = (6, 1)
"""Debian 12's: it crashed each time."""


def port(device: DeviceConfig) -> Check | None:
    """Return the outcome for a Bluetooth device's port, None for another's: only its next waking tells."""
    if not device.port.startswith("ble:"):
        return None
    said = f"{device.port}, heard when it wakes; `devices scan` shows who is about"
    return Check(f"port of {device.name}", "ok", said, facts={"driver": device.driver, "bluetooth": True})


def adapter(box: Box) -> Check | None:
    """There is one adapter to use; None where no device speaks Bluetooth. Nothing is switched on or off."""
    known = catalogue.every()
    if not any(device.driver in known and known[device.driver].bluetooth for device in box.config.devices):
        return None
    try:
        chosen = asyncio.run(_chosen(box))
    except LinkError as error:
        return told(NAME, error, "systemctl status bluetooth")
    facts: dict[str, Fact] = {"powered": chosen.powered, "kernel": _release(box)}
    said = f"{chosen.name} {chosen.address}" + ("" if chosen.powered else ", off: the service switches it on")
    if CRASHES <= _kernel(box) < SURVIVES:
        means = "On such a kernel a machine that forgot its bond (new battery) can crash the box's Bluetooth."
        do = "Run Debian 13 on this box, or keep its watchdog on (docs/bluetooth.md)."
        return Check(NAME, "warn", f"{said}; kernel {_release(box)}", means, do, "uname -r", facts)
    return Check(NAME, "ok", said, facts=facts)


async def _chosen(box: Box) -> AdapterInfo:
    bluez = Bluez(box.config.bluetooth.adapter, box.root)
    try:
        return choose(await bluez.adapters(), box.config.bluetooth.adapter, box.root)
    finally:
        await bluez.close()


def _release(box: Box) -> str:
    return box.text("proc/sys/kernel/osrelease")


def _kernel(box: Box) -> tuple[int, int]:
    found = re.match(r"(\d+)\.(\d+)", _release(box))
    return (int(found[1]), int(found[2])) if found else (0, 0)
