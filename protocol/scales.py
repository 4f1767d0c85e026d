"""What scales with protocols of their own say: a weight that stands or moves, and what belongs to it."""

from collections.abc import Mapping
from decimal import Decimal

from protocol.quantities import Quantity
from protocol.readings import Kind, Measure, Notice, Progress, Reading

IMPEDANCE = "impedance_ohm"
MORE = "scale.more"
"""A notice of this code belongs to the weight told before: its detail becomes that reading's context."""
TOLD = "scale.told"
"""A notice of this code says what is neither a weight nor belongs to one."""
UNITS = {"kg": "kg", "lb": "[lb_av]"}
"""Units as settings name them."""


def stands(weight: Quantity, frame: bytes, context: Mapping[str, str] | None = None) -> Reading | Progress:
    """Return the result of a weighing; an empty plate is none."""
    if not weight.value:
        return moves(weight)
    return Reading(Kind.BODY_SIZE, {Measure.BODY_WEIGHT: weight}, (frame,), context=context or {})


def moves(weight: Quantity) -> Progress:
    """Return a weight that does not stand yet, or that nobody stands there."""
    if not weight.value:
        return Progress(Kind.BODY_SIZE, {Measure.BODY_WEIGHT: weight}, "empty", underway=False)
    return Progress(Kind.BODY_SIZE, {Measure.BODY_WEIGHT: weight}, "unstable")


def more(context: Mapping[str, str]) -> Notice:
    """Return what belongs to the weight told before."""
    return Notice(MORE, context)


def ohms(number: int | Decimal) -> dict[str, str]:
    """Return an impedance as context, nothing where none was measured."""
    return {IMPEDANCE: format(Decimal(number), "f")} if number else {}
