"""SuperView HW-3030: the line to the letter, and one reading per person from a machine that repeats it."""

import pytest

from drivers.catalogue import Refusal
from drivers.superview_hw3030 import DRIVER
from tests.rig import Bench, Host, Journal
from tests.vector_rows import decoded
from tools.simulators import Measure, Show, simulator


@pytest.mark.parametrize("end", [b"^", b"\r", b"\r\n", b""])
def test_the_line_is_read_with_each_end(end: bytes) -> None:
    (reading,) = decoded("superview_hw3030", b"W 62.3H170.5 " + end)
    assert [str(quantity.value) for quantity in reading.values.values()] == ["62.3", "170.5"]
    assert reading.context == {"stability": "not stated"}


@pytest.mark.parametrize(
    "line",
    [
        "W062.3H170.5",
        "W062.3H170.5  ",
        " W062.3H170.5 ",
        "W06 .3H170.5 ",
        "W00623H170.5 ",
        "W062.3H01705 ",
        "W062.H170.55 ",
        "W062,3H170.5 ",
        "W-62.3H170.5 ",
        "W062.3 170.5 ",
        "H170.5W062.3 ",
        "W000.0H170.5 ",
        "W062.3H000.0 ",
        "W     H      ",
    ],
)
def test_any_other_line_is_refused(line: str) -> None:
    (refused,) = decoded("superview_hw3030", f"{line}^".encode())
    assert isinstance(refused, Refusal)


@pytest.mark.parametrize(("times", "repeat"), [("3", 2), ("1", 1)])
def test_what_the_simulated_machine_shows_is_read_once(times: str, repeat: int) -> None:
    bench, journal = Bench(simulator("superview_hw3030"), {"times": times}), Journal()
    Host(bench, DRIVER, journal, {"repeat": repeat})
    bench.cue(Measure({"body_weight": "62.3", "body_height": "170.5"}))
    bench.run(seconds=20)
    (reading,) = journal.readings
    assert bench.told == [Show({name.value: str(one.value) for name, one in reading.values.items()})]
    assert len(reading.evidence) == repeat
