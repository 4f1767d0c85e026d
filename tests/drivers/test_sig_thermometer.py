"""The standard thermometer and oximeter services: their vectors and what is no result."""

from decimal import Decimal
from typing import Any

import pytest

from drivers import sig_oximeter, sig_thermometer
from drivers.catalogue import Driver, Refusal
from protocol.errors import NoAnswer
from protocol.readings import Measure, Progress, Reading
from protocol.transcript import parse
from tests.ble_rows import decoded, rows
from tests.play import play

NO_READS = "".join(f"{name}? -\n" for name in ("2A29", "2A24", "2A25", "2A26", "2A19", "2A2B", "2A08"))


def told(driver: str, sent: str, source: str) -> Any:
    [item] = decoded(driver, bytes.fromhex(sent), source=source)
    return item


@pytest.mark.parametrize("row", rows("SIG HTS"), ids=lambda row: row["id"])
def test_a_temperature_gives_the_stated_value_or_is_refused(row: dict[str, Any]) -> None:
    said, expected = told("sig_thermometer", row["hex"], "2A1C"), row["expected"]
    if expected.get("unit") == "F":
        assert isinstance(said, Refusal)
        assert (said.code, said.reason) == ("sig_thermometer.unit", f"{expected['temp']} degrees Fahrenheit")
    elif expected["temp"] == "NaN":
        assert (said.values, said.failed) == ({}, "no_result")
    else:
        quantity = said.values[Measure.BODY_TEMPERATURE]
        assert (quantity.value, quantity.unit) == (Decimal(str(expected["temp"])), "Cel")
        assert said.device_time.isoformat() == expected["time"]
        assert said.context["site"] == {1: "armpit"}[expected["type"]]


@pytest.mark.parametrize("row", rows("SIG PLX"), ids=lambda row: row["id"])
def test_a_spot_check_gives_the_stated_values(row: dict[str, Any]) -> None:
    reading, expected = told("sig_oximeter", row["hex"], row["characteristic"]), row["expected"]
    assert isinstance(reading, Reading)
    assert {measure: quantity.value for measure, quantity in reading.values.items()} == {
        Measure.SPO2: expected["spo2"],
        Measure.PULSE_RATE: expected["pr"],
    }
    assert reading.device_time is not None
    assert reading.device_time.isoformat() == expected["time"]


def test_without_a_finger_nothing_is_measured() -> None:
    said = told("sig_oximeter", "00ff07ff07", "2A5F")
    assert isinstance(said, Progress)
    assert (said.state, said.underway) == ("no_finger", False)


def test_a_running_value_alone_is_told_with_what_it_lacks() -> None:
    said = told("sig_oximeter", "0062004800", "2A5F")
    assert (said.values[Measure.SPO2].value, said.context) == (98, {"stability": "not stated"})


@pytest.mark.parametrize(
    ("driver", "source", "sent"),
    [
        ("sig_thermometer", "2A1C", "00720100"),
        ("sig_thermometer", "2A1C", "02720100ffe407"),
        ("sig_thermometer", "2A1C", "00e80300ff"),
        ("sig_thermometer", "2A1C", "00000000ff"),
        ("sig_thermometer", "2A1E", "01d80300ff"),
        ("sig_oximeter", "2A5E", "01620048"),
        ("sig_oximeter", "2A5E", "0065004800"),
        ("sig_oximeter", "2A5F", "0062000000"),
        ("sig_oximeter", "2A5F", "01620048006200"),
    ],
)
def test_what_nobody_measured_is_refused(driver: str, source: str, sent: str) -> None:
    assert isinstance(told(driver, sent, source), Refusal)


@pytest.mark.parametrize(
    ("driver", "subscribed"),
    [(sig_thermometer.DRIVER, "2A1E+ -\n2A1C+ -\n"), (sig_oximeter.DRIVER, "2A5E+ -\n2A5F+ -\n")],
    ids=lambda value: getattr(value, "name", ""),
)
def test_a_device_without_the_service_is_no_answer(driver: Driver, subscribed: str) -> None:
    with pytest.raises(NoAnswer):
        play(driver, parse(f"# provenance: constructed\n{NO_READS}{subscribed}"))
