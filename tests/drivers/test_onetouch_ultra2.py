"""OneTouch Ultra2: the captured lines, one bit turned over, a meter that is not there, what is never sent."""

from decimal import Decimal
from typing import Any

import pytest

from drivers.catalogue import Refusal
from drivers.onetouch_ultra2 import DRIVER
from protocol import lifescan
from protocol.readings import Measure, Reading
from tests.silent import asked_in_silence
from tests.vector_rows import decoded, raw, rows

HEARD = rows("onetouch_ultra2", "device->host")
MEALS = {"N": None, "B": "before", "A": "after"}
WHOLE = raw(HEARD[0])


@pytest.mark.parametrize("row", HEARD, ids=lambda row: row["id"])
def test_a_captured_line_gives_its_value_or_is_refused(row: dict[str, Any]) -> None:
    (said,) = decoded("onetouch_ultra2", raw(row))
    expected = row["expected"]
    if expected.get("reject"):
        assert isinstance(said, Refusal)
        return
    assert isinstance(said, Reading)
    quantity = said.values[Measure.GLUCOSE]
    assert (quantity.value, quantity.unit, quantity.comparator) == (expected["glucose_mg_dL"], "mg/dL", None)
    assert said.device_time is not None
    assert said.device_time.isoformat() == expected["time"]
    assert said.context.get("meal") == MEALS[expected.get("meal", "N")]
    assert said.context.get("comment", "00") == expected.get("comment", "00")


@pytest.mark.parametrize("row", rows("onetouch_ultra2", "host->device"), ids=lambda row: row["id"])
def test_what_a_host_sent_is_built_to_the_byte(row: dict[str, Any]) -> None:
    assert lifescan.question(raw(row)[4:-1].decode("ascii")) == raw(row)


@pytest.mark.parametrize("name", ["Z", "T", "SU1", "ST1", "", "P\rDMZ", "T01/01/26 00:00:00"])
def test_erasing_and_setting_are_no_questions(name: str) -> None:
    with pytest.raises(ValueError, match="never sent"):
        lifescan.question(name)


def test_one_bit_turned_over_never_gives_a_value() -> None:
    for place in range((len(WHOLE) - 2) * 8):
        damaged = bytearray(WHOLE)
        damaged[place // 8] ^= 1 << place % 8
        assert not [item for item in decoded("onetouch_ultra2", bytes(damaged)) if isinstance(item, Reading)]


def test_a_line_cut_short_never_gives_a_value() -> None:
    for length in range(len(WHOLE) - 2):
        assert not any(isinstance(item, Reading) for item in decoded("onetouch_ultra2", WHOLE[:length]))


@pytest.mark.parametrize("date", ["13/01/26", "02/30/26", "00/00/00"])
def test_a_day_that_never_was_is_refused(date: str) -> None:
    text = f'P "SUN","{date}","08:38:01   ","  242 ","N","00", 00'
    line = f"{text} {sum(text.encode()):04X}\r\n".encode()
    assert [type(item) for item in decoded("onetouch_ultra2", line)] == [Refusal]


def test_a_control_solution_has_no_value_whatever_it_says() -> None:
    text = 'P "SUN","03/01/26","08:38:01   ","C 242 ","A","00", 00'
    (said,) = decoded("onetouch_ultra2", f"{text} {sum(text.encode()):04X}\r\n".encode())
    assert isinstance(said, Reading)
    assert (said.failed, dict(said.values)) == ("control_solution", {})


def test_a_meter_that_is_not_there_is_silence_not_an_empty_memory() -> None:
    assert asked_in_silence(DRIVER) == [lifescan.question("@")] * 3


def test_the_limits_are_the_machine_s_range() -> None:
    assert DRIVER.machine_range == {Measure.GLUCOSE: (Decimal(20), Decimal(600))}
