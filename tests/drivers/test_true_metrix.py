"""TRUE METRIX: commands to the byte, reports with and without A0, a sum that must match."""

from typing import Any

import pytest

from drivers.catalogue import Refusal
from drivers.true_metrix import DRIVER
from protocol import trividia
from protocol.readings import DeviceClock, Identified, Measure, Reading
from tests.silent import asked_in_silence
from tests.vector_rows import decoded, raw, rows

NAME = "true_metrix"
MORNING = "307E33E07100"
"""1 March 2026, 08:30, 113 mg/dL: month, day*100+year, hour*100+minute, value, one unknown, control."""


def message(content: str) -> bytes:
    text = f"({content})".encode()
    return text + f"{sum(text) & 0xFF:02X}".encode()


def report(text: bytes, lead: bytes = b"\xa0") -> bytes:
    return (lead + bytes([len(text)]) + text).ljust(64, b"\0")


def digits(month: int, day_year: int, time: int, value: int) -> str:
    return f"{month:X}{day_year:03X}{time:03X}{value:03X}00"


@pytest.mark.parametrize("row", rows(NAME, "host->device"), ids=lambda row: row["id"])
def test_what_a_host_sends_is_built_to_the_byte(row: dict[str, Any]) -> None:
    text = raw(row)
    assert trividia.message(text[1:-3].decode("ascii")) == text
    assert trividia.report(text[1:-3].decode("ascii")) == report(text)


@pytest.mark.parametrize("name", ["", "t010203040506", "C", "Z2", "^)(_"])
def test_what_no_sheet_lists_cannot_be_built(name: str) -> None:
    with pytest.raises(ValueError, match="never sent"):
        trividia.message(name)


@pytest.mark.parametrize("lead", [b"\xa0", b""], ids=["with A0", "without"])
def test_a_report_says_its_messages(lead: bytes) -> None:
    text = message("iMR2") + message("z1TM123456") + message("t300012010326")
    identity, clock = decoded(NAME, report(text, lead))
    assert identity == Identified("TM123456", {"model": "TRUE METRIX"})
    assert isinstance(clock, DeviceClock)
    assert clock.device_time.isoformat() == "2026-03-01T12:00:30"


@pytest.mark.parametrize("data", [message(f"g5{MORNING}"), report(message(f"g5{MORNING}"))])
def test_a_result_alone_is_read(data: bytes) -> None:
    (reading,) = decoded(NAME, data)
    assert isinstance(reading, Reading)
    assert reading.values[Measure.GLUCOSE].value == 0x71
    assert reading.device_time is not None
    assert reading.device_time.isoformat() == "2026-03-01T08:30:00"
    assert reading.evidence == (data,)


def test_a_message_that_runs_on_has_both_reports_for_evidence() -> None:
    text = message(f"g5{MORNING}")
    first, second = report(text[:7]), report(text[7:])
    (reading,) = decoded(NAME, first + second)
    assert isinstance(reading, Reading)
    assert reading.evidence == (first, second)


@pytest.mark.parametrize(
    "content",
    [
        digits(13, 126, 830, 113),
        digits(2, 3026, 830, 113),
        digits(3, 126, 2400, 113),
        digits(3, 126, 860, 113),
        digits(0, 0, 0, 0),
    ],
)
def test_a_day_that_never_was_is_refused(content: str) -> None:
    assert [type(item) for item in decoded(NAME, report(message(f"g5{content}")))] == [Refusal]


def test_one_bit_turned_over_never_gives_another_value() -> None:
    data = report(message(f"g5{MORNING}"))
    whole = decoded(NAME, data)[0]
    assert isinstance(whole, Reading)
    for place in range(len(data) * 8):
        damaged = bytearray(data)
        damaged[place // 8] ^= 1 << place % 8
        found = [item for item in decoded(NAME, bytes(damaged)) if isinstance(item, Reading)]
        assert [one.values for one in found] in ([], [whole.values])


def test_the_eleven_low_bits_are_the_value() -> None:
    (reading,) = decoded(NAME, report(message(f"g5{digits(3, 126, 830, 0x871)}")))
    assert isinstance(reading, Reading)
    assert reading.values[Measure.GLUCOSE].value == 0x71


def test_a_meter_that_is_not_there_is_woken_three_times_and_never_switched_off() -> None:
    asked = [trividia.report(name) for name in ("^", "I", "Z1")]
    assert asked_in_silence(DRIVER) == asked * 3
