"""Satrue: asked with one letter and nothing else, believed only where it says that the weight is stable."""

import pytest

from drivers.catalogue import Refusal
from drivers.dialogue import Listen, Send
from drivers.satrue import DRIVER
from protocol.errors import NoAnswer
from protocol.framing import Frame
from protocol.readings import Progress, Reading
from tests.rig import Bench, Host, Journal
from tests.vector_rows import decoded
from tools.simulators import Measure, Show, simulator


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        ("RC 62.3kg-S", Reading),
        ("RC62.30 kg  -S", Reading),
        ("-S RC 62 kg", Reading),
        ("RC 62.3kg", Progress),
        ("RC 62.3kg-U", Progress),
        ("RC  0.0kg-S", Progress),
        ("62.3kg-S", Refusal),
        ("RC 62.3lb-S", Refusal),
        ("RC-62.3kg-S", Refusal),
        ("RC 6 2.3kg-S", Refusal),
        ("RC 62.3kg-SRC 61.0kg-S", Refusal),
    ],
)
def test_each_answer(answer: str, kind: type) -> None:
    (said,) = decoded("satrue", answer.encode())
    assert type(said) is kind


def test_a_scale_that_answers_nothing_three_times_is_silent() -> None:
    dialogue = DRIVER.talk({})
    for _ in range(3):
        assert dialogue.send(None) == Send(b"A")
        assert dialogue.send(None) == Listen(within=2.5)
    with pytest.raises(NoAnswer):
        dialogue.send(None)


def test_what_no_scale_would_say_is_no_answer() -> None:
    dialogue = DRIVER.talk({})
    dialogue.send(None)
    dialogue.send(None)
    dialogue.send(Frame(b"hello\r"))
    assert dialogue.send(None) == Listen(within=2.5)


@pytest.mark.parametrize("end", ["", "\r\n"])
def test_one_person_on_the_simulated_scale_is_one_reading(end: str) -> None:
    bench, journal = Bench(simulator("satrue"), {"end": end}), Journal()
    Host(bench, DRIVER, journal, {})
    for _ in range(2):
        bench.cue(Measure({"body_weight": "62.3"}))
        bench.run(seconds=20)
    assert [str(value.value) for one in journal.readings for value in one.values.values()] == ["62.3", "62.3"]
    assert bench.told == [Show({"body_weight": "62.3"})] * 2
