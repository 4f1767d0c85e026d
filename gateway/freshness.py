"""When was it measured? A Bluetooth machine hands over what it has when it is heard, which may be later.

A driver calls a result live where the machine's clock, as read at this contact, says that it is fresh. In the
minute between, another person may have sat down: so the measurement began when that clock says it was made,
not when it came. One that is old after all is the memory's: it is never bound by itself.
"""

from dataclasses import dataclass, replace
from datetime import timedelta
from zoneinfo import ZoneInfo

from gateway import clock
from protocol.readings import Reading
from store.facts import Instant

FRESH_S = 300.0
"""Ours, and a net below the drivers, which are stricter: no older a live result may be."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """When a reading came, and the machine's clock minus ours as read at this contact, None if it was not."""

    at: Instant
    clock_offset_s: float | None
    zone: ZoneInfo


def measured(reading: Reading, arrival: Arrival) -> tuple[Reading, Instant]:
    """Return *reading*, as stored where it is not fresh, and the instant by which it had been measured.

    Without a time in it, or where the machine's clock was not read, a live one was measured on arrival.
    """
    if reading.stored or reading.device_time is None or arrival.clock_offset_s is None:
        return reading, arrival.at
    age = arrival.clock_offset_s - clock.offset(reading.device_time, arrival.at, arrival.zone)
    if age > FRESH_S:
        return replace(reading, stored=True), arrival.at
    return reading, _before(arrival.at, max(0.0, age))


def _before(instant: Instant, seconds: float) -> Instant:
    return Instant(
        utc=instant.utc - timedelta(seconds=seconds),
        boottime_ns=instant.boottime_ns - round(seconds * 1e9),
        boot_id=instant.boot_id,
        synchronised=instant.synchronised,
    )
