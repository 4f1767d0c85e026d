"""The board with a blood-pressure module behind it: its vectors, its limits, and orders nobody answers."""

import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest

from drivers.catalogue import Refusal
from drivers.dialogue import Answer, Dialogue, Listen, Observe, Order, Report, Send, Step
from drivers.lepu_vx import DRIVER
from protocol import lepu
from protocol.checks import crc8_maxim
from protocol.errors import ConfigError, NoAnswer
from protocol.framing import Frame
from protocol.readings import Measure, Notice, Progress, Reading
from tests.vector_rows import FOLDER, decoded, raw, rows

HEARD = rows("lepu_vx", "board->host")
SENT = rows("lepu_vx", "host->board")
BUILT = [
    row
    for row in map(json.loads, (FOLDER / "serial_constructed.jsonl").read_text(encoding="utf-8").splitlines())
    if row["protocol"] == "lepu_vx"
]
RESULT, REPEATED, CUFF_LOOSE = (raw(row) for row in BUILT)
CANCEL = bytes([0xF0, 4, 3])


def frame(kind: int, token: int, number: int, content: bytes = b"") -> bytes:
    body = b"\xaa\x55" + bytes([8 + len(content), 0, kind, token, number]) + content
    return body + bytes([crc8_maxim(body)])


def result(head: str) -> bytes:
    return frame(0xF6, 4, 4, bytes.fromhex(head) + bytes.fromhex("007a 004f 005d 0047"))


@pytest.mark.parametrize("row", HEARD, ids=lambda row: row["id"])
def test_what_a_board_sends_gives_the_stated_values(row: dict[str, Any]) -> None:
    expected, (said,) = row["expected"], decoded("lepu_vx", raw(row))
    if expected["token"] == "ECG":
        assert isinstance(said, Notice)
        numbers = (expected["points"], expected["channels"], expected["hr_bpm"], expected["index"])
        assert list(said.detail.values()) == list(map(str, numbers))
        return
    assert isinstance(said, Reading)
    values = {measure: quantity.value for measure, quantity in said.values.items()}
    if expected["token"] == "TEMP":
        assert values == {Measure.BODY_TEMPERATURE: Decimal(str(expected["t1_degC"]))}
        assert said.context == {"channel": "T1"}
    else:
        assert values == {Measure.SPO2: expected["spo2_pct"], Measure.PULSE_RATE: expected["pulse_bpm"]}
        assert said.context == {"perfusion": str(expected["pi_raw"])}


def test_a_result_is_one_and_its_repetition_behind_it_none() -> None:
    first, again = decoded("lepu_vx", RESULT + REPEATED)
    (alone,) = decoded("lepu_vx", REPEATED)
    assert isinstance(first, Reading)
    assert isinstance(alone, Reading)
    assert [str(quantity.value) for quantity in first.values.values()] == ["122", "79", "93", "71"]
    assert first.context == {"mode": "manual", "patient": "adult", "reliability": "0"}
    assert again == Notice("lepu_vx.repeated", {"index": "2"})
    assert alone.values == first.values
    assert alone.context["transmission"] == "repeated"


def test_a_loose_cuff_is_a_failure() -> None:
    (said,) = decoded("lepu_vx", CUFF_LOOSE)
    assert isinstance(said, Reading)
    assert (said.failed, dict(said.values)) == ("cuff_loose", {})


@pytest.mark.parametrize("row", SENT, ids=lambda row: row["id"])
def test_what_a_host_sends_is_built_to_the_byte(row: dict[str, Any]) -> None:
    assert lepu.command(0, lepu.DATA_OFF) == raw(row)


@pytest.mark.parametrize("token", range(8))
def test_pumps_valves_checks_and_resets_cannot_be_built(token: int) -> None:
    for number in range(256):
        for content in (b"", b"\x01", b"\x00\xfa", b"\x20\xfa"):
            if content not in lepu.CONTENT.get((token, number), ()):
                with pytest.raises(ValueError, match="never sent"):
                    lepu.command(0, (token, number), content)
    assert {what for what in lepu.CONTENT if what[0] == lepu.NIBP} == {
        (4, 1),
        (4, 3),
        (4, 4),
        (4, 5),
        (4, 0x20),
    }


@pytest.mark.parametrize("data", [*map(raw, HEARD), *map(raw, BUILT)], ids=lambda data: data[:5].hex())
def test_one_bit_turned_over_gives_nothing(data: bytes) -> None:
    for place in range(len(data) * 8):
        damaged = bytearray(data)
        damaged[place // 8] ^= 1 << place % 8
        assert decoded("lepu_vx", bytes(damaged)) == []


@pytest.mark.parametrize(
    "data",
    [
        result("2a 00 00 00"),  # a sixth kind of patient
        result("a0 00 00 00"),  # a mode beyond the list
        frame(0xF6, 4, 4, bytes.fromhex("20 00 00 00 007a 0000 005d 0047")),
        frame(0xF6, 4, 4, bytes(11)),
        frame(0xF6, 4, 1, b"\x01Z"),
        frame(0xF6, 4, 2, b"\x00\x50"),
        frame(0xF6, 4, 7),
        frame(0xF3, 5, 0),
        frame(0xF3, 1, 0),
        frame(0xF3, 1, 0, bytes([4, 3, 0, 0, 80, 0, 0, 1, 1])),
        frame(0xF3, 3, 0, bytes([2, 0, 0x6E, 1])),
        frame(0xF3, 3, 0, bytes([1, 0, 0x6E])),
        frame(0xF3, 6, 2, bytes(8)),
        frame(0xF3, 6, 2, bytes([0, 4, 0, 0, 98, 70, 0, 0, 0])),
        frame(0xF0, 0, 5),
        frame(0xF5, 0, 0),
        frame(0xF7, 4, 1),
    ],
    ids=lambda data: data.hex(),
)
def test_a_frame_no_source_knows_is_refused(data: bytes) -> None:
    assert [type(item) for item in decoded("lepu_vx", data)] == [Refusal]


@pytest.mark.parametrize("mode", ["10", "50", "60", "70", "80", "90"])
def test_a_check_of_the_module_is_no_blood_pressure(mode: str) -> None:
    (said,) = decoded("lepu_vx", result(f"{mode} 00 00 00"))
    assert isinstance(said, Notice)
    assert said.code == "lepu_vx.check"


@pytest.mark.parametrize("bit", range(9))
def test_an_oximeter_that_complains_gives_no_value(bit: int) -> None:
    content = (1 << bit).to_bytes(2, "little") + bytes([0, 0, 98, 70, 0, 0, 0])
    (said,) = decoded("lepu_vx", frame(0xF3, 6, 2, content))
    assert isinstance(said, Progress)
    assert not said.underway


def test_a_temperature_below_zero_is_one() -> None:
    (said,) = decoded("lepu_vx", frame(0xF3, 3, 0, bytes([1, 0, 0xFB, 0xFF])))
    assert isinstance(said, Reading)
    assert said.values[Measure.BODY_TEMPERATURE].value == Decimal("-0.5")


def until_listening(dialogue: Dialogue, answer: Answer = None) -> tuple[list[Step], Listen]:
    """Return the steps up to the next Listen, and that Listen."""
    steps: list[Step] = []
    step = dialogue.send(answer)
    while not isinstance(step, Listen):
        steps.append(step)
        step = dialogue.send(None)
    return steps, step


def answered(command: int, letter: str = "O") -> Frame:
    return Frame(frame(0xF6, 4, 1, bytes([command, ord(letter)])))


@pytest.fixture
def board() -> Iterator[Dialogue]:
    dialogue = DRIVER.talk(DRIVER.settings)
    until_listening(dialogue)
    until_listening(dialogue, Frame(frame(0xF1, 0, 5)))
    yield dialogue
    dialogue.close()


def sent(steps: list[Step]) -> list[bytes]:
    return [step.data[4:-1] for step in steps if isinstance(step, Send)]


@pytest.mark.parametrize(
    ("arguments", "patient", "pressure"),
    [
        ({}, 0, 160),
        ({"patient": "child"}, 1, 140),
        ({"patient": "neonate"}, 2, 90),
        ({"first_pressure": "80"}, 0, 80),
        ({"first_pressure": "280"}, 0, 280),
        ({"patient": "child", "first_pressure": "210"}, 1, 210),
        ({"patient": "neonate", "first_pressure": "60"}, 2, 60),
    ],
)
def test_a_cuff_is_inflated_only_after_patient_and_pressure_were_accepted(
    board: Dialogue, arguments: dict[str, str], patient: int, pressure: int
) -> None:
    said = [until_listening(board, Order("start_blood_pressure", arguments))[0]]
    said += [until_listening(board, answered(command))[0] for command in (4, 5)]
    commands = [[b"\xf0\x04\x04" + bytes([patient])], [b"\xf0\x04\x05" + pressure.to_bytes(2, "big")]]
    assert list(map(sent, said)) == [*commands, [b"\xf0\x04\x01"]]


@pytest.mark.parametrize(
    "arguments",
    [
        {"first_pressure": "79"},
        {"first_pressure": "281"},
        {"first_pressure": "-160"},
        {"first_pressure": "1²"},
        {"first_pressure": "9" * 5000},
        {"patient": "child", "first_pressure": "211"},
        {"patient": "neonate", "first_pressure": "141"},
        {"patient": "large animal"},
    ],
)
def test_an_order_outside_the_documented_limits_sends_nothing(
    board: Dialogue, arguments: dict[str, str]
) -> None:
    steps, listening = until_listening(board, Order("start_blood_pressure", arguments))
    assert sent(steps) == []
    assert listening.within is None
    assert [
        step.event.code for step in steps if isinstance(step, Observe) and isinstance(step.event, Notice)
    ] == ["lepu_vx.inflation"]


def test_a_configuration_outside_the_documented_limits_stops_the_conversation_before_a_byte() -> None:
    with pytest.raises(ConfigError, match="first_pressure"):
        DRIVER.talk({**DRIVER.settings, "patient": "neonate", "first_pressure": 150}).send(None)


def test_a_board_that_does_not_confirm_is_said_to_be_silent() -> None:
    dialogue = DRIVER.talk(DRIVER.settings)
    until_listening(dialogue)
    until_listening(dialogue, Frame(frame(0xF4, 0, 0)))
    with pytest.raises(NoAnswer):
        dialogue.send(None)


@pytest.mark.parametrize("accepted", [0, 1, 2])
def test_a_module_that_does_not_answer_is_silent_and_a_start_is_cancelled(
    board: Dialogue, accepted: int
) -> None:
    until_listening(board, Order("start_blood_pressure"))
    for command in (4, 5)[:accepted]:
        until_listening(board, answered(command))
    if accepted == 2:
        step = board.send(None)
        assert isinstance(step, Send)
        assert step.data[4:-1] == CANCEL
    with pytest.raises(NoAnswer):
        board.send(None)


def test_the_watchdog_runs_though_cuff_pressures_keep_coming(board: Dialogue) -> None:
    until_listening(board, Order("start_blood_pressure"))
    for command in (4, 5, 1):
        _, listening = until_listening(board, answered(command))
    for pressure in range(0, 100, 7):
        steps, listening = until_listening(board, Frame(frame(0xF6, 4, 2, bytes([0, pressure, 0]))))
        assert sent(steps) == []
        assert listening.within == 200
    steps, listening = until_listening(board, None)
    assert sent(steps) == [CANCEL]
    assert [step.reading.failed for step in steps if isinstance(step, Report)] == ["timed_out"]
    assert listening.within is None


def test_a_result_nobody_measured_is_neither_reported_nor_acknowledged(board: Dialogue) -> None:
    for data in (RESULT, REPEATED, CUFF_LOOSE, RESULT):
        assert until_listening(board, Frame(data))[0] == []


def test_a_measurement_begun_by_another_can_be_stopped_and_a_new_one_started(board: Dialogue) -> None:
    until_listening(board, Frame(frame(0xF6, 4, 2, b"\x00\x96\x00")))
    assert sent(until_listening(board, Order("start_blood_pressure"))[0]) == []
    assert sent(until_listening(board, Order("stop_blood_pressure"))[0]) == [CANCEL]
    steps, _ = until_listening(board, answered(3, "A"))
    assert [step.reading.failed for step in steps if isinstance(step, Report)] == ["stopped_by_host"]
    assert sent(until_listening(board, Order("start_blood_pressure"))[0]) == [b"\xf0\x04\x04\x00"]
