"""A message is read by its letters; the places only decide where letters are in doubt."""

import pytest

from drivers.aandd_tm2657 import DRIVER
from protocol.framing import Frame
from protocol.readings import Reading
from tests.drivers.test_lines import said
from tests.vector_rows import decoded

NUMBERS = ["S128", "M097", "D082", "P066"]


def message(*fields: str) -> bytes:
    return b"\x02" + b"\x1e".join(field.encode("latin-1") for field in fields) + b"\x03"


@pytest.mark.parametrize("number", ["S128", "S 128", "S128 ", "S0128"])
def test_a_number_may_have_blanks_and_leading_zeros(number: str) -> None:
    (reading,) = decoded("aandd_tm2657", message(*"-----", number, *NUMBERS[1:]))
    assert isinstance(reading, Reading)
    assert str(reading.values["systolic"].value) == "128"
    assert reading.flags == frozenset()


def test_nothing_before_the_systolic_pressure_is_taken_or_kept() -> None:
    (reading,) = decoded("aandd_tm2657", message("P12", "D90", "t7", "i9", "m1", *NUMBERS))
    assert isinstance(reading, Reading)
    assert dict(reading.context) == {}
    assert reading.flags == frozenset()
    assert [str(quantity.value) for quantity in reading.values.values()] == ["128", "97", "82", "66"]


@pytest.mark.parametrize(
    "fields",
    [
        ["S128", "S130", "D082", "P066"],
        ["-", "-", "S128", "D082", "D083", "P066"],
        ["S128", "M097", "P066"],
        ["M097", "D082", "P066"],
        ["S000", "D082", "P066"],
        ["S128", "D000", "P066"],
        ["S128", "D082", "P000"],
        ["S12x", "D082", "P066"],
        ["S-12", "D082", "P066"],
        ["S12345", "D082", "P066"],
        ["S12.8", "D082", "P066"],
        ["s128", "d082", "p066"],
        ["\xb2\xb2", "D082", "P066"],
        [],
    ],
)
def test_pressures_missing_doubled_or_zero_are_refused(fields: list[str]) -> None:
    assert said("aandd_tm2657", message(*fields).decode("latin-1")) == ["refused device.malformed"]


@pytest.mark.parametrize("before", [["A1", "Li Lei", "S77", "1.2.26", "9:05"], ["D1", "P2"], []])
def test_a_blanked_message_says_the_same_and_names_nobody(before: list[str]) -> None:
    assert DRIVER.redact is not None
    frame = message(*before, *NUMBERS, "i03")
    blank = DRIVER.redact(frame)
    assert (len(blank), DRIVER.redact(blank)) == (len(frame), blank)
    assert set(blank[: -len(message(*NUMBERS, "i03"))]) <= {0x02, 0x1E, 0x2D}
    (named,), (nobody,) = DRIVER.decode([Frame(frame)]), DRIVER.decode([Frame(blank)])
    assert isinstance(named, Reading)
    assert isinstance(nobody, Reading)
    assert (named.values, named.context, named.flags) == (nobody.values, nobody.context, nobody.flags)


def test_a_message_without_pressures_is_blanked_as_a_whole() -> None:
    assert DRIVER.redact is not None
    assert DRIVER.redact(message("Li Lei", "S1", "S2")) == message("------", "--", "--")
