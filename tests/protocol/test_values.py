"""Quantities, device times, checks and readings: what cannot be true cannot be made."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from protocol.checks import inverted_sum8, sum8
from protocol.errors import MalformedValue
from protocol.quantities import Quantity, tenths
from protocol.readings import Kind, Measure, Reading
from protocol.steady import Steady
from protocol.times import device_time

VALUES = {Measure.GLUCOSE: tenths(56, "mmol/L")}


def test_a_quantity_keeps_the_precision_it_was_sent_with() -> None:
    assert Quantity(Decimal("5.60"), "mmol/L").as_json() == {"value": "5.60", "unit": "mmol/L"}
    assert Quantity(Decimal("1E+2"), "kg").as_json()["value"] == "100"
    assert tenths(268, "mmol/L") == Quantity(Decimal("26.8"), "mmol/L")
    assert tenths(50, "mmol/L").as_json()["value"] == "5.0"
    assert Quantity(Decimal("33.3"), "mmol/L", ">").as_json()["comparator"] == ">"


@pytest.mark.parametrize("value", [Decimal("NaN"), Decimal("Infinity"), 5, 5.6, "5.6"])
def test_a_quantity_is_a_finite_decimal(value: object) -> None:
    with pytest.raises(ValueError, match="finite Decimal"):
        Quantity(value, "kg")  # type: ignore[arg-type]


def test_a_unit_is_one_of_the_contract() -> None:
    with pytest.raises(ValueError, match="unit"):
        Quantity(Decimal(1), "mmHg")


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"failed": "x"}, "never both"),
        ({"values": {}}, "never both"),
        ({"evidence": ()}, "frames it came from"),
        ({"evidence": (b"",)}, "frames it came from"),
        ({"device_time": datetime(2026, 1, 1, tzinfo=UTC)}, "naive"),
    ],
)
def test_a_reading_that_cannot_be_true_cannot_be_made(changes: dict[str, object], fault: str) -> None:
    with pytest.raises(ValueError, match=fault):
        Reading(**({"kind": Kind.GLUCOSE, "values": VALUES, "evidence": (b"x",)} | changes))  # type: ignore[arg-type]


def test_a_device_time_is_what_was_sent_or_refused() -> None:
    assert device_time(2024, 2, 29, 23, 59) == datetime(2024, 2, 29, 23, 59)
    assert device_time(2024, 2, 29, 23, 59, 58) == datetime(2024, 2, 29, 23, 59, 58)
    for impossible in [
        (2025, 2, 29, 0, 0),
        (2026, 13, 1, 0, 0),
        (2026, 1, 1, 24, 0),
        (2026, 1, 1, 0, 60),
        (2026, 1),
    ]:
        with pytest.raises(MalformedValue):
            device_time(*impossible)


def test_sums_of_published_frames() -> None:
    assert sum8(bytes.fromhex("0600020500 00")) == 0x0D
    assert inverted_sum8(bytes.fromhex("040201")) == 0xF8


def test_a_steady_value_is_taken_once_until_it_is_let_go() -> None:
    steady = Steady[str](3)
    assert [steady.see("a", b"1"), steady.see("b", b"2"), steady.see("b", b"3")] == [(), (), ()]
    assert steady.see("b", b"4") == (b"2", b"3", b"4")
    assert [steady.see("b", b"5") for _ in range(5)] == [()] * 5
    assert [steady.see("c", b"6") for _ in range(5)] == [()] * 5
    steady.release()
    assert [steady.see("c", b"7"), steady.see("c", b"8"), steady.see("c", b"9")] == [
        (),
        (),
        (b"7", b"8", b"9"),
    ]


def test_an_interruption_begins_the_count_anew_and_lets_nothing_go() -> None:
    steady = Steady[str](2)
    steady.see("a", b"1")
    steady.unsettle()
    assert steady.see("a", b"2") == ()
    assert steady.see("a", b"3") == (b"2", b"3")
    steady.unsettle()
    assert [steady.see("a", b"4"), steady.see("a", b"5")] == [(), ()]
