"""Which time a reading counts for, and when a clock was set."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.clock import Clock, Timing, earlier, effective, offset, was_set
from store.facts import Instant

ZONE = ZoneInfo("Asia/Shanghai")
NOW = datetime(2026, 7, 11, 1, 0, tzinfo=UTC)
ARRIVED = Instant(NOW, 1_000_000_000_000, "boot-a", True)
UNSURE = Instant(NOW, 1_000_000_000_000, "boot-a", False)


def timing(
    *, stored: bool, said: datetime | None, offset_s: float | None, arrived: Instant = ARRIVED
) -> Timing:
    return Timing(stored, said, arrived, offset_s, 120.0, ZONE)


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
