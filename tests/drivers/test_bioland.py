"""Bioland devices: both checks, results that only their device tells apart, no question without a time."""

from datetime import datetime
from typing import Any

import pytest

from drivers.bioland import DRIVER
from drivers.catalogue import Decoded, Refusal
from protocol import bioland
from protocol.errors import NoAnswer
from protocol.framing import Frame
from protocol.readings import Measure, Notice, Progress, Reading
from protocol.transcript import parse
from tests.ble_rows import decoded, rows
from tests.play import play

GLUCOSE = "550c030e0101051800a800"
PRESSURE = "550e03180b16081e0080005247"


def frame(body: str, more: int = 0) -> bytes:
    data = bytes.fromhex(body)
    return data + bytes([sum(data) + more & 0xFF])


def said_of(device: str, data: bytes) -> Decoded:
    (said,) = DRIVER.under({"device": device}).decode([Frame(data)])
    return said


@pytest.mark.parametrize("row", rows("Bioland"), ids=lambda row: row["id"])
def test_what_a_host_sends_is_built_to_the_byte_and_is_no_word_of_a_device(row: dict[str, Any]) -> None:
    data = bytes.fromhex(row["hex"])
    moment = datetime.fromisoformat("2016-05-02T15:33:59")
    assert bioland.command(row["expected"]["cat"], moment) == data
    assert decoded("bioland", data) == []


@pytest.mark.parametrize("more", [0, 2])
def test_a_glucose_result_under_either_check(more: int) -> None:
    (said,) = decoded("bioland", frame(GLUCOSE, more))
    assert isinstance(said, Reading)
    assert said.values[Measure.GLUCOSE].as_json() == {"value": "168", "unit": "mg/dL"}
    assert said.device_time == datetime.fromisoformat("2014-01-01T05:24:00")


@pytest.mark.parametrize("more", [1, 3, 0x80, 0xFE])
def test_any_other_check_gives_nothing(more: int) -> None:
    assert decoded("bioland", frame(GLUCOSE, more)) == []


def test_a_blood_pressure_is_read_only_of_a_monitor() -> None:
    said = said_of("bpm", frame(PRESSURE))
    assert isinstance(said, Reading)
    assert [int(quantity.value) for quantity in said.values.values()] == [128, 82, 71]
    for device, body in (("auto", PRESSURE), ("bgm", PRESSURE), ("bpm", GLUCOSE)):
        refused = said_of(device, frame(body))
        assert isinstance(refused, Refusal)
        assert refused.code == "bioland.device"


@pytest.mark.parametrize(
    ("device", "body"),
    [
        ("bgm", "550c030e01010518000000"),
        ("bgm", "550c030e0d01051800a800"),
        ("bpm", "550e03180b16081e0080015247"),
        ("bpm", "550e03180b16081e0052008047"),
    ],
)
def test_what_is_no_value_is_refused(device: str, body: str) -> None:
    assert isinstance(said_of(device, frame(body)), Refusal)


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ("5506020005", Progress),
        ("550f002a03022700118006003333", Notice),
        ("55050500", Notice),
        ("55050600", Notice),
    ],
)
def test_what_is_no_result_is_no_reading(body: str, kind: type) -> None:
    assert [type(item) for item in decoded("bioland", frame(body))] == [kind]


def test_a_benecheck_frame_on_the_same_characteristic_is_no_word_of_this_device() -> None:
    data = bytes.fromhex("2450434c51000000090000000f090a07293c00c7")
    assert decoded("bioland", data, source="1002") == []


@pytest.mark.parametrize(("category", "year"), [(5, 2026), (9, 2026), (3, 1999), (3, 2100)])
def test_nothing_else_can_be_built(category: int, year: int) -> None:
    with pytest.raises(ValueError, match="never sent"):
        bioland.command(category, datetime.fromisoformat(f"{year}-01-01T00:00:00"))


def test_a_device_that_does_not_answer_is_named_silent() -> None:
    asked = "1001> 5a0a001a0b16081e0fd6\n. 1\n" * 20
    for said in (f"1002+\n! read_records time=2026-11-22T08:30:15\n{asked}", "1002+ -\n"):
        with pytest.raises(NoAnswer):
            play(DRIVER, parse(f"# provenance: constructed\n{said}"))


def test_a_device_of_another_name_is_refused() -> None:
    with pytest.raises(ValueError, match="bpm"):
        DRIVER.under({"device": "scale"})
