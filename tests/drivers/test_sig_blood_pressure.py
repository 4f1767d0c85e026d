"""The standard blood-pressure service: its vectors, its quirks, and what is never told as a result."""

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.catalogue import Gatt, Refusal
from drivers.sig_blood_pressure import DRIVER
from protocol.errors import NoAnswer
from protocol.readings import DeviceClock, Identified, Measure, Notice, Progress, Reading
from protocol.transcript import Gives, parse
from tests.ble_rows import decoded, rows
from tests.play import TRANSCRIPTS, play, read

NAMES = {
    "sys": Measure.SYSTOLIC,
    "dia": Measure.DIASTOLIC,
    "map": Measure.MEAN_PRESSURE,
    "pulse": Measure.PULSE_RATE,
}
ROWS = rows("SIG BPS", "SIG eBPS", "Beurer BM85")
RESULTS = [row for row in ROWS if "sys" in row["expected"] and row["expected"]["sys"] != "NaN"]
NO_READS = "".join(f"{name}? -\n" for name in ("2A29", "2A24", "2A25", "2A26", "2A19", "2A2B", "2A08"))
RESULT = "16 7c 00 56 00 61 00 e8 07 06 0f 11 11 1b 33 00 00 00"


def told(row: dict[str, Any]) -> Any:
    [item] = decoded("sig_blood_pressure", bytes.fromhex(row["hex"]), source=row["characteristic"])
    return item


@pytest.mark.parametrize("row", RESULTS, ids=lambda row: row["id"])
def test_a_result_gives_the_stated_values(row: dict[str, Any]) -> None:
    reading, expected = told(row), row["expected"]
    assert isinstance(reading, Reading)
    stated = {
        measure: expected[name] for name, measure in NAMES.items() if expected.get(name, "NaN") != "NaN"
    }
    assert {measure: reading.values[measure].value for measure in stated} == {
        measure: Decimal(str(number)) for measure, number in stated.items()
    }
    if expected.get("map") == "NaN":
        assert Measure.MEAN_PRESSURE not in reading.values
    unit = {"kPa": "kPa"}.get(expected.get("unit", ""), "mm[Hg]")
    assert reading.values[Measure.SYSTOLIC].unit == unit
    if "time" in expected:
        assert reading.device_time is not None
        assert reading.device_time.isoformat() == expected["time"]
    if "user" in expected:
        assert reading.context["user"] == str(expected["user"])
    assert ("irregular_pulse" in reading.flags) == bool(expected.get("status", 0) & 4)
    assert reading.stored == (reading.device_time is not None)


def test_every_row_is_told_here() -> None:
    others = {"v010", "v011", "v012", "v016"}
    assert {row["id"] for row in ROWS} == {row["id"] for row in RESULTS} | others


@pytest.mark.parametrize(
    "row", [row for row in ROWS if row["characteristic"] == "2A36"], ids=lambda row: row["id"]
)
def test_the_cuff_pressure_is_never_a_result(row: dict[str, Any]) -> None:
    progress = told(row)
    assert isinstance(progress, Progress)
    assert str(progress.values["cuff_pressure"].value) == str(row["expected"]["cuff"])  # type: ignore[index]


def test_not_a_number_everywhere_is_a_failed_measurement_with_its_reason() -> None:
    [failed] = [told(row) for row in ROWS if row["id"] == "v016"]
    assert (failed.values, failed.failed, failed.flags) == ({}, "movement", {"body_movement"})


@pytest.mark.parametrize(
    "row", [*rows("POISON"), *(row for row in ROWS if row["id"] == "v010")], ids=lambda r: r["id"]
)
def test_a_misread_or_short_value_is_refused(row: dict[str, Any]) -> None:
    assert isinstance(told(row), Refusal)


@pytest.mark.parametrize("row", rows("SIG Date Time", "SIG CTS"), ids=lambda row: row["id"])
def test_the_clock_is_told(row: dict[str, Any]) -> None:
    clock = told(row)
    assert isinstance(clock, DeviceClock)
    assert clock.device_time.isoformat() == row["expected"]["time"]


@pytest.mark.parametrize("row", rows("SIG BAS"), ids=lambda row: row["id"])
def test_the_battery_is_told(row: dict[str, Any]) -> None:
    assert told(row) == Notice("gatt.told", {"battery": f"{row['expected']['battery']} %"})


@pytest.mark.parametrize(
    ("source", "sent", "detail"),
    [
        ("2A49", "2f00", {"features": "body_movement cuff_loose irregular_pulse pulse_range multiple_bonds"}),
        ("2A23", "0102030405060708", {"system_id": "0807060504030201"}),
        (
            "2A50",
            "01 0d00 0100 1001",
            {"vendor_source": "1", "vendor": "000d", "product": "0001", "version": "0110"},
        ),
        ("2A0F", "2000", {"zone": "+08:00", "summer_time": "0"}),
        ("2A0F", "e2ff", {"zone": "-07:30", "summer_time": "unknown"}),
        ("2A14", "04ff0103", {"time_source": "manual", "accuracy_eighths": "255", "days": "1", "hours": "3"}),
        ("2A24", b"YE670CR\0\0".hex(), {"model": "YE670CR"}),
    ],
)
def test_what_it_says_of_itself(source: str, sent: str, detail: dict[str, str]) -> None:
    assert decoded("sig_blood_pressure", bytes.fromhex(sent), source=source) == [Notice("gatt.told", detail)]


@pytest.mark.parametrize("said", [b"Serial Number", b"0000000000", b"SN", b"1234567890", b"111111", b" \0"])
def test_a_placeholder_is_no_serial_number(said: bytes) -> None:
    assert decoded("sig_blood_pressure", said, source="2A25") == [Notice("gatt.told", {})]
    assert decoded("sig_blood_pressure", b"18550101A7", source="2A25") == [Identified("18550101A7", {})]


@pytest.mark.parametrize(
    ("source", "sent"),
    [
        ("2A19", "65"),
        ("2A19", "6400"),
        ("2A0F", "3900"),
        ("2A25", "ff"),
        ("2A25", "1b5b"),
        ("2A23", "01"),
        ("2A08", "e7070d0f111121"),
        ("2A2B", "e807060f11111b088001"),
        ("2A5D", "00"),
        ("2B36", "010000352a" + RESULT),
        ("2B36", "030000372a" + RESULT),
        ("2A35", "1e7300590061"),
        ("2A35", "007c0056ff6100"),
    ],
)
def test_what_is_not_documented_is_refused(source: str, sent: str) -> None:
    [refusal] = decoded("sig_blood_pressure", bytes.fromhex(sent), source=source)
    assert isinstance(refusal, Refusal)
    assert refusal.code == "device.malformed"


def test_bytes_of_nobody_are_a_result() -> None:
    assert decoded("sig_blood_pressure", bytes.fromhex(RESULT)) == decoded(
        "sig_blood_pressure", bytes.fromhex(RESULT), source="2A35"
    )


def test_what_stands_behind_the_fields_is_kept() -> None:
    [reading] = decoded("sig_blood_pressure", bytes.fromhex(RESULT + "aabb"))
    assert isinstance(reading, Reading)
    assert reading.context["extra"] == "aabb"


@given(st.integers(0, 0xFFFF))
def test_a_beurer_s_pulse_is_told_in_one_order_or_refused(word: int) -> None:
    sent = bytes.fromhex("566a0047000000ea07080b121f00") + word.to_bytes(2, "big") + bytes(3)
    [said] = decoded("sig_blood_pressure", sent)
    if isinstance(said, Reading) and Measure.PULSE_RATE in said.values:
        assert 20 <= word <= 250 or said.values[Measure.PULSE_RATE].value >= 1
        if 20 <= word <= 250:
            assert said.values[Measure.PULSE_RATE].value == word


def test_another_model_or_pairing_is_named_or_refused() -> None:
    link = DRIVER.under({**DRIVER.settings, "pairing": "just_works"}).link
    assert isinstance(link, Gatt)
    assert link.pairing == "just_works"
    for wrong in ({"model": "bm99"}, {"pairing": "maybe"}):
        with pytest.raises(ValueError, match="one of"):
            DRIVER.under({**DRIVER.settings, **wrong})


def test_a_device_without_the_service_is_no_answer() -> None:
    text = f"# provenance: constructed\n{NO_READS}2A36+ -\n2B36+ -\n2A35+ -\n2B35+ -\n2B34+ -\n"
    with pytest.raises(NoAnswer):
        play(DRIVER, parse(text))


def test_what_the_journal_knows_is_not_told_again() -> None:
    stated = read(next(path for path in TRANSCRIPTS if path.stem == "sig_blood_pressure-from_memory"))
    first = play(DRIVER, stated).readings
    left = replace(
        stated,
        turns=tuple(turn for turn in stated.turns if not isinstance(turn, Gives) or "127.0" in turn.reading),
    )
    known = {reading.record for reading in first if "124/86" in str(reading.record)}
    assert [
        reading.record for reading in play(DRIVER, left, known={str(name) for name in known}).readings
    ] == [first[1].record]
