"""The vectors of the protocol sheets: each gives its stated values or is refused; host frames are built."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import pytest

from drivers.catalogue import Decoded, Refusal
from protocol import berry, sinocare
from protocol.readings import Measure, Notice, Progress, Reading
from tests.vector_rows import decoded, raw, rows

FIRST = ("omron_hbp", "pm6750", "sinocare_sn", "scale_st_gs", "gtech_gl")
"""The protocols whose vectors are told here; a driver added later has a file of its own beside this one."""
HEARD = [row for name in FIRST for row in rows(name, "device->host")]
SENT = [row for name in FIRST for row in rows(name, "host->device")]
NAMES: Mapping[str, Measure] = {
    "sys": Measure.SYSTOLIC,
    "map": Measure.MEAN_PRESSURE,
    "dia": Measure.DIASTOLIC,
    "pulse": Measure.PULSE_RATE,
    "weight_kg": Measure.BODY_WEIGHT,
    "height_cm": Measure.BODY_HEIGHT,
    "bmi": Measure.BMI,
    "bmi_field": Measure.BMI,
    "glucose_mmol_L": Measure.GLUCOSE,
    "spo2": Measure.SPO2,
}
CONTEXT: Mapping[str, str] = {
    "last_field": "n",
    "rs485_address": "address",
    "sample_type": "sample_type",
    "correction_code": "correction_code",
    "temperature_C": "meter_temperature",
    "mark": "mark",
    "standard_weight_kg": "standard_weight_kg",
    "obesity_pct": "obesity_percent",
    "fatness_pct": "obesity_percent",
}
FAILURES = {
    "stopped": "stopped_by_host",
    "over 300 mmHg": "over_pressure",
    "cuff loose": "cuff_loose",
    "timeout": "timed_out",
    "error": "measurement_error",
    "interference": "movement",
    "no result": "no_result",
}


@pytest.mark.parametrize("row", HEARD, ids=lambda row: row["id"])
def test_what_a_device_sends_gives_the_stated_values_or_is_refused(row: dict[str, Any]) -> None:
    expected, said = row["expected"], decoded(row["protocol"], raw(row))
    readings = [item for item in said if isinstance(item, Reading)]
    if expected.get("error"):
        assert [reading.failed for reading in readings] == [f"device_error:{expected['error']}"]
    elif expected.get("valid") is False or _other_omron_format(row):
        assert not readings
        assert any(isinstance(item, Refusal) for item in said)
    elif expected.get("stable") is False:
        assert [type(item) for item in said] == [Progress]
    elif row["protocol"] == "pm6750":
        _pm6750(expected, said)
    else:
        (reading,) = readings
        _values(expected, reading)


def _other_omron_format(row: Mapping[str, Any]) -> bool:
    return row["protocol"] == "omron_hbp" and row["expected"]["format"] not in {"bp CSV", "format 5"}


def _values(expected: Mapping[str, Any], reading: Reading) -> None:
    stated = {NAMES[name]: Decimal(str(value)) for name, value in expected.items() if name in NAMES}
    assert {measure: quantity.value for measure, quantity in reading.values.items()} == stated
    for name in expected.keys() & CONTEXT.keys():
        assert reading.context[CONTEXT[name]] == str(expected[name])
    if "time" in expected:
        assert reading.device_time is not None
        assert reading.device_time.isoformat(" ").startswith(expected["time"])
    if "gender" in expected:
        assert reading.context["sex"][0] == expected["gender"][0].lower()
    if "gross" in expected:
        assert reading.context["load"] == "gross"
    if len(set(expected.get("id", "").strip())) > 1:
        assert reading.context["patient_id"] == expected["id"]


def _pm6750(expected: Mapping[str, Any], said: list[Decoded]) -> None:
    readings = [item for item in said if isinstance(item, Reading)]
    state = expected.get("state")
    match expected["type"]:
        case "NIBP" if state == "done":
            _values(expected, readings[0])
            assert readings[0].context["patient_mode_bits"] == str(expected["mode"])
        case "NIBP" if state in FAILURES:
            assert [reading.failed for reading in readings] == [FAILURES[state]]
        case "NIBP":
            (progress,) = said
            assert isinstance(progress, Progress)
            assert [quantity.value for quantity in progress.values.values()] == [expected["cuff"]]
        case "SpO2" if expected["spo2"] is not None:
            _values(expected, readings[0])
        case "TEMP" if expected["t1"] is not None:
            values = [reading.values[Measure.BODY_TEMPERATURE].value for reading in readings]
            assert values == [Decimal(str(expected["t1"])), Decimal(str(expected["t2"]))]
            assert [reading.context["channel"] for reading in readings] == ["T1", "T2"]
        case "SpO2" | "TEMP":
            assert [type(item) for item in said] == [Progress]
        case "ECG wave 0x01":
            samples = " ".join(map(str, expected["samples"]))
            assert said == [Notice("pm6750.ecg_wave", {"samples": samples})]
        case _:
            (notice,) = said
            assert isinstance(notice, Notice)
            assert notice.detail["heart_rate"] == str(expected["hr"])
            assert notice.detail["respiration"] == str(expected["rr"])


@pytest.mark.parametrize("row", SENT, ids=lambda row: row["id"])
def test_what_a_host_sends_is_built_to_the_byte_or_cannot_be_built(row: dict[str, Any]) -> None:
    data = raw(row)
    if row["protocol"] == "pm6750":
        right = berry.command(data[3], data[4])
        assert (right == data) is row["expected"]["checksum_ok"]
    elif "erase" in row["expected"]["command"] or "connect" in row["expected"]["command"]:
        with pytest.raises(ValueError, match="never sent"):
            sinocare.command(data[5:-1])
    else:
        assert sinocare.command(data[5:-1], data[3:5]) == data


@pytest.mark.parametrize("number", [0x0B, 0x0C, 0x0D, 0x0E, 0x0F, 0x10, 0x06, 0xFC, 0xFD])
def test_factory_functions_of_the_board_cannot_be_built(number: int) -> None:
    for argument in range(256):
        with pytest.raises(ValueError, match="never sent"):
            berry.command(number, argument)


@pytest.mark.parametrize("number", set(range(256)) - {5, 6, 7})
def test_nothing_but_three_questions_can_be_put_to_a_meter(number: int) -> None:
    with pytest.raises(ValueError, match="never sent"):
        sinocare.command(bytes([number, 0, 0]))
