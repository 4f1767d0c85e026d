"""The lines of Tanita body-composition scales, and the commands a BC-418 takes.

Three shapes: 12 numbers (TBF-310 in cm and kg, TBF-410 in inches and pounds), 39 numbers with the scale's own
clock (BC-418), and named fields (MC-780). From the sheet serial/tanita.md; the meaning of the named fields
and their sum from the output tables in Tanita's SC-330 and SC-240 manuals, which have the same form.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from types import MappingProxyType

from protocol.checks import sum8
from protocol.errors import MalformedValue
from protocol.lines import EndedFramer
from protocol.quantities import Quantity
from protocol.readings import Identified, Kind, Measure, Reading
from protocol.times import device_time

MODELS = ("tbf310", "tbf410", "bc418", "mc780")
LONGEST = 2048
"""Bytes of a line: an MC-780 with everything in it says about 1270."""
ENDS = b"\r\n\x8d\x8a"
NUMBER = re.compile(r" *+([0-9]{1,5}(?:\.[0-9]{1,2})?) *+")
DATE = re.compile(r'"?(?P<day>[0-9]{1,2})/(?P<month>[0-9]{1,2})/(?P<year>[0-9]{4}|[0-9]{2})"?')
YEAR_FIRST = re.compile(r'"?(?P<year>[0-9]{4})/(?P<month>[0-9]{1,2})/(?P<day>[0-9]{1,2})"?')
CLOCK = re.compile(r'"?([0-9]{1,2}):([0-9]{2})"?')
PATTERNS = {"body_type": re.compile("[02]"), "sex": re.compile("[12]"), "age": re.compile("[0-9]{1,2}")}
BODY_TYPES = {"0": "standard", "2": "athlete"}
SEXES = {"1": "male", "2": "female"}

TBF_COUNT, DATED_TBF_COUNT, BC418_COUNT = 12, 14, 39
BODY = ("fat_mass", "fat_free_mass", "body_water")
TBF = ("body_type", "sex", "height", "weight", "impedance_ohm", "fat", *BODY, "age", "bmi", "last_field")
"""The last one is BMR in kJ on a TBF-310; the source of the TBF-410 does not name it."""
LIMBS = ("right_leg", "left_leg", "right_arm", "left_arm")
SEGMENT = ("fat_percent", "fat_mass_kg", "fat_free_mass_kg", "muscle_mass_kg")
BC418 = (
    *("body_type", "sex", "height", "weight", "fat", *BODY, "age", "bmi", "bmr_kj", "impedance_ohm"),
    *(f"{limb}_impedance_ohm" for limb in LIMBS),
    *(f"{part}_{what}" for part in (*LIMBS, "trunk") for what in SEGMENT),
    "visceral_fat_rating",
)
HEADER = [("{0", "16"), ("~0", "1"), ("~1", "1"), ("~2", "1")]
NAMED = {
    "Hm": "height",
    "Wk": "weight",
    "MI": "bmi",
    "FW": "fat",
    "AG": "age",
    "Pt": "clothes_kg",
    "fW": "fat_mass_kg",
    "MW": "fat_free_mass_kg",
    "mW": "muscle_mass_kg",
    "bW": "bone_mass_kg",
    "wW": "body_water_kg",
    "ww": "body_water_percent",
    "IF": "visceral_fat_rating",
    "rA": "metabolic_age",
    "rB": "bmr_kcal",
    "rb": "bmr_kj",
}
HARMLESS = {*NAMED, *(name for name, _ in HEADER), "MO", "SN", "St", "Da", "DT", "DA", "TI", "Bt", "GE", "CS"}
"""Named fields that name nobody; a serial number is the scale's."""
VALUES = {
    "height": (Measure.BODY_HEIGHT, "cm"),
    "weight": (Measure.BODY_WEIGHT, "kg"),
    "bmi": (Measure.BMI, "kg/m2"),
    "fat": (Measure.BODY_FAT, "%"),
}

CM_PER_INCH, KG_PER_LB = Decimal("2.54"), Decimal("0.45359237")
NEAR = 2
"""Ours: the BMI sent tells the units, which differ fourteenfold, where it fits within this factor."""

ECHOES = frozenset({"U0", "D0", "D1", "D2", "D3", "D4", "G1"})
COMMAND = re.compile(r"\x1f|U0|D000[0-9]\.[0-9]|D1[12]|D2[02]|D3[0-9]{5}|D4[0-9]{2}|G1")
HEIGHTS, AGES = range(90, 250), range(7, 100)
"""cm as Tanita's PC mode of the MC-980 takes it (none is stated for the BC-418); years from the sheet."""

Fields = Mapping[str, str]
NOTHING: Fields = MappingProxyType({})


def framer() -> EndedFramer:
    """Return the framer of every model; a line end may carry a parity bit."""
    return EndedFramer(tuple(bytes([end]) for end in ENDS), limit=LONGEST)


def decode_line(frame: bytes, model: str = "") -> Iterator[Reading | Identified]:
    """Yield what one line says; with *model* a line of another model is refused.

    The echo of a command says nothing. Raises MalformedValue for a line of no known shape, or of 12 numbers
    whose units nothing tells.
    """
    line = frame.rstrip(ENDS)
    parts = _seven_bits(line).split(",")
    if len(parts) in {TBF_COUNT, DATED_TBF_COUNT} and not line.startswith(b"{"):
        yield _tbf(parts, frame, model)
    elif max(line, default=0) > 0x7F:
        raise MalformedValue("a byte above 7F: only a TBF may carry parity bits")
    elif line.startswith(b"{"):
        _belongs(model, "mc780")
        yield from _named(line, frame)
    elif len(parts) == BC418_COUNT:
        _belongs(model, "bc418")
        yield _bc418(parts, frame)
    elif parts[0] not in ECHOES or len(parts) > 1:
        raise MalformedValue("no line of a Tanita scale")


def redact(frame: bytes) -> bytes:
    """Return *frame* with noughts for all that is not known to name nobody: 16 of them are nobody's ID.

    Lines of numbers, with date and time, name nobody. Of named fields those that are read here stay, and the
    sum is made right again; of any other line nothing stays but that it begins like named fields.
    """
    line = frame.rstrip(ENDS)
    end = frame[len(line) :]
    parts = bytes(byte & 0x7F for byte in line).decode("ascii").split(",")
    known = len(parts) in {TBF_COUNT, DATED_TBF_COUNT, BC418_COUNT} and all(map(_is_number, parts))
    if known or (len(parts) == 1 and parts[0] in ECHOES):
        return frame
    told = line[:1] if parts[0].startswith("{") else b""
    nought = b"0" if told < b"\x80" else b"\xb0"  # under the same parity
    return (_nameless(line) or told + nought * (len(line) - len(told))) + end


def _is_number(part: str) -> bool:
    forms = (NUMBER, DATE, YEAR_FIRST, CLOCK)
    return any(form.fullmatch(part.strip(' "') if form is not NUMBER else part) for form in forms)


def _nameless(line: bytes) -> bytes | None:
    """Return named fields with noughts in those that are not read here, None where they are none."""
    parts = line.split(b",")
    if not line.startswith(b"{0,16,") or len(parts) % 2 or not line.isascii() or not _sum_fits(line):
        return None
    for at in range(1, len(parts), 2):
        if parts[at - 1].decode("ascii") not in HARMLESS:
            parts[at] = re.sub(rb'[^"}]', b"0", parts[at])
    blank = b",".join(parts)
    summed = blank.rindex(b"CS,") if parts[-2] == b"CS" else len(blank)
    return blank[:summed] + re.sub(rb"[0-9A-F]{2}", b"%02X" % sum8(blank[:summed]), blank[summed:], count=1)


def _sum_fits(line: bytes) -> bool:
    """Say whether a line of named fields has no sum, or the right one, behind all others."""
    begin, _, stated = line.removesuffix(b"}").rpartition(b"CS,")
    return b"CS," not in line or (stated == b"%02X" % sum8(begin) and b"CS," not in begin)


def command(text: str) -> bytes:
    """Return a command to a BC-418; raises ValueError for any that the sheet does not list."""
    if not COMMAND.fullmatch(text):
        raise ValueError(f"never sent: {text!r}")
    return text.encode("ascii") + b"\r\n"


def person_commands(person: Fields) -> tuple[str, ...]:
    """Return the commands that set unit, clothes, sex, body type, height and age, in their order.

    Raises ValueError that says what is missing or out of range.
    """
    sexes = {word: code for code, word in SEXES.items()}
    types = {word: code for code, word in BODY_TYPES.items()}
    clothes, height, age = (person.get(name, "") for name in ("clothes_kg", "height_cm", "age"))
    if person.get("sex") not in sexes:
        raise ValueError("sex: male or female")
    if person.get("body_type", "standard") not in types:
        raise ValueError("body_type: standard or athlete")
    if not re.fullmatch(r"[0-9](\.[0-9])?", clothes):
        raise ValueError("clothes_kg: 0.0 to 9.9")
    if not re.fullmatch("[0-9]{2,3}", height) or int(height) not in HEIGHTS:
        raise ValueError(f"height_cm: whole centimetres, {HEIGHTS[0]} to {HEIGHTS[-1]}")
    if not re.fullmatch("[0-9]{1,2}", age) or int(age) not in AGES:
        raise ValueError(f"age: {AGES[0]} to {AGES[-1]}")
    body_type = types[person.get("body_type", "standard")]
    tare = clothes if "." in clothes else f"{clothes}.0"
    return (
        *("U0", f"D000{tare}", f"D1{sexes[person['sex']]}"),
        *(f"D2{body_type}", f"D3{int(height):05d}", f"D4{int(age):02d}"),
    )


def _seven_bits(line: bytes) -> str:
    """Return the text without the eighth bit, which is parity on a port opened without it.

    Raises MalformedValue where it is neither the parity of every byte nor the same in all.
    """
    parities, tops = {byte.bit_count() & 1 for byte in line}, {byte >> 7 for byte in line}
    if len(tops) > 1 and len(parities) > 1:
        raise MalformedValue("the eighth bit is no parity of the seven before it")
    return bytes(byte & 0x7F for byte in line).decode("ascii")


def _belongs(model: str, shape: str) -> None:
    if model not in {"", shape}:
        raise MalformedValue(f"a line of {shape}, {model} is configured", code="tanita.wrong_model")


def _tbf(parts: Sequence[str], frame: bytes, model: str) -> Reading:
    fields = _checked(TBF, parts[-TBF_COUNT:])
    units = _units(fields)
    if units is None and model not in {"tbf310", "tbf410"}:
        raise MalformedValue("cm and kg, or inches and pounds?", code="tanita.model_unknown")
    _belongs(model, units or model)
    pounds = (units or model) == "tbf410"
    when = _clock_as_sent(parts[:-TBF_COUNT])
    if not pounds:
        return _reading(_renamed(fields, "kg", last_field="bmr_kj"), frame, when)
    return _reading(_renamed(fields, "lb", height="body_height_in"), frame, when, "[lb_av]")


def _units(fields: Fields) -> str | None:
    """Return the model whose units give the BMI that was sent, or None where neither does."""
    height, weight, bmi = (Decimal(fields[name]) for name in ("height", "weight", "bmi"))
    if not height:
        return None
    metric = weight / (height / 100) ** 2
    pounds = weight * KG_PER_LB / (height * CM_PER_INCH / 100) ** 2
    fits = [name for name, one in (("tbf310", metric), ("tbf410", pounds)) if one / NEAR <= bmi <= one * NEAR]
    return fits[0] if len(fits) == 1 else None


def _clock_as_sent(parts: Sequence[str]) -> dict[str, str]:
    """Return date and time as text: their order of day and month is stated for no TBF."""
    if not parts:
        return {}
    date, clock = (part.strip(' "') for part in parts)
    if not (DATE.fullmatch(date) or YEAR_FIRST.fullmatch(date)) or not CLOCK.fullmatch(clock):
        raise MalformedValue("no date and time before the 12 numbers")
    return {"scale_date": date, "scale_time": clock}


def _bc418(parts: Sequence[str], frame: bytes) -> Reading:
    reading = _reading(_renamed(_checked(BC418, parts[2:]), "kg"), frame)
    return replace(reading, device_time=_moment(DATE.fullmatch(parts[0]), CLOCK.fullmatch(parts[1])))


def _named(line: bytes, frame: bytes) -> Iterator[Reading | Identified]:
    parts = line.removesuffix(b"}").decode("ascii").split(",")
    pairs = list(zip(parts[::2], parts[1::2], strict=False))
    told = {name: text.strip('"') for name, text in pairs}
    if pairs[:4] != HEADER or len(parts) % 2 or len(told) < len(pairs) or not told.get("MO"):
        raise MalformedValue("not the named fields of a Tanita scale")
    if "CS" in told and (pairs[-1][0] != "CS" or told["CS"] != f"{sum8(line[: line.rindex(b'CS,')]):02X}"):
        raise MalformedValue("the sum of the line does not match")
    if told.get("SN", "").strip("0"):
        yield Identified(told["SN"], {"model": told["MO"]})
    yield _named_reading(told, frame)


def _named_reading(told: Fields, frame: bytes) -> Reading:
    if "Wk" not in told:
        raise MalformedValue("no weight in kg", code="tanita.unit")
    there = {name: told[key] for key, name in NAMED.items() if key in told}
    about = {"model": told["MO"]}
    if told.get("GE") in SEXES:
        about["sex"] = SEXES[told["GE"]]
    if "Bt" in told:
        about["body_type"] = BODY_TYPES.get(told["Bt"], told["Bt"])
    if told.get("ID", "").strip("0 "):
        about["patient_id"] = told["ID"]
    reading = _reading(_checked(tuple(there), tuple(there.values())), frame, about | _odd_date(told))
    if "TI" in told and (date := told.get("Da", told.get("DT"))) is not None:
        found = YEAR_FIRST.fullmatch(date) or DATE.fullmatch(date)
        reading = replace(reading, device_time=_moment(found, CLOCK.fullmatch(told["TI"])))
    if told.get("St", "0") == "0":
        return reading
    failed = f"device_error:{told['St']}"
    return replace(reading, kind=Kind.BODY_COMPOSITION, values={}, failed=failed)


def _odd_date(told: Fields) -> dict[str, str]:
    """Return the date of a DC-320 as it was sent: one sample is known, year first."""
    return {"scale_date": told["DA"], "scale_time": told.get("TI", "")} if "DA" in told else {}


def _moment(date: re.Match[str] | None, clock: re.Match[str] | None) -> datetime:
    if date is None or clock is None:
        raise MalformedValue("no date and time of this scale")
    year = int(date["year"]) + (2000 if len(date["year"]) == 2 else 0)
    return device_time(year, int(date["month"]), int(date["day"]), int(clock[1]), int(clock[2]))


def _checked(names: Sequence[str], texts: Sequence[str]) -> Fields:
    """Return the numbers by name, without the noughts in front; raise MalformedValue where one is none."""
    fields = {}
    for name, text in zip(names, texts, strict=True):
        found = NUMBER.fullmatch(text)
        if found is None or (name in PATTERNS and not PATTERNS[name].fullmatch(found[1])):
            raise MalformedValue(f"{name} {text!r}")
        fields[name] = format(Decimal(found[1]), "f")
    if not Decimal(fields["weight"]):
        raise MalformedValue("no weight")
    return fields


def _renamed(fields: Fields, mass: str, **names: str) -> Fields:
    masses = {name: f"{name}_{mass}" for name in BODY}
    return {(masses | names).get(name, name): text for name, text in fields.items()}


def _reading(fields: Fields, frame: bytes, about: Fields = NOTHING, weight_unit: str = "kg") -> Reading:
    """Return the reading; a nought where a value should stand is none, and the context says so."""
    told = {name: Decimal(fields[name]) for name in VALUES if name in fields}
    units = {name: unit for name, (_, unit) in VALUES.items()} | {"weight": weight_unit}
    values = {VALUES[name][0]: Quantity(number, units[name]) for name, number in told.items() if number}
    context = {name: _word(name, text) for name, text in fields.items() if name not in VALUES}
    empty = " ".join(VALUES[name][0] for name, number in told.items() if not number)
    return Reading(
        Kind.BODY_COMPOSITION if Measure.BODY_FAT in values else Kind.BODY_SIZE,
        values,
        (frame,),
        context={**context, **about, **({"no_value": empty} if empty else {})},
    )


def _word(name: str, text: str) -> str:
    words = {"sex": SEXES, "body_type": BODY_TYPES}.get(name, {})
    return words.get(text, text)
