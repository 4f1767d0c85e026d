"""A device's clock: Current Time (2A2B), Date Time (2A08), zone (2A0F) and source (2A14).

Source: ble/sig_common.md. The clock is the device's own wall clock, without a zone.
"""

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime

from protocol.errors import MalformedValue
from protocol.gatt.device_information import TOLD
from protocol.gatt.fields import Fields
from protocol.ieee11073 import current_time, current_time_bytes, date_time, date_time_bytes
from protocol.readings import DeviceClock, Event, Notice

CURRENT_TIME, DATE_TIME = "2A2B", "2A08"
SOURCES = {0: "unknown", 1: "NTP", 2: "GPS", 4: "manual", 6: "cellular", 7: "not synchronised"}
UNKNOWN_ZONE, UNKNOWN = -128, 255
ZONES = range(-48, 57)
WRITTEN: Mapping[str, Callable[[datetime], bytes]] = {
    CURRENT_TIME: current_time_bytes,
    DATE_TIME: date_time_bytes,
}
"""How a clock is written, by the characteristic that holds it."""


def _clock(moment: datetime | None, data: bytes) -> Event:
    if moment is None:
        return Notice("gatt.clock_unknown", {"time": data.hex(" ")})
    return DeviceClock(moment, data)


def _current_time(data: bytes) -> Iterator[Event]:
    yield _clock(current_time(data).moment, data)


def _date_time(data: bytes) -> Iterator[Event]:
    yield _clock(date_time(data), data)


def _local(data: bytes) -> Iterator[Event]:
    fields = Fields(data)
    zone, summer = fields.signed(1), fields.number(1)
    if zone not in ZONES and zone != UNKNOWN_ZONE:
        raise MalformedValue(f"no time zone: {zone}")
    hours, quarters = divmod(abs(zone), 4)
    known = "unknown" if zone == UNKNOWN_ZONE else f"{'-' if zone < 0 else '+'}{hours:02}:{quarters * 15:02}"
    yield Notice(TOLD, {"zone": known, "summer_time": "unknown" if summer == UNKNOWN else str(summer)})


def _reference(data: bytes) -> Iterator[Event]:
    fields = Fields(data)
    source, accuracy = fields.number(1), fields.number(1)
    told = {"time_source": SOURCES.get(source, str(source)), "accuracy_eighths": str(accuracy)}
    yield Notice(TOLD, told | {"days": str(fields.number(1)), "hours": str(fields.number(1))})


READERS: Mapping[str, Callable[[bytes], Iterator[Event]]] = {
    CURRENT_TIME: _current_time,
    DATE_TIME: _date_time,
    "2A0F": _local,
    "2A14": _reference,
}
