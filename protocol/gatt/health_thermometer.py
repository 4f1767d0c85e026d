"""Health Thermometer Service (1809). Source: ble/sig_hts_plx_ghs_rcs.md."""

from decimal import Decimal

from protocol.errors import MalformedValue
from protocol.gatt.fields import Fields, Moment, Number, shown
from protocol.ieee11073 import Special
from protocol.quantities import Quantity
from protocol.readings import Kind, Measure, Progress, Reading

MEASUREMENT, INTERMEDIATE = "2A1C", "2A1E"
POSSIBLE = Decimal(0), Decimal(100)
"""Ours, wide on purpose: outside of it a number was read wrongly."""
SITES = {
    1: "armpit",
    2: "body",
    3: "ear",
    4: "finger",
    5: "gastro_intestinal",
    6: "mouth",
    7: "rectum",
    8: "toe",
    9: "tympanum",
}


def measurement(data: bytes) -> Reading:
    """Return the result in a Temperature Measurement (2A1C)."""
    value, moment, context = _fields(data)
    quantity = _quantity(value)
    failed = None if quantity else _failure(value)
    when = (
        None
        if moment is None
        else f"temperature {moment.name} {shown(quantity.value) if quantity else failed}"
    )
    return Reading(
        Kind.TEMPERATURE,
        {Measure.BODY_TEMPERATURE: quantity} if quantity else {},
        (data,),
        device_time=moment.at if moment else None,
        context=context | (dict(moment.context) if moment else {}),
        flags=moment.flags if moment else frozenset(),
        failed=failed,
        stored=moment is not None,
        record=when,
    )


def intermediate(data: bytes) -> Progress:
    """Return a temperature on its way (2A1E); display only."""
    quantity = _quantity(_fields(data)[0])
    return Progress(Kind.TEMPERATURE, {Measure.BODY_TEMPERATURE: quantity} if quantity else {}, "measuring")


def _fields(data: bytes) -> tuple[Number, Moment | None, dict[str, str]]:
    fields = Fields(data)
    flags, value = fields.number(1), fields.float32()
    if flags & 0x01:
        raise MalformedValue(f"{shown(value)} degrees Fahrenheit", code="sig_thermometer.unit")
    moment = fields.moment() if flags & 0x02 else None
    context = {}
    if flags & 0x04:
        site = fields.number(1)
        context["site"] = SITES.get(site, str(site))
    if extra := fields.left():
        context["extra"] = extra.hex()
    return value, moment, context


def _quantity(value: Number) -> Quantity | None:
    if isinstance(value, Special):
        return None
    if not POSSIBLE[0] < value < POSSIBLE[1]:
        raise MalformedValue(f"{shown(value)} Cel was measured by no thermometer")
    return Quantity(value, "Cel")


def _failure(value: Number) -> str:
    if value is Special.ABOVE:
        return "above_range"
    return "below_range" if value is Special.BELOW else "no_result"
