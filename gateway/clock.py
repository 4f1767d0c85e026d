"""What time it is, in every way this box can say it, and which time a measurement counts for.

A box may have no real-time clock: every instant carries the wall clock, the time since boot, the boot it
belongs to and whether the kernel calls the wall clock synchronised. Within one boot, order is decided by
the time since boot only.
"""

import ctypes
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from store.facts import Effective, Instant, Quality

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
STEP = timedelta(seconds=1)
"""A wall clock that moved more than this against the time since boot was set by somebody."""

_LIBC = ctypes.CDLL(None, use_errno=True)
_STA_UNSYNC = 0x0040
_TIME_ERROR = 5


def kernel_synchronised() -> bool:
    """Return whether the kernel calls its clock synchronised.

    adjtimex(2): state is not TIME_ERROR and STA_UNSYNC is not set. False where the kernel will not say.
    """
    timex = (ctypes.c_long * 64)()
    try:
        state = _LIBC.adjtimex(ctypes.byref(timex))
    except (OSError, AttributeError):
        return False
    status = ctypes.c_int.from_buffer(timex, 5 * ctypes.sizeof(ctypes.c_long)).value
    return 0 <= state < _TIME_ERROR and not status & _STA_UNSYNC


class Clock:
    """Gives instants; the boot id is read once."""

    def __init__(self, synchronised: Callable[[], bool] = kernel_synchronised) -> None:
        self._boot_id = BOOT_ID.read_text(encoding="ascii").strip()
        self._synchronised = synchronised

    def now(self) -> Instant:
        """Return this instant."""
        return Instant(
            utc=datetime.now(UTC),
            boottime_ns=time.clock_gettime_ns(time.CLOCK_BOOTTIME),
            boot_id=self._boot_id,
            synchronised=self._synchronised(),
        )


def was_set(before: Instant, after: Instant) -> bool:
    """Return whether the wall clock was set, or became synchronised, between two instants of one boot."""
    if before.boot_id != after.boot_id:
        return False
    elapsed = timedelta(microseconds=(after.boottime_ns - before.boottime_ns) // 1000)
    stepped = abs(after.utc - before.utc - elapsed) > STEP
    return stepped or before.synchronised != after.synchronised


def earlier(first: Instant, second: Instant) -> bool:
    """Return whether *first* is not later than *second*: by time since boot, across boots by wall clock."""
    if first.boot_id == second.boot_id:
        return first.boottime_ns <= second.boottime_ns
    return first.utc <= second.utc


def offset(device_time: datetime, now: Instant, zone: ZoneInfo) -> float:
    """Return device clock minus ours in seconds; the device's naive time is read in *zone*."""
    return (device_time.replace(tzinfo=zone) - now.utc).total_seconds()


@dataclass(frozen=True, slots=True)
class Timing:
    """All that decides a reading's effective time. `offset_s` is the device clock minus ours, if read."""

    stored: bool
    device_time: datetime | None
    arrived: Instant
    offset_s: float | None
    tolerance_s: float
    """Beyond this the device clock is not called synchronised."""
    zone: ZoneInfo


def effective(timing: Timing) -> Effective:
    """Return the time this reading counts for, with its quality and the rule that chose it.

    Rules after the PHD implementation guide's coincident timestamp (STANDARDS §3.2): a live reading counts
    for its arrival; a stored one for the device's time shifted by the offset read at the same contact; a
    stored one without that pair, or one that would lie in our future, has no trustworthy time. Never a
    future time; the device's own time is always kept beside it.
    """
    arrived = timing.arrived
    if not timing.stored:
        live: Quality = "gateway_synchronised" if arrived.synchronised else "gateway_unsynchronised"
        return Effective(time=arrived.utc, quality=live, rule="live: time of arrival")
    if timing.device_time is None:
        return Effective(time=None, quality="unknown", rule="stored: device gave no time")
    if timing.offset_s is None:
        return Effective(time=None, quality="unknown", rule="stored: device clock was not read")
    said = timing.device_time.replace(tzinfo=timing.zone).astimezone(UTC)
    shifted = said - timedelta(seconds=timing.offset_s)
    if shifted > arrived.utc:
        return Effective(time=None, quality="unknown", rule="stored: device time lies in the future")
    return _stored(said, shifted, timing)


def _stored(said: datetime, shifted: datetime, timing: Timing) -> Effective:
    close = abs(timing.offset_s or 0.0) <= timing.tolerance_s
    agrees = close and said <= timing.arrived.utc
    quality: Quality = "device_synchronised" if agrees else "device_corrected"
    if not timing.arrived.synchronised:
        quality = "gateway_unsynchronised"
    if agrees:
        return Effective(said, quality, "stored: device time, its clock agrees with ours")
    return Effective(shifted, quality, "stored: device time shifted by its clock's offset")
