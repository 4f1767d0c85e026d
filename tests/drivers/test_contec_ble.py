"""The Bluetooth LE form of the Contec monitors: their seven-bit messages, and what is never sent to them."""

from datetime import datetime

import pytest

from drivers.catalogue import Refusal
from drivers.contec_ble import DRIVER
from protocol import contec_ble
from protocol.errors import NoAnswer
from protocol.framing import Noise
from protocol.readings import Measure, Notice, Reading
from protocol.transcript import parse
from tests.ble_rows import decoded
from tests.play import play

RECORD = bytes.fromhex("e1 40 18 0b 15 13 05 09 00 00 1c 09 01 34 0c 02 00 62")


def test_the_documented_questions_are_built_with_their_check() -> None:
    assert contec_ble.ask_counts() == b"\x90\x10"
    assert contec_ble.ask_block(1) == b"\x91\x01\x12"
    moment = datetime.fromisoformat("2026-11-22T08:30:15")
    assert contec_ble.set_clock(moment) == bytes.fromhex("83 1a 0b 16 08 1e 0f 00 00 73")


@pytest.mark.parametrize("number", [-1, 0x7E, 0x7F, 0x80, 255])
def test_the_end_that_may_delete_records_cannot_be_built(number: int) -> None:
    with pytest.raises(ValueError, match="never sent"):
        contec_ble.ask_block(number)


@pytest.mark.parametrize("year", [1999, 2128])
def test_a_year_that_seven_bits_cannot_tell_is_refused(year: int) -> None:
    with pytest.raises(ValueError, match="no such year"):
        contec_ble.set_clock(datetime.fromisoformat(f"{year}-01-01T00:00:00"))


def test_every_number_takes_its_highest_bit_from_the_carrier() -> None:
    (said,) = decoded("contec_ble", RECORD)
    assert isinstance(said, Reading)
    stated = {name: int(quantity.value) for name, quantity in said.values.items()}
    assert stated == {
        Measure.SYSTOLIC: 265,
        Measure.DIASTOLIC: 140,
        Measure.PULSE_RATE: 130,
        Measure.MEAN_PRESSURE: 180,
    }
    assert said.device_time == datetime.fromisoformat("2024-11-21T19:05:09")


def test_messages_are_found_however_notifications_cut_them() -> None:
    stream = b"\x05\x06" + RECORD + RECORD[:7] + bytes.fromhex("e0 02 00 01 00 63")
    whole = decoded("contec_ble", stream)
    assert [type(item) for item in whole] == [Reading, Notice]
    assert decoded("contec_ble", *(bytes([byte]) for byte in stream)) == whole


def test_what_was_cut_short_is_noise_and_gives_no_value() -> None:
    framer = contec_ble.Framer()
    pieces = [*framer.feed(RECORD[:12] + RECORD[:3]), *framer.finish()]
    assert pieces == [Noise(RECORD[:12], "cut short"), Noise(RECORD[:3], "incomplete")]


@pytest.mark.parametrize(
    "change", [{3: 13}, {12: 0x7F}, {11: 0, 12: 0, 10: 0}, {14: 0, 10: 0x14}, {15: 0, 10: 0x0C}], ids=str
)
def test_what_is_no_blood_pressure_is_refused(change: dict[int, int]) -> None:
    data = bytearray(RECORD)
    for at, byte in change.items():
        data[at] = byte
    (said,) = decoded("contec_ble", bytes(data))
    assert isinstance(said, Refusal)


def test_an_answer_with_a_wrong_check_is_refused() -> None:
    assert isinstance(decoded("contec_ble", bytes.fromhex("f30073"))[0], Notice)
    assert isinstance(decoded("contec_ble", bytes.fromhex("f30072"))[0], Refusal)


def test_a_monitor_that_does_not_answer_is_named_silent() -> None:
    for said in ("FF02+\nFF01> 9010\n. 3\n", "FF02+ -\n"):
        with pytest.raises(NoAnswer):
            play(DRIVER, parse(f"# provenance: constructed\n{said}"))


def test_a_record_that_the_journal_knows_is_no_news() -> None:
    text = "FF02+\nFF01> 9010\nFF02< e00100000061\nFF01> 910011\n" + f"FF02< {RECORD.hex()}\n. 10\n"
    known = {"blood_pressure 2024-11-21T19:05:09 265/140 180 130"}
    assert play(DRIVER, parse(f"# provenance: constructed\n{text}"), known=known).readings == []
