"""What a glucose meter's memory tells, the same for every maker: a result, and what only looks like one."""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal

from protocol.quantities import Quantity
from protocol.readings import Kind, Measure, Notice, Reading

CONTROL = "control_solution"
"""A test of the meter, not of a person: told as failed, so that it can never be taken for a result."""


Limits = tuple[Decimal, Decimal]
"""The lowest and the highest mg/dL that a meter shows as a number."""


def limits(low: int, high: int) -> Limits:
    """Return the limits *low* and *high* in mg/dL."""
    return Decimal(low), Decimal(high)


def above(shown: Limits) -> Quantity:
    """Return what a meter means by HI."""
    return Quantity(shown[1], "mg/dL", ">")


def below(shown: Limits) -> Quantity:
    """Return what a meter means by LO."""
    return Quantity(shown[0], "mg/dL", "<")


def mg_dl(raw: int, shown: Limits) -> Quantity:
    """Return *raw* mg/dL; outside *shown* a meter shows LO or HI, and only that is meant."""
    if raw > shown[1]:
        return above(shown)
    return below(shown) if raw < shown[0] else Quantity(Decimal(raw), "mg/dL")


def stored(
    quantity: Quantity,
    moment: datetime | None,
    evidence: tuple[bytes, ...],
    *,
    context: Mapping[str, str],
    flags: frozenset[str] = frozenset(),
    control: bool = False,
    name: str = "",
) -> Reading:
    """Return a result from a memory. Its record is its time, or *name* where it has none, and its value.

    Of a test with control solution the value stands in the context alone.
    """
    shown = f"{quantity.comparator or ''}{quantity.value}"
    when = name or (moment.isoformat() if moment else "")
    return Reading(
        Kind.GLUCOSE,
        {} if control else {Measure.GLUCOSE: quantity},
        evidence,
        device_time=moment,
        context={**context, "control_value": f"{shown} {quantity.unit}"} if control else context,
        flags=flags,
        failed=CONTROL if control else None,
        stored=True,
        record=f"{'control' if control else 'glucose'} {when} {shown}" if when else None,
    )


def other_kind(kind: str, raw: str, moment: datetime | None, evidence: bytes) -> Notice:
    """Return what tells of a result this project has no measure for, its raw value unconverted."""
    detail = {"kind": kind, "raw": raw, **({"device_time": moment.isoformat()} if moment else {})}
    return Notice("glucose_meter.other_kind", detail, evidence=evidence)
