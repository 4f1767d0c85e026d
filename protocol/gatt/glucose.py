"""Glucose Service (1808): measurements and their contexts. Sources: ble/sig_gls.md, glucose_meters_intl.md.

A person sees base time plus offset; the base time alone is never the time of a test, but it names the record,
because it runs on when the clock is set. A test of the meter with control solution is told as failed. Ketone
comes in the same characteristic: what cannot be a blood sugar is no result, a doubtful value is flagged.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal

from protocol.errors import MalformedValue
from protocol.gatt.device_information import TOLD
from protocol.gatt.fields import Fields, Moment, Number, bits, shifted, shown, unknown_moment
from protocol.glucose import CONTROL, other_kind
from protocol.ieee11073 import Special
from protocol.quantities import Comparator, Quantity
from protocol.readings import Kind, Measure, Notice, Reading

MEASUREMENT, CONTEXT, FEATURE = "2A18", "2A34", "2A51"
PLACES = {"mg/dL": 5, "mmol/L": 3}
"""From kg/L and from mol/L: a shift of the decimal point, so that every digit stays as sent."""
POSSIBLE = {
    "mg/dL": (Decimal(1), Decimal(2000)),
    "mmol/L": (Decimal("0.05"), Decimal(111)),
}
"""Ours, wide on purpose: outside of it a number was read wrongly."""
USUAL = {"mg/dL": Decimal(20), "mmol/L": Decimal("1.1")}
"""Ours: below it most meters show LO, and a ketone value in the same field is as low as this: flagged."""
TYPES = {
    1: "capillary_whole_blood",
    2: "capillary_plasma",
    3: "venous_whole_blood",
    4: "venous_plasma",
    5: "arterial_whole_blood",
    6: "arterial_plasma",
    7: "undetermined_whole_blood",
    8: "undetermined_plasma",
    9: "interstitial_fluid",
    10: "control_solution",
}
LOCATIONS = {1: "finger", 2: "alternate_site", 3: "earlobe", 4: "control_solution", 15: "not_available"}
CONTROL_TYPE, CONTROL_LOCATION = 10, 4
STATUS = {
    0: "battery_low",
    1: "sensor_malfunction",
    2: "sample_too_small",
    3: "strip_insertion",
    4: "wrong_strip",
    5: "above_range",
    6: "below_range",
    7: "temperature_high",
    8: "temperature_low",
    9: "strip_pulled_early",
    10: "device_fault",
    11: "clock_lost",
}
ABOVE, BELOW = "above_range", "below_range"
NO_FAILURE = {"battery_low", "clock_lost"}
FEATURES = {0: "battery_low", 9: "clock_lost", 10: "multiple_bonds"}
MEALS: Mapping[int, Mapping[str, str]] = {
    1: {"meal": "before"},
    2: {"meal": "after"},
    3: {"fasting": "yes"},
    4: {"meal": "casual"},
    5: {"meal": "bedtime"},
}
KETONE = 6
"""A reserved meal that i-SENS meters use: the record is a ketone test."""
THIRTEENTH = 13
"""i-SENS: a base time that crossed a year has this month; which day is meant is not known."""


@dataclass(frozen=True, slots=True)
class Measured:
    """One Glucose Measurement as its fields say."""

    sequence: int
    base: Moment
    offset: int | None
    unit: str
    value: Number | None
    kind: int
    location: int
    status: int
    context_follows: bool
    frame: bytes
    extra: bytes


@dataclass(frozen=True, slots=True)
class About:
    """One Measurement Context: what the person did, for the measurement of the same sequence number."""

    sequence: int
    meal: int | None
    detail: Mapping[str, str]
    frame: bytes


@dataclass(slots=True)
class Joining:
    """Puts a measurement and the context that follows it together; holds one measurement at most."""

    held: Measured | None = field(default=None)

    def measurement(self, data: bytes) -> Iterator[Reading | Notice]:
        """Take a measurement (2A18): yield the one before, and this one unless its context follows."""
        measured = _measured(data)
        alone = _told(measured, None)  # refused now or never: later another value is being read
        yield from self.rest()
        if measured.context_follows:
            self.held = measured
        else:
            yield alone

    def context(self, data: bytes) -> Iterator[Reading | Notice]:
        """Take a context (2A34): yield the measurement it belongs to, else what it says by itself."""
        about = _about(data)
        if self.held is not None and self.held.sequence == about.sequence:
            measured, self.held = self.held, None
            yield _told(measured, about)
            return
        yield from self.rest()
        meal = {} if about.meal is None else {"meal_code": str(about.meal)}
        yield Notice("sig_glucose.context", {"sequence": str(about.sequence), **meal, **about.detail})

    def rest(self) -> Iterator[Reading | Notice]:
        """Yield what waits in vain for its context, which might have said "no blood sugar": flagged."""
        measured, self.held = self.held, None
        if measured is not None:
            said = _told(measured, None)
            yield said if isinstance(said, Notice) else replace(said, flags=said.flags | {"context_missing"})


def feature(data: bytes) -> Notice:
    """Return what the meter can notice (2A51)."""
    word = Fields(data).number(2)
    return Notice(TOLD, {"features": f"{word:04x} {' '.join(bits(word, FEATURES))}".strip()})


def context_follows(data: bytes) -> bool:
    """Say whether a measurement's context comes after it."""
    return bool(data and data[0] & 0x10)


def _measured(data: bytes) -> Measured:
    fields = Fields(data)
    flags, sequence = fields.number(1), fields.number(2)
    base = _base(fields)
    offset = fields.signed(2) if flags & 0x01 else None
    value, sample = (fields.sfloat(), fields.number(1)) if flags & 0x02 else (None, 0)
    status = fields.number(2) if flags & 0x08 else 0
    unit = "mmol/L" if flags & 0x04 else "mg/dL"
    kind, location, more = sample & 0x0F, sample >> 4, bool(flags & 0x10)
    return Measured(sequence, base, offset, unit, value, kind, location, status, more, data, fields.left())


def _base(fields: Fields) -> Moment:
    raw = fields.take(7)
    return unknown_moment(raw) if raw[2] == THIRTEENTH else Fields(raw).moment()


def _about(data: bytes) -> About:
    fields = Fields(data)
    flags, sequence = fields.number(1), fields.number(2)
    detail: dict[str, str] = {}
    if flags & 0x80:
        detail["extended_flags"] = f"{fields.number(1):02x}"
    if flags & 0x01:
        detail |= {"carbohydrate": str(fields.number(1)), "carbohydrate_kg": _amount(fields)}
    meal = fields.number(1) if flags & 0x02 else None
    if flags & 0x04:
        detail["tester_health"] = f"{fields.number(1):02x}"
    if flags & 0x08:
        detail |= {"exercise_s": str(fields.number(2)), "exercise_percent": str(fields.number(1))}
    if flags & 0x10:
        unit = "litre" if flags & 0x20 else "kg"
        detail |= {"medication": str(fields.number(1)), f"medication_{unit}": _amount(fields)}
    if flags & 0x40:
        detail["hba1c_percent"] = _amount(fields)
    return About(sequence, meal, detail, data)


def _amount(fields: Fields) -> str:
    return shown(fields.sfloat())


def _told(measured: Measured, about: About | None) -> Reading | Notice:
    frames = (measured.frame,) if about is None else (measured.frame, about.frame)
    at = _user_facing(measured)
    if about is not None and about.meal == KETONE:
        return other_kind("ketone", _raw(measured), at, b"".join(frames))
    quantity = _quantity(measured)
    if isinstance(measured.value, Decimal) and quantity is None:
        return other_kind("no_glucose_value", _raw(measured), at, measured.frame)
    flags = {*bits(measured.status, STATUS), *measured.base.flags} - {ABOVE, BELOW}
    if quantity and not quantity.comparator and quantity.value < USUAL[quantity.unit]:
        flags.add("questionable")
    control = measured.kind == CONTROL_TYPE or measured.location == CONTROL_LOCATION
    failed = CONTROL if control else None if quantity else _failure(measured)
    stated = _stated(quantity)
    return Reading(
        Kind.GLUCOSE,
        {} if failed or quantity is None else {Measure.GLUCOSE: quantity},
        frames,
        device_time=at,
        sequence=measured.sequence,
        context=_context(measured, about) | ({"control_value": stated} if control and stated else {}),
        flags=frozenset(flags),
        failed=failed,
        stored=True,
        record=f"glucose {_when(measured)} {'control ' if control else ''}{stated or failed}",
    )


def _user_facing(measured: Measured) -> datetime | None:
    at = measured.base.at
    try:
        return at and at + timedelta(minutes=measured.offset or 0)
    except OverflowError as impossible:
        raise MalformedValue(f"no such moment: {measured.offset} minutes after {at}") from impossible


def _quantity(measured: Measured) -> Quantity | None:
    """Return the value, None where there is none; one of nought or less is none (FFFF is a known filler)."""
    if not isinstance(measured.value, Decimal) or measured.value <= 0:
        return None
    value = shifted(measured.value, PLACES[measured.unit])
    low, high = POSSIBLE[measured.unit]
    if not low <= value <= high:
        raise MalformedValue(f"{value} {measured.unit} was measured by no meter")
    beyond = {*bits(measured.status, STATUS)} & {ABOVE, BELOW}
    comparator: Comparator | None = None
    if len(beyond) == 1:
        comparator = ">" if ABOVE in beyond else "<"
    return Quantity(value, measured.unit, comparator)


def _stated(quantity: Quantity | None) -> str:
    return f"{quantity.comparator or ''}{shown(quantity.value)} {quantity.unit}" if quantity else ""


def _raw(measured: Measured) -> str:
    value = measured.value
    number = shifted(value, PLACES[measured.unit]) if isinstance(value, Decimal) else value
    return "" if number is None else f"{shown(number)} {measured.unit}"


def _failure(measured: Measured) -> str:
    special = {Special.ABOVE: ABOVE, Special.BELOW: BELOW}
    if isinstance(measured.value, Special) and measured.value in special:
        return special[measured.value]
    faults = [name for name in bits(measured.status, STATUS) if name not in NO_FAILURE]
    return faults[0] if faults else "no_result"


def _when(measured: Measured) -> str:
    return measured.base.name if measured.base.at else f"{measured.sequence} {measured.base.raw}"


def _context(measured: Measured, about: About | None) -> dict[str, str]:
    context = dict(measured.base.context)
    if measured.base.at and measured.offset is not None:
        context |= {"base_time": measured.base.name, "time_offset_min": str(measured.offset)}
    if measured.value is not None:
        context["sample_type"] = TYPES.get(measured.kind, str(measured.kind))
        context["sample_location"] = LOCATIONS.get(measured.location, str(measured.location))
    if measured.status:
        context["status"] = f"{measured.status:04x}"
    if measured.extra:
        context["extra"] = measured.extra.hex()
    return context if about is None else context | _meal(about) | dict(about.detail)


def _meal(about: About) -> dict[str, str]:
    return {} if about.meal is None else dict(MEALS.get(about.meal, {"meal_code": str(about.meal)}))
