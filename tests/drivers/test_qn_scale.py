"""QN scales: the vectors, what an info changes, and what may be written."""

from datetime import datetime
from decimal import Decimal
from typing import Any

import pytest

from drivers.catalogue import Decoded, Refusal
from drivers.qn_scale import DRIVER
from protocol import qn
from protocol.errors import NoAnswer
from protocol.framing import Frame
from protocol.readings import Measure, Notice, Progress, Reading
from protocol.transcript import parse
from tests.ble_rows import decoded, rows
from tests.play import play

ROWS = [row for row in rows("QN") if row["kind"] != "poison"]
TENTHS = qn.checked(bytes.fromhex("120f1511223344556607000502030400")[:14])
HUNDREDTHS = qn.checked(bytes.fromhex("120f1511223344556607010502030400")[:14])
LONG = bytes.fromhex("1212ff11223344556613071000010" + "59f3289")
FINAL = bytes.fromhex("100eff0102025801fd01fb0033a7")


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["id"])
def test_a_weight_without_an_info_is_kept_and_not_guessed(row: dict[str, Any]) -> None:
    data, expected = bytes.fromhex(row["hex"]), row["expected"]
    (said,) = decoded("qn_scale", data)
    assert isinstance(said, Notice)
    told = {name: str(expected[name]) for name in ("raw", "state")}
    told |= {f"resistance_{at}": str(expected[f"r{at}"]) for at in (1, 2) if f"r{at}" in expected}
    assert told.items() <= dict(said.detail).items()
    assert said.evidence == data


@pytest.mark.parametrize(
    ("frames", "weight"),
    [((TENTHS, FINAL), "60.0"), ((HUNDREDTHS, FINAL), "6.00"), ((TENTHS, HUNDREDTHS, FINAL), "6.00")],
)
def test_an_info_says_how_the_weights_after_it_count(frames: tuple[bytes, ...], weight: str) -> None:
    *_, said = decoded("qn_scale", *frames)
    assert weight_of(said) == Decimal(weight)
    assert isinstance(said, Reading)
    assert dict(said.context) == {"resistance_1": "509", "resistance_2": "507"}


def weight_of(said: Decoded) -> Decimal:
    assert isinstance(said, Reading | Progress)
    return dict(said.values)[Measure.BODY_WEIGHT].value  # type: ignore[index]


def test_a_long_info_does_not_say_it_but_the_setting_does() -> None:
    *_, said = decoded("qn_scale", LONG, FINAL)
    assert isinstance(said, Notice)
    driver = DRIVER.under({"divisor": 10})
    *_, said = driver.decode([Frame(LONG), Frame(FINAL)])
    assert weight_of(said) == Decimal("60.0")
    with pytest.raises(ValueError, match="divisor"):
        DRIVER.under({"divisor": 50})


def test_one_bit_turned_over_gives_nothing() -> None:
    driver = DRIVER.under({"divisor": 10})
    for place in range(len(FINAL) * 8):
        damaged = bytearray(FINAL)
        damaged[place // 8] ^= 1 << place % 8
        assert all(isinstance(item, Refusal) for item in driver.decode([Frame(bytes(damaged))]))


@pytest.mark.parametrize(
    "body",
    [
        "100eff01030258000000000000",
        "100d0000000000000000000000"[:24],
        "3005ff01",
        "100eff02020258000000000033",
    ],
)
def test_what_no_source_knows_is_refused(body: str) -> None:
    (said,) = decoded("qn_scale", qn.checked(bytes.fromhex(body)))
    assert isinstance(said, Refusal)


def test_a_clock_is_set_in_either_form_and_not_before_2000() -> None:
    moment = datetime(2000, 1, 1, 0, 1)
    assert qn.clock(moment, None) == bytes.fromhex("023c000000")
    assert qn.clock(moment, 0xFF) == bytes.fromhex("2008ff3c000000") + bytes([0x63])
    with pytest.raises(ValueError, match="year"):
        qn.clock(datetime(1999, 12, 31), None)


def test_another_device_without_the_characteristics_is_left_alone() -> None:
    with pytest.raises(NoAnswer, match="FFE1"):
        play(DRIVER, parse("# provenance: constructed\nFFF1+ -\nFFE1+ -\n"))
