"""Ten characters, to the letter."""

import pytest

from tests.drivers.test_lines import said

GOOD = "blood_pressure systolic 128 mm[Hg], diastolic 82 mm[Hg], pulse_rate 66 /min"


@pytest.mark.parametrize(
    "line", ["802E5242\r\n", "802e5242", "802E5242\r", "802E524200", "802E5242zz\r\n", "\x11802E5242\r\n"]
)
def test_both_ways_to_end_a_line(line: str) -> None:
    assert said("aandd_ua767pc", line) == [GOOD]


def test_the_first_number_is_the_difference() -> None:
    assert said("aandd_ua767pc", "80FFFFFF") == [
        "blood_pressure systolic 510 mm[Hg], diastolic 255 mm[Hg], pulse_rate 255 /min"
    ]


def test_anything_but_80_is_an_error_without_values() -> None:
    assert said("aandd_ua767pc", "0A2E5242\r\n") == ["blood_pressure failed device_error:0A"]


@pytest.mark.parametrize(
    "line",
    [
        "802E524",
        "02E5242",
        "2E5242",
        "802E52420",
        "802E5242000",
        "802E5G42",
        " 802E5242",
        "802E0042",
        "802E5200",
        "8",
    ],
)
def test_another_line_is_refused(line: str) -> None:
    assert said("aandd_ua767pc", line) == ["refused device.malformed"]
