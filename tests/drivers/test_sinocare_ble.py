"""The Bluetooth glucose meter: its vectors, a frame in two pieces, and what its neighbours say."""

from dataclasses import replace
from typing import Any

import pytest

from drivers.catalogue import Refusal
from drivers.sinocare_ble import DRIVER
from protocol.errors import ConfigError, NoAnswer
from protocol.readings import Measure, Reading
from protocol.transcript import Gives, parse
from tests.ble_rows import decoded, rows
from tests.play import TRANSCRIPTS, play, read

ROWS = rows("Sinocare")
AN_WEN = bytes.fromhex("534e1200120411051002041d005600011e090000")


def frame(code: str, body: str) -> bytes:
    content = bytes.fromhex(code + body)
    counted = bytes([len(content) + 1]) + content
    return b"SN" + counted + bytes([sum(counted) & 0xFF])


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["id"])
def test_a_result_gives_the_stated_values_once_it_is_whole(row: dict[str, Any]) -> None:
    expected, data = row["expected"], bytes.fromhex(row["hex"])
    if not expected["complete"]:
        assert decoded("sinocare_ble", data) == []
        data += bytes([sum(data[2:]) & 0xFF])
    (said,) = decoded("sinocare_ble", data)
    assert isinstance(said, Reading)
    assert str(said.values[Measure.GLUCOSE].value) == str(expected["mmol_L"])
    assert said.values[Measure.GLUCOSE].unit == "mmol/L"
    assert said.device_time is not None
    assert said.device_time.isoformat() == expected["time"]
    assert said.context["device_code"] == expected["machine"]
    assert not said.stored


def test_the_checksum_may_come_in_a_notification_of_its_own() -> None:
    (said,) = decoded("sinocare_ble", AN_WEN, b"\xef")
    assert isinstance(said, Reading)
    assert decoded("sinocare_ble", AN_WEN, b"\xee") == []


def test_one_bit_turned_over_gives_nothing() -> None:
    whole = AN_WEN + b"\xef"
    for place in range(len(whole) * 8):
        damaged = bytearray(whole)
        damaged[place // 8] ^= 1 << place % 8
        assert not [item for item in decoded("sinocare_ble", bytes(damaged)) if isinstance(item, Reading)]


@pytest.mark.parametrize(
    ("code", "body", "reason"),
    [
        ("0012", "04 1105100204 1d 0056 00011e09 0100", "sinocare_ble.unit"),
        ("0012", "04 1105100204 1d 0056 00011e09 0001", "sinocare_ble.unit"),
        ("0012", "04 1105100204 1d 0000 00011e09 0000", "device.malformed"),
        ("0012", "04 110d100204 1d 0056 00011e09 0000", "device.malformed"),
        ("0012", "04 1105100204 1d 0056 00011e09 00", "device.malformed"),
        ("2000", "04 1105100204 1d 0056 00011e09", "device.malformed"),
        ("2002", "03", "device.malformed"),
        ("0020", "04 1105100204 1d 0056", "device.malformed"),
    ],
)
def test_what_no_source_settles_is_refused(code: str, body: str, reason: str) -> None:
    (said,) = decoded("sinocare_ble", frame(code, body.replace(" ", "")))
    assert isinstance(said, Refusal)
    assert said.code == reason


def test_a_record_that_the_journal_knows_is_no_news() -> None:
    transcript = read(next(path for path in TRANSCRIPTS if path.stem == "sinocare_ble-memory"))
    first, *others = (reading.record or "" for reading in play(DRIVER, transcript).readings)
    told = tuple(turn for turn in transcript.turns if not (isinstance(turn, Gives) and first in turn.reading))
    left = play(DRIVER, replace(transcript, turns=told), known={first}).readings
    assert [reading.record for reading in left] == others


def test_a_meter_that_says_nothing_is_named_silent() -> None:
    silence = "FFB1+\n. 3\nFFB2> 534e0600020700000f\n. 3\nFFB2> 534e0600020500000d\n. 3\n"
    with pytest.raises(NoAnswer, match="nothing that is understood"):
        play(DRIVER, parse(f"# provenance: constructed\n{silence}"))


@pytest.mark.parametrize("code", ["", "12", "x", "001234"])
def test_a_machine_code_is_two_bytes(code: str) -> None:
    with pytest.raises(ConfigError):
        DRIVER.talk({**DRIVER.settings, "machine_code": code}).send(None)
