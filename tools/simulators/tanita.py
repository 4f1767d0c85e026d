"""Tanita body-composition scales: three that push a line, and a BC-418 that is told about the person.

From the sheet tanita. Impedance, masses and the segments follow the weight by fixed shares: they are no
person's. A BC-418 shows nothing until a host has told it everything and started it.
"""

from collections import deque
from collections.abc import Iterator
from decimal import ROUND_HALF_UP, Decimal
from random import Random

from tools.simulators import (
    Await,
    Cue,
    Device,
    Fail,
    Heard,
    Measure,
    OrderRefused,
    Refuse,
    Say,
    Setup,
    Show,
    ShowFailure,
    Simulator,
    Store,
    Values,
    Violation,
    attempt,
    decimal,
    scaled,
)

FAT = Decimal("0.24")
STEPS = ("U", "D0", "D1", "D2", "D3", "D4")
SEXES = {"male": "1", "female": "2"}
SEGMENTS = (("0.15", "0.16"), ("0.15", "0.16"), ("0.04", "0.05"), ("0.04", "0.05"), ("0.62", "0.58"))
POUNDS_PER_KG, CM_PER_INCH = Decimal("2.20462262"), Decimal("2.54")


def device(setup: Setup) -> Device:
    """Push each measurement, or obey the host first."""
    scale = _Bc418(setup)
    while True:
        cue = yield Await()
        if setup.options["model"] == "bc418":
            yield from attempt(scale.take(cue))
        elif isinstance(cue, Measure):
            yield from attempt(_pushed(setup, cue))
        elif isinstance(cue, Fail | Store):
            yield Refuse("no source tells what this scale sends then")


def _pushed(setup: Setup, measure: Measure) -> Device:
    found = _found(measure)
    model = setup.options["model"]
    sex = SEXES.get(measure.extras.get("sex", "female"), "2")
    if model == "mc780":
        yield Say(_named(found, sex, setup), result=True)
    else:
        yield Say(_twelve(found, sex, pounds=model == "tbf410"), result=True)
    yield Show(_shown(found, model))


def _found(measure: Measure) -> dict[str, Decimal]:
    weight = Decimal(decimal(scaled(measure.values, "body_weight", 1, 2000), 1))
    height = Decimal(scaled(measure.values, "body_height", 0, 249))
    if not weight or height < 90:
        raise OrderRefused("a weight, and a height from 90 cm, are needed")
    fat = _round(weight * FAT)
    return {
        "height": height,
        "weight": weight,
        "bmi": _round(weight / (height / 100) ** 2),
        "fat": _round(fat / weight * 100),
        "fat_mass": fat,
        "fat_free_mass": weight - fat,
        "water": _round((weight - fat) * Decimal("0.732")),
    }


def _shown(found: dict[str, Decimal], model: str) -> Values:
    shown = {f"body_{name}": str(found[name]) for name in ("height", "weight", "fat")}
    shown["bmi"] = str(found["bmi"])
    if model == "tbf410":
        shown["body_weight"] = str(_round(found["weight"] * POUNDS_PER_KG))
        del shown["body_height"]
    if model == "mc780":
        shown["body_height"] += ".0"
    return shown


def _twelve(found: dict[str, Decimal], sex: str, *, pounds: bool) -> bytes:
    unit = POUNDS_PER_KG if pounds else Decimal(1)
    height = str(_round(found["height"] / CM_PER_INCH)) if pounds else str(found["height"])
    weight, fat, free, water = (
        str(_round(found[name] * unit)) for name in ("weight", "fat_mass", "fat_free_mass", "water")
    )
    parts = ["0", sex, height, weight, "475", str(found["fat"]), fat, free, water]
    parts += ["35", str(found["bmi"]), "7298"]
    return (",".join(parts) + "\r\n").encode("ascii")


def _named(found: dict[str, Decimal], sex: str, setup: Setup) -> bytes:
    fields = {
        "{0": "16",
        **{f"~{n}": "1" for n in range(3)},
        "MO": '"MC-780"',
        "ID": '"0000000000000000"',
        "St": "0",
        "Da": f'"{setup.clock():%d/%m/%Y}"',
        "TI": f'"{setup.clock():%H:%M}"',
        "Bt": "0",
        "GE": sex,
        "AG": "35",
        "Hm": f"{found['height']}.0",
        "Wk": str(found["weight"]),
        "FW": str(found["fat"]),
        "fW": str(found["fat_mass"]),
        "MI": str(found["bmi"]),
    }
    return (",".join(f"{name},{text}" for name, text in fields.items()) + "\r\n").encode("ascii")


class _Bc418:
    def __init__(self, setup: Setup) -> None:
        self._setup = setup
        self._held = b""
        self._told: dict[str, str] = {}
        self._next: deque[Measure | Fail] = deque()

    def take(self, cue: Cue | None) -> Device:
        match cue:
            case Heard(data):
                for line in self._lines(data):
                    yield from self._obey(line)
            case Measure():
                _found(cue)
                self._next.append(cue)
            case Fail("nobody"):
                self._next.append(cue)
            case Fail() | Store():
                raise OrderRefused("this scale fails as nobody, and keeps no records that can be read")
            case _:
                pass

    def _lines(self, data: bytes) -> Iterator[str]:
        *lines, self._held = (self._held + data)[-200:].split(b"\r\n")
        yield from (line.decode("latin-1") for line in lines)

    def _obey(self, line: str) -> Device:
        if line == "\x1f":
            self._told = {}
        elif line == "G1":
            yield from self._start()
        elif line[:1] == "U" or line[:2] in STEPS:
            self._told[line[:1] if line[0] == "U" else line[:2]] = line
            yield Say(line[:2].encode("latin-1") + b"\r\n")
        else:
            yield Say(b"!\r\n")

    def _start(self) -> Device:
        missing = [step for step in STEPS if step not in self._told]
        if missing:
            yield Violation(f"start without {missing[0]}")
        yield Say(b"G1\r\n")
        result = self._next.popleft() if self._next else Fail("nobody")
        if isinstance(result, Fail):
            yield ShowFailure("nobody")
            return
        found = _found(result)
        yield Say(self._line(found), result=True)
        yield Show({name: str(Decimal(text)) for name, text in _shown(found, "bc418").items()})

    def _line(self, found: dict[str, Decimal]) -> bytes:
        sex, age = self._told.get("D1", "D11")[2:], self._told.get("D4", "D435")[2:]
        now = self._setup.clock()
        parts = [f'"{now:%d/%m/%y}"', f'"{now:%H:%M}"', self._told.get("D2", "D20")[2:], sex]
        parts += [f"{int(found['height']):05d}", _wide(found["weight"]), f"{found['fat']:04.1f}"]
        parts += [_wide(found[name]) for name in ("fat_mass", "fat_free_mass", "water")]
        parts += [age, _wide(found["bmi"]), "06837", "572", "225", "229", "304", "311"]
        for fat_share, free_share in SEGMENTS:
            fat = _round(found["fat_mass"] * Decimal(fat_share))
            free = _round(found["fat_free_mass"] * Decimal(free_share))
            muscle = _round(free * Decimal("0.95"))
            parts += [f"{_round(fat / (fat + free) * 100):04.1f}", *map(_wide, (fat, free, muscle))]
        return (",".join([*parts, "08"]) + "\r\n").encode("ascii")


def _wide(number: Decimal) -> str:
    return f"{number:05.1f}"


def _round(number: Decimal) -> Decimal:
    return number.quantize(Decimal("0.1"), ROUND_HALF_UP)


def person(chance: Random) -> Values:
    """Return a plausible grown person's height and weight."""
    height = chance.randint(146, 184)
    weight = Decimal(chance.randint(185, 305)) / 10 * (Decimal(height) / 100) ** 2
    return {"body_height": str(height), "body_weight": str(_round(weight))}


SIMULATOR = Simulator(device, person, {"model": ("tbf310", "tbf410", "bc418", "mc780")})
