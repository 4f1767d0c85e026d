"""BeneCheck meters: the captured frame, and what has no measure here."""

from typing import Any

import pytest

from drivers.benecheck import DRIVER
from drivers.catalogue import Refusal
from protocol.errors import NoAnswer
from protocol.readings import Measure, Notice, Reading
from protocol.transcript import parse
from tests.ble_rows import decoded, rows
from tests.play import play

GLUCOSE = bytes.fromhex("2450434c4100000009000000180a1b15301001bc")


def frame(command: int, data: str, length: int | None = None) -> bytes:
    content = bytes.fromhex(data)
    count = (len(content) if length is None else length).to_bytes(2, "little")
    body = b"PCL" + command.to_bytes(2, "little") + b"\0\0" + count + content
    return b"$" + body + bytes([sum(body) & 0xFF])


@pytest.mark.parametrize("row", rows("BeneCheck"), ids=lambda row: row["id"])
def test_uric_acid_is_kept_with_its_bytes_and_is_no_reading(row: dict[str, Any]) -> None:
    data, expected = bytes.fromhex(row["hex"]), row["expected"]
    (said,) = decoded("benecheck", data)
    assert isinstance(said, Notice)
    assert said.code == "benecheck.uric_acid"
    assert said.detail["mg/dL"] == f"{expected['raw'] / 10:.1f}"
    assert said.detail["time"].startswith(expected["time"])
    assert said.detail["index"] == str(expected["index"])
    assert said.evidence == data


def test_glucose_in_one_or_in_two_notifications() -> None:
    for parts in ((GLUCOSE,), (GLUCOSE[:7], GLUCOSE[7:])):
        (said,) = decoded("benecheck", *parts)
        assert isinstance(said, Reading)
        assert said.values[Measure.GLUCOSE].as_json() == {"value": "272", "unit": "mg/dL"}
        assert said.device_time is not None
        assert said.device_time.isoformat() == "2024-10-27T21:48:00"
        assert said.stored


def test_one_bit_turned_over_gives_nothing() -> None:
    for place in range(len(GLUCOSE) * 8):
        damaged = bytearray(GLUCOSE)
        damaged[place // 8] ^= 1 << place % 8
        assert not [item for item in decoded("benecheck", bytes(damaged)) if isinstance(item, Reading)]


@pytest.mark.parametrize(
    ("command", "data"),
    [
        (0x41, "0000 180a1b1530 0000"),
        (0x41, "0000 180d1b1530 1001"),
        (0x41, "0000 180a1b1530 100100"),
        (0x41, ""),
        (0x31, "0000 180a1b1530 1001"),
        (0x4100, "0000 180a1b1530 1001"),
    ],
)
def test_what_no_source_knows_is_refused(command: int, data: str) -> None:
    (said,) = decoded("benecheck", frame(command, data))
    assert isinstance(said, Refusal)


def test_a_bioland_frame_on_the_same_characteristic_is_no_word_of_this_meter() -> None:
    assert decoded("benecheck", bytes.fromhex("550c030e0101051900c30259"), source="1002") == []


def test_another_device_without_the_characteristic_is_left_alone() -> None:
    with pytest.raises(NoAnswer, match="1002"):
        play(DRIVER, parse("# provenance: constructed\n1002+ -\n"))
