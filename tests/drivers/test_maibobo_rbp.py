"""The kiosk's arm-in monitor over Bluetooth: its vectors, and results that are not of now."""

from typing import Any

import pytest

from drivers.maibobo_rbp import DRIVER
from protocol import raycome
from protocol.errors import NoAnswer
from protocol.readings import Measure, Reading
from protocol.transcript import parse
from tests.ble_rows import decoded, rows
from tests.play import play

ROWS = rows("Maibobo")
STOP = bytes.fromhex("cc80020301030003")
RESULT = bytes.fromhex("aa80020f01060112091312012000760045003f3c")


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["id"])
def test_what_a_host_sends_is_built_to_the_byte_and_is_no_word_of_a_monitor(row: dict[str, Any]) -> None:
    data = bytes.fromhex(row["hex"])
    assert raycome.command(bytes([row["expected"]["type"], row["expected"]["sub"]])) == data
    assert decoded("maibobo_rbp", data) == []


def test_the_stop_of_the_sheet_is_built_to_the_byte() -> None:
    assert raycome.command(raycome.STOP) == STOP


def test_a_result_in_two_notifications() -> None:
    (said,) = decoded("maibobo_rbp", RESULT[:13], RESULT[13:], source="FFF1")
    assert isinstance(said, Reading)
    assert [said.values[name].value for name in (Measure.SYSTOLIC, Measure.DIASTOLIC)] == [118, 69]


def test_another_makers_device_on_the_same_service_is_no_monitor() -> None:
    """Microlife and several scales have FFF1 too."""
    for hexed in ("4d3a00028150", "cf0000f401d80e0000000000"):
        assert decoded("maibobo_rbp", bytes.fromhex(hexed), source="FFF1") == []


def test_a_device_that_does_not_answer_the_connect_is_left_alone() -> None:
    for said in ("FFF1+\nFFF2> cc80020301010001\n. 5\n", "FFF1+ -\n"):
        with pytest.raises(NoAnswer):
            play(DRIVER, parse(f"# provenance: constructed\n{said}"))
