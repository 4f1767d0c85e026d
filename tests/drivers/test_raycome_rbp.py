"""The pulse-wave monitor: its vectors, what may be sent, and a result that the journal knows already."""

from typing import Any

import pytest

from drivers.dialogue import Answer, Known, Listen, Order, Report, Send
from drivers.raycome_rbp import DRIVER
from protocol import raycome
from protocol.errors import NoAnswer
from protocol.framing import Frame
from protocol.readings import Notice, Progress, Reading
from tests.play import TRANSCRIPTS, play, read
from tests.vector_rows import decoded, raw, rows

HEARD = rows("raycome_rbp", "device->host")
SENT = rows("raycome_rbp", "host->device")
RESULT = bytes.fromhex("aa80020f01060112091312012000760045003f3c")


def packet(content: str) -> bytes:
    data = bytes.fromhex(content)
    body = bytes([2, len(data)]) + data
    check = 0
    for byte in body:
        check ^= byte
    return b"\xaa\x80" + body + bytes([check])


@pytest.mark.parametrize("row", HEARD, ids=lambda row: row["id"])
def test_what_a_monitor_sends_gives_the_stated_values(row: dict[str, Any]) -> None:
    (said,) = decoded("raycome_rbp", raw(row))
    expected = row["expected"]
    if "live" in expected["packet"]:
        assert isinstance(said, Progress)
        assert [f"0x{int(number.value):04x}={number.value}" for number in said.values.values()] == [
            expected["mmHg_field"]
        ]
    else:
        assert isinstance(said, Reading)
        assert {name: int(quantity.value) for name, quantity in said.values.items()} == {
            "systolic": expected["sys"],
            "diastolic": expected["dia"],
            "pulse_rate": expected["pulse"],
        }


@pytest.mark.parametrize("row", SENT, ids=lambda row: row["id"])
def test_what_a_host_sends_is_built_to_the_byte(row: dict[str, Any]) -> None:
    assert raycome.command(raw(row)[4:6]) == raw(row)


@pytest.mark.parametrize("action", [b"\x01\x04", b"\x01\x05", b"\x04\x01", b"\x02\x01", b""])
def test_nothing_else_can_be_built(action: bytes) -> None:
    with pytest.raises(ValueError, match="never sent"):
        raycome.command(action)


@pytest.mark.parametrize("row", HEARD, ids=lambda row: row["id"])
def test_one_bit_turned_over_gives_nothing(row: dict[str, Any]) -> None:
    for place in range(len(raw(row)) * 8):
        damaged = bytearray(raw(row))
        damaged[place // 8] ^= 1 << place % 8
        assert decoded("raycome_rbp", bytes(damaged)) == []


@pytest.mark.parametrize(
    "content",
    [
        "0106 01 12 0d 13 12 01 20 0076 0045 003f",
        "0106 01 12 09 1f 12 01 20 0076 0045 003f",
        "0106 01 12 09 13 12 01 3c 0076 0045 003f",
        "0106 01 12 09 13 12 01 20 0000 0045 003f",
        "0106 01 12 09 13 12 01 20 0076 0000 003f",
        "0106 01 12 09 13 12 01 20 0076 0045 00",
        "0106 01 12 09 13 12 01 20 0076 0045 003f 00",
        "0404 0f",
        "0404 0f0000",
        "0104 00",
        "0206 00",
    ],
)
def test_impossible_content_is_refused(content: str) -> None:
    (refused,) = decoded("raycome_rbp", packet(content))
    assert getattr(refused, "code", "") == "device.malformed"


def test_a_result_without_pulse_has_none_and_every_number_is_two_bytes() -> None:
    (said,) = decoded("raycome_rbp", packet("0106 02 1a 02 1c 17 3b 3b 0104 0100 0000"))
    assert isinstance(said, Reading)
    assert [str(quantity.value) for quantity in said.values.values()] == ["260", "256"]


@pytest.mark.parametrize(
    ("content", "shown"),
    [
        ("0105 0000 0000 6400", ["100"]),
        ("0105 0001 0000 0500", []),
        ("0105 0000 0001 0500", []),
        ("0105 00", []),
    ],
)
def test_a_cuff_pressure_is_shown_only_where_both_sources_read_the_same(
    content: str, shown: list[str]
) -> None:
    (said,) = decoded("raycome_rbp", packet(content))
    assert isinstance(said, Progress)
    assert [str(number.value) for number in said.values.values()] == shown


def test_the_battery_is_a_fault_only_where_it_forbids_to_measure() -> None:
    ((enough,), (low,)) = (decoded("raycome_rbp", packet(f"0404 {mv:04x}")) for mv in (3601, 3600))
    assert enough == Notice("raycome_rbp.battery", {"mv": "3601"})
    assert low == Notice("raycome_rbp.battery_low", {"mv": "3600"}, fault=True)


def test_a_result_the_journal_knows_is_not_told_again() -> None:
    path = next(path for path in TRANSCRIPTS if path.stem == "raycome_rbp-pushed")
    record = play(DRIVER, read(path)).readings[0].record
    assert record is not None
    dialogue = DRIVER.talk(DRIVER.settings)
    step, steps, frames = next(dialogue), [], [Frame(packet("0101 00")), None, None, Frame(RESULT), None]
    while frames:
        steps.append(step)
        step = dialogue.send(frames.pop(0) if isinstance(step, Listen) else isinstance(step, Known))
    assert Known(record) in steps
    assert not any(isinstance(one, Report) for one in steps)


def sent_until_silent(connect: bool, *answers: Answer) -> list[bytes]:
    """Return what is sent while the monitor gives *answers*, and then nothing until the driver gives up."""
    dialogue, left = DRIVER.talk({"connect": connect}), list(answers)
    sent: list[bytes] = []

    def converse() -> None:
        step = next(dialogue)
        while True:
            if isinstance(step, Send):
                sent.append(step.data)
            waiting = isinstance(step, Listen) and left
            step = dialogue.send(left.pop(0) if waiting else None)

    with pytest.raises(NoAnswer):
        converse()
    return sent


@pytest.mark.parametrize(("connect", "question"), [(True, raycome.CONNECT), (False, raycome.BATTERY)])
def test_a_monitor_that_does_not_answer_is_silent(connect: bool, question: bytes) -> None:
    assert sent_until_silent(connect) == [raycome.command(question)]


def test_without_a_word_of_the_battery_nothing_is_started() -> None:
    charged, order = Frame(packet("0404 0fa0")), Order("start_blood_pressure")
    assert sent_until_silent(False, None, charged, order) == [raycome.command(raycome.BATTERY)] * 2


def test_a_start_that_is_not_answered_is_stopped() -> None:
    charged, order = Frame(packet("0404 0fa0")), Order("start_blood_pressure")
    questions = [raycome.BATTERY, raycome.BATTERY, raycome.START, raycome.STOP]
    sent = sent_until_silent(False, None, charged, order, None, charged)
    assert sent == [raycome.command(question) for question in questions]
