"""Times, numbers, names and numbers of people as the page shows them. Names and numbers are masked here."""

from collections.abc import Mapping
from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

from gateway.web.language import Language, mark
from store.facts import Value

UNITS = {
    "mm[Hg]": "mmHg",
    "/min": mark("/min"),
    "kg/m2": "kg/m²",
    "Cel": "℃",
    "[lb_av]": "lb",
}
KINDS = {
    "blood_pressure": mark("Blood pressure"),
    "glucose": mark("Glucose"),
    "body_size": mark("Height and weight"),
    "temperature": mark("Temperature"),
    "oximetry": mark("Oxygen saturation"),
    "body_composition": mark("Body composition"),
}
MEASURES = {
    "systolic": mark("Systolic"),
    "diastolic": mark("Diastolic"),
    "mean_pressure": mark("Mean pressure"),
    "pulse_rate": mark("Pulse"),
    "glucose": mark("Glucose"),
    "body_height": mark("Height"),
    "body_weight": mark("Weight"),
    "bmi": "BMI",
    "waist": mark("Waist"),
    "body_temperature": mark("Temperature"),
    "spo2": mark("Oxygen saturation"),
    "body_fat": mark("Body fat"),
}


def masked_name(name: str | None) -> str:
    """Return 张*丰 for 张三丰, 张* for 张三, first and last letter for a longer one (SCREENS §8)."""
    name = (name or "").strip()
    if len(name) > 2:
        return f"{name[0]}*{name[-1]}"
    return f"{name[0]}*" if name else ""


def masked_number(value: str) -> str:
    """Return a person's number with the first and last four characters; fewer where it is short."""
    keep = min(4, len(value) // 4)
    if keep == 0:
        return "*" * len(value)
    return value[:keep] + "*" * (len(value) - 2 * keep) + value[-keep:]


def years(birth_date: str | None, today: date) -> int | None:
    """Return full years of age on *today*; None where the birth date is unknown or none."""
    try:
        born = date.fromisoformat(birth_date or "")
    except ValueError:
        return None
    return today.year - born.year - ((today.month, today.day) < (born.month, born.day))


def clock_time(moment: datetime, zone: ZoneInfo, now: datetime | None = None) -> str:
    """Return HH:MM:SS in *zone*, with the date before it where that is not today's."""
    local = moment.astimezone(zone)
    today = (now or datetime.now(UTC)).astimezone(zone).date()
    return local.strftime("%H:%M:%S" if local.date() == today else "%Y-%m-%d %H:%M:%S")


def unit(language: Language, ucum: str) -> str:
    """Return a UCUM unit as people write it."""
    known = UNITS.get(ucum)
    return language.say(known) if known else ucum


def quantity(language: Language, value: Value) -> str:
    """Return a value with its unit, digits untouched."""
    return f"{number(value)} {unit(language, value.unit)}"


def number(value: Value) -> str:
    """Return a value's digits as the device sent them, with < or > before them where it said so."""
    return f"{value.comparator or ''}{value.value}"


def listed(language: Language, values: Mapping[str, Value]) -> str:
    """Return all values of a measurement in one line."""
    named = [
        f"{language.say(MEASURES.get(name, name))} {quantity(language, v)}" for name, v in values.items()
    ]
    return " · ".join(named)


def span(language: Language, seconds: float) -> str:
    """Return a length of time in its largest whole unit."""
    whole = int(abs(seconds))
    if whole < 60:
        return language.count("{n} second", "{n} seconds", whole)
    if whole < 3600:
        return language.count("{n} minute", "{n} minutes", whole // 60)
    if whole < 86400:
        return language.count("{n} hour", "{n} hours", whole // 3600)
    return language.count("{n} day", "{n} days", whole // 86400)
