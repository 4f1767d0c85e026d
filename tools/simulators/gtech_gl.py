"""A G-Tech GL-150/GL-310 height and weight machine, in both of its dialects.

From the sheet height_weight_lines. Of the printer text's MARKS only one word is known, so it is the
only one sent.
"""

from decimal import ROUND_DOWN, ROUND_HALF_UP, Decimal
from random import Random

from tools.simulators import (
    Await,
    Device,
    Fail,
    Measure,
    OrderRefused,
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

SEXES = {"male": ("M", "MALE"), "female": ("F", "FEMALE")}
STANDARD_BMI = 21
"""What the printed sample's standard weight comes to for its height; both are cut off, not rounded."""


def device(setup: Setup) -> Device:
    """Measure whoever stands on it and send the result."""
    while True:
        cue = yield Await()
        if isinstance(cue, Measure):
            yield from attempt(_measured(setup, cue))
        elif isinstance(cue, Fail | Store):
            yield Refuse("this machine only measures")


def _measured(setup: Setup, measure: Measure) -> Device:
    height = scaled(measure.values, "body_height", 1, 9999)
    if height < 1 or measure.extras.get("sex", "female") not in SEXES:
        raise OrderRefused("a height, and male or female, are needed")
    weight = scaled(measure.values, "body_weight", 2, 99999)
    shown = {"body_height": decimal(height, 1), "body_weight": decimal(weight, 2)}
    body_mass = Decimal(shown["body_weight"]) / (Decimal(shown["body_height"]) / 100) ** 2
    shown["bmi"] = measure.values.get("bmi", _rounded(body_mass, 1))
    standard = STANDARD_BMI * (Decimal(shown["body_height"]) / 100) ** 2
    obesity = _rounded(Decimal(shown["body_weight"]) / standard * 100, 1, ROUND_DOWN)
    letter, word = SEXES[measure.extras.get("sex", "female")]
    if setup.options["dialect"] == "printer":
        yield Say(_printed(shown, word, _rounded(standard, 2, ROUND_DOWN), obesity), result=True)
    else:
        parts = (shown["body_height"], shown["body_weight"], letter, obesity, shown["bmi"])
        yield Say(b"\x02" + ",".join(parts).encode("ascii") + b"\x03", result=True)
    yield Show(shown)


def _printed(shown: Values, sex: str, standard: str, fatness: str) -> bytes:
    lines = (
        f"GENDER   ---- {sex}",
        f"WEIGHT   ---- {shown['body_weight']} kg",
        f"STANDARD ---- {standard} kg",
        f"HEIGHT   ---- {shown['body_height']} cm",
        f"B  M  I  ----  {shown['bmi']}   ",
        f"FATNESS  ---- {fatness} % ",
        "MARKS    ---- FATTY",
    )
    return b"\0\r\n" + "".join(f"{line}\r\n" for line in lines).encode("ascii") + b"\x1bT\0"


def _rounded(number: Decimal, places: int, rounding: str = ROUND_HALF_UP) -> str:
    return format(number.quantize(Decimal(1).scaleb(-places), rounding), "f")


def person(chance: Random) -> Values:
    """Return a plausible grown person's height and weight."""
    height = chance.randint(1460, 1840)
    body_mass = chance.randint(185, 305)
    weight = Decimal(body_mass) / 10 * (Decimal(height) / 1000) ** 2
    return {"body_height": decimal(height, 1), "body_weight": _rounded(weight, 2)}


SIMULATOR = Simulator(device, person, {"dialect": ("line", "printer")})
