"""What a device's days say: slower, failing more, coming and going, calibration due; else as ever."""

from datetime import date, datetime, timedelta

from gateway import messages, wear
from store.history import Day

TODAY = date(2026, 6, 1)


def days(first: int, last: int, **each: object) -> list[Day]:
    """Return a day each from *first* to *last* days ago, newest first."""
    return [Day(day=(TODAY - timedelta(days=ago)).isoformat(), **each) for ago in range(first, last + 1)]


def codes(some: list[Day], **passport: str) -> dict[str, str]:
    return {sign.code: sign.evidence for sign in wear.signs(some, passport, TODAY)}


def test_a_new_device_is_too_young_to_judge():
    assert codes([]) == {"wear.too_few": "0 / 0"}
    assert list(codes(days(0, 3, results=5, seconds={"30": 5}))) == ["wear.too_few"]


def test_one_that_works_as_before():
    assert codes(days(0, 60, results=4, seconds={"30": 4}, contacts=1)) == {"wear.as_ever": "30 s → 30 s"}


def test_one_that_takes_longer():
    slow = days(0, 13, results=4, seconds={"41": 2, "47": 2})
    usual = days(14, 60, results=4, seconds={"29": 1, "31": 3})
    assert codes([*slow, *usual]) == {"wear.slower": "31 s → 41 s"}
    assert codes([*usual, *slow])  # the order in which days are handed over is of no account


def test_one_second_more_is_not_slower():
    some = [*days(0, 13, results=4, seconds={"3": 4}), *days(14, 60, results=4, seconds={"2": 4})]
    assert list(codes(some)) == ["wear.as_ever"]


def test_one_that_fails_more_often_names_the_causes():
    failing = days(0, 13, results=4, failed={"movement": 1, "cuff_loose": 2})
    usual = days(14, 60, results=9, failed={"movement": 1})
    assert codes([*failing, *usual]) == {"wear.failing": "10% → 43%: cuff_loose 28, movement 14"}


def test_one_whose_cable_is_loose():
    some = [*days(0, 13, results=4, contacts=9), *days(14, 60, results=4, contacts=1)]
    assert codes(some) == {"wear.contact_lost": "1.0 → 9.0"}


def test_the_clock_counts_as_it_was_read_last():
    some = [*days(0, 0, results=1, offset_s=-3600.0), *days(1, 60, results=4, offset_s=2.0)]
    assert codes(some)["wear.clock_off"] == "-60 min"
    assert "wear.clock_off" not in codes(days(0, 60, results=4, offset_s=59.0))


def test_calibration():
    usual = days(0, 60, results=4)
    assert "wear.calibration_over" in codes(usual, calibration_due="2026-05-31")
    assert "wear.calibration_soon" in codes(usual, calibration_due="2026-06-20")
    assert list(codes(usual, calibration_due="2026-12-31")) == ["wear.as_ever"]
    assert list(codes(usual, calibration_due="soon")) == ["wear.as_ever"]


def test_the_gravest_comes_first_and_all_have_words():
    some = [
        *days(0, 13, results=4, seconds={"60": 4}, failed={"movement": 4}),
        *days(14, 60, results=4, seconds={"30": 4}),
    ]
    found = wear.signs(some, {}, TODAY)
    assert [sign.weight for sign in found] == ["act", "watch"]
    for sign in found:
        assert sign.evidence in messages.text(sign.code, "en", evidence=sign.evidence)


def test_a_clock_that_gains_is_told_with_what_it_gains_a_day():
    steady = [*days(0, 13, results=4), *days(14, 60, results=4)]
    for ago, day in enumerate(steady):
        day.offset_s = 40.0 - 3.0 * ago
    assert codes(steady)["wear.clock_drifts"] == "+3.0 s/d"
    assert "wear.clock_jumps" not in codes(steady)


def test_a_clock_that_was_set_starts_anew_and_says_nothing_of_how_it_runs():
    some = days(0, 60, results=4, offset_s=1.0)
    for day in some[2:]:
        day.offset_s = -500.0
    assert codes(some)["wear.clock_jumps"] == "1"
    assert "wear.clock_drifts" not in codes(some)


def test_a_clock_at_its_makers_date_has_lost_its_time():
    reset = (datetime(2000, 1, 2) - datetime(2026, 6, 1)).total_seconds()
    some = [*days(0, 0, results=1, offset_s=reset), *days(1, 60, results=4, offset_s=2.0)]
    found = codes(some)
    assert found["wear.clock_lost"] == "2000-01-02"
    assert "wear.clock_off" not in found


def test_which_of_two_clocks_is_wrong_is_not_said_while_ours_is_not_kept():
    some = days(0, 60, results=4, offset_s=7200.0, offset_unsure=True)
    assert codes(some)["wear.clock_apart"] == "+2 h"
    assert "wear.clock_off" not in codes(some)


def test_a_box_that_woke_up_in_1970_still_knows_which_days_were_the_last():
    slow = days(0, 13, results=4, seconds={"41": 4})
    usual = days(14, 60, results=4, seconds={"31": 4})
    found = wear.signs([*slow, *usual], {"calibration_due": "2026-05-31"}, date(1970, 1, 1))
    assert {sign.code for sign in found} == {"wear.slower", "wear.calibration_over"}
