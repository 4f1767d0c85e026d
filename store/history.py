"""What each device did, a row a day: attempts, results, failures by cause, how long they took, its own state.

Everything is added up from the facts as they are written, so that a year of one device is 365 rows.
"""

import sqlite3
from collections.abc import Iterable, Mapping
from datetime import date, timedelta

import msgspec

from store.facts import DeviceEvent, Fact, Instant, Received

JUMP_S = 120.0
"""No machine's clock runs wrong by so much within a day: it was set, or lost its time."""
UNKEPT_DAYS = 60
"""So many days at most our clock is believed to go on by itself, when a day is written down for a machine."""
UP_TO = "+"
"""Ends a day up to which a device's days cannot be added up again (`Pruned.days`)."""
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
    offset_unsure: bool = False
    """Our own clock was not synchronised then."""
    jumps: int = 0
    """How often its clock was set or lost its time since it was read before on this day."""
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
    newest: tuple[str, bytes] | None = connection.execute(
        "SELECT day, document FROM device_days WHERE device = ? ORDER BY day DESC LIMIT 1", (body.device,)
    ).fetchone()
    key = (body.device, _day(newest[0] if newest else None, fact.at))
    day = decode(newest[1]) if newest and newest[0] == key[1] else _earlier(connection, key)
    _add(day, fact)
    connection.execute(
        """INSERT INTO device_days VALUES (?, ?, ?)
           ON CONFLICT (device, day) DO UPDATE SET document = excluded.document""",
        (*key, encode(day)),
    )


def _earlier(connection: sqlite3.Connection, key: tuple[str, str]) -> Day:
    row: tuple[bytes] | None = connection.execute(
        "SELECT document FROM device_days WHERE device = ? AND day = ?", key
    ).fetchone()
    return decode(row[0]) if row else Day()


def _day(newest: str | None, at: Instant) -> str:
    """Return the day a fact counts for; a clock that nobody keeps goes neither back nor far ahead."""
    shown = at.utc.date()
    if not at.synchronised:
        last = date.fromisoformat(newest) if newest else shown
        if not last <= shown <= last + timedelta(days=UNKEPT_DAYS):
            return last.isoformat()
    return shown.isoformat()


def days(connection: sqlite3.Connection, device: str, limit: int) -> list[Day]:
    """Return the device's latest days on which anything happened, newest first."""
    found = connection.execute(
        "SELECT day, document FROM device_days WHERE device = ? ORDER BY day DESC LIMIT ?", (device, limit)
    )
    return [msgspec.structs.replace(decode(document), day=day) for day, document in found]


def carried(connection: sqlite3.Connection, facts: Iterable[Fact]) -> dict[str, dict[str, str]]:
    """Return what `Pruned.days` holds when the bodies of *facts* are let go."""
    found: dict[str, dict[str, str]] = {}
    for fact in facts:
        if not isinstance(fact.body, Received | DeviceEvent):
            continue
        device, day = fact.body.device, fact.at.utc.date().isoformat()
        said = found.setdefault(device, {})
        rows_ = connection.execute("SELECT day, document FROM device_days WHERE device = ?", (device,))
        if fact.at.synchronised:
            said |= {each: document.decode() for each, document in rows_ if each == day}
        else:  # which day it was counted for cannot be told afterwards
            said[max(each for each, _ in rows_) + UP_TO] = ""
    return found


def carry_on(connection: sqlite3.Connection, said: Mapping[str, Mapping[str, str]]) -> None:
    """Write days as `Pruned.days` has them, so that later facts are added to them."""
    for device, days_ in said.items():
        connection.executemany(
            """INSERT INTO device_days VALUES (?, ?, ?)
               ON CONFLICT (device, day) DO UPDATE SET document = excluded.document""",
            [(device, day, document.encode()) for day, document in days_.items() if document],
        )


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
        _event(day, fact.body, fact.at)


def _result(day: Day, body: Received, fact: Fact) -> None:
    day.serial = body.serial or day.serial
    day.battery = body.context.get(BATTERY, day.battery)
    if body.stored:
        day.stored += 1
        return
    if body.clock_offset_s is not None:
        _clock(day, body.clock_offset_s, fact.at)
    if body.failed:
        cause = body.failed.partition(":")[0]
        day.failed[cause] = day.failed.get(cause, 0) + 1
        return
    day.results += 1
    if body.began.boot_id == fact.at.boot_id:
        took = str(min(LONGEST_S, round((fact.at.boottime_ns - body.began.boottime_ns) / 1e9)))
        day.seconds[took] = day.seconds.get(took, 0) + 1


def _clock(day: Day, offset_s: float, at: Instant) -> None:
    """Note how far the device's clock is off; where ours was not kept, a jump may be ours."""
    sure = at.synchronised and not day.offset_unsure
    if sure and day.offset_s is not None and abs(offset_s - day.offset_s) > JUMP_S:
        day.jumps += 1
    day.offset_s, day.offset_unsure = offset_s, not at.synchronised


def _event(day: Day, body: DeviceEvent, at: Instant) -> None:
    if body.code == OPENED:
        day.contacts += 1
    elif body.code == CLOCK_READ:
        if "offset_s" in body.detail:
            _clock(day, float(body.detail["offset_s"]), at)
    elif body.code == IDENTIFIED:
        day.serial = body.detail.get("serial", day.serial)
        day.firmware = body.detail.get("firmware", day.firmware)
        day.battery = body.detail.get(BATTERY, day.battery)
    elif body.code == ORDERED:
        day.orders += 1
    elif "frame" not in body.detail:  # one that carries a frame is a result we have no measure for
        day.faults[body.code] = day.faults.get(body.code, 0) + 1
