"""Identity numbers are checked by length, characters, date and check character, never by place."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.identifiers import checked
from protocol.errors import RequestRefused
from store.residents import Identifier

WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)


def with_check(first_17: str) -> str:
    """Append the check character by GB 11643's own table."""
    total = sum(int(digit) * weight for digit, weight in zip(first_17, WEIGHTS, strict=True))
    return first_17 + "10X98765432"[total % 11]


@pytest.mark.parametrize("place", ["370305", "140822", "140826", "140729", "810000", "999999", "110101"])
def test_the_place_is_never_checked(place: str) -> None:
    number = with_check(f"{place}18000101001")
    assert checked([Identifier("cn-id", number)]) == [Identifier("cn-id", number)]


def test_what_a_chinese_keyboard_types_is_understood() -> None:
    number = next(n for n in (with_check(f"110101180001010{i:02d}") for i in range(100)) if n.endswith("X"))
    wide = number[:-1].translate({ord("0") + d: ord("０") + d for d in range(10)}) + "ｘ"
    assert checked([Identifier("cn-id", f" {wide} ")]) == [Identifier("cn-id", number)]


@pytest.mark.parametrize(
    ("number", "code"),
    [
        ("1101011800010100", "id.length"),
        ("11010118000101001A", "id.characters"),
        (with_check("11010118000231001"), "id.date"),
        (with_check("11010118000101001")[:-1] + "x", "id.check_digit"),
        ("", "id.missing"),
    ],
)
def test_each_fault_has_its_own_code(number: str, code: str) -> None:
    if number.endswith("x"):
        right = with_check(number[:-1])[-1]
        number = number[:-1] + ("1" if right != "1" else "2")
    with pytest.raises(RequestRefused) as refused:
        checked([Identifier("cn-id", number)])
    assert refused.value.code == code


@given(st.integers(0, 16), st.integers(1, 9))
def test_one_wrong_digit_is_always_found(position: int, change: int) -> None:
    number = with_check("37030518500615123")
    digit = str((int(number[position]) + change) % 10)
    wrong = number[:position] + digit + number[position + 1 :]
    with pytest.raises(RequestRefused):
        checked([Identifier("cn-id", wrong)])


def test_other_identifiers_are_taken_as_they_are() -> None:
    given_ones = [Identifier("health-record", "37030500100100001"), Identifier("card", "A 12/34")]
    assert checked(given_ones) == given_ones


def test_an_old_fifteen_digit_number_is_taken() -> None:
    old = Identifier("cn-id", "110101000101001")
    assert checked([old]) == [old]


@given(st.text(max_size=40), st.text(max_size=80))
def test_no_text_raises_anything_else(system: str, value: str) -> None:
    with contextlib.suppress(RequestRefused):
        checked([Identifier(system, value)])
