"""A weighing scale that streams "ST,GS" lines: rising while someone steps on, steady, then empty again.

From the sheet scales_st_gs; the overload line is the A&D one.
"""

from random import Random

from tools.simulators import (
    Await,
    Device,
    Fail,
    Measure,
    OrderRefused,
    Pause,
    Say,
    Setup,
    Show,
    ShowFailure,
    Simulator,
    Values,
    attempt,
    decimal,
    scaled,
)

EVERY_S, IDLE_S = 0.02, 0.5
CLIMB = (15, 48, 83, 104, 97, 101)
"""The live weight while someone steps on, in percent of the weight it settles at."""
STEADY, EMPTY = 5, 4
OVERLOAD = b"OL,+999999.9 kg\r\n"


def device(setup: Setup) -> Device:
    """Stream the empty plate; weigh whoever steps on."""
    while True:
        cue = yield Await(IDLE_S)
        match cue:
            case Measure():
                yield from attempt(_weighed(setup, cue))
            case Fail():
                yield from attempt(_overloaded(cue))
            case None:
                yield Say(line("ST", 0, _places(setup)))
            case _:
                pass


def line(status: str, weight: int, places: int) -> bytes:
    """Return one line; *weight* is in units of the last of *places* decimal places of a kilogram."""
    return f"{status},GS,+{decimal(weight, places):>7}kg\r\n".encode("ascii")


def _weighed(setup: Setup, measure: Measure) -> Device:
    places = _places(setup)
    weight = scaled(measure.values, "body_weight", places, 300 * 10**places)
    for percent in CLIMB:
        yield Say(line("US", weight * percent // 100, places))
        yield Pause(EVERY_S)
    for _ in range(STEADY):
        yield Say(line("ST", weight, places), result=True)
        yield Pause(EVERY_S)
    yield Show({"body_weight": decimal(weight, places)})
    yield from _stepped_off(weight, places)


def _stepped_off(weight: int, places: int) -> Device:
    yield Say(line("US", weight * 40 // 100, places))
    for _ in range(EMPTY):
        yield Pause(EVERY_S)
        yield Say(line("ST", 0, places))


def _overloaded(fail: Fail) -> Device:
    if fail.reason != "overload":
        raise OrderRefused("this scale fails as overload")
    for _ in range(STEADY):
        yield Say(OVERLOAD, result=True)
        yield Pause(EVERY_S)
    yield ShowFailure("overload")


def _places(setup: Setup) -> int:
    return int(setup.options["places"])


def person(chance: Random) -> Values:
    """Return a plausible grown person's weight."""
    return {"body_weight": decimal(chance.randint(420, 950), 1)}


SIMULATOR = Simulator(device, person, {"places": ("1", "2")})
