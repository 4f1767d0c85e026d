"""Body Composition Service (181B). Source: ble/sig_wss_bcs_uds.md.

Of the values only body fat is one of the contract's; masses, impedance and metabolism go along as context. A
history is told again as stubs of noughts, and one scale appends bytes of its own to fields that do not mean
what the standard says: neither gives a body fat.
"""

from collections.abc import Mapping
from decimal import Decimal

from protocol.gatt.device_information import TOLD
from protocol.gatt.fields import Fields, Moment, bits, shown
from protocol.gatt.weight_scale import STEPS, UNKNOWN_USER, name
from protocol.quantities import Quantity
from protocol.readings import Kind, Measure, Notice, Reading

MEASUREMENT, FEATURE = "2A9C", "2A9B"
UNSUCCESSFUL = 0xFFFF
MASSES = {5: "muscle_mass", 6: "fat_free_mass", 7: "soft_lean_mass", 8: "body_water"}
MULTIPLE_PACKETS = 0x1000
IMPEDANCE = "impedance_ohm"
FEATURES = {
    0: "time",
    1: "multiple_users",
    2: "metabolism",
    3: "muscle_percent",
    4: "muscle_mass",
    5: "fat_free_mass",
    6: "soft_lean_mass",
    7: "body_water",
    8: "impedance",
    9: "weight",
    10: "height",
}


def measurement(data: bytes) -> Reading | Notice:
    """Return the composition in a Body Composition Measurement (2A9C), or the weight if that is all."""
    fields = Fields(data)
    flags, fat = fields.number(2), fields.number(2)
    moment = fields.moment() if flags & 0x02 else None
    user = fields.number(1) if flags & 0x04 else UNKNOWN_USER
    context = {} if user == UNKNOWN_USER else {"user": str(user)}
    context |= _composition(fields, flags)
    values, more = _weight_and_height(fields, flags)
    context |= more
    if extra := fields.left():
        return _vendor_bytes(data, context, extra)
    if fat not in {0, UNSUCCESSFUL}:
        values = {Measure.BODY_FAT: Quantity(Decimal(fat).scaleb(-1), "%"), **values}
    elif fat == 0 and Measure.BODY_WEIGHT not in values:
        return Notice("sig_body_composition.no_composition", context, evidence=_measured(data, context))
    return _reading(data, moment, user, values, context | _packets(flags))


def feature(data: bytes) -> Notice:
    """Return what the scale can tell (2A9B)."""
    return Notice(TOLD, {"features": " ".join(bits(Fields(data).number(4), FEATURES))})


def _composition(fields: Fields, flags: int) -> dict[str, str]:
    context = {}
    unit = "lb" if flags & 0x01 else "kg"
    if flags & 0x08:
        context["bmr_kj"] = str(fields.number(2))
    if flags & 0x10:
        context["muscle_percent"] = _tenths(fields.number(2))
    for bit, mass in MASSES.items():
        if flags >> bit & 1:
            context[f"{mass}_{unit}"] = shown(fields.number(2) * STEPS["[lb_av]" if unit == "lb" else "kg"])
    if flags & 0x200:
        context[IMPEDANCE] = _tenths(fields.number(2))
    return context


def _weight_and_height(fields: Fields, flags: int) -> tuple[dict[Measure, Quantity], dict[str, str]]:
    unit = "[lb_av]" if flags & 0x01 else "kg"
    values, context = {}, {}
    if flags & 0x400 and (weight := fields.number(2)) not in {0, UNSUCCESSFUL}:
        values[Measure.BODY_WEIGHT] = Quantity(weight * STEPS[unit], unit)
    if flags & 0x800 and (height := fields.number(2)):
        if flags & 0x01:
            context["height_in"] = _tenths(height)
        else:
            values[Measure.BODY_HEIGHT] = Quantity(Decimal(height).scaleb(-1), "cm")
    return values, context


def _tenths(raw: int) -> str:
    return shown(Decimal(raw).scaleb(-1))


def _vendor_bytes(data: bytes, context: Mapping[str, str], extra: bytes) -> Notice:
    """Return what is known of a value with more bytes than its flags say: its impedance alone."""
    told = {name: text for name, text in context.items() if name == IMPEDANCE}
    return Notice("sig_body_composition.vendor_bytes", {**told, "extra": extra.hex()}, evidence=data)


def _measured(data: bytes, context: Mapping[str, str]) -> bytes:
    """Return *data* where something beside the metabolism was measured, so that it is kept; else nothing."""
    return (
        data if any(context.get(name, "0").strip("0.") for name in ("soft_lean_mass_kg", IMPEDANCE)) else b""
    )


def _packets(flags: int) -> dict[str, str]:
    return {"packets": "several"} if flags & MULTIPLE_PACKETS else {}


def _reading(
    data: bytes,
    moment: Moment | None,
    user: int,
    values: Mapping[Measure, Quantity],
    context: dict[str, str],
) -> Reading:
    """Return the reading: a composition, a weight where no body fat was told, or that there is neither."""
    main = next((measure for measure in (Measure.BODY_FAT, Measure.BODY_WEIGHT) if measure in values), None)
    weight_only = main == Measure.BODY_WEIGHT
    return Reading(
        Kind.BODY_SIZE if weight_only else Kind.BODY_COMPOSITION,
        values if main else {},
        (data,),
        device_time=moment.at if moment else None,
        context=context
        | (dict(moment.context) if moment else {})
        | ({"no_value": Measure.BODY_FAT.value} if weight_only else {}),
        flags=moment.flags if moment else frozenset(),
        failed=None if main else "no_result",
        stored=moment is not None,
        record=name("composition", moment, user, shown(values[main].value) if main else "no_result"),
    )
