"""What the histories are worth: each fault planted into the handling of time ends one of a few in a lie."""

from collections.abc import Callable
from datetime import timedelta

import pytest

from gateway import times, times_known, times_later
from gateway.times import Known, Stretch
from store import clocks
from store.facts import Instant
from tools.faults.clocks import Lie, many

Plant = Callable[[pytest.MonkeyPatch], None]
FIRST, ENOUGH = 200_000, 40


def steps_go_unseen(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(clocks, "turns", lambda course, at: course is None or course.boot_id != at.boot_id)


def nothing_is_put_right(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(times_later, "_better", lambda was, now: False)


def the_wall_clock_is_believed(patch: pytest.MonkeyPatch) -> None:
    def believed(boots: object, at: Instant) -> Known:
        return Known(at.utc, "arrival", sure=at.synchronised, settled=True)

    patch.setattr(times_known, "known", believed)


def nobody_allows_for_drift(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(times, "_drift", lambda span: timedelta())


def boots_follow_each_other_at_once(patch: pytest.MonkeyPatch) -> None:
    real = times._not_after

    def hasty(*about: object) -> object:
        found = real(*about)  # type: ignore[arg-type]
        return found and found - timedelta(hours=5)

    patch.setattr(times, "_not_after", hasty)


def it_is_done_over_and_over(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(times_later, "_better", lambda was, now: True)


def the_last_synchronisation_is_taken_for_all(patch: pytest.MonkeyPatch) -> None:
    real = times._within_boot

    def last(kept: list[Stretch], at: Instant) -> Known:
        return real(kept[-1:], at)._replace(sure=True)

    patch.setattr(times, "_within_boot", last)


PLANTED = (
    steps_go_unseen,
    nothing_is_put_right,
    the_wall_clock_is_believed,
    nobody_allows_for_drift,
    boots_follow_each_other_at_once,
    it_is_done_over_and_over,
    the_last_synchronisation_is_taken_for_all,
)


@pytest.mark.parametrize("plant", PLANTED)
def test_fault_is_caught(plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    plant(monkeypatch)
    with pytest.raises(ExceptionGroup) as caught:
        many(FIRST, ENOUGH)
    assert caught.group_contains(Lie)
