"""The monitor that packs its bytes: its vectors, every form in which records come, and bytes out of step."""

from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest

from drivers.catalogue import Refusal, Serial
from drivers.contec08a import DRIVER
from protocol import contec
from protocol.readings import Kind, Notice, Reading
from protocol.transcript import Gives, Heard, Sent, Silence
from tests.play import TRANSCRIPTS as PATHS
from tests.play import play, read
from tests.vector_rows import decoded, raw, rows

HEARD = rows("contec08a", "device->host")
SENT = rows("contec08a", "host->device")
RECORDS = [raw(row) for row in HEARD if "sys_mmHg" in row["expected"]]
SENDABLE = {contec.WHO, contec.HELLO, contec.CLOCK_FOLLOWS, contec.TAKEN, *contec.READ.values()}
NAMES = {
    "sys_mmHg": "systolic",
    "dia_mmHg": "diastolic",
    "map_mmHg": "mean_pressure",
    "pulse_bpm": "pulse_rate",
}
HEADER = bytes.fromhex("46 41 80 80 86 82 80 80 80 80 80 80 80 82")


def readings(data: bytes) -> list[Reading]:
    return [item for item in decoded("contec08a", data) if isinstance(item, Reading)]


def names(data: bytes) -> list[str | None]:
    return [reading.record for reading in readings(data)]


@pytest.mark.parametrize("row", HEARD, ids=lambda row: row["id"])
def test_what_a_monitor_sends_gives_the_stated_values(row: dict[str, Any]) -> None:
    expected, said = row["expected"], decoded("contec08a", raw(row))
    if "packet" in expected:
        (notice,) = said
        assert isinstance(notice, Notice)
        assert (
            notice.code
            == {"0x48": "contec08a.connected", "0x4A": "contec08a.confirmed"}[expected["packet"][:4]]
        )
        return
    (reading,) = said
    assert isinstance(reading, Reading)
    stated = {ours: expected[theirs] for theirs, ours in NAMES.items()}
    assert {measure: int(quantity.value) for measure, quantity in reading.values.items()} == stated
    assert reading.device_time == datetime.fromisoformat(expected["time"])
    assert reading.stored


@pytest.mark.parametrize("row", SENT, ids=lambda row: row["id"])
def test_what_a_host_sends_is_built_to_the_byte_or_cannot_be_built(row: dict[str, Any]) -> None:
    never = ("delete", "SpO2", "ABPM50")
    assert (raw(row) in SENDABLE) is not any(word in row["expected"]["command"] for word in never)


def test_the_clock_is_set_with_bit_7_in_each_of_six_bytes() -> None:
    moment = datetime(2026, 7, 11, 9, 5, 30)
    assert contec.set_clock(moment) == bytes.fromhex("4c 42 80 9a 87 8b 89 85 9e 00")
    with pytest.raises(ValueError, match="1999"):
        contec.set_clock(moment.replace(year=1999))


def test_a_record_says_the_same_alone_in_a_report_and_in_a_block() -> None:
    padded = b"".join(record.ljust(64, b"\0") for record in RECORDS)
    block = HEADER + b"".join(RECORDS)
    assert names(padded) == names(b"".join(RECORDS)) == names(block) == [names(one)[0] for one in RECORDS]
    assert [reading.context for reading in readings(padded)] == [{}] * 6
    assert [reading.context for reading in readings(block)] == [{"user": "2"}] * 6
    assert readings(block)[0].evidence == (HEADER, RECORDS[0])


@pytest.mark.parametrize("lost", range(14 * 6))
def test_a_block_with_a_byte_lost_gives_nothing_and_is_not_acknowledged(lost: int) -> None:
    block = b"".join(RECORDS)
    transcript = read(next(path for path in PATHS if path.stem == "contec08a-stream"))
    asked = transcript.turns.index(Sent(contec.READ["stream", "all"]))
    heard = Heard(HEADER + block[:lost] + block[lost + 1 :])
    cut = replace(transcript, turns=(*transcript.turns[: asked + 1], heard, Silence(30)))
    played = play(DRIVER, cut)
    assert played.readings == []
    told = {"records": "6", "read": "0"}
    assert played.events[-1] == Notice("contec08a.records_incomplete", told, fault=True)


def test_a_record_cut_short_is_none_and_the_next_is_found() -> None:
    said = decoded("contec08a", RECORDS[0][:13] + b"\0" + RECORDS[1])
    assert [item.record for item in said if isinstance(item, Reading)] == names(RECORDS[1])


@pytest.mark.parametrize(
    "record",
    [
        "828094d5c8e9978d80818d898091",  # month 13
        "828094d5c8e9978580808d898091",  # day 0
        "828094d5c8e997858081988980 91",  # hour 24
        "828094d5c8e9978581818d898091",  # a mask bit in the group of the day
        "828094d580e9978580818d898091",  # no pulse
        "828294d5c8e9978580818d898091",  # 660 mmHg
    ],
)
def test_a_record_that_cannot_be_is_refused(record: str) -> None:
    assert [type(item) for item in decoded("contec08a", bytes.fromhex(record))] == [Refusal]


def test_oximetry_records_follow_their_own_announcement() -> None:
    header = bytes.fromhex("47 41 80 80 80 82 80 80 80 80 80 80 80 80 80 81")
    record = bytes.fromhex("80 e2 c8 97 85 81 8d 89 80 9e 80")
    notice, first, second = decoded("contec08a", header + record + record)
    assert notice == Notice("contec08a.memory", {"records": "2", "user": "1"})
    assert isinstance(first, Reading)
    assert first == second
    assert first.kind is Kind.OXIMETRY
    assert {name: str(quantity.value) for name, quantity in first.values.items()} == {
        "spo2": "98",
        "pulse_rate": "72",
    }
    assert first.device_time == datetime(2023, 5, 1, 13, 9, 30)
    assert decoded("contec08a", record) == []


def test_what_the_journal_knows_is_not_told_again() -> None:
    transcript = read(next(path for path in PATHS if path.stem == "contec08a-usb"))
    new = tuple(turn for turn in transcript.turns if not isinstance(turn, Gives) or "T13:43" in turn.reading)
    known = {name for name in names(b"".join(RECORDS)) if name and "T13:43" not in name}
    assert len(play(DRIVER, replace(transcript, turns=new), known=known).readings) == 1


def test_a_question_no_source_knows_stops_the_configuration() -> None:
    stream = DRIVER.under({"variant": "stream", "user": "all"})
    assert isinstance(stream.link, Serial)
    assert DRIVER.under({"variant": "hid", "user": "3"}) is DRIVER
    for variant, user in (("stream", "1"), ("hid", "4"), ("ble", "all")):
        with pytest.raises(ValueError, match="no such question"):
            DRIVER.under({"variant": variant, "user": user})
