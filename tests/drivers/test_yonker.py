"""The Yonker monitor: its captured result, and the same maker's oximeter on the same service."""

from typing import Any

import pytest

from drivers.catalogue import Refusal
from drivers.yonker import DRIVER, NOTIFY
from protocol.errors import NoAnswer
from protocol.readings import Progress, Reading
from protocol.transcript import parse
from tests.ble_rows import decoded, rows
from tests.play import play

RESULT = bytes.fromhex("818367510000190b18131200000000")


@pytest.mark.parametrize("row", rows("Yonker"), ids=lambda row: row["id"])
def test_a_result_gives_the_stated_values(row: dict[str, Any]) -> None:
    (said,) = decoded("yonker", bytes.fromhex(row["hex"]))
    expected = row["expected"]
    assert isinstance(said, Reading)
    assert [int(quantity.value) for quantity in said.values.values()] == [
        expected[name] for name in ("sys", "dia", "pulse")
    ]
    assert said.device_time is not None
    assert said.device_time.isoformat().startswith(expected["time"])


@pytest.mark.parametrize(
    "data",
    [
        RESULT[:-1],
        RESULT + b"\0",
        RESULT[:4],
        bytes.fromhex("81624800"),
        b"\x81",
        b"\x82" + RESULT[1:],
        RESULT[:6] + b"\0" + RESULT[7:],
        RESULT[:7] + b"\x0d" + RESULT[8:],
        b"\x81\x60\x60" + RESULT[3:],
        b"\x81\x60\0" + RESULT[3:],
    ],
)
def test_an_oximeters_value_or_another_one_is_refused(data: bytes) -> None:
    (said,) = decoded("yonker", data, source=NOTIFY)
    assert isinstance(said, Refusal)


def test_a_measurement_under_way_shows_no_number() -> None:
    (said,) = decoded("yonker", bytes.fromhex("8000205060"))
    assert isinstance(said, Progress)
    assert not said.values


def test_a_result_without_a_pulse_has_none() -> None:
    (said,) = decoded("yonker", RESULT[:3] + b"\0" + RESULT[4:])
    assert isinstance(said, Reading)
    assert sorted(said.values) == ["diastolic", "systolic"]


def test_a_device_without_the_characteristic_is_left_alone() -> None:
    with pytest.raises(NoAnswer):
        play(DRIVER, parse(f"# provenance: constructed\n{NOTIFY}+ -\n"))
