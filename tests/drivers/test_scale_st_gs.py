"""One person on a scale is one reading, and nothing is asked of a scale unless the configuration says so."""

import pytest

from drivers.dialogue import Listen, Report, Send
from drivers.scale_st_gs import DRIVER
from protocol.errors import ConfigError
from protocol.framing import Frame


def weights(*lines: str, **settings: str | int) -> list[str]:
    """Return the weights reported while the scale writes *lines*, each with its number of proving lines."""
    dialogue = DRIVER.talk({**DRIVER.settings, **settings})
    taken, left, answer = [], list(lines), None
    while True:
        step = dialogue.send(answer)
        answer = None
        if isinstance(step, Report):
            (weight,) = step.reading.values.values() or [step.reading.failed]
            taken.append(f"{getattr(weight, 'value', weight)} from {len(step.reading.evidence)}")
        elif isinstance(step, Listen):
            if not left:
                return taken
            answer = Frame(f"{left.pop(0)}\r".encode("ascii"))


def stable(kilograms: str, times: int = 3) -> list[str]:
    return [f"ST,GS,+{kilograms:>7}kg"] * times


def test_a_weight_is_taken_from_three_equal_stable_lines() -> None:
    assert weights(*stable("62.30", 2)) == []
    assert weights(*stable("62.30", 40)) == ["62.30 from 3"]


def test_two_people_of_one_weight_are_two_readings_and_one_person_who_moves_is_one() -> None:
    twice = [*stable("62.30"), *stable("0.00", 1), *stable("62.30")]
    assert weights(*twice) == ["62.30 from 3", "62.30 from 3"]
    assert weights(*stable("62.30"), *stable("62.40"), *stable("62.30")) == ["62.30 from 3"]


def test_an_unstable_or_unreadable_line_between_begins_the_count_anew() -> None:
    for between in ["US,GS,+  62.30kg", "ST,GS,+  6", "OL,"]:
        assert weights(*stable("62.30", 2), between, *stable("62.30", 2)) == []


def test_an_overload_is_said_once_and_the_weight_after_it_still_taken() -> None:
    assert weights(*["OL,GS,+999999.9kg"] * 9, *stable("62.30")) == ["overload from 3", "62.30 from 3"]


def test_what_lies_below_the_minimum_is_an_empty_plate_in_either_unit() -> None:
    assert weights(*stable("1.99")) == []
    assert weights(*stable("1.99"), minimum_kg=1) == ["1.99 from 3"]
    assert weights(*["ST,GS,+   4.40lb"] * 3) == []
    assert weights(*["ST,GS,+   4.42lb"] * 3) == ["4.42 from 3"]


def test_each_printed_line_is_a_reading() -> None:
    assert weights(*stable("62.30", 2), "OL,", mode="print") == [
        "62.30 from 1",
        "62.30 from 1",
        "overload from 1",
    ]


def test_a_bare_weight_is_only_believed_as_the_answer_to_its_question() -> None:
    assert weights(*["62.3 kg"] * 9) == []
    assert weights(*["62.3 kg"] * 9, mode="print") == []
    assert weights(*["62.3 kg"] * 9, poll="R") == []
    assert weights(*["62.3 kg"] * 9, poll="p") == ["62.3 from 3"]


def test_a_scale_is_asked_when_it_is_silent_and_only_then() -> None:
    dialogue = DRIVER.talk({**DRIVER.settings, "poll": "R"})
    assert dialogue.send(None) == Listen(1.0)
    assert dialogue.send(None) == Send(b"R")
    assert dialogue.send(None) == Listen(1.0)


@pytest.mark.parametrize(
    "settings", [{"poll": "z"}, {"poll": "T"}, {"mode": "both"}, {"mode": "print", "poll": "R"}]
)
def test_a_setting_that_is_not_documented_stops_the_conversation(settings: dict[str, str]) -> None:
    with pytest.raises(ConfigError):
        DRIVER.talk({**DRIVER.settings, **settings}).send(None)
