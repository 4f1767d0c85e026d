"""The Bluetooth monitors of Microlife: the frame of their vector, a memory in pieces, what is never asked."""

from datetime import datetime
from typing import Any

import pytest

from drivers.catalogue import Refusal
from drivers.microlife_ble import DRIVER
from protocol import microlife_ble
from protocol.errors import NoAnswer
from protocol.readings import Notice, Reading
from protocol.transcript import parse
from tests.ble_rows import decoded, rows
from tests.play import play

RECORD = bytes([128, 82, 71, 24, 6, 14, 7, 45, 0, 0])


def frame(content: bytes) -> bytes:
    data = b"M:" + (len(content) + 1).to_bytes(2, "big") + content
    return data + bytes([sum(data) & 0xFF])


@pytest.mark.parametrize("row", rows("Microlife"), ids=lambda row: row["id"])
def test_what_a_host_sends_is_built_to_the_byte_and_is_no_word_of_a_monitor(row: dict[str, Any]) -> None:
    data = bytes.fromhex(row["hex"])
    assert data[4] == row["expected"]["cmd"] == microlife_ble.SET_CLOCK
    content = microlife_ble.clock_content(datetime.fromisoformat("2024-06-15T14:30:45"))
    assert microlife_ble.command(content) == data
    assert decoded("microlife_ble", data) == []


@pytest.mark.parametrize("content", [b"", b"\x05", b"\x06" + bytes(22), b"\x0d", bytes(8), b"\x03"])
def test_nothing_else_can_be_built_and_no_name_is_asked_for(content: bytes) -> None:
    with pytest.raises(ValueError, match="never sent"):
        microlife_ble.command(content)


@pytest.mark.parametrize("size", [1, 20, 999])
def test_a_memory_however_notifications_cut_it(size: int) -> None:
    data = frame(bytes(38) + RECORD + bytes(10) + RECORD[:7] + b"\x2e\x01\x02")
    values = [data[at : at + size] for at in range(0, len(data), size)]
    first, second = decoded("microlife_ble", *values)
    assert isinstance(first, Reading)
    assert isinstance(second, Reading)
    assert [str(quantity.value) for quantity in first.values.values()] == ["128", "82", "71"]
    assert first.device_time == datetime.fromisoformat("2024-06-14T07:45:00")
    assert second.context == {"last_bytes": "01 02"}


def test_one_bit_turned_over_gives_nothing() -> None:
    data = frame(bytes(38) + RECORD)
    for place in range(len(data) * 8):
        damaged = bytearray(data)
        damaged[place // 8] ^= 1 << place % 8
        assert not [item for item in decoded("microlife_ble", bytes(damaged)) if isinstance(item, Reading)]


@pytest.mark.parametrize(
    "content",
    [
        bytes(38) + RECORD[:4] + b"\x0d" + RECORD[5:],
        bytes(38) + b"\x50\x50" + RECORD[2:],
        bytes(38) + RECORD[:5],
        b"\x82",
        b"\x81\x00",
        bytes(20),
    ],
)
def test_what_no_source_knows_is_refused(content: bytes) -> None:
    (said,) = decoded("microlife_ble", frame(content))
    assert isinstance(said, Refusal)


def test_a_confirmation_and_an_empty_memory_are_no_reading() -> None:
    assert [type(item) for item in decoded("microlife_ble", frame(b"\x81"))] == [Notice]
    assert decoded("microlife_ble", frame(bytes(58))) == []


def test_a_monitor_that_does_not_answer_is_named_silent() -> None:
    asked = "FFF2> 4dff000900000000000000fd52\n"
    clock = "! set_clock time=2024-06-15T14:30:45\nFFF2> 4dff00080d18060f0e1e2de7\n"
    for said in (f"FFF1+\n. 0.5\n{asked}. 60\n", f"FFF1+\n{clock}. 60\n", "FFF1+ -\n"):
        with pytest.raises(NoAnswer):
            play(DRIVER, parse(f"# provenance: constructed\n{said}"))
