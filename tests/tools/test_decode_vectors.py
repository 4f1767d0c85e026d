"""Every vector of the documented protocols through `checkup-gateway decode`, as a technician runs it."""

import json
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from tools.main import cli

VECTORS = Path(__file__).parent.parent / "vectors"
Vector = dict[str, Any]


def rows() -> list[Vector]:
    read = [
        json.loads(line)
        for name in ("serial.jsonl", "serial_constructed.jsonl")
        for line in (VECTORS / name).read_text().splitlines()
    ]
    return [row for row in read if row.get("direction", "device->host") == "device->host"]


def sent(row: Vector) -> str:
    return row["hex"] if "hex" in row else row["ascii"].encode("latin-1").hex()


def decoded(driver: str, *chunks: str) -> tuple[int, dict[str, Any]]:
    hexes = [word for chunk in chunks for word in ("--hex", chunk)]
    result = CliRunner().invoke(cli, ["decode", driver, "--json", *hexes])
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return result.exit_code, json.loads(result.stdout)


def values(reading: dict[str, Any]) -> dict[str, Decimal]:
    return {name: Decimal(quantity["value"]) for name, quantity in reading["values"].items()}


def numbers(expected: Vector, names: dict[str, str]) -> dict[str, Decimal]:
    return {ours: Decimal(str(expected[theirs])) for theirs, ours in names.items() if theirs in expected}


def omron(expected: Vector, status: int, said: dict[str, Any]) -> None:
    if expected["format"] not in {"format 5", "bp CSV"}:
        assert status == 6
        assert said["noise"][0]["code"] == "omron_hbp.wrong_format"
    elif expected.get("reason") == "device_error":
        [reading] = said["readings"]
        assert (status, reading["values"], reading["failed"]) == (0, {}, f"device_error:{expected['error']}")
    elif expected.get("valid") is False:
        assert (status, said["readings"], said["frames"]) == (6, [], [])
    else:
        [reading] = said["readings"]
        names = {"sys": "systolic", "map": "mean_pressure", "dia": "diastolic", "pulse": "pulse_rate"}
        assert (status, values(reading)) == (0, numbers(expected, names))
        if "time" in expected:
            assert reading["device_time"] == expected["time"].replace(" ", "T") + ":00"


FAILURES = {"stopped", "over 300 mmHg", "cuff loose", "timeout", "error", "interference", "no result"}


def pm6750(expected: Vector, status: int, said: dict[str, Any]) -> None:
    assert status == 0
    assert len(said["frames"]) == 1
    readings = said["readings"]
    match expected["type"]:
        case "NIBP" if expected["state"] == "done":
            names = {"sys": "systolic", "map": "mean_pressure", "dia": "diastolic"}
            assert [values(reading) for reading in readings] == [numbers(expected, names)]
        case "NIBP" if expected["state"] in FAILURES:
            assert [reading["values"] for reading in readings] == [{}]
            assert readings[0]["failed"]
        case "NIBP":
            assert readings == []
            if "cuff" in expected and expected["state"] == "measuring":
                assert expected["cuff"] in [
                    int(quantity["value"])
                    for event in said["events"]
                    for quantity in event.get("values", {}).values()
                ]
        case "SpO2" if expected["spo2"] is not None:
            names = {"spo2": "spo2", "pulse": "pulse_rate"}
            assert [values(reading) for reading in readings] == [numbers(expected, names)]
        case "TEMP" if expected["t1"] is not None:
            told = [values(reading)["body_temperature"] for reading in readings]
            assert told == [Decimal(str(expected["t1"])), Decimal(str(expected["t2"]))]
        case _:
            assert readings == []


def sinocare(expected: Vector, status: int, said: dict[str, Any]) -> None:
    [reading] = said["readings"]
    time = expected["time"].replace(" ", "T")
    assert status == 0
    assert values(reading) == {"glucose": Decimal(str(expected["glucose_mmol_L"]))}
    assert reading["values"]["glucose"]["unit"] == "mmol/L"
    assert reading["device_time"] == (time if time.count(":") == 2 else f"{time}:00")


def scale(expected: Vector, status: int, said: dict[str, Any]) -> None:
    assert status == 0
    if expected["stable"]:
        assert [values(reading) for reading in said["readings"]] == [
            {"body_weight": Decimal(str(expected["weight_kg"]))}
        ]
    else:
        assert said["readings"] == []
        assert [event["state"] for event in said["events"]] == ["unstable"]


def gtech(expected: Vector, status: int, said: dict[str, Any]) -> None:
    [reading] = said["readings"]
    names = {"height_cm": "body_height", "weight_kg": "body_weight", "bmi_field": "bmi", "bmi": "bmi"}
    assert (status, values(reading)) == (0, numbers(expected, names))


JUDGES: dict[str, Callable[[Vector, int, dict[str, Any]], None]] = {
    "omron_hbp": omron,
    "pm6750": pm6750,
    "sinocare_sn": sinocare,
    "scale_st_gs": scale,
    "gtech_gl": gtech,
}


@pytest.mark.parametrize(
    "row", [row for row in rows() if row["protocol"] in JUDGES], ids=lambda row: row["id"]
)
def test_decodes_to_the_stated_values(row: Vector) -> None:
    status, said = decoded(row["protocol"], sent(row))
    JUDGES[row["protocol"]](row["expected"], status, said)


def test_no_protocol_was_left_out() -> None:
    assert {row["protocol"] for row in rows()} >= JUDGES.keys()


CHECKED = [row for row in rows() if row["protocol"] in {"pm6750", "sinocare_sn"}]


@pytest.mark.parametrize("row", CHECKED, ids=lambda row: row["id"])
def test_a_flipped_bit_is_refused(row: Vector) -> None:
    good = bytes.fromhex(row["hex"])
    for at in {2, len(good) // 2, len(good) - 1}:
        bad = bytearray(good)
        bad[at] ^= 0x04
        status, said = decoded(row["protocol"], bad.hex())
        assert (status, said["readings"]) == (6, [])
        assert "".join(piece["hex"] for piece in said["noise"]) == bad.hex()


@pytest.mark.parametrize("row", CHECKED, ids=lambda row: row["id"])
def test_half_a_frame_is_refused(row: Vector) -> None:
    status, said = decoded(row["protocol"], row["hex"][: len(row["hex"]) // 4 * 2])
    assert (status, said["readings"], said["frames"]) == (6, [], [])
