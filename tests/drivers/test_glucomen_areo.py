"""GlucoMen Areo: the check code, both units, what no source names, and lines that stand alone."""

from decimal import Decimal

import pytest

from drivers.catalogue import Refusal
from drivers.glucomen_areo import DRIVER
from protocol.checks import crc8_maxim
from protocol.readings import Identified, Measure, Notice, Reading
from tests.silent import asked_in_silence
from tests.vector_rows import decoded

NAME = "glucomen_areo"
LINE = "Glu,5.6,mmol/L,00,260301,0830"


def block(*lines: str) -> bytes:
    text = "".join(f"{line}\r\n" for line in ("[", *lines)).encode()
    return text + f"{crc8_maxim(text):02X}\r\n]\r\n".encode()


def test_the_check_code_is_the_published_one() -> None:
    assert crc8_maxim(b"123456789") == 0xA1


@pytest.mark.parametrize(("value", "unit"), [("5.6", "mmol/L"), ("101", "mg/dL"), ("33.3", "mmol/L")])
def test_a_value_keeps_its_digits_and_its_unit(value: str, unit: str) -> None:
    (reading,) = decoded(NAME, block(f"Glu,{value},{unit},00,260301,0830"))
    assert isinstance(reading, Reading)
    quantity = reading.values[Measure.GLUCOSE]
    assert (quantity.value, quantity.unit) == (Decimal(value), unit)
    assert reading.evidence == (f"Glu,{value},{unit},00,260301,0830".encode(),)


@pytest.mark.parametrize("data", [LINE.encode(), LINE.encode() + b"\r\n", block(LINE)])
def test_a_line_is_read_alone_and_in_its_block(data: bytes) -> None:
    assert [type(item) for item in decoded(NAME, data)] == [Reading]


def test_a_meter_names_itself() -> None:
    assert decoded(NAME, block("1,22,333,  AB12345678,  1.05")) == [
        Identified("AB12345678", {"version": "1.05"})
    ]


@pytest.mark.parametrize(
    "line",
    [
        "Glu,5.6,mmol/L,03,260301,0830",
        "Glu,5.6,g/L,00,260301,0830",
        "Glu,5.,mmol/L,00,260301,0830",
        "Glu,HI,mmol/L,00,260301,0830",
        "Glu,5.6,mmol/L,00,261301,0830",
        "Glu,5.6,mmol/L,00,260301,2430",
        "Glu,5.6,mmol/L,00,260301",
        "nonsense",
    ],
)
def test_a_line_no_source_names_is_refused_and_takes_no_other_with_it(line: str) -> None:
    reading, refused = decoded(NAME, block(line, LINE))
    assert isinstance(reading, Reading)
    assert isinstance(refused, Refusal)


def test_another_kind_of_test_is_evidence_and_no_glucose() -> None:
    (notice,) = decoded(NAME, block("Ket,0.3,mmol/L,00,260301,0830"))
    assert isinstance(notice, Notice)
    assert notice.detail["raw"] == "0.3 mmol/L"


def test_an_empty_memory_says_nothing() -> None:
    assert decoded(NAME, b"[\r\n\x90\x3d\r\n]\r\n") == []


def test_one_bit_turned_over_never_gives_a_value() -> None:
    whole = block(LINE)
    for place in range((len(whole) - 2) * 8):
        damaged = bytearray(whole)
        damaged[place // 8] ^= 1 << place % 8
        assert not any(isinstance(item, Reading) for item in decoded(NAME, bytes(damaged)))


def test_a_check_code_in_small_letters_is_none() -> None:
    blocks = (block(f"Glu,{value},mmol/L,00,260301,0830") for value in range(4, 30))
    whole = next(one for one in blocks if one[-7:] != one[-7:].lower())
    assert [type(item) for item in decoded(NAME, whole)] == [Reading]
    assert [type(item) for item in decoded(NAME, whole[:-7] + whole[-7:].lower())] == [Refusal]


def test_a_meter_that_is_not_there_is_asked_three_times() -> None:
    assert asked_in_silence(DRIVER) == [b"\xa2"] * 3
