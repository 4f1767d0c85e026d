"""The board that inflates a cuff: what may be asked of it, and what becomes of a result."""

from collections.abc import Iterator

import pytest

from drivers.dialogue import Answer, Dialogue, Listen, Observe, Order, Report, Send, Step
from drivers.pm6750 import DRIVER
from protocol import berry
from protocol.errors import ConfigError, NoAnswer
from protocol.framing import Frame
from protocol.readings import Notice, Reading

START = bytes.fromhex("55 aa 04 02 01 f8")
STOP = bytes.fromhex("55 aa 04 02 00 f9")


def packet(*content: int) -> Frame:
    body = bytes([len(content) + 2, *content])
    return Frame(b"\x55\xaa" + body + bytes([~sum(body) & 0xFF]))


def until_listening(dialogue: Dialogue, answer: Answer = None) -> tuple[list[Step], Listen]:
    """Return the steps up to the next Listen, and that Listen."""
    steps: list[Step] = []
    step = dialogue.send(answer)
    while not isinstance(step, Listen):
        steps.append(step)
        step = dialogue.send(None)
    return steps, step


@pytest.fixture
def board() -> Iterator[Dialogue]:
    dialogue = DRIVER.talk(DRIVER.settings)
    until_listening(dialogue)
    yield dialogue
    dialogue.close()


def sent(steps: list[Step]) -> list[bytes]:
    return [step.data for step in steps if isinstance(step, Send)]


def reported(steps: list[Step]) -> list[Reading]:
    return [step.reading for step in steps if isinstance(step, Report)]


def order(**arguments: str) -> Order:
    return Order("start_blood_pressure", arguments)


@pytest.mark.parametrize(
    ("arguments", "mode", "pressure"),
    [
        ({}, 1, 75),
        ({"patient": "child"}, 2, 50),
        ({"patient": "neonate"}, 3, 35),
        ({"first_pressure": "40"}, 1, 20),
        ({"first_pressure": "300"}, 1, 150),
        ({"patient": "child", "first_pressure": "210"}, 2, 105),
        ({"patient": "neonate", "first_pressure": "140"}, 3, 70),
    ],
)
def test_a_start_sends_mode_then_pressure_then_start(
    board: Dialogue, arguments: dict[str, str], mode: int, pressure: int
) -> None:
    steps, listening = until_listening(board, order(**arguments))
    assert sent(steps) == [packet(9, mode).data, packet(10, pressure).data, START]
    assert listening.within == 10


@pytest.mark.parametrize(
    "arguments",
    [
        {"first_pressure": "38"},
        {"first_pressure": "302"},
        {"first_pressure": "151"},
        {"first_pressure": "-150"},
        {"first_pressure": "²"},
        {"first_pressure": "much"},
        {"patient": "child", "first_pressure": "212"},
        {"patient": "neonate", "first_pressure": "142"},
        {"patient": "horse"},
    ],
)
def test_an_order_outside_the_documented_limits_inflates_nothing(
    board: Dialogue, arguments: dict[str, str]
) -> None:
    steps, _ = until_listening(board, order(**arguments))
    assert sent(steps) == []
    assert [
        step.event.code for step in steps if isinstance(step, Observe) and isinstance(step.event, Notice)
    ] == ["pm6750.inflation"]


def test_a_configuration_outside_the_documented_limits_stops_the_conversation_before_a_byte() -> None:
    with pytest.raises(ConfigError, match="first_pressure"):
        DRIVER.talk({**DRIVER.settings, "patient": "neonate", "first_pressure": 150}).send(None)


def test_a_board_that_says_nothing_is_stopped_and_named_after_ten_seconds(board: Dialogue) -> None:
    until_listening(board, order())
    assert board.send(None) == Send(STOP)
    with pytest.raises(NoAnswer):
        board.send(None)


def test_the_watchdog_runs_though_packets_keep_coming(board: Dialogue) -> None:
    _, listening = until_listening(board, order())
    for cuff in range(60, 90):
        steps, listening = until_listening(board, packet(3, 1 << 2, cuff, 0, 0, 0))
        assert sent(steps) == []
        assert listening.within == 90
    steps, listening = until_listening(board, None)
    assert sent(steps) == [STOP]
    assert [reading.failed for reading in reported(steps)] == ["timed_out"]
    assert listening.within is None


def test_a_board_that_never_answers_a_start_is_stopped_and_said_to_be_silent(board: Dialogue) -> None:
    until_listening(board, order())
    assert board.send(None) == Send(STOP)
    with pytest.raises(NoAnswer):
        board.send(None)


def test_a_result_under_way_before_we_came_is_not_lost(board: Dialogue) -> None:
    until_listening(board, packet(3, 1 << 2, 60, 0, 0, 0))
    steps, _ = until_listening(board, packet(3, 0, 0, 120, 93, 80))
    assert len(reported(steps)) == 1
    steps, _ = until_listening(board, packet(3, 0, 0, 120, 93, 80))
    assert reported(steps) == []


def test_a_stop_order_is_sent_at_once_whatever_the_board_does(board: Dialogue) -> None:
    steps, _ = until_listening(board, Order("stop_blood_pressure"))
    assert sent(steps) == [STOP]
    assert reported(steps) == []


def test_one_zero_among_the_pressures_is_no_result() -> None:
    for values in [(0, 93, 80), (120, 93, 0), (0, 0, 0)]:
        (said,) = DRIVER.decode([packet(3, 0, 0, *values)])
        assert said == Notice("pm6750.no_value", {"patient_mode_bits": "0"})
    (said,) = DRIVER.decode([packet(3, 0, 0, 120, 0, 80)])
    assert isinstance(said, Reading)
    assert sorted(said.values) == ["diastolic", "systolic"]


@pytest.mark.parametrize(
    ("content", "values"),
    [
        ((0, 127, 72), {"pulse_rate": "72"}),
        ((0, 98, 255), {"spo2": "98"}),
        ((0, 98, 72), {"spo2": "98", "pulse_rate": "72"}),
    ],
)
def test_an_invalid_part_of_an_oximetry_packet_is_left_out(
    content: tuple[int, ...], values: dict[str, str]
) -> None:
    (said,) = DRIVER.decode([packet(4, *content)])
    assert isinstance(said, Reading)
    assert {measure: str(quantity.value) for measure, quantity in said.values.items()} == values


@pytest.mark.parametrize(
    "content",
    [
        (4, 0, 101, 72),
        (4, 0, 0, 72),
        (4, 9, 98, 72),
        (4, 0, 98),
        (5, 0, 36, 10, 36, 5),
        (5, 4, 36, 1, 36, 5),
        (3, 11 << 2, 0, 120, 93, 80),
        (3, 0, 0, 120, 93),
        (6, 1),
        (0x77, 1, 2, 3),
    ],
)
def test_a_packet_no_document_knows_is_refused(content: tuple[int, ...]) -> None:
    (said,) = DRIVER.decode([packet(*content)])
    assert not isinstance(said, Reading)
    assert getattr(said, "code", "") == "device.malformed"


@pytest.mark.parametrize(
    ("content", "code"),
    [
        ((0x30, 0), "pm6750.beat"),
        ((0x31, 0), "pm6750.beat"),
        ((0xFE, 12), "pm6750.spo2_wave"),
        ((0xFF, 12), "pm6750.respiration_wave"),
        ((2, 2, 76, 16, 0xF6, 1), "pm6750.ecg_values"),
    ],
)
def test_a_trace_is_recognised_and_is_no_reading(content: tuple[int, ...], code: str) -> None:
    (said,) = DRIVER.decode([packet(*content)])
    assert isinstance(said, Notice)
    assert said.code == code


def test_a_signed_st_level() -> None:
    (said,) = DRIVER.decode([packet(2, 0, 76, 16, 0xF6, 0)])
    assert isinstance(said, Notice)
    assert said.detail["st_mv"] == "-0.10"


def test_the_builder_knows_each_switch_of_the_table() -> None:
    assert berry.command(5, 3) == bytes.fromhex("55 aa 04 05 03 f3")
