"""Weight Scale Service (181D): weights and what a scale can do. Source: ble/sig_wss_bcs_uds.md."""

from decimal import Decimal
from typing import Literal

from protocol.errors import MalformedValue
from protocol.gatt.device_information import TOLD
from protocol.gatt.fields import Fields, Moment, bits, shown
from protocol.quantities import Quantity
from protocol.readings import Kind, Measure, Notice, Reading

MEASUREMENT, FEATURE = "2A9D", "2A9E"
Layout = Literal["sig", "renpho_es_wbe28"]
UNSUCCESSFUL = 0xFFFF
UNKNOWN_USER = 0xFF
RENPHO_FLAG = 0x40
"""A reserved flag that the Renpho ES-WBE28 sets; it counts in 0.05 kg."""
RENPHO_USER = 0xAA
"""The user that the same scale is logged in with (ble/scales_vendor.md)."""
STEPS = {"kg": Decimal("0.005"), "[lb_av]": Decimal("0.01")}
RENPHO_STEP = Decimal("0.05")
WEIGHT_STEPS = {1: "0.5", 2: "0.2", 3: "0.1", 4: "0.05", 5: "0.02", 6: "0.01", 7: "0.005"}
HEIGHT_STEPS = {1: "0.01", 2: "0.005", 3: "0.001"}
FEATURES = {0: "time", 1: "multiple_users", 2: "bmi"}


def measurement(data: bytes, layout: Layout = "sig") -> Reading:
    """Return the weight in a Weight Measurement (2A9D).

    Raises MalformedValue (`sig_weight_scale.model`) where the reserved flag of the Renpho stands alone: which
    of the two steps is meant would be guessed, and one is ten times the other.
    """
    fields = Fields(data)
    flags, raw = fields.number(1), fields.number(2)
    moment = fields.moment() if flags & 0x02 else None
    user = fields.number(1) if flags & 0x04 else UNKNOWN_USER
    unit = "[lb_av]" if flags & 0x01 else "kg"
    step = _step(flags, user, unit, layout)
    values, context = {}, {} if user == UNKNOWN_USER else {"user": str(user)}
    weighed = 0 < raw < UNSUCCESSFUL
    if weighed:
        values[Measure.BODY_WEIGHT] = Quantity(raw * step, unit)
    if flags & 0x08:
        bmi, height = fields.number(2), fields.number(2)
        extra_values, extra_context = _bmi_and_height(bmi, height, imperial=bool(flags & 0x01))
        values |= extra_values if weighed else {}
        context |= extra_context
    if extra := fields.left():
        context["extra"] = extra.hex()
    return Reading(
        Kind.BODY_SIZE,
        values,
        (data,),
        device_time=moment.at if moment else None,
        context=context | (dict(moment.context) if moment else {}),
        flags=moment.flags if moment else frozenset(),
        failed=None if weighed else "no_result",
        stored=moment is not None,
        record=name("weight", moment, user, shown(raw * step) if weighed else "no_result"),
    )


def name(kind: str, moment: Moment | None, user: int, result: str) -> str | None:
    """Return the name of a scale's record: when, of which user, what."""
    return None if moment is None else f"{kind} {moment.name} user {user} {result}"


def feature(data: bytes) -> Notice:
    """Return what the scale can tell (2A9E)."""
    word = Fields(data).number(4)
    told = {"features": " ".join(bits(word, FEATURES))}
    if weight := WEIGHT_STEPS.get(word >> 3 & 0x0F):
        told["weight_step_kg"] = weight
    if height := HEIGHT_STEPS.get(word >> 7 & 0x07):
        told["height_step_m"] = height
    return Notice(TOLD, told)


def _step(flags: int, user: int, unit: str, layout: Layout) -> Decimal:
    renpho = flags & RENPHO_FLAG and user == RENPHO_USER
    if unit == "kg" and (layout == "renpho_es_wbe28" or renpho):
        return RENPHO_STEP
    if flags & RENPHO_FLAG:
        raise MalformedValue(
            "a reserved flag that changes the step of one scale", code="sig_weight_scale.model"
        )
    return STEPS[unit]


def _bmi_and_height(
    bmi: int, height: int, *, imperial: bool
) -> tuple[dict[Measure, Quantity], dict[str, str]]:
    """Return both; nought is what a scale sends that does not know the person."""
    values = {Measure.BMI: Quantity(Decimal(bmi).scaleb(-1), "kg/m2")} if bmi else {}
    if not height:
        return values, {}
    if imperial:
        return values, {"height_in": shown(Decimal(height).scaleb(-1))}
    return values | {Measure.BODY_HEIGHT: Quantity(Decimal(height).scaleb(-1), "cm")}, {}
