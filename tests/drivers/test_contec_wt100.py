"""The scale known from one decompiled app: what may be asked of it, and what is refused."""

from typing import Any

import pytest

from drivers.catalogue import Refusal
from drivers.contec_wt100 import ANSWER, DRIVER, MOST_FRAMES, QUESTIONS
from drivers.dialogue import Listen, Send
from protocol.framing import Frame
from protocol.readings import Measure, Notice, Reading
from tests.vector_rows import decoded, raw, rows

WEIGHING = (26, 7, 11, 9, 5, 30, 1, 0x18, 0x56)


def frame(command: int, *content: int, device: int = 5) -> bytes:
    body = bytes([len(content) + 4, 0, device, command, *content])
    return b"\x93\x8e" + body + bytes([sum(body) & 0xFF])


def names(data: bytes) -> list[str | None]:
    return [item.record for item in decoded("contec_wt100", data) if isinstance(item, Reading)]


@pytest.mark.parametrize("row", rows("contec_wt100"), ids=lambda row: row["id"])
def test_what_a_host_sends_is_known_to_the_byte_and_an_erase_is_never_sent(row: dict[str, Any]) -> None:
    assert (raw(row) in QUESTIONS) is ("erase" not in row["expected"]["command"])


@pytest.mark.parametrize("command", [0x08, 0x0B])
def test_the_length_tells_whether_records_carry_seconds(command: int) -> None:
    (long,) = decoded("contec_wt100", frame(command, 1, 1, 1, *WEIGHING))
    (short,) = decoded("contec_wt100", frame(command, 1, 1, 1, *WEIGHING[:5], *WEIGHING[6:]))
    assert isinstance(long, Reading)
    assert isinstance(short, Reading)
    assert long.values == short.values
    assert str(long.values[Measure.BODY_WEIGHT].value) == "62.30"
    assert (str(long.device_time), str(short.device_time)) == ("2026-07-11 09:05:30", "2026-07-11 09:05:00")


def test_equal_weighings_are_counted_through_a_memory_and_anew_in_the_next() -> None:
    first, second = frame(0x0B, 2, 1, 2, *WEIGHING, *WEIGHING), frame(0x0B, 2, 2, 1, *WEIGHING)
    once = names(first + second)
    assert len(set(once)) == 3
    assert names(first + second + first + second) == [*once, *once]


@pytest.mark.parametrize(
    "data",
    [
        *map(bytes, QUESTIONS),
        frame(0x07),
        frame(0x07, 1),
        frame(0x0B, 1),
        frame(0x0B, 1, 1),
        frame(0x0B, 1, 2, 1, *WEIGHING),
        frame(0x0B, 1, 0, 1, *WEIGHING),
        frame(0x0B, 1, 1, 2, *WEIGHING),
        frame(0x0B, 1, 1, 1, *WEIGHING, 0),
        frame(0x0B, 1, 1, 1, *WEIGHING[:7], 0, 0),
        frame(0x0B, 1, 1, 1, 26, 2, 30, *WEIGHING[3:]),
        frame(0x0B, 1, 1, 1, *WEIGHING, device=9),
    ],
    ids=lambda data: data.hex(),
)
def test_a_frame_the_source_does_not_describe_is_refused(data: bytes) -> None:
    assert [type(item) for item in decoded("contec_wt100", data)] == [Refusal]


def test_one_bit_turned_over_gives_nothing() -> None:
    data = frame(0x0B, 1, 1, 1, *WEIGHING)
    for place in range(len(data) * 8):
        damaged = bytearray(data)
        damaged[place // 8] ^= 1 << place % 8
        assert names(bytes(damaged)) == []


def test_a_memory_that_never_ends_is_left_after_a_while() -> None:
    dialogue = DRIVER.talk(DRIVER.settings)
    assert dialogue.send(None) == Send(QUESTIONS[0])
    endless, heard = Frame(frame(0x0B, 2, 1, 1, *WEIGHING)), 0
    step = dialogue.send(None)
    while isinstance(step, Listen) and step.timeout == ANSWER:
        heard += 1
        step = dialogue.send(endless)
    dialogue.close()
    assert heard == MOST_FRAMES


def test_an_empty_memory_is_said() -> None:
    assert decoded("contec_wt100", frame(0x08, 0)) == [Notice("contec_wt100.memory_empty")]
