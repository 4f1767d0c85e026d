"""Lefu's "AC02" scales: the vectors, one bit wrong, and what may be written."""

from decimal import Decimal
from typing import Any

import pytest

from drivers.catalogue import Refusal
from drivers.lefu_scale import DRIVER
from protocol import lefu
from protocol.errors import NoAnswer
from protocol.readings import Measure, Notice, Progress, Reading
from protocol.scales import MORE
from protocol.transcript import parse
from tests.ble_rows import decoded, rows
from tests.play import play

ROWS = [row for row in rows("Lefu") if row["kind"] != "poison"]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["id"])
def test_a_frame_gives_the_stated_values(row: dict[str, Any]) -> None:
    expected = row["expected"]
    (said,) = decoded("lefu_scale", bytes.fromhex(row["hex"]), source="FFB2")
    match expected["kind"]:
        case "weight" if expected["stable"]:
            assert isinstance(said, Reading)
            assert said.values[Measure.BODY_WEIGHT].value == Decimal(str(expected["kg_if_kg"]))
        case "weight":
            assert isinstance(said, Progress)
            assert [quantity.value * 10 for quantity in said.values.values()] == [expected["raw"]]
        case "impedance":
            assert isinstance(said, Notice)
            assert (said.code, said.detail) == (MORE, {"impedance_ohm": str(expected["ohm"])})
        case _:
            assert isinstance(said, Notice)


def test_one_bit_turned_over_gives_no_weight() -> None:
    for place in range(64):
        damaged = bytearray.fromhex("ac0203490000ca16")
        damaged[place // 8] ^= 1 << place % 8
        assert all(isinstance(item, Refusal) for item in decoded("lefu_scale", bytes(damaged)))


@pytest.mark.parametrize("hexed", ["", "ac02", "ac0203490001ca17", "ac0203490000cc18", "ac0203490000c915"])
def test_what_no_source_knows_is_no_weight(hexed: str) -> None:
    assert not [item for item in decoded("lefu_scale", bytes.fromhex(hexed)) if isinstance(item, Reading)]


@pytest.mark.parametrize("body", ["fb021fa5", "fde20101", "fc010000", "f7000000", "fe060200", ""])
def test_neither_person_nor_clock_can_be_set(body: str) -> None:
    with pytest.raises(ValueError, match="never sent"):
        lefu.command(bytes.fromhex(body))


def test_another_unit_is_refused() -> None:
    with pytest.raises(ValueError, match="unit"):
        DRIVER.under({"unit": "jin"})


def test_another_device_without_the_characteristic_is_left_alone() -> None:
    with pytest.raises(NoAnswer, match="FFB2"):
        play(DRIVER, parse("# provenance: constructed\nFFB2+ -\n"))


def test_a_scale_that_repeats_its_weight_for_ever_is_not_waited_for_for_ever() -> None:
    hello = "FFB2+\nFFB1> ac02fa010000ccc7\nFFB1> ac02fe060000ccd0\n"
    lines = "FFB2< ac0203490000ca16\n" * 102 + "= body_size body_weight 84.1 kg\n"
    assert len(play(DRIVER, parse(f"# provenance: constructed\n{hello}{lines}")).readings) == 1


def test_two_people_of_different_weight_without_an_empty_plate_are_two_readings() -> None:
    hello = "FFB2+\nFFB1> ac02fa010000ccc7\nFFB1> ac02fe060000ccd0\n"
    lines = """FFB2< ac0203490000ca16
. 8
= body_size body_weight 84.1 kg
FFB2< ac0202480000ce18
FFB2< ac0202490000ca15
. 8
= body_size body_weight 58.5 kg
"""
    assert len(play(DRIVER, parse(f"# provenance: constructed\n{hello}{lines}")).readings) == 2
