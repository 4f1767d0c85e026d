"""Blood Pressure Service (1810): results, live cuff pressure, stored records. Source: ble/sig_bps.md.

Reserved flag and status bits are ignored, as real devices set them; a value longer than its flags say is
accepted and the rest kept. What no cuff can have measured (`POSSIBLE`) is refused: a number read with the
wrong exponent must not pass for a pressure.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Literal

from protocol.errors import MalformedValue
from protocol.gatt.device_information import TOLD
from protocol.gatt.fields import Fields, Moment, Number, bits, shown
from protocol.ieee11073 import Special
from protocol.quantities import Quantity
from protocol.readings import Kind, Measure, Notice, Progress, Reading

MEASUREMENT, INTERMEDIATE, FEATURE = "2A35", "2A36", "2A49"
ENHANCED, ENHANCED_INTERMEDIATE, RECORD = "2B34", "2B35", "2B36"
Layout = Literal["sig", "beurer_bm85"]

POSSIBLE = Decimal(1), Decimal(999)
"""Ours, wide on purpose: the lowest and highest pressure (either unit) and pulse that are no misreading."""
PRESSURES = (Measure.SYSTOLIC, Measure.DIASTOLIC, Measure.MEAN_PRESSURE)
STATUS = {0: "body_movement", 1: "cuff_loose", 2: "irregular_pulse", 5: "improper_position"}
PULSE_RANGE = {1: "pulse_above_range", 2: "pulse_below_range"}
KNOWN_STATUS = 0x3F
FAILURES = {"cuff_loose": "cuff_loose", "body_movement": "movement"}
FEATURES = {
    0: "body_movement",
    1: "cuff_loose",
    2: "irregular_pulse",
    3: "pulse_range",
    4: "improper_position",
    5: "multiple_bonds",
    6: "record_check_code",
    7: "user_data",
    8: "user_facing_time",
}
UNKNOWN_USER = 0xFF
EPOCHS = datetime(1900, 1, 1), datetime(2000, 1, 1)  # noqa: DTZ001 - a device's clock has no zone
BM85_FLAGS, BM85_LENGTH = 0x56, 19
PULSES = 20, 250
"""What may be a pulse (the sheet's own bounds): tells in which order a BM85 wrote its bytes."""
WHOLE = 0b11
"""First and last segment at once."""


@dataclass(frozen=True, slots=True)
class Told:
    """One measurement as its fields say."""

    unit: str
    pressures: tuple[Number, ...]
    moment: Moment | None
    pulse: Number | None
    user: int | None
    status: int
    extra: bytes
    context: Mapping[str, str]


def measurement(data: bytes, layout: Layout = "sig") -> Reading:
    """Return the result in a Blood Pressure Measurement (2A35).

    The layout of a Beurer BM85 is taken where it is asked for, or where the value itself proves it.
    """
    beurer = layout == "beurer_bm85" or is_beurer_bm85(data)
    return _reading(_beurer_bm85(data) if beurer else _sig(data), data)


def enhanced(data: bytes) -> Reading:
    """Return the result in an Enhanced Blood Pressure Measurement (2B34)."""
    return _reading(_enhanced(data), data)


def intermediate(data: bytes) -> Progress:
    """Return the live cuff pressure (2A36); display only, never a result."""
    fields = Fields(data)
    flags = fields.number(1)
    cuff, _, _ = (fields.sfloat() for _ in range(3))
    _sig_rest(fields, flags)
    return _progress(cuff, flags)


def enhanced_intermediate(data: bytes) -> Progress:
    """Return the live cuff pressure (2B35)."""
    fields = Fields(data)
    flags = fields.number(1)
    return _progress(fields.sfloat(), flags)


def record(data: bytes) -> Reading:
    """Return the stored result in a Blood Pressure Record (2B36) that comes in one piece."""
    fields = Fields(data)
    if fields.number(1) & WHOLE != WHOLE:
        raise MalformedValue("a record in several pieces: how they are put together is not documented")
    sequence, contained = fields.number(2), f"{fields.number(2):04X}"
    if contained not in {MEASUREMENT, ENHANCED}:
        raise MalformedValue(f"a record of {contained}")
    content = fields.left()
    told = _sig(content) if contained == MEASUREMENT else _enhanced(content)
    return _reading(told, data, sequence)


def feature(data: bytes) -> Notice:
    """Return what the device can notice (2A49)."""
    return Notice(TOLD, {"features": " ".join(bits(Fields(data).number(2), FEATURES))})


def is_beurer_bm85(data: bytes) -> bool:
    """Say whether a value is laid out as a Beurer BM85 does (ble/beurer_bp_variants.md).

    Its flags, one byte more than they say, and a pulse that is one only with the high byte first. Raises
    MalformedValue (`sig_blood_pressure.model`) where it would be a pulse read either way.
    """
    if len(data) != BM85_LENGTH or data[0] != BM85_FLAGS:
        return False
    standard, swapped = Fields(data[14:]).sfloat(), int.from_bytes(data[14:16], "big")
    other = isinstance(standard, Decimal) and PULSES[0] <= standard <= PULSES[1]
    if other and PULSES[0] <= swapped <= PULSES[1]:
        raise MalformedValue("the pulse can be read in two ways", code="sig_blood_pressure.model")
    return PULSES[0] <= swapped <= PULSES[1]


def _sig(data: bytes) -> Told:
    fields = Fields(data)
    flags = fields.number(1)
    pressures = tuple(fields.sfloat() for _ in range(3))
    moment, pulse, user, status = _sig_rest(fields, flags)
    return Told(_unit(flags), pressures, moment, pulse, user, status, fields.left(), {})


def _sig_rest(fields: Fields, flags: int) -> tuple[Moment | None, Number | None, int | None, int]:
    moment = fields.moment() if flags & 0x02 else None
    return moment, *_pulse_user_status(fields, flags)


def _pulse_user_status(fields: Fields, flags: int) -> tuple[Number | None, int | None, int]:
    pulse = fields.sfloat() if flags & 0x04 else None
    user = fields.number(1) if flags & 0x08 else None
    return pulse, user, fields.number(2) if flags & 0x10 else 0


def _beurer_bm85(data: bytes) -> Told:
    fields = Fields(data)
    flags = fields.number(1)
    pressures = tuple(Decimal(fields.number(2)) for _ in range(3))
    moment = fields.moment()
    pulse = Decimal(int.from_bytes(fields.take(2), "big"))
    user, status = fields.number(1), int.from_bytes(fields.take(2), "big")
    return Told(_unit(flags), pressures, moment, pulse, user, status, fields.left(), {})


def _enhanced(data: bytes) -> Told:
    fields = Fields(data)
    flags = fields.number(1)
    pressures = tuple(fields.sfloat() for _ in range(3))
    epoch = EPOCHS[flags >> 6 & 1]
    base = epoch + timedelta(seconds=fields.number(4)) if flags & 0x02 else None
    pulse, user, status = _pulse_user_status(fields, flags)
    wall = epoch + timedelta(seconds=fields.number(4)) if flags & 0x20 else None
    context = {"base_time": base.isoformat()} if base else {}
    moment = Moment(wall, {}, frozenset(), context.get("base_time", "")) if wall or base else None
    return Told(_unit(flags), pressures, moment, pulse, user, status, fields.left(), context)


def _unit(flags: int) -> str:
    return "kPa" if flags & 0x01 else "mm[Hg]"


def _progress(cuff: Number, flags: int) -> Progress:
    values = {"cuff_pressure": Quantity(cuff, _unit(flags))} if isinstance(cuff, Decimal) else {}
    return Progress(Kind.BLOOD_PRESSURE, values, "measuring")


def _reading(told: Told, frame: bytes, sequence: int | None = None) -> Reading:
    values = _values(told)
    flags = bits(told.status, STATUS)
    if pulse_range := PULSE_RANGE.get(told.status >> 3 & 3):
        flags.append(pulse_range)
    failed = None if {*PRESSURES[:2]} <= values.keys() else _failure(told, flags)
    context = dict(told.context) | _context(told)
    if failed:
        context |= {measure.value: format(quantity.value, "f") for measure, quantity in values.items()}
    return Reading(
        Kind.BLOOD_PRESSURE,
        {} if failed else values,
        (frame,),
        device_time=told.moment.at if told.moment else None,
        sequence=sequence,
        context=context | (dict(told.moment.context) if told.moment else {}),
        flags=frozenset(flags) | (told.moment.flags if told.moment else frozenset()),
        failed=failed,
        stored=told.moment is not None or sequence is not None,
        record=_name(told, values, failed, sequence),
    )


def _values(told: Told) -> dict[Measure, Quantity]:
    """Return the values that are numbers; a mean or pulse of nought is what a device sends that has none."""
    numbers = dict(zip(PRESSURES, told.pressures, strict=True)) | {Measure.PULSE_RATE: told.pulse}
    values = {}
    for measure, number in numbers.items():
        if not isinstance(number, Decimal) or (not number and measure not in PRESSURES[:2]):
            continue
        unit = "/min" if measure == Measure.PULSE_RATE else told.unit
        if not POSSIBLE[0] <= number <= POSSIBLE[1]:
            raise MalformedValue(f"{measure} {number} {unit} was measured by no cuff")
        values[measure] = Quantity(number, unit)
    return values


def _failure(told: Told, flags: list[str]) -> str:
    if {Special.ABOVE, Special.BELOW} & {*told.pressures[:2]}:
        return "out_of_range"
    return next(
        (FAILURES[flag] for flag in ("cuff_loose", "body_movement") if flag in flags), "measurement_error"
    )


def _context(told: Told) -> dict[str, str]:
    context = {}
    if told.user not in {None, UNKNOWN_USER}:
        context["user"] = str(told.user)
    if told.status & ~KNOWN_STATUS:
        context["status"] = f"{told.status:04x}"
    if told.extra:
        context["extra"] = told.extra.hex()
    return context


def _name(
    told: Told, values: Mapping[Measure, Quantity], failed: str | None, sequence: int | None
) -> str | None:
    """Return the record's name: when and what; the user too, because two may share a clock's minute."""
    if told.moment is None and sequence is None:
        return None
    when = told.moment.name if told.moment else f"number {sequence}"
    result = failed or "/".join(shown(values[measure].value) for measure in PRESSURES[:2])
    return f"blood_pressure {when} {result}" + (f" user {told.user}" if told.user is not None else "")
