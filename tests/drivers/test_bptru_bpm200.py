"""BpTRU monitors: the vectors, and what transcripts cannot show."""

import json
from typing import Any

import pytest

from drivers.catalogue import Decoded
from protocol import bptru
from protocol.readings import Measure, Notice, Reading
from tests.vector_rows import FOLDER, decoded

NAME = "bptru_bpm200"
ROWS: list[dict[str, Any]] = [
    row
    for row in map(json.loads, (FOLDER / "serial_constructed.jsonl").read_text(encoding="utf-8").splitlines())
    if row["protocol"] == NAME
]
COMMANDS = [row for row in ROWS if "command" in row["expected"]]
RESULTS = [row for row in ROWS if "result" in row["expected"]]
BUILT = {
    "handshake": bptru.HANDSHAKE,
    "stop": bptru.STOPPED,
    "cycle": bptru.CYCLED,
    "start": bptru.STARTED,
    "clear": bptru.CLEARED,
}
NEVER = {"reset", "review", "pressures off"}


@pytest.mark.parametrize("row", COMMANDS, ids=lambda row: row["id"])
def test_a_command_is_built_to_the_byte_or_cannot_be_built(row: dict[str, Any]) -> None:
    name, data = row["expected"]["command"], bytes.fromhex(row["hex"])
    if name in NEVER:
        assert data not in {bptru.command(action) for action in bptru.SENT}
    else:
        assert bptru.command(BUILT[name]) == data


@pytest.mark.parametrize("action", sorted(set(range(256)) - bptru.SENT))
def test_no_other_command_can_be_built(action: int) -> None:
    with pytest.raises(ValueError, match="never sent"):
        bptru.command(action)


@pytest.mark.parametrize("row", RESULTS, ids=lambda row: row["id"])
def test_a_result_gives_what_is_stated(row: dict[str, Any]) -> None:
    expected, (said,) = row["expected"], decoded(NAME, bytes.fromhex(row["hex"]))
    assert isinstance(said, Reading)
    if expected["result"]:
        values = {measure: quantity.value for measure, quantity in said.values.items()}
        assert values == {
            Measure.SYSTOLIC: expected["sys"],
            Measure.DIASTOLIC: expected["dia"],
            Measure.PULSE_RATE: expected["pulse"],
        }
    else:
        assert said.failed == {"over-pressure": "over_pressure"}[expected["system_error"]]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["id"])
def test_one_bit_turned_over_gives_nothing(row: dict[str, Any]) -> None:
    data = bytes.fromhex(row["hex"])
    assert len(decoded(NAME, data)) == 1
    for place in range(len(data) * 8):
        damaged = bytearray(data)
        damaged[place // 8] ^= 1 << place % 8
        assert decoded(NAME, bytes(damaged)) == []


def test_several_messages_in_one_report_are_all_heard() -> None:
    data = b"".join(bytes.fromhex(row["hex"]) for row in ROWS)
    assert len(decoded(NAME, b"\0" * 5 + data + b"\x02\x42" + data)) == 2 * len(ROWS)


def shown(text: str) -> Decoded:
    """Return what the one message with this content says: of all check bytes only the right one is heard."""
    body = bytes.fromhex(text)
    (said,) = (said for check in range(256) for said in decoded(NAME, b"\x02" + body + bytes([check, 3])))
    return said


def test_what_is_shown_again_is_no_new_result() -> None:
    said, average = shown("52 03 7c 4e 42"), shown("52 00 7c 4e 42")
    assert isinstance(said, Reading)
    assert isinstance(average, Reading)
    assert (said.stored, said.context) == (True, {"shown_again": "3"})
    assert (average.stored, average.context) == (True, {"average": "shown again"})


def test_the_firmware_and_a_restart_are_told() -> None:
    assert shown("06 00 01 02 03") == Notice("bptru_bpm200.said", {"firmware": "1.23"})
    assert shown("21 08 00 00 00") == Notice("bptru_bpm200.said", {"restarted": "power_up"})
    assert shown("21 08 01 00 00") == Notice("bptru_bpm200.said", {"restarted": "unexpectedly"})
