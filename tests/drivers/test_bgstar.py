"""BGStar: each form of a line, lines cut short, failed tests, and what can never be sent."""

import pytest

from drivers.bgstar import DRIVER, question
from drivers.catalogue import Refusal
from protocol.readings import DeviceClock, Identified, Measure, Reading
from protocol.transcript import parse
from tests.play import play
from tests.silent import asked_in_silence
from tests.vector_rows import decoded

NAME = "bgstar"
HEAD = """# provenance: constructed from the sheet serial/other_glucose_meters.md
> "hello\\r"
< "200 hello BGST-AR\\r"
> "get serial\\r"
< "200 serial AB123456789012\\r"
> "get datetime\\r"
< "200 datetime 2026 3 1 12 0 30\\r"
> "get glucount\\r"
< "200 glucount 1\\r"
> "get glurec 0\\r"
"""


@pytest.mark.parametrize("meal", range(7))
def test_each_meal_has_its_name(meal: int) -> None:
    (reading,) = decoded(NAME, f"200 glurec 1 0 113 {meal} 2026 3 1 8 30 5\r".encode())
    assert isinstance(reading, Reading)
    assert reading.values[Measure.GLUCOSE].value == 113
    names = [reading.context.get("meal"), reading.context.get("meal_name")]
    day = [[when, name] for name in ("breakfast", "lunch", "dinner") for when in ("before", "after")]
    assert names == (day[meal - 1] if meal else [None, None])


def test_who_and_when() -> None:
    said = decoded(NAME, b"200 hello BGST-AR\r200 serial AB123456789012\r200 datetime 2026 3 1 12 0 30\r")
    assert said[0] == Identified("AB123456789012")
    assert isinstance(said[1], DeviceClock)


@pytest.mark.parametrize(
    "line",
    [
        "200 glurec 1 0 0 0 2026 3 1 8 30 5",
        "200 glurec 1 0 113 7 2026 3 1 8 30 5",
        "200 glurec 1 0 113 0 2026 13 1 8 30 5",
        "200 glurec 1 0 113 0 2026 3 1 8 30",
        "200 glurec 1 0 1130 0 2026 3 1 8 30 5",
        "200 glurec 1 0 HI 0 2026 3 1 8 30 5",
        "404 glurec 1 0 113 0 2026 3 1 8 30 5",
        "200 set datetime",
    ],
)
def test_a_line_no_source_knows_is_refused(line: str) -> None:
    assert [type(item) for item in decoded(NAME, f"{line}\r".encode())] == [Refusal]


def test_a_failed_test_is_never_a_value() -> None:
    (reading,) = decoded(NAME, b"200 glurec 1 0 E113 0 2026 3 1 8 30 5\r")
    assert isinstance(reading, Reading)
    assert (reading.failed, dict(reading.values)) == ("device_error:E113", {})


@pytest.mark.parametrize("rest", ["59", "5"])
def test_a_record_without_its_end_is_not_taken(rest: str) -> None:
    cut = parse(f'{HEAD}< "200 glurec 1 0 113 0 2026 3 1 8 30 {rest}"\n. 2\n')
    assert play(DRIVER, cut).readings == []


@pytest.mark.parametrize("words", ["set datetime 2026", "get glurec", "get glurec 12345", "hello\rset", ""])
def test_nothing_but_questions_can_be_built(words: str) -> None:
    with pytest.raises(ValueError, match="never sent"):
        question(words)


def test_a_meter_that_is_not_there_is_asked_three_times() -> None:
    assert asked_in_silence(DRIVER) == [b"hello\r"] * 3
