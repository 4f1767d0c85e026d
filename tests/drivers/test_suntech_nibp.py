"""The module whose last result stays readable for ever: its vectors, its commands, its limits."""

from collections.abc import Iterator
from typing import Any

import pytest

from drivers.dialogue import Answer, Dialogue, Listen, Order, Report, Send, Step
from drivers.suntech_nibp import DRIVER
from protocol import suntech
from protocol.framing import Frame
from protocol.readings import Measure, Notice, Progress, Reading
from tests.vector_rows import decoded, raw, rows

HEARD = rows("suntech_nibp", "module->host")
SENT = rows("suntech_nibp", "host->module")
CHECKED = [row for row in HEARD if "reject" not in row["expected"]]
BUILT = {"3a20a6", "3a79050048", "3a7903004a", "3a7901004c"}
NAMES = {"sys": "systolic", "map": "mean_pressure", "dia": "diastolic", "pulse": "pulse_rate"}
STREAMED_PRESSURE = bytes.fromhex("3e07 01 50 00 00 6a")


@pytest.mark.parametrize("row", HEARD, ids=lambda row: row["id"])
def test_what_a_module_sends_gives_the_stated_values_or_is_refused(row: dict[str, Any]) -> None:
    expected, said = row["expected"], decoded("suntech_nibp", raw(row))
    if "reject" in expected:
        assert said == []
    elif expected["packet"] == "BP result":
        (reading,) = said
        assert isinstance(reading, Reading)
        assert {name: int(quantity.value) for name, quantity in reading.values.items()} == {
            ours: expected[theirs] for theirs, ours in NAMES.items()
        }
        assert reading.context["beats"] == str(expected["beats"])
        assert reading.context["bp_status"] == str(expected["bp_status"])
    elif expected["packet"] == "cuff pressure":
        (progress,) = said
        assert isinstance(progress, Progress)
        assert [quantity.value for quantity in progress.values.values()] == [expected["mmHg"]]
    else:
        assert said == [Notice("suntech_nibp.answered", {"answer": expected["packet"][0]})]


@pytest.mark.parametrize("row", SENT, ids=lambda row: row["id"])
def test_what_a_host_sends_is_built_to_the_byte_or_cannot_be_built(row: dict[str, Any]) -> None:
    data = raw(row)
    if row["hex"] in BUILT:
        assert suntech.command(data[1:-1]) == data
    else:
        with pytest.raises(ValueError, match="never sent"):
            suntech.command(data[1:-1])


@pytest.mark.parametrize("body", ["0c 00 01 01", "81 00 00 00 00", "81 00 00 00 01", "8a", "56", "79 11 00"])
def test_valves_sleep_and_reset_cannot_be_built(body: str) -> None:
    with pytest.raises(ValueError, match="never sent"):
        suntech.command(bytes.fromhex(body))


@pytest.mark.parametrize("row", CHECKED, ids=lambda row: row["id"])
def test_one_bit_turned_over_gives_nothing(row: dict[str, Any]) -> None:
    for place in range(len(raw(row)) * 8):
        damaged = bytearray(raw(row))
        damaged[place // 8] ^= 1 << place % 8
        assert decoded("suntech_nibp", bytes(damaged)) == []


def result(**fields: int) -> bytes:
    """Return a result packet of zeros with these bytes set, by their place in the packet."""
    packet = bytearray(24)
    packet[:2] = b"\x3e\x18"
    for place, value in fields.items():
        packet[int(place[1:])] = value
    return closed(bytes(packet[:-1]))


def closed(packet: bytes) -> bytes:
    return packet + bytes([-sum(packet) & 0xFF])


def test_each_number_stands_at_its_place_low_byte_first() -> None:
    packet = result(b2=1, b3=1, b4=2, b5=1, b16=44, b18=3, b19=1)
    (reading,) = decoded("suntech_nibp", packet)
    assert isinstance(reading, Reading)
    assert {name: int(quantity.value) for name, quantity in reading.values.items()} == {
        Measure.SYSTOLIC: 257,
        Measure.DIASTOLIC: 258,
        Measure.PULSE_RATE: 44,
        Measure.MEAN_PRESSURE: 259,
    }


@pytest.mark.parametrize(
    ("packet", "failed"),
    [
        (result(b2=115, b4=74, b20=9), "device_error:9"),
        (result(b2=115), "no_result"),
        (result(b4=74, b16=60), "no_result"),
    ],
)
def test_an_error_or_a_missing_pressure_is_a_failure_without_values(packet: bytes, failed: str) -> None:
    (reading,) = decoded("suntech_nibp", packet)
    assert isinstance(reading, Reading)
    assert (reading.failed, dict(reading.values)) == (failed, {})


def test_the_final_report_of_a_streaming_measurement_says_the_same() -> None:
    plain = bytes.fromhex("3e1873004a001e01000000000000310755005800000000e9")
    streamed = closed(b"\x3e\x19\x03" + plain[2:-1])
    (reading,), (same,) = decoded("suntech_nibp", streamed), decoded("suntech_nibp", plain)
    assert isinstance(reading, Reading)
    assert isinstance(same, Reading)
    assert reading.values == same.values


def test_a_streamed_cuff_pressure_is_progress_without_a_number() -> None:
    (progress,) = decoded("suntech_nibp", STREAMED_PRESSURE)
    assert isinstance(progress, Progress)
    assert dict(progress.values) == {}


@pytest.mark.parametrize(
    "data", ["04 58", "06 01 02 03", "19 04" + " 00" * 21, "07 02 50 00 00", "43" + " 11" * 64]
)
def test_a_packet_that_is_not_documented_is_refused(data: str) -> None:
    (refused,) = decoded("suntech_nibp", closed(b"\x3e" + bytes.fromhex(data)))
    assert getattr(refused, "code", "") == "device.malformed"


def until_listening(dialogue: Dialogue, answer: Answer = None) -> list[Step]:
    steps: list[Step] = []
    step = dialogue.send(answer)
    while not isinstance(step, Listen):
        steps.append(step)
        step = dialogue.send(None)
    return steps


@pytest.fixture
def module() -> Iterator[Dialogue]:
    dialogue = DRIVER.talk(DRIVER.settings)
    until_listening(dialogue)
    until_listening(dialogue, Frame(bytes.fromhex("3e050000bd")))
    yield dialogue
    dialogue.close()


def test_a_measurement_that_never_ends_is_aborted_after_three_minutes(module: Dialogue) -> None:
    cuff = Frame(bytes.fromhex("3e055a0063"))
    until_listening(module, Order("start_blood_pressure"))
    until_listening(module, Frame(bytes.fromhex("3e050000bd")))
    steps = until_listening(module, Frame(bytes.fromhex("3e044f6f")))
    asked = 0
    while steps == [Send(bytes.fromhex("3a79050048"))]:
        asked += 1
        until_listening(module, cuff)
        steps = until_listening(module, None)
    assert asked == 360
    assert steps[0] == Send(bytes.fromhex("3a7901004c"))
    assert [step.reading.failed for step in steps if isinstance(step, Report)] == ["timed_out"]
