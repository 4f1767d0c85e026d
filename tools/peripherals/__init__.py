"""The machine's side of Bluetooth drivers, written from the sheets and from nothing in `drivers/`.

What a machine tells of a result, and where it tells it, stands here; `tools/on_air.py` puts it on an air.
"""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from random import Random
from typing import Literal

from tools.simulators import Measure, OrderRefused, Show, ShowFailure, Values

ADDRESS = "F0:0D:CA:FE:18:10"
ADAPTER = "00:00:5E:00:53:10"
"""The emulated adapter's address: whoever has others, too, must name it in the configuration."""
VHCI = Path("/dev/vhci")
BUS = Path("/run/dbus/system_bus_socket")
PASSKEY = 135790
"""What a machine with a screen shows."""


@dataclass(frozen=True, slots=True)
class Result:
    """One result: the values told of it, each with its characteristic, and what the display shows."""

    values: tuple[tuple[str, bytes], ...]
    shown: Show | ShowFailure


@dataclass(frozen=True, slots=True)
class Peripheral:
    """A machine that is connected to. It sleeps; with a result it advertises until that was told.

    `told` says in which characteristics, and whether each is indicated (else notified). With `memory` results
    stay in it and are asked for through the record access control point; else each is told once, by itself.
    `measured` and `failed` make a result at a time of the machine's own clock, with its number in the memory;
    they raise OrderRefused.
    """

    name: str
    service: str
    told: Mapping[str, bool]
    measured: Callable[[Measure, datetime, int], Result]
    person: Callable[[Random], Values]
    failed: Callable[[str, datetime], Result] | None = None
    readable: Mapping[str, bytes] = field(default_factory=dict)
    pairing: Literal["none", "passkey"] = "none"
    memory: bool = False


@dataclass(frozen=True, slots=True)
class Advertiser:
    """A scale that only advertises: the values of a result are its advertisements, one after the other.

    `company` is whose data they are; None where each goes under the service that stands with it.
    """

    name: str
    measured: Callable[[Measure, datetime, int], Result]
    person: Callable[[Random], Values]
    company: int | None = None


_MODULES = {
    "sig_blood_pressure": "pressure",
    "sig_body_composition": "scales",
    "sig_glucose": "glucose",
    "sig_oximeter": "oximeter",
    "sig_thermometer": "thermometer",
    "sig_weight_scale": "scales",
    "okok_scale": "advertised",
    "xiaomi_scale": "advertised",
}


def names() -> list[str]:
    """Return the Bluetooth drivers whose machine can be simulated."""
    return sorted(_MODULES)


def peripheral(driver: str) -> Peripheral | Advertiser:
    """Return the simulated machine for *driver*, one of `names()`."""
    found = import_module(f"{__name__}.{_MODULES[driver]}").MACHINES[driver]
    assert isinstance(found, Peripheral | Advertiser)
    return found


def why_not(vhci: Path = VHCI, bus: Path = BUS) -> str:
    """Return why no Bluetooth machine can be shown here, empty where one may."""
    if not os.access(vhci, os.R_OK | os.W_OK):
        return f"{vhci} is not there or not ours to open (as root: modprobe hci_vhci)"
    if not bus.exists():
        return f"no D-Bus with bluetoothd runs here ({bus})"
    if find_spec("bumble") is None:
        return "the emulated radio (Bumble) is not installed; `make setup` installs it"
    return ""


def stamp(at: datetime) -> bytes:
    """Return a Date Time (2A08)."""
    return at.year.to_bytes(2, "little") + bytes(at.timetuple()[1:6])


def sfloat(mantissa: int, exponent: int = 0) -> bytes:
    """Return a number of 12 bits with an exponent of 4; raises OrderRefused where it does not fit."""
    if not 0 <= mantissa <= 0x7FD:
        raise OrderRefused("the number is beyond what this machine can send")
    return ((exponent & 0xF) << 12 | mantissa).to_bytes(2, "little")


NAN = b"\xff\x07"
"""No number, in 16 bits."""
