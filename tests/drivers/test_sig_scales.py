"""The standard scale services: their vectors, a scale with a step of its own, and the login."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers import sig_body_composition, sig_weight_scale
from drivers.catalogue import Driver, Refusal
from protocol.errors import ConfigError, NoAnswer
from protocol.gatt import user_data
from protocol.readings import Measure, Notice, Reading
from protocol.transcript import parse
from tests.ble_rows import decoded, rows
from tests.play import play

WEIGHTS = [row for row in rows("SIG WSS", "Renpho ES-WBE28") if row["characteristic"] == "2A9D"]
COMPOSITIONS = rows("SIG BCS")
CONTEXT = {
    "muscle_pct": "muscle_percent",
    "slm": "soft_lean_mass_kg",
    "water_mass": "body_water_kg",
    "impedance": "impedance_ohm",
}
SCALES = pytest.mark.parametrize(
    "driver", [sig_weight_scale.DRIVER, sig_body_composition.DRIVER], ids=lambda driver: driver.name
)
NO_READS = "".join(f"{name}? -\n" for name in ("2A29", "2A24", "2A25", "2A26", "2A19", "2A2B", "2A08"))


def told(driver: str, sent: str, source: str) -> Any:
    [item] = decoded(driver, bytes.fromhex(sent), source=source)
    return item


@pytest.mark.parametrize("driver", ["sig_weight_scale", "sig_body_composition"])
@pytest.mark.parametrize("row", WEIGHTS, ids=lambda row: row["id"])
def test_a_weight_gives_the_stated_values(driver: str, row: dict[str, Any]) -> None:
    reading, expected = told(driver, row["hex"], "2A9D"), row["expected"]
    assert isinstance(reading, Reading)
    if expected["weight"] == "unsuccessful":
        assert (reading.values, reading.failed) == ({}, "no_result")
        return
    stated = {Measure.BODY_WEIGHT: Decimal(str(expected["weight"]))}
    if "bmi" in expected:
        stated |= {
            Measure.BMI: Decimal(str(expected["bmi"])),
            Measure.BODY_HEIGHT: Decimal(str(expected["height"])) * 100,
        }
    assert {measure: quantity.value for measure, quantity in reading.values.items()} == stated
    if "time" in expected:
        assert reading.device_time is not None
        assert reading.device_time.isoformat() == expected["time"]
        assert reading.context["user"] == str(expected["user"])


@pytest.mark.parametrize("row", COMPOSITIONS, ids=lambda row: row["id"])
def test_a_composition_gives_the_stated_values(row: dict[str, Any]) -> None:
    said, expected = told("sig_body_composition", row["hex"], "2A9C"), row["expected"]
    if "fat_pct" in expected:
        assert said.values[Measure.BODY_FAT].value == Decimal(str(expected["fat_pct"]))
        assert said.values[Measure.BODY_FAT].unit == "%"
        if "weight" in expected:
            assert said.values[Measure.BODY_WEIGHT].value == Decimal(str(expected["weight"]))
    context = said.context if isinstance(said, Reading) else said.detail
    for name, ours in CONTEXT.items():
        if name in expected:
            assert Decimal(context[ours]) == Decimal(str(expected[name]))


def test_of_a_value_with_bytes_of_the_maker_only_the_impedance_is_told() -> None:
    [row] = [row for row in COMPOSITIONS if row["id"] == "v068"]
    said = told("sig_body_composition", row["hex"], "2A9C")
    assert isinstance(said, Notice)
    assert said.evidence.hex() == row["hex"]
    assert said.detail == {"impedance_ohm": "332.8", "extra": "ec00a500290091020600"}


def test_what_a_scale_can_do_is_told() -> None:
    [row] = [row for row in rows("SIG WSS") if row["characteristic"] == "2A9E"]
    detail = {"features": "time multiple_users bmi", "weight_step_kg": "0.005", "height_step_m": "0.001"}
    assert told("sig_weight_scale", row["hex"], "2A9E") == Notice("gatt.told", detail)
    assert told("sig_weight_scale", "00000000", "2A9E") == Notice("gatt.told", {"features": ""})
    detail = {"features": "time multiple_users metabolism muscle_percent"}
    assert told("sig_body_composition", "0f000000", "2A9B") == Notice("gatt.told", detail)


def test_every_row_is_told_here() -> None:
    told_here = {row["id"] for row in [*WEIGHTS, *COMPOSITIONS]} | {"v070"}
    assert told_here == {row["id"] for row in rows("SIG WSS", "Renpho ES-WBE28", "SIG BCS")}


@given(st.integers(0, 255), st.integers(0, 254))
def test_the_flag_of_the_other_step_is_never_read_by_the_standard(flags: int, user: int) -> None:
    sent = bytes([flags | 0x46, 0x6A, 0x07, 0xEA, 7, 7, 4, 12, 26, 6, user, 0, 0, 0, 0])
    [said] = decoded("sig_weight_scale", sent, source="2A9D")
    if isinstance(said, Reading):
        assert (user, said.values[Measure.BODY_WEIGHT].value) == (0xAA, Decimal("94.90"))
    else:
        assert isinstance(said, Refusal)
        assert said.code == "sig_weight_scale.model"


@pytest.mark.parametrize(
    ("source", "sent"), [("2A9D", "0e783eea07"), ("2A9C", "0006c8008813"), ("2A9F", "20"), ("2A9E", "00")]
)
def test_what_is_cut_short_is_refused(source: str, sent: str) -> None:
    assert isinstance(told("sig_body_composition", sent, source), Refusal)


@pytest.mark.parametrize(("user", "code"), [(255, 1), (-1, 1), (1, 10_000), (1, -1)])
def test_only_a_user_that_can_be_is_logged_in(user: int, code: int) -> None:
    with pytest.raises(ValueError, match="no user"):
        user_data.consent(user, code)


@SCALES
def test_a_consent_code_that_cannot_be_is_named(driver: Driver) -> None:
    with pytest.raises(ConfigError):
        play(driver, parse("# provenance: constructed\n# settings: user=1 consent=10000\n"))


@SCALES
def test_a_scale_without_the_characteristic_is_no_answer(driver: Driver) -> None:
    both = driver is sig_body_composition.DRIVER
    text = f"# provenance: constructed\n{NO_READS}2A9D+ -\n" + ("2A9C+ -\n" if both else "")
    with pytest.raises(NoAnswer):
        play(driver, parse(text))


@SCALES
def test_another_model_is_named_or_refused(driver: Driver) -> None:
    with pytest.raises(ValueError, match="model: one of sig, renpho_es_wbe28"):
        driver.under({**driver.settings, "model": "other"})
