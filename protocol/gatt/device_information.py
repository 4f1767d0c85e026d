"""What a device says of itself: Device Information (180A) and Battery (180F). Source: ble/sig_common.md.

Many cheap devices leave placeholders where a serial number should stand; a placeholder names no device.
"""

import re
from collections.abc import Callable, Iterator, Mapping

from protocol.errors import MalformedValue
from protocol.gatt.fields import Fields
from protocol.readings import Event, Identified, Notice

TOLD = "gatt.told"
SERIAL = "2A25"
BATTERY = "2A19"
STRINGS = {
    "2A29": "maker",
    "2A24": "model",
    SERIAL: "serial",
    "2A26": "firmware",
    "2A27": "hardware",
    "2A28": "software",
}
PLACEHOLDER = re.compile(
    r"(serial *(number|no\.?)|sn|n/?a|none|unknown|(.)\3*|0*123456789?0?)", re.IGNORECASE
)
"""Ours: what is no serial number of one device."""


def text(data: bytes) -> str:
    """Return a string as a device sends it, without the zeros and blanks that fill it up."""
    try:
        said = data.split(b"\0")[0].decode("utf-8").strip()
    except UnicodeDecodeError as foreign:
        raise MalformedValue("not UTF-8") from foreign
    if not said.isprintable():
        raise MalformedValue("not a printable string")
    return said


def serial_number(said: str) -> str:
    """Return *said* where it can name one device, else nothing."""
    return "" if PLACEHOLDER.fullmatch(said) else said


def battery(data: bytes) -> str:
    """Return the battery level as it is shown; coarse on some devices."""
    if len(data) != 1 or data[0] > 100:
        raise MalformedValue(f"no battery level: {data.hex(' ')}")
    return f"{data[0]} %"


def described(serial: str, detail: Mapping[str, str]) -> Event:
    """Return what a device said of itself; without a serial number it has no name."""
    return Identified(serial, detail) if serial else Notice(TOLD, detail)


def _string(name: str) -> Callable[[bytes], Iterator[Event]]:
    def read(data: bytes) -> Iterator[Event]:
        said = text(data)
        yield described(serial_number(said), {}) if name == "serial" else Notice(TOLD, {name: said})

    return read


def _battery(data: bytes) -> Iterator[Event]:
    yield Notice(TOLD, {"battery": battery(data)})


def _system(data: bytes) -> Iterator[Event]:
    if len(data) != 8:
        raise MalformedValue("a System ID has 8 bytes")
    yield Notice(TOLD, {"system_id": data[::-1].hex()})


def _product(data: bytes) -> Iterator[Event]:
    fields = Fields(data)
    told = {"vendor_source": str(fields.number(1))}
    told |= {name: f"{fields.number(2):04x}" for name in ("vendor", "product", "version")}
    yield Notice(TOLD, told)


READERS: Mapping[str, Callable[[bytes], Iterator[Event]]] = {
    **{characteristic: _string(name) for characteristic, name in STRINGS.items()},
    BATTERY: _battery,
    "2A23": _system,
    "2A50": _product,
}
