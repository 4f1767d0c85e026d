"""What each device did, a row a day: attempts, results, failures by cause, how long they took, its own state.

Everything is added up from the facts as they are written, so that a year of one device is 365 rows.
"""

import sqlite3

import msgspec

from store.facts import DeviceEvent, Fact, Received

LONGEST_S = 600
"""From there on a measurement's duration is only known to have been long."""
OPENED = "link.opened"
CLOCK_READ = "clock.read"
IDENTIFIED = "device.identified"
PASSPORT = "device.passport"
ORDERED = "order.given"
BATTERY = "battery"
"""The context key under which a driver gives the charge that came with a result."""


encode = msgspec.json.Encoder().encode


class Day(msgspec.Struct, omit_defaults=True):
    """One device on one day (UTC)."""

    day: str = ""
    contacts: int = 0
    """How often its port was opened anew."""
    orders: int = 0
    """What people asked of it."""
    results: int = 0
    """Live results with values; a record from its memory tells nothing about today."""
    stored: int = 0
    failed: dict[str, int] = {}
    """Failed measurements by cause, without the device's own number behind the colon."""
    faults: dict[str, int] = {}
    """Device events by code, the harmless ones left out."""
    seconds: dict[str, int] = {}
    """Whole seconds from the first sign of a measurement to its result, and how many took so long."""
    offset_s: float | None = None
    """Device clock minus ours, as last read."""
    battery: str | None = None
    serial: str | None = None
    firmware: str | None = None


decode = msgspec.json.Decoder(Day).decode


def note(connection: sqlite3.Connection, fact: Fact) -> None:
    """Add *fact* to its device's day; facts about something else change nothing."""
    body = fact.body
    if not isinstance(body, Received | DeviceEvent):
        return
    if isinstance(body, DeviceEvent) and body.code == PASSPORT:
        connection.execute(
            """INSERT INTO passports VALUES (?, ?)
               ON CONFLICT (device) DO UPDATE SET document = excluded.document""",
            (body.device, encode(body.detail)),
        )
        return
    key = (body.device, fact.at.utc.date().isoformat())
    row: tuple[bytes] | None = connection.execute(
        "SELECT document FROM device_days WHERE device = ? AND day = ?", key
    ).fetchone()
    day = decode(row[0]) if row else Day()
    _add(day, fact)
    connection.execute(
        """INSERT INTO device_days VALUES (?, ?, ?)
           ON CONFLICT (device, day) DO UPDATE SET document = excluded.document""",
        (*key, encode(day)),
    )


def days(connection: sqlite3.Connection, device: str, limit: int) -> list[Day]:
    """Return the device's latest days on which anything happened, newest first."""
    found = connection.execute(
        "SELECT day, document FROM device_days WHERE device = ? ORDER BY day DESC LIMIT ?", (device, limit)
    )
    return [msgspec.structs.replace(decode(document), day=day) for day, document in found]


def passport(connection: sqlite3.Connection, device: str) -> dict[str, str]:
    """Return the device's passport as it was last written; empty where nobody wrote one."""
    row: tuple[bytes] | None = connection.execute(
        "SELECT document FROM passports WHERE device = ?", (device,)
    ).fetchone()
    return msgspec.json.decode(row[0], type=dict[str, str]) if row else {}


def _add(day: Day, fact: Fact) -> None:
    if isinstance(fact.body, Received):
        _result(day, fact.body, fact)
    elif isinstance(fact.body, DeviceEvent):
        _event(day, fact.body)


def _result(day: Day, body: Received, fact: Fact) -> None:
    day.serial = body.serial or day.serial
    day.battery = body.context.get(BATTERY, day.battery)
    if body.stored:
        day.stored += 1
        return
    if body.clock_offset_s is not None:
        day.offset_s = body.clock_offset_s
    if body.failed:
        cause = body.failed.partition(":")[0]
        day.failed[cause] = day.failed.get(cause, 0) + 1
        return
    day.results += 1
    if body.began.boot_id == fact.at.boot_id:
        took = str(min(LONGEST_S, round((fact.at.boottime_ns - body.began.boottime_ns) / 1e9)))
        day.seconds[took] = day.seconds.get(took, 0) + 1


def _event(day: Day, body: DeviceEvent) -> None:
    if body.code == OPENED:
        day.contacts += 1
    elif body.code == CLOCK_READ:
        day.offset_s = float(body.detail["offset_s"]) if "offset_s" in body.detail else day.offset_s
    elif body.code == IDENTIFIED:
        day.serial = body.detail.get("serial", day.serial)
        day.firmware = body.detail.get("firmware", day.firmware)
        day.battery = body.detail.get(BATTERY, day.battery)
    elif body.code == ORDERED:
        day.orders += 1
    elif "frame" not in body.detail:  # one that carries a frame is a result we have no measure for
        day.faults[body.code] = day.faults.get(body.code, 0) + 1
