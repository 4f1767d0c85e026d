"""A machine described by its configuration: the settings checked and told in words, its lines read.

What is said here about a machine is what a technician wrote; nothing is guessed, a unit least of all.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal

from protocol.errors import MalformedValue
from protocol.framing import DelimitedFramer, Framer, LineFramer
from protocol.lines import EndedFramer, Fields, Layout, layout, unescaped
from protocol.quantities import Quantity
from protocol.readings import Event, Kind, Measure, Progress, Reading

Settings = Mapping[str, str | int | bool]
NAMES = {
    "weight": Measure.BODY_WEIGHT,
    "height": Measure.BODY_HEIGHT,
    "bmi": Measure.BMI,
    "waist": Measure.WAIST,
    "fat": Measure.BODY_FAT,
    "systolic": Measure.SYSTOLIC,
    "diastolic": Measure.DIASTOLIC,
    "mean": Measure.MEAN_PRESSURE,
    "pulse": Measure.PULSE_RATE,
    "glucose": Measure.GLUCOSE,
    "temperature": Measure.BODY_TEMPERATURE,
    "spo2": Measure.SPO2,
}
"""The numbers a layout may name."""
FIXED = {
    "height": "cm",
    "bmi": "kg/m2",
    "waist": "cm",
    "fat": "%",
    "pulse": "/min",
    "temperature": "Cel",
    "spo2": "%",
}
PRESSURE = ("systolic", "diastolic", "mean")
UNITS = {
    "weight": {"kg": "kg", "lb": "[lb_av]"},
    "glucose": {"mmol/L": "mmol/L", "mg/dL": "mg/dL"},
    "pressure": {"mmHg": "mm[Hg]", "kPa": "kPa"},
}
"""What more than one unit is usual for: the configuration must say which."""
KG_PER_LB = Decimal("0.45359237")
LAYOUTS = ("layout", "layout_2", "layout_3")
ENCODINGS = ("ascii", "gbk", "utf-8")
DEFAULTS: Settings = {
    "layout": "",
    "layout_2": "",
    "layout_3": "",
    "start": "",
    "end": "",
    "unit_weight": "",
    "unit_glucose": "",
    "unit_pressure": "",
    "decimal_comma": False,
    "stable": "",
    "failed": "",
    "error_none": "0",
    "ignore_others": False,
    "repeat": 2,
    "minimum_kg": 2,
    "encoding": "ascii",
}


@dataclass(frozen=True, slots=True)
class Reader:
    """The settings of one machine, checked and compiled."""

    layouts: tuple[Layout, ...]
    units: Mapping[str, str]
    stable: str
    failed: tuple[str, ...]
    error_none: str
    ignore_others: bool
    minimum: Decimal
    encoding: str
    start: bytes
    end: bytes

    def framer(self) -> Framer:
        """Return what finds this machine's messages on the line."""
        if self.start:
            return DelimitedFramer((self.start, self.end))
        return EndedFramer((self.end, b"\r", b"\n")) if self.end.strip(b"\r\n") else LineFramer()

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """Return what this machine examines."""
        return tuple(dict.fromkeys(kind for one in self.layouts for kind in _grouped(one.numbers)))

    def decode_line(self, frame: bytes) -> Iterator[Reading | Event]:
        """Yield what one line says; raise MalformedValue where it does not look as configured."""
        try:
            line = frame.removeprefix(self.start).removesuffix(self.end).decode(self.encoding)
        except UnicodeDecodeError as foreign:
            raise MalformedValue(f"not {self.encoding}", code="line.form") from foreign
        line = line.strip("\r\n\0")
        for mark in self.failed:
            if mark in line:
                yield _failed(self.kinds[0], f"device_error:{mark}", frame)
                return
        for one in self.layouts:
            if (fields := one.read(line)) is not None:
                yield from self._said(fields, frame)
                return
        if not self.ignore_others:
            raise MalformedValue("a line that does not look as configured", code="line.form")

    def _said(self, fields: Fields, frame: bytes) -> Iterator[Reading | Event]:
        error = fields.texts.get("error", "")
        if error not in {"", self.error_none}:
            yield replace(_failed(self.kinds[0], f"device_error:{error}", frame), device_time=fields.time)
            return
        if not fields.numbers:
            raise MalformedValue("neither values nor an error", code="line.form")
        for kind, names in _grouped(fields.numbers).items():
            values = {NAMES[name]: Quantity(fields.numbers[name], self.units[name]) for name in names}
            if self._empty(values) or all(quantity.value <= 0 for quantity in values.values()):
                yield Progress(kind, values, "empty", underway=False)
            elif any(quantity.value <= 0 for quantity in values.values()):
                raise MalformedValue("a value of nought or below", code="line.form")
            elif fields.texts.get("stable", self.stable) != self.stable:
                yield Progress(kind, values, "unstable")
            else:
                context = _context(fields.texts)
                yield Reading(kind, values, (frame,), device_time=fields.time, context=context)

    def _empty(self, values: Mapping[Measure, Quantity]) -> bool:
        weight = values.get(Measure.BODY_WEIGHT)
        if weight is None:
            return False
        return weight.value * (KG_PER_LB if weight.unit == "[lb_av]" else 1) < self.minimum


def reader(settings: Settings) -> Reader | None:
    """Return what *settings* say, or None where they are untouched.

    Raises ValueError that names the setting and what is wrong with it.
    """
    told = {**DEFAULTS, **settings}
    if told == DEFAULTS:
        return None
    if not told["layout"]:
        raise ValueError('layout: say how a line looks, for example "ST,GS,{weight} kg"')
    layouts = tuple(_layout(name, told) for name in LAYOUTS if told[name])
    named = [name for one in layouts for name in one.numbers]
    _check(told, layouts)
    described = Reader(
        layouts,
        _units(told, named),
        str(told["stable"]),
        tuple(filter(None, str(told["failed"]).split("|"))),
        str(told["error_none"]),
        bool(told["ignore_others"]),
        Decimal(told["minimum_kg"]),
        str(told["encoding"]),
        _mark("start", told),
        _mark("end", told),
    )
    try:
        described.framer()
    except ValueError as wrong:
        raise ValueError(f"start, end: {wrong}") from None
    return described


def _layout(name: str, told: Settings) -> Layout:
    try:
        one = layout(str(told[name]), frozenset(NAMES), comma=bool(told["decimal_comma"]))
        _grouped(one.numbers)
    except ValueError as wrong:
        raise ValueError(f"{name}: {wrong}") from None
    return one


def _check(told: Settings, layouts: tuple[Layout, ...]) -> None:
    marked = ["stable" in one.texts for one in layouts]
    if any(marked) != bool(told["stable"]):
        raise ValueError("stable: the mark and {stable} in a layout go together")
    if int(told["repeat"]) not in range(1, 21):
        raise ValueError("repeat: 1 to 20 equal lines")
    if int(told["minimum_kg"]) < 0:
        raise ValueError("minimum_kg: 0 or more")
    if told["encoding"] not in ENCODINGS:
        raise ValueError(f"encoding: {', '.join(ENCODINGS)}")
    if told["start"] and not told["end"]:
        raise ValueError("end: a start mark needs an end mark")


def _units(told: Settings, named: list[str]) -> Mapping[str, str]:
    units = dict(FIXED)
    for group, names in (("weight", ("weight",)), ("glucose", ("glucose",)), ("pressure", PRESSURE)):
        stated = str(told[f"unit_{group}"])
        if stated and stated not in UNITS[group]:
            raise ValueError(f"unit_{group}: {' or '.join(UNITS[group])}")
        if not stated and set(names) & set(named):
            raise ValueError(f"unit_{group}: say {' or '.join(UNITS[group])}; it is never guessed")
        units |= dict.fromkeys(names, UNITS[group].get(stated, ""))
    return units


def _grouped(names: Mapping[str, object]) -> dict[Kind, list[str]]:
    """Sort the numbers of one line by what was examined. Raises ValueError for half a blood pressure."""
    groups: dict[Kind, list[str]] = {}
    pressure = {"systolic", "diastolic"} & names.keys()
    if len(pressure) == 1 or ("mean" in names and not pressure):
        raise ValueError("systolic and diastolic go together")
    if "pulse" in names and not pressure and "spo2" not in names:
        raise ValueError("pulse stands beside a blood pressure or spo2")
    for name in names:
        match name:
            case "weight" | "height" | "bmi" | "waist" | "fat":
                kind = Kind.BODY_COMPOSITION if "fat" in names else Kind.BODY_SIZE
            case "glucose":
                kind = Kind.GLUCOSE
            case "temperature":
                kind = Kind.TEMPERATURE
            case "spo2":
                kind = Kind.OXIMETRY
            case _:
                kind = Kind.BLOOD_PRESSURE if pressure else Kind.OXIMETRY
        groups.setdefault(kind, []).append(name)
    return groups


def _mark(name: str, told: Settings) -> bytes:
    try:
        return unescaped(str(told[name])).encode("latin-1")
    except ValueError as wrong:
        raise ValueError(f"{name}: {wrong}") from None


def _failed(kind: Kind, reason: str, frame: bytes) -> Reading:
    return Reading(kind, {}, (frame,), failed=reason)


def _context(texts: Mapping[str, str]) -> dict[str, str]:
    """Return what is no value; blank or one character repeated is what a machine fills in itself."""
    person = texts.get("id", "")
    context = {"patient_id": person} if len(set(person)) > 1 else {}
    return context if "stable" in texts else {**context, "stability": "not stated"}
