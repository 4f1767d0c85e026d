"""Glucose meters: each kind of frame, the two firmwares, and a memory that will not end."""

from datetime import datetime

import pytest

from drivers.catalogue import Refusal
from drivers.dialogue import Answer, Listen, Observe, Send
from drivers.sinocare_sn import DRIVER
from protocol.errors import ConfigError
from protocol.framing import Frame
from protocol.readings import DeviceClock, Identified, Notice, Reading

OLD = (1, 2, 3, 4, 5, 6, 7, 14, 4, 22, 16, 57)


def frame(command: int, *content: int) -> Frame:
    body = bytes([len(content) + 4, 0, 4, command, *content])
    return Frame(b"SN" + body + bytes([sum(body) & 0xFF]))


def record(*changes: tuple[int, int]) -> list[int]:
    fields = [14, 4, 22, 16, 55, 0, 56, 1]
    for place, value in changes:
        fields[place] = value
    return fields


def test_both_firmwares_say_who_they_are_and_what_time_it_is() -> None:
    for content, moment in [
        (OLD, datetime(2014, 4, 22, 16, 57)),
        ((*OLD, 9), datetime(2014, 4, 22, 16, 57, 9)),
    ]:
        heard = frame(7, *content)
        identity, clock = DRIVER.decode([heard])
        assert identity == Identified("01020304050607", {"device_code": "0004"})
        assert clock == DeviceClock(moment, heard.data)


@pytest.mark.parametrize("nobody", [0x00, 0xFF])
def test_an_identity_that_was_never_written_is_none(nobody: int) -> None:
    said = list(DRIVER.decode([frame(7, *[nobody] * 7, *OLD[7:])]))
    assert [type(item) for item in said] == [DeviceClock]


def test_a_meter_with_an_impossible_clock_is_still_known_by_name() -> None:
    identity, refused = DRIVER.decode([frame(7, *OLD[:7], 0, 0, 0, 0, 0)])
    assert isinstance(identity, Identified)
    assert isinstance(refused, Refusal)


@pytest.mark.parametrize(
    ("command", "content"),
    [
        (4, [14, 4, 22, 16, 55, 1, 1, 12, 0, 0, 225]),
        (4, [14, 13, 22, 16, 55, 1, 1, 12, 0, 0, 225, 0]),
        (4, [14, 4, 22, 16, 55, 1, 0, 0, 0, 0, 225, 0]),
        (5, [1]),
        (5, [1, 1, 2, *record()]),
        (5, [1, 2, 1, *record()]),
        (5, [1, 0, 1, *record()]),
        (7, [1, 2, 3]),
        (2, []),
        (0x0C, []),
        (0x0E, [0, 0]),
    ],
)
def test_a_frame_no_document_knows_is_refused(command: int, content: list[int]) -> None:
    assert [type(item) for item in DRIVER.decode([frame(command, *content)])] == [Refusal]


def test_one_impossible_record_does_not_take_the_others_with_it() -> None:
    heard = frame(5, 1, 1, 3, *record(), *record((1, 0)), *record((7, 2)))
    first, second, refused = DRIVER.decode([heard])
    assert isinstance(first, Reading)
    assert isinstance(second, Reading)
    assert isinstance(refused, Refusal)
    assert first.record != second.record


def test_two_equal_values_a_second_apart_are_two_records() -> None:
    one, other = DRIVER.decode([frame(5, 1, 1, 2, *record(), *record((7, 2)))])
    assert isinstance(one, Reading)
    assert isinstance(other, Reading)
    assert one.record != other.record


def test_a_memory_that_never_ends_is_left_after_a_while() -> None:
    dialogue = DRIVER.talk(DRIVER.settings)
    endless = frame(5, 2, 1, 1, *record())
    answer: Answer = None
    asked = heard = 0
    codes: list[str] = []
    while "sinocare_sn.records_incomplete" not in codes:
        step = dialogue.send(answer)
        answer = None
        if isinstance(step, Send):
            asked = step.data[5]
        elif isinstance(step, Observe) and isinstance(step.event, Notice):
            codes.append(step.event.code)
        elif isinstance(step, Listen):
            heard += 1
            assert heard < 2000
            said = frame(7, *OLD) if asked == 7 else endless
            answer = None if step.within == 0.5 else said
    dialogue.close()


def test_the_other_device_code_is_used_where_the_configuration_says_so() -> None:
    dialogue = DRIVER.talk({**DRIVER.settings, "host_code": "0004"})
    assert dialogue.send(None) == Send(bytes.fromhex("53 4e 06 00 04 07 00 00 11"))
    with pytest.raises(ConfigError):
        DRIVER.talk({**DRIVER.settings, "host_code": "0009"}).send(None)
