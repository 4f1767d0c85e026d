"""Scales that only advertise: a Mi Scale and one of the OKOK app. Sheets xiaomi_scales and scales_vendor."""

from datetime import datetime
from functools import reduce
from operator import xor

from tools.peripherals import Advertiser, Result, stamp
from tools.peripherals.scales import person
from tools.simulators import Measure, Show, decimal, scaled

MOVES, STANDS, GONE = 0x02, 0x22, 0xA2
"""A Mi Scale's state, in kg: somebody stands on it, the weight stands, they have stepped off."""
OKOK = 0x20CA
OKOK_HUNDREDTHS, OKOK_STANDS = 0x04, 0x01
OKOK_SEED = 0x20


def mi_scale(measure: Measure, at: datetime, _number: int) -> Result:
    """Return what a Mi Scale advertises of one weighing; it counts in 5 g and shows 50 g."""
    steps = scaled(measure.values, "body_weight", 2, 15_000) * 2
    told = steps.to_bytes(2, "little") + stamp(at)
    values = tuple(("181D", bytes([state]) + told) for state in (MOVES, STANDS, GONE))
    return Result(values, Show({"body_weight": decimal(steps * 5, 3)}))


def okok(measure: Measure, _at: datetime, _number: int) -> Result:
    """Return what an OKOK scale (V20) advertises of one weighing."""
    weight = scaled(measure.values, "body_weight", 2, 20_000)
    values = tuple(("", _v20(weight, properties)) for properties in (0, OKOK_STANDS))
    return Result(values, Show({"body_weight": decimal(weight, 2)}))


def _v20(weight: int, properties: int) -> bytes:
    body = bytes(6) + bytes([OKOK_HUNDREDTHS | properties, 0]) + weight.to_bytes(2, "big") + bytes(2)
    return body + bytes([reduce(xor, body, OKOK_SEED)]) + bytes(6)


MACHINES = {
    "xiaomi_scale": Advertiser(name="MI_SCALE", measured=mi_scale, person=person),
    "okok_scale": Advertiser(name="ADV", measured=okok, person=person, company=OKOK),
}
