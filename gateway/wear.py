"""Whether a machine is getting slower or failing more: its last days held beside those before, in words.

The limits here are ours: they only decide when a technician is told, never what becomes of a measurement.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import combinations, pairwise
from statistics import median
from typing import Literal

from store.history import JUMP_S, Day

RECENT_DAYS = 14
BEFORE_DAYS = 90
ENOUGH = 10
"""So many measurements in either time, or nothing is said about speed and failures."""
SLOWER_BY = 1.25
SLOWER_S = 3
FAILING_BY = 2.0
FAILING_SHARE = 0.1
CONTACTS_BY = 2.0
CONTACTS_A_DAY = 3.0
CLOCK_S = 60.0
"""As far as a device's clock may be off before it is said; the rule that judges a measurement is stricter."""
DRIFT_S = 2.0
"""What a clock may gain or lose a day before it is said; a quartz watch is within half a second."""
WORST_S = 20.0
"""No clock that goes gains or loses more a day."""
DRIFT_DAYS = 3
"""Days between the first and the last reading that it takes to say how a clock runs."""
LOST_DAYS = 730
"""A clock so far behind was not set wrong: it lost its time and began anew at its maker's date."""
DUE_SOON_DAYS = 30


@dataclass(frozen=True, slots=True)
class Period:
    """Some days of one device, added up."""

    days: int
    orders: int
    contacts: int
    results: int
    failed: Mapping[str, int]
    faults: Mapping[str, int]
    median_s: int | None
    """Half of the measurements took so long or less, from the first sign to the result."""

    @property
    def measurements(self) -> int:
        """Results and failures."""
        return self.results + sum(self.failed.values())

    @property
    def failing(self) -> float:
        """The share of measurements that failed."""
        return sum(self.failed.values()) / self.measurements if self.measurements else 0.0


@dataclass(frozen=True, slots=True)
class Sign:
    """One thing to tell a technician: a code of gateway/messages.py and the evidence in figures."""

    code: str
    evidence: str
    weight: Literal["good", "watch", "act"]


def period(days: Iterable[Day]) -> Period:
    """Add up *days*."""
    listed = list(days)
    seconds: Counter[int] = Counter()
    failed, faults = Counter[str](), Counter[str]()
    for day in listed:
        seconds.update({int(took): count for took, count in day.seconds.items()})
        failed.update(day.failed)
        faults.update(day.faults)
    return Period(
        days=len(listed),
        orders=sum(day.orders for day in listed),
        contacts=sum(day.contacts for day in listed),
        results=sum(day.results for day in listed),
        failed=dict(failed.most_common()),
        faults=dict(faults.most_common()),
        median_s=_median(seconds),
    )


def split(days: Sequence[Day], today: date) -> tuple[Period, Period]:
    """Return the last RECENT_DAYS and the BEFORE_DAYS before them."""
    turn = (today - timedelta(days=RECENT_DAYS)).isoformat()
    first = (today - timedelta(days=RECENT_DAYS + BEFORE_DAYS)).isoformat()
    return period(day for day in days if day.day > turn), period(
        day for day in days if first < day.day <= turn
    )


def signs(days: Sequence[Day], passport: Mapping[str, str], today: date) -> list[Sign]:
    """Return what the device's days say about it, the gravest first; never empty."""
    newest = max((date.fromisoformat(day.day) for day in days), default=today)
    today = max(today, newest)  # a box that does not know the time has not gone back in it
    recent, before = split(days, today)
    found = [*_worse(recent, before), *_clock(days), *_due(passport, today)]
    if recent.measurements < ENOUGH or before.measurements < ENOUGH:
        found.append(Sign("wear.too_few", f"{recent.measurements} / {before.measurements}", "good"))
    elif not found:
        found.append(Sign("wear.as_ever", _speed(recent, before), "good"))
    return sorted(found, key=lambda sign: ("act", "watch", "good").index(sign.weight))


def _worse(recent: Period, before: Period) -> Iterable[Sign]:
    if min(recent.measurements, before.measurements) >= ENOUGH:
        now_s, then_s = recent.median_s, before.median_s
        if now_s is not None and then_s is not None and now_s >= max(then_s * SLOWER_BY, then_s + SLOWER_S):
            yield Sign("wear.slower", _speed(recent, before), "watch")
        if recent.failing >= max(FAILING_SHARE, before.failing * FAILING_BY):
            causes = ", ".join(f"{cause} {count}" for cause, count in recent.failed.items())
            yield Sign("wear.failing", f"{before.failing:.0%} → {recent.failing:.0%}: {causes}", "act")
    often, once = _a_day(recent), _a_day(before)
    if before.days and often >= max(CONTACTS_A_DAY, once * CONTACTS_BY):
        yield Sign("wear.contact_lost", f"{once:.1f} → {often:.1f}", "act")


def _a_day(some: Period) -> float:
    return some.contacts / some.days if some.days else 0.0


def _speed(recent: Period, before: Period) -> str:
    return f"{before.median_s} s → {recent.median_s} s"


def _clock(days: Sequence[Day]) -> Iterable[Sign]:
    read = [day for day in days if day.offset_s is not None]
    if not read or read[0].offset_s is None:
        return
    newest, offset = read[0], read[0].offset_s
    if newest.offset_unsure:
        if abs(offset) >= CLOCK_S:
            yield Sign("wear.clock_apart", _span(offset), "watch")
        return
    if offset < -LOST_DAYS * 86400:
        shown = date.fromisoformat(newest.day) + timedelta(seconds=offset)
        yield Sign("wear.clock_lost", shown.isoformat(), "act")
    elif abs(offset) >= CLOCK_S:
        yield Sign("wear.clock_off", _span(offset), "watch")
    jumps, drift = _course(read)
    if jumps:
        yield Sign("wear.clock_jumps", str(jumps), "watch")
    if drift is not None and abs(drift) >= DRIFT_S:
        yield Sign("wear.clock_drifts", f"{drift:+.1f} s/d", "watch")


def _course(read: Sequence[Day]) -> tuple[int, float | None]:
    """Return how often a clock jumped in the last RECENT_DAYS, and what it gains a day since it did."""
    sure = [
        (date.fromisoformat(day.day), day.offset_s or 0.0, day.jumps) for day in read if not day.offset_unsure
    ]
    first = sure[0][0] - timedelta(days=RECENT_DAYS)
    jumps = sum(count for when, _, count in sure if when > first)
    run = sure[:1]
    for later, earlier in pairwise(sure):
        if later[2] or abs(later[1] - earlier[1]) > JUMP_S + WORST_S * (later[0] - earlier[0]).days:
            jumps += not later[2] and later[0] > first
            break
        run.append(earlier)
    span = (run[0][0] - run[-1][0]).days
    if span < DRIFT_DAYS:
        return jumps, None
    slopes = [(b[1] - a[1]) / (b[0] - a[0]).days for a, b in combinations(run[:BEFORE_DAYS], 2)]
    return jumps, median(slopes)


def _span(seconds: float) -> str:
    """Return an offset as a person says it, with its sign."""
    size = abs(seconds)
    for unit, name in ((86400, "d"), (3600, "h"), (60, "min")):
        if size >= 2 * unit:
            return f"{'+' if seconds > 0 else '-'}{size / unit:.0f} {name}"
    return f"{seconds:+.0f} s"


def _due(passport: Mapping[str, str], today: date) -> Iterable[Sign]:
    try:
        due = date.fromisoformat(passport.get("calibration_due", ""))
    except ValueError:
        return
    if due < today:
        yield Sign("wear.calibration_over", due.isoformat(), "act")
    elif due <= today + timedelta(days=DUE_SOON_DAYS):
        yield Sign("wear.calibration_soon", due.isoformat(), "watch")


def _median(seconds: Counter[int]) -> int | None:
    left = (seconds.total() + 1) // 2
    for took in sorted(seconds):
        left -= seconds[took]
        if left <= 0:
            return took
    return None
