"""Arm-in machines known from one sample each: the sample, and every way a line may be another one."""

from datetime import datetime
from typing import Any

import pytest

from drivers.catalogue import every
from protocol.framing import Frame
from protocol.readings import Reading
from tests.drivers.test_lines import said
from tests.vector_rows import decoded, raw, rows

NAMES = {"sys": "systolic", "map": "mean_pressure", "mean": "mean_pressure", "dia": "diastolic"}
KIOSKS = ("terumo_bp500", "parama_ft201", "ampall_bp868f")
ROWS = [row for name in KIOSKS for row in rows(name)]
TERUMO = "\x02R1,000000000,210427,153000,128,097,082,084,0000,0000,00000,000\x03"
FT201 = "\x02 150502 0943 125 075 099\x03"
BP868F = "^1200960720681^"


def time_of(expected: dict[str, Any]) -> datetime | None:
    if "date" in expected:
        return datetime.fromisoformat(f"{expected['date']} {expected['time']}")
    return datetime.fromisoformat(expected["time"]) if "time" in expected else None


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["id"])
def test_the_sample_gives_its_stated_values(row: dict[str, Any]) -> None:
    expected, (reading,) = row["expected"], decoded(row["protocol"], raw(row))
    assert isinstance(reading, Reading)
    assert {name: int(quantity.value) for name, quantity in reading.values.items()} == {
        NAMES.get(name, "pulse_rate"): value
        for name, value in expected.items()
        if name in NAMES or name == "pulse"
    }
    assert reading.device_time == time_of(expected)
    assert reading.context.get("arrhythmia") == (
        str(expected["arrhythmia"]) if "arrhythmia" in expected else None
    )


@pytest.mark.parametrize("name", KIOSKS)
def test_one_source_alone_makes_a_driver_that_is_never_proposed(name: str) -> None:
    assert every()[name].experimental


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("terumo_bp500", TERUMO.replace("R1", "R2")),
        ("terumo_bp500", TERUMO.replace("128", "12")),
        ("terumo_bp500", TERUMO.replace("128", "   ")),
        ("terumo_bp500", TERUMO.replace("128", "000")),
        ("terumo_bp500", TERUMO.replace("084", "000")),
        ("terumo_bp500", TERUMO.replace("000000000", "00000000")),
        ("terumo_bp500", TERUMO.replace("000000000", "0000,0000")),
        ("terumo_bp500", TERUMO.replace("210427", "210230")),
        ("terumo_bp500", TERUMO.replace("153000", "153060")),
        ("terumo_bp500", TERUMO.replace(",", ";")),
        ("terumo_bp500", TERUMO[:40] + "\x03"),
        ("parama_ft201", FT201.replace(" 150502", "150502")),
        ("parama_ft201", FT201.replace("150502", "151302")),
        ("parama_ft201", FT201.replace("0943", "0960")),
        ("parama_ft201", FT201.replace("125", " 95")),
        ("parama_ft201", FT201.replace("125", "000")),
        ("parama_ft201", FT201.replace("099\x03", "099 \x03")),
        ("parama_ft201", FT201.replace(" 099", "")),
        ("ampall_bp868f", "^1200000720681^"),
        ("ampall_bp868f", "^1200960720001^"),
    ],
)
def test_another_line_is_refused(name: str, line: str) -> None:
    assert said(name, line) == ["refused device.malformed"]


@pytest.mark.parametrize(
    "line",
    ["^120096072068^", "^12009607206812^", "^ 200960720681^", "1200960720681^", "^1200960720681", "^" * 30],
)
def test_digits_that_do_not_fill_the_form_are_no_message(line: str) -> None:
    assert said("ampall_bp868f", line) == []


def test_a_mark_cut_off_before_a_message_does_not_hide_it() -> None:
    assert len(said("ampall_bp868f", "81^" + BP868F + BP868F[:9] + BP868F)) == 2


def test_a_terumo_line_without_its_identity_says_the_same_and_names_nobody() -> None:
    driver = every()["terumo_bp500"]
    assert driver.redact is not None
    frame = TERUMO.replace("000000000", "A00012345").encode()
    blank = driver.redact(frame)
    assert blank == TERUMO.encode()
    assert driver.redact(blank) == blank
    (named,), (nobody,) = driver.decode([Frame(frame)]), driver.decode([Frame(blank)])
    assert isinstance(named, Reading)
    assert isinstance(nobody, Reading)
    assert named.values == nobody.values
    assert (named.context, nobody.context) == ({"patient_id": "A00012345"}, {})


@pytest.mark.parametrize("line", [TERUMO.replace("R1", "R2"), "\x02anybody\x03"])
def test_a_line_of_another_form_is_blanked_as_a_whole(line: str) -> None:
    redact = every()["terumo_bp500"].redact
    assert redact is not None
    assert redact(line.encode()) == b"\x02" + b"0" * (len(line) - 2) + b"\x03"
