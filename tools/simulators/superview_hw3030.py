"""A SuperView HW-3030 height and weight machine. From the sheet height_weight_lines.

Whether it says a result once or again and again is not known: `times` chooses.
"""

from decimal import ROUND_HALF_UP, Decimal
from random import Random

from tools.simulators import (
    Await,
    Device,
    Fail,
    Measure,
    OrderRefused,
    Pause,
    Refuse,
    Say,
    Setup,
    Show,
    Simulator,
    Store,
    Values,
    attempt,
    decimal,
    scaled,
)

EVERY_S = 0.02
ENDS = {"caret": b"^", "cr": b"\r"}


def device(setup: Setup) -> Device:
    """Measure whoever stands on it and say the result."""
    while True:
        cue = yield Await()
        if isinstance(cue, Measure):
            yield from attempt(_measured(setup, cue))
        elif isinstance(cue, Fail | Store):
            yield Refuse("this machine only measures")


def _measured(setup: Setup, measure: Measure) -> Device:
    height = decimal(scaled(measure.values, "body_height", 1, 9999), 1)
    weight = decimal(scaled(measure.values, "body_weight", 1, 9999), 1)
    if not Decimal(height) or not Decimal(weight):
        raise OrderRefused("a height and a weight are needed")
    line = f"W{weight:>5}H{height:>5} ".encode("ascii") + ENDS[setup.options["end"]]
    for _ in range(int(setup.options["times"])):
        yield Say(line, result=True)
        yield Pause(EVERY_S)
    yield Show({"body_weight": weight, "body_height": height})


def person(chance: Random) -> Values:
    """Return a plausible grown person's height and weight."""
    height = Decimal(chance.randint(1460, 1840)) / 10
    weight = Decimal(chance.randint(185, 305)) / 10 * (height / 100) ** 2
    return {"body_height": str(height), "body_weight": str(weight.quantize(Decimal("0.1"), ROUND_HALF_UP))}


SIMULATOR = Simulator(device, person, {"end": tuple(ENDS), "times": ("3", "1")})
