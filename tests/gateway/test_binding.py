"""Whose reading: one person for certain, else the tray."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from gateway.binding import BindingCase, OpenExam, decide
from store.facts import Instant

BOOT = "boot-a"
START = datetime(2026, 7, 11, 1, 0, tzinfo=UTC)


def at(seconds: float, boot: str = BOOT) -> Instant:
    return Instant(START + timedelta(seconds=seconds), int(seconds * 1e9), boot, True)


A = OpenExam("e-a", "r-a", at(10), 1)
B = OpenExam("e-b", "r-b", at(20), 2)
LIVE = BindingCase(stored=False, began=at(30), open_exams=[A], pointed=None, latest_order=1)


def test_one_open_exam_takes_a_live_reading() -> None:
    assert decide(LIVE).exam == A


@pytest.mark.parametrize(
    ("case", "code"),
    [
        (replace(LIVE, stored=True), "tray.stored"),
        (replace(LIVE, stored=True, pointed="e-a"), "tray.stored"),
        (replace(LIVE, open_exams=[]), "tray.no_exam"),
        (replace(LIVE, open_exams=[A, B], latest_order=2), "tray.several_exams"),
        (replace(LIVE, began=at(9.999)), "tray.before_exam"),
        (replace(LIVE, pointed="e-a", began=at(9)), "tray.before_exam"),
        (replace(LIVE, latest_order=2), "tray.other_opened"),
        (replace(LIVE, pointed="e-closed"), "tray.pointed_closed"),
    ],
)
def test_everything_doubtful_goes_to_the_tray(case: BindingCase, code: str) -> None:
    decision = decide(case)
    assert decision.exam is None
    assert decision.code == code


def test_a_pointed_device_measures_its_person_among_several() -> None:
    case = replace(LIVE, open_exams=[A, B], pointed="e-a", latest_order=2)
    assert decide(case).exam == A


def test_a_clock_set_back_between_opening_and_measuring_changes_nothing() -> None:
    began = replace_utc(at(30), START - timedelta(days=365))
    assert decide(replace(LIVE, began=began)).exam == A


def replace_utc(instant: Instant, utc: datetime) -> Instant:
    return Instant(utc, instant.boottime_ns, instant.boot_id, instant.synchronised)


def test_an_exam_opened_before_a_reboot_still_counts_as_opened_before() -> None:
    began = Instant(START + timedelta(seconds=30), 5, "boot-b", True)
    assert decide(replace(LIVE, began=began)).exam == A
