"""IEEE 11073 numbers and times against the sheet's vectors, and what must never come out of any bytes."""

from datetime import datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.errors import MalformedValue
from protocol.ieee11073 import (
    Special,
    current_time,
    current_time_bytes,
    date_time,
    date_time_bytes,
    float32,
    sfloat,
)
from tests.ble_rows import rows

SAID = {"RFU": Special.RESERVED, **{special.value: special for special in Special}}


def said(expected: object) -> Decimal | Special:
    return SAID[expected] if isinstance(expected, str) else Decimal(str(expected))


@pytest.mark.parametrize("row", rows("IEEE-11073 SFLOAT"), ids=lambda row: row["id"])
def test_sfloat_is_what_the_vector_states(row: dict[str, Any]) -> None:
    assert sfloat(bytes.fromhex(row["hex"])) == said(row["expected"]["v"])


@pytest.mark.parametrize("row", rows("IEEE-11073 FLOAT"), ids=lambda row: row["id"])
def test_float_is_what_the_vector_states(row: dict[str, Any]) -> None:
    assert float32(bytes.fromhex(row["hex"])) == said(row["expected"]["v"])


@pytest.mark.parametrize(
    ("sent", "text"),
    [
        ("f6f4", "127.0"),
        ("77b0", "0.00119"),
        ("b0f0", "17.6"),
        ("7800", "120"),
        ("0c10", "120"),
        ("fe0f", "-2"),
    ],
)
def test_a_value_is_as_precise_as_it_was_sent(sent: str, text: str) -> None:
    assert format(sfloat(bytes.fromhex(sent)), "f") == text


@given(st.integers(0, 0xFFFF))
def test_only_five_words_of_exponent_0_are_no_number(word: int) -> None:
    value = sfloat(word.to_bytes(2, "little"))
    assert isinstance(value, Special) == (0x07FE <= word <= 0x0802)
    if isinstance(value, Decimal):
        exponent, mantissa = (word >> 12 ^ 8) - 8, (word & 0xFFF ^ 0x800) - 0x800
        assert value == Decimal(mantissa) * Decimal(10) ** exponent


@given(st.integers(0, 0xFFFFFFFF))
def test_only_five_words_of_exponent_0_are_no_long_number(word: int) -> None:
    value = float32(word.to_bytes(4, "little"))
    assert isinstance(value, Special) == (0x007FFFFE <= word <= 0x00800002)


@pytest.mark.parametrize("read", [sfloat, float32, date_time, current_time])
@given(data=st.binary(max_size=12))
def test_any_other_bytes_are_refused_and_nothing_else_is_raised(read: Any, data: bytes) -> None:
    size = {sfloat: 2, float32: 4, date_time: 7, current_time: 10}[read]
    try:
        read(data)
    except MalformedValue:
        return
    assert len(data) == size


@pytest.mark.parametrize("row", rows("SIG Date Time"), ids=lambda row: row["id"])
def test_date_time_is_what_the_vector_states_and_is_written_so(row: dict[str, Any]) -> None:
    moment = datetime.fromisoformat(row["expected"]["time"])
    assert date_time(bytes.fromhex(row["hex"])) == moment
    assert date_time_bytes(moment).hex() == row["hex"]


@pytest.mark.parametrize("row", rows("SIG CTS"), ids=lambda row: row["id"])
def test_current_time_is_what_the_vector_states(row: dict[str, Any]) -> None:
    time, stated = current_time(bytes.fromhex(row["hex"])), row["expected"]
    assert time.moment == datetime.fromisoformat(stated["time"])
    assert (time.weekday, time.fractions, time.adjusted) == (
        stated["dow"],
        stated["frac256"],
        stated["adjust"],
    )


def test_current_time_is_written_with_its_day_of_the_week() -> None:
    assert current_time_bytes(datetime.fromisoformat("2024-06-15T17:17:27")).hex() == "e807060f11111b060000"


@pytest.mark.parametrize("sent", ["000008 1e052100", "e60700 1e052100", "e60708 00052100"])
def test_a_moment_with_an_unknown_part_is_not_known(sent: str) -> None:
    assert date_time(bytes.fromhex(sent)) is None


@pytest.mark.parametrize(
    "sent",
    [
        "2d0608 1e052100",
        "e6070d 1e052100",
        "e60702 1e052100",
        "e60708 1e182100",
        "0000081e0521 3c",
        "102708 1e052100",
    ],
)
def test_what_is_no_moment_is_refused(sent: str) -> None:
    with pytest.raises(MalformedValue):
        date_time(bytes.fromhex(sent))
