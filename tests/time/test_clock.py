"""Which time a reading counts for, and when a clock was set."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.clock import Clock, age, carried, earlier, offset
from gateway.times import Timing, boots_of, effective, known
from store.clocks import Turn, was_set
from store.facts import Instant

ZONE = ZoneInfo("Asia/Shanghai")
NOW = datetime(2026, 7, 11, 1, 0, tzinfo=UTC)
ARRIVED = Instant(NOW, 1_000_000_000_000, "boot-a", True)
UNSURE = Instant(NOW, 1_000_000_000_000, "boot-a", False)


def timing(
    *, stored: bool, said: datetime | None, offset_s: float | None, arrived: Instant = ARRIVED
) -> Timing:
    told = known(boots_of([Turn(1, None, arrived)], arrived), arrived)
    return Timing(stored, said, arrived, told, offset_s, 120.0, ZONE)


@pytest.mark.parametrize(
    ("case", "time", "quality"),
    [
        (timing(stored=False, said=None, offset_s=None), NOW, "gateway_synchronised"),
        (timing(stored=False, said=datetime(2001, 1, 1), offset_s=None), NOW, "gateway_synchronised"),
        (timing(stored=False, said=None, offset_s=None, arrived=UNSURE), NOW, "gateway_unsynchronised"),
        (timing(stored=True, said=None, offset_s=3.0), None, "unknown"),
        (timing(stored=True, said=datetime(2026, 7, 11, 8, 0), offset_s=None), None, "unknown"),
        (
            timing(stored=True, said=datetime(2026, 7, 11, 8, 0), offset_s=30.0),
            NOW - timedelta(hours=1),
            "device_synchronised",
        ),
        (
            timing(stored=True, said=datetime(2026, 7, 11, 8, 0), offset_s=420.0),
            NOW - timedelta(hours=1, minutes=7),
            "device_corrected",
        ),
        (timing(stored=True, said=datetime(2026, 7, 12, 8, 0), offset_s=0.0), None, "unknown"),
        (
            timing(stored=True, said=datetime(2026, 7, 11, 9, 1), offset_s=90.0),
            NOW - timedelta(seconds=30),
            "device_corrected",
        ),
        (
            timing(stored=True, said=datetime(2026, 7, 11, 8, 0), offset_s=420.0, arrived=UNSURE),
            NOW - timedelta(hours=1, minutes=7),
            "gateway_unsynchronised",
        ),
    ],
)
def test_effective_time(case: Timing, time: datetime | None, quality: str) -> None:
    found = effective(case)
    assert (found.time, found.quality) == (time, quality)


@given(
    st.booleans(),
    st.none() | st.datetimes(datetime(1970, 1, 2), datetime(2090, 1, 1)),
    st.none() | st.floats(-1e9, 1e9),
)
def test_never_a_future_time(stored: bool, said: datetime | None, offset_s: float | None) -> None:
    found = effective(timing(stored=stored, said=said, offset_s=offset_s))
    assert found.time is None or found.time <= NOW
    assert (found.time is None) == (found.quality == "unknown")


def test_offset_is_device_minus_ours() -> None:
    assert offset(datetime(2026, 7, 11, 9, 7), ARRIVED, ZONE) == 420.0


def later(seconds: float, *, wall: float | None = None, synchronised: bool = True) -> Instant:
    moved = NOW + timedelta(seconds=seconds if wall is None else wall)
    return Instant(moved, ARRIVED.boottime_ns + int(seconds * 1e9), "boot-a", synchronised)


def test_a_set_clock_is_seen_and_a_running_one_is_not() -> None:
    assert not was_set(ARRIVED, later(3600))
    assert was_set(ARRIVED, later(30, wall=-3600))
    assert was_set(ARRIVED, later(30, wall=40))
    assert was_set(ARRIVED, later(30, synchronised=False))


def test_order_within_a_boot_ignores_the_wall_clock() -> None:
    assert earlier(ARRIVED, later(1, wall=-9999))
    assert not earlier(later(1, wall=-9999), ARRIVED)


def test_the_real_clock_runs() -> None:
    clock = Clock()
    first, second = clock.now(), clock.now()
    assert earlier(first, second)
    assert not was_set(first, second)
    assert first.utc.tzinfo is not None


def test_how_long_ago_is_told_by_the_time_since_boot() -> None:
    assert age(ARRIVED, later(90, wall=-9999)) == 90.0
    assert age(later(90, wall=1e9), later(100)) == 10.0
    other = Instant(NOW - timedelta(hours=2), 5, "boot-b", True)
    assert age(other, ARRIVED) == 7200.0


def test_an_offset_is_carried_over_a_step_of_our_own_clock() -> None:
    assert carried(30.0, ARRIVED, later(60)) == 30.0
    assert carried(30.0, ARRIVED, later(60, wall=60 + 3600)) == 30.0 - 3600
    assert carried(30.0, ARRIVED, Instant(NOW, 5, "boot-b", True)) == 30.0


class Halting:
    """A kernel that lets another program run between two looks, twice."""

    def __init__(self) -> None:
        self._ns = 0
        self._halts = 2

    def boottime_ns(self) -> int:
        self._ns += 1000
        return self._ns

    def wall(self) -> datetime:
        if self._halts:
            self._halts -= 1
            self._ns += 10**9
        return NOW + timedelta(microseconds=self._ns / 1000)

    def boot_id(self) -> str:
        return "boot-a"

    def synchronised(self) -> bool:
        return True


def test_both_clocks_are_read_in_one_moment() -> None:
    clock = Clock(Halting())
    first, second = clock.now(), clock.now()
    assert not was_set(first, second)
    assert (
        abs((second.utc - first.utc).total_seconds() - (second.boottime_ns - first.boottime_ns) / 1e9) < 1e-4
    )
