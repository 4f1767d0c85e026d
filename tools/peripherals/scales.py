"""Scales of the standard services: weight, or with the body fat that follows it. Sheet sig_wss_bcs_uds."""

from datetime import datetime
from random import Random

from tools.peripherals import Peripheral, Result, stamp
from tools.simulators import Measure, OrderRefused, Show, ShowFailure, Values, decimal, scaled

TIME = 0x02
STEP_G = 5
UNSUCCESSFUL = b"\xff\xff"
HEAVIEST_G = 250_000


def weighed(measure: Measure, at: datetime, _number: int) -> Result:
    """Return a weight in kg, in steps of 5 g."""
    number, shown = _weight(measure.values)
    return Result((("2A9D", _told(number, at)),), Show({"body_weight": shown}))


def weighed_nothing(reason: str, at: datetime) -> Result:
    """Return what a scale tells that found no weight."""
    if reason != "no_result":
        raise OrderRefused("a scale says no_result")
    return Result((("2A9D", _told(UNSUCCESSFUL, at)),), ShowFailure(reason))


def composed(measure: Measure, at: datetime, _number: int) -> Result:
    """Return a weight and the body fat found with it, which has no time of its own."""
    number, shown = _weight(measure.values)
    fat = scaled(measure.values, "body_fat", 1, 800)
    composition = bytes(2) + fat.to_bytes(2, "little")
    values = ("2A9D", _told(number, at)), ("2A9C", composition)
    return Result(values, Show({"body_weight": shown, "body_fat": decimal(fat, 1)}))


def _weight(values: Values) -> tuple[bytes, str]:
    """Return a weight as it is sent and as it is shown."""
    steps = scaled(values, "body_weight", 3, HEAVIEST_G) // STEP_G
    return steps.to_bytes(2, "little"), decimal(steps * STEP_G, 3)


def _told(weight: bytes, at: datetime) -> bytes:
    return bytes([TIME]) + weight + stamp(at)


def person(chance: Random) -> Values:
    """Return a plausible grown person's weight."""
    return {"body_weight": decimal(chance.randint(480, 850), 1)}


def person_with_fat(chance: Random) -> Values:
    """Return a plausible grown person's weight and body fat."""
    return {**person(chance), "body_fat": decimal(chance.randint(140, 340), 1)}


MACHINES = {
    "sig_weight_scale": Peripheral(
        name="Scale",
        service="181D",
        told={"2A9D": True},
        measured=weighed,
        person=person,
        failed=weighed_nothing,
        readable={"2A9E": b"\x39\x00\x00\x00"},
    ),
    "sig_body_composition": Peripheral(
        name="Body scale",
        service="181B",
        told={"2A9D": True, "2A9C": True},
        measured=composed,
        person=person_with_fat,
        readable={"2A9B": b"\x01\x00\x00\x00"},
    ),
}
