"""A Satrue scale: silent until it is asked with the letter A. From the sheet height_weight_lines.

The sheet knows the marks RC, kg and -S; where they stand beside each other, and that an answer has no end of
its own, is ours.
"""

from decimal import Decimal
from random import Random

from tools.simulators import (
    Await,
    Device,
    Fail,
    Heard,
    Measure,
    OrderRefused,
    Refuse,
    Say,
    Setup,
    Show,
    Simulator,
    Store,
    Values,
    Violation,
    attempt,
    decimal,
    scaled,
)

QUESTION = b"A"
STEADY = 2
"""So many answers of a person are stable before the plate is empty again."""


def device(setup: Setup) -> Device:
    """Answer each question with what stands on the plate."""
    answers: list[Say | Show] = []
    while True:
        cue = yield Await()
        match cue:
            case Heard(data):
                for byte in data:
                    if bytes([byte]) != QUESTION:
                        yield Violation(f"asked {data.hex(' ')}")
                        break
                    yield answers.pop(0) if answers else Say(_answer("0.0", setup, stable=True))
                    if answers and isinstance(answers[0], Show):
                        yield answers.pop(0)
            case Measure():
                yield from attempt(_stepped_on(cue, answers, setup))
            case Fail() | Store():
                yield Refuse("this scale only weighs")
            case _:
                pass


def _stepped_on(measure: Measure, answers: list[Say | Show], setup: Setup) -> Device:
    weight = scaled(measure.values, "body_weight", 1, 3000)
    if not weight:
        raise OrderRefused("a weight is needed")
    shown = decimal(weight, 1)
    answers.append(Say(_answer(decimal(weight * 2 // 3, 1), setup, stable=False)))
    answers += [Say(_answer(shown, setup, stable=True), result=True) for _ in range(STEADY)]
    answers.append(Show({"body_weight": shown}))
    yield from ()


def _answer(kilograms: str, setup: Setup, *, stable: bool) -> bytes:
    return f"RC{kilograms:>6}kg{'-S' if stable else ''}{setup.options['end']}".encode("ascii")


def person(chance: Random) -> Values:
    """Return a plausible grown person's weight."""
    return {"body_weight": str(Decimal(chance.randint(420, 950)) / 10)}


SIMULATOR = Simulator(device, person, {"end": ("\r\n", "")})
