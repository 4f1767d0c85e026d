"""What time it is, in every way this box can say it.

A box may have no real-time clock: every instant carries the wall clock, the time since boot, the boot it
belongs to and whether the kernel calls the wall clock synchronised. Within one boot, order is decided by
the time since boot only; across boots, by the order of the journal.
"""

import ctypes
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol
from zoneinfo import ZoneInfo

from store.clocks import ran_on
from store.facts import Instant

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
TOGETHER_NS = 1_000_000
"""Both clocks are read within this, or once more: else a pause between them would look like a step."""
TRIES = 5

_LIBC = ctypes.PyDLL(None, use_errno=True)  # what is called never waits: other threads need not be let in
_STA_UNSYNC = 0x0040
_TIME_ERROR = 5


def kernel_synchronised() -> bool:
    """Return whether the kernel calls its clock synchronised.

    adjtimex(2): state is not TIME_ERROR and STA_UNSYNC is not set, which systemd-timesyncd, ntpd and chrony
    (with `rtcsync`, as Debian ships it) take care of; setting the clock by hand sets that again. False where
    the kernel will not say.
    """
    timex = (ctypes.c_long * 64)()
    try:
        state = _LIBC.adjtimex(ctypes.byref(timex))
    except (OSError, AttributeError):
        return False
    status = ctypes.c_int.from_buffer(timex, 5 * ctypes.sizeof(ctypes.c_long)).value
    return 0 <= state < _TIME_ERROR and not status & _STA_UNSYNC


class Source(Protocol):
    """Where the time comes from: all that a test or simulation has to replace."""

    def wall(self) -> datetime:
        """Return the wall clock, aware."""
        ...

    def boottime_ns(self) -> int:
        """Return the time since boot, suspension included; it never goes back."""
        ...

    def boot_id(self) -> str:
        """Return what names this boot."""
        ...

    def synchronised(self) -> bool:
        """Return whether the wall clock is kept right by somebody who knows."""
        ...


class System:
    """The kernel's clocks; the boot id is read once."""

    def __init__(self) -> None:
        self._boot_id = BOOT_ID.read_text(encoding="ascii").strip()

    def wall(self) -> datetime:
        """See Source."""
        return datetime.now(UTC)

    def boottime_ns(self) -> int:
        """See Source."""
        return time.clock_gettime_ns(time.CLOCK_BOOTTIME)

    def boot_id(self) -> str:
        """See Source."""
        return self._boot_id

    def synchronised(self) -> bool:
        """See Source."""
        return kernel_synchronised()


class Clock:
    """Gives instants."""

    def __init__(self, source: Source | None = None) -> None:
        """Without *source* the kernel's clocks are read."""
        self._source = source or System()

    def now(self) -> Instant:
        """Return this instant; wall clock and time since boot belong to one moment, within TOGETHER_NS."""
        source = self._source
        for _ in range(TRIES):
            before, utc, after = source.boottime_ns(), source.wall(), source.boottime_ns()
            if after - before <= TOGETHER_NS:
                break
        return Instant(utc, (before + after) // 2, source.boot_id(), source.synchronised())


def earlier(first: Instant, second: Instant) -> bool:
    """Return whether *first*, of the journal, is not later than *second*, of this boot.

    By time since boot; what another boot wrote is earlier.
    """
    return first.boot_id != second.boot_id or first.boottime_ns <= second.boottime_ns


def age(then: Instant, now: Instant) -> float:
    """Return how many seconds ago *then* was; within a boot that is so whatever the wall clock did."""
    if then.boot_id == now.boot_id:
        return max(0.0, (now.boottime_ns - then.boottime_ns) / 1e9)
    return max(0.0, (now.utc - then.utc).total_seconds())


def local(device_time: datetime, zone: ZoneInfo, near: datetime) -> datetime:
    """Return the moment at which a clock in *zone* shows this naive time.

    Of the two moments of an hour that comes twice, the one nearer to *near*; an hour that is left out is read
    as if the clocks had not been put forward.
    """
    first = device_time.replace(tzinfo=zone, fold=0)
    second = device_time.replace(tzinfo=zone, fold=1)
    twice = first.utcoffset() != second.utcoffset() and first.utcoffset() > second.utcoffset()  # type: ignore[operator]
    chosen = second if twice and abs(second - near) < abs(first - near) else first
    return chosen.astimezone(UTC)


def offset(device_time: datetime, now: Instant, zone: ZoneInfo) -> float:
    """Return device clock minus ours in seconds; the device's naive time is read in *zone*."""
    return (local(device_time, zone, now.utc) - now.utc).total_seconds()


def carried(offset_s: float, read: Instant, now: Instant) -> float:
    """Return the offset read at *read* as against our clock of *now*, which may have been set in between."""
    if read.boot_id != now.boot_id:
        return offset_s
    return offset_s - (now.utc - ran_on(read, now).utc).total_seconds()
