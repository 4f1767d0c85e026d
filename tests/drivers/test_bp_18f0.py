"""The 18F0 module: its vectors, what may be written to it, and what is no blood pressure."""

from typing import Any

import pytest

from drivers.bp_18f0 import DRIVER
from drivers.catalogue import Refusal
from protocol import bp_18f0
from protocol.errors import NoAnswer
from protocol.readings import Notice, Reading
from protocol.transcript import parse
from tests.ble_rows import decoded, rows
from tests.play import play

HEARD = [row for row in rows("18F0") if "write" not in row["characteristic"]]
SENT = [row for row in rows("18F0") if "write" in row["characteristic"]]
CAPTURED = {
    "0240dd0c1c0066003300000033000000eb": (102, 51, 51),
    "0240dd0c1c006500390000004100000090": (101, 57, 65),
    "0240dd0c1c009d005c0000004e00000002": (157, 92, 78),
}


def frame(body: str) -> bytes:
    content = bytes.fromhex(body)
    data = b"\x02\x40\xdd" + bytes([len(content)]) + content
    check = 0
    for byte in data[1:]:
        check ^= byte
    return data + bytes([check])


def numbers(said: object) -> tuple[int, ...]:
    assert isinstance(said, Reading)
    return tuple(int(quantity.value) for quantity in said.values.values())


@pytest.mark.parametrize("row", HEARD, ids=lambda row: row["id"])
def test_a_result_gives_the_stated_values(row: dict[str, Any]) -> None:
    (said,) = decoded("bp_18f0", bytes.fromhex(row["hex"]), source="2AF0")
    assert numbers(said) == tuple(row["expected"][name] for name in ("sys", "dia", "pulse"))


@pytest.mark.parametrize("hexed", CAPTURED)
def test_every_capture_of_the_sheet_whole_and_in_two_notifications(hexed: str) -> None:
    data = bytes.fromhex(hexed)
    for parts in ((data,), (data[:9], data[9:])):
        (said,) = decoded("bp_18f0", *parts)
        assert numbers(said) == CAPTURED[hexed]


@pytest.mark.parametrize("hexed", CAPTURED)
def test_one_bit_turned_over_gives_nothing(hexed: str) -> None:
    for place in range(len(hexed) * 4):
        damaged = bytearray.fromhex(hexed)
        damaged[place // 8] ^= 1 << place % 8
        assert not [item for item in decoded("bp_18f0", bytes(damaged)) if isinstance(item, Reading)]


@pytest.mark.parametrize("row", SENT, ids=lambda row: row["id"])
def test_what_a_host_sends_is_built_to_the_byte_and_is_no_word_of_a_module(row: dict[str, Any]) -> None:
    data = bytes.fromhex(row["hex"])
    assert bp_18f0.command(data[4:-1]) == data
    assert decoded("bp_18f0", data) == []


@pytest.mark.parametrize("body", ["", "a5", "a601", "b1", "b0", "b01a0b160a", "a1a1", "ff"])
def test_nothing_else_can_be_built(body: str) -> None:
    with pytest.raises(ValueError, match="never sent"):
        bp_18f0.command(bytes.fromhex(body))


@pytest.mark.parametrize(
    "body",
    [
        "1c 0000 0033 0000 0033 000000",
        "1c 0066 0000 0000 0033 000000",
        "1c 0166 0033 0000 0033 000000",
        "2c 0066 0033 0000 0033 000000",
        "1c 0066 0033 0000 0033 0000",
        "b0 1a0d160a1e00",
        "01",
    ],
)
def test_what_no_source_knows_is_refused(body: str) -> None:
    (said,) = decoded("bp_18f0", frame(body))
    assert isinstance(said, Refusal)


def test_an_answer_to_the_memory_question_is_kept_with_its_bytes() -> None:
    data = frame("b1 00 01 00 66 00 33")
    (said,) = decoded("bp_18f0", data)
    assert isinstance(said, Notice)
    assert said.evidence == data


def test_a_module_that_does_not_answer_a_start_is_stopped_and_named_silent() -> None:
    asked = "2AF0+\n2AF1> 0240dc01ab36\n2AF1> 0240dc05b1000100022b\n"
    ordered = "! start_blood_pressure\n2AF1> 0240dc01a13c\n. 10\n2AF1> 0240dc01a23f\n"
    with pytest.raises(NoAnswer, match="not answered"):
        play(DRIVER, parse(f"# provenance: constructed\n{asked}{ordered}"))


def test_another_device_without_the_characteristic_is_left_alone() -> None:
    with pytest.raises(NoAnswer, match="2AF0"):
        play(DRIVER, parse("# provenance: constructed\n2AF0+ -\n"))
