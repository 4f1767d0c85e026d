"""The height and weight board of a BluHealth kiosk. From the sheet height_weight_lines.

The height it says of the empty place is ours.
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
    ShowFailure,
    Simulator,
    Store,
    Values,
    attempt,
    decimal,
    scaled,
)

EVERY_S = 0.02
IDLE_S = 0.5
EMPTY_PLACE = "203.0"
CLIMB = (40, 83, 101)


def device(_setup: Setup) -> Device:
    """Say the height of the empty place; weigh whoever steps on."""
    while True:
        cue = yield Await(IDLE_S)
        match cue:
            case None:
                yield Say(_height(EMPTY_PLACE))
            case Measure():
                yield from attempt(_measured(cue))
            case Fail("error"):
                yield Say(b"WEIGHT: 0.0 kg (error)\r\n", result=True)
                yield ShowFailure("error")
                yield Say(_weight("0.0", "reset"))
            case Fail() | Store():
                yield Refuse("this board fails as error, and keeps nothing")
            case _:
                pass


def _measured(measure: Measure) -> Device:
    weight = scaled(measure.values, "body_weight", 1, 3000)
    if not weight:
        raise OrderRefused("a weight is needed")
    for percent in CLIMB:
        yield Say(_weight(decimal(weight * percent // 100, 1), "measuring"))
        yield Pause(EVERY_S)
    yield Say(_weight(decimal(weight, 1), "locked"), result=True)
    yield Show({"body_weight": decimal(weight, 1)})
    yield Say(_weight("0.0", "reset"))


def _weight(kilograms: str, state: str) -> bytes:
    return f"WEIGHT: {kilograms} kg ({state})\r\n".encode("ascii")


def _height(centimetres: str) -> bytes:
    return f"HEIGHT: {centimetres} cm\r\n".encode("ascii")


def person(chance: Random) -> Values:
    """Return a plausible grown person's weight."""
    weight = Decimal(chance.randint(420, 950)) / 10
    return {"body_weight": str(weight.quantize(Decimal("0.1"), ROUND_HALF_UP))}


SIMULATOR = Simulator(device, person)
