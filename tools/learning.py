"""From lines and the values that stand in them to the layout that reads them; pure, used by `devices learn`.

What differs between lines of one form can only be seen where a recording has several of them: what was the
same in all stays as it is in the layout, and is told.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import groupby

from protocol.described import NAMES, PRESSURE, UNITS
from protocol.errors import RequestRefused
from protocol.lines import layout

LAYOUTS = ("layout", "layout_2", "layout_3")
DAY = r"(?:0?[1-9]|[12]\d|3[01])"
CELL = (
    r"(?P<lead> *(?:[+-] *(?=\d))?)(?:"
    r"(?P<time>\d{4}[-/.]\d{1,2}[-/.]\d{1,2}[ ,T;]\d{1,2}:\d{2}(?::\d{2})?)"
    rf"|(?P<date>(?:\d{{4}}[-/]{DAY}[-/]{DAY}|{DAY}[-/]{DAY}[-/](?:\d{{4}}|\d\d)|\d\d?:\d\d(?::\d\d)?)(?![.\d]))"
    r"|(?P<number>\d+(?:POINT\d+)?)|(?P<word>[^\W\d_]+)|(?P<other>.))"
)
MOMENT = re.compile(r"\d{4}(.)\d+(.)\d+(.)\d+:\d+(:\d+)?")
SEXES = frozenset("MFC")
"""A letter that stands alone and may be another one for the next person."""
OTHER_UNITS = frozenset({"", "cm", "%", "C", "bpm", "/min", "kg/m2"})


@dataclass(frozen=True, slots=True)
class Shown:
    """One value as the machine's display showed it."""

    name: str
    value: Decimal
    unit: str


@dataclass(frozen=True, slots=True)
class Cell:
    """One part of a line with the blanks and the sign before it; `kind` names the part of CELL that fits."""

    lead: str
    kind: str
    text: str


Line = tuple[Cell, ...]
Places = Mapping[int, Shown]


@dataclass(slots=True)
class Found:
    """What was found out: settings, and what a person should know about them."""

    settings: dict[str, str | int | bool] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def learn(lines: Sequence[str], shown: Sequence[Shown], found: Found) -> None:
    """Put into *found* the settings that read *shown* from *lines*. Raises RequestRefused with the reason."""
    for point in (".", ","):
        cut = [cells(line, point) for line in lines]
        forms = _forms(cut, shown)
        if forms:
            break
    else:
        missing = ", ".join(f"{one.name} {one.value}" for one in shown)
        raise _unclear(f"no line shows {missing}; was it recorded while the display showed that?")
    if point == ",":
        found.settings["decimal_comma"] = True
    if len(forms) > len(LAYOUTS):
        raise _unclear("the values stand in more than three forms of line")
    found.settings |= _units(forms)
    runs = []
    for key, (line, places) in zip(LAYOUTS, forms, strict=False):
        others = [_words(other) for other, _ in forms if other != line]
        alike = [other for other in cut if _alike(other, line) and _words(other) not in others]
        found.settings[key] = _layout(line, places, alike, found, comma=point == ",")
        runs.append(max(len(list(run)) for one, run in groupby(alike) if one == line))
    found.settings["repeat"] = 2 if min(runs) > 1 or "stable" in found.settings else 1
    if found.settings["repeat"] == 1:
        found.notes.append("the result stands there once, so one line is believed at once (repeat = 1)")
    if any(one.name == "weight" and one.value < 2 for one in shown):
        found.settings["minimum_kg"] = 0


def cells(line: str, point: str) -> Line:
    """Cut *line* into its parts; *point* is the decimal mark."""
    found = re.finditer(CELL.replace("POINT", re.escape(point)), line.rstrip(" "), re.DOTALL)
    return tuple(
        Cell(one["lead"], kind, one[kind])
        for one in found
        for kind in ("time", "date", "number", "word", "other")
        if one[kind] is not None
    )


def _forms(lines: Sequence[Line], shown: Sequence[Shown]) -> list[tuple[Line, Places]]:
    """Return the lines that carry what was shown and where; empty where one value stands nowhere.

    One line with all of it is preferred to several with a part. Raises RequestRefused where a value stands
    twice in a line that would do.
    """
    for line in lines:
        where = [_places(line, one) for one in shown]
        if all(where):
            return [(line, _single(where, shown))]
    chosen: dict[Line, dict[int, Shown]] = {}
    for one in shown:
        first = next((line for line in lines if _places(line, one)), None)
        if first is None:
            return []
        chosen.setdefault(first, {}).update(_single([_places(first, one)], [one]))
    return list(chosen.items())


def _single(where: Sequence[Sequence[int]], shown: Sequence[Shown]) -> dict[int, Shown]:
    places: dict[int, Shown] = {}
    for here, one in zip(where, shown, strict=True):
        if len(here) > 1 or here[0] in places:
            raise _unclear(
                f"{one.name} {one.value} could be several numbers of the line; "
                "record a measurement in which all numbers differ"
            )
        places[here[0]] = one
    return places


def _places(line: Line, one: Shown) -> list[int]:
    """Return where the value stands: as written, or else without its decimal mark."""
    numbers = {at: cell.text.replace(",", ".") for at, cell in enumerate(line) if cell.kind == "number"}
    written = [at for at, text in numbers.items() if Decimal(text) == one.value]
    tenths = [at for at, text in numbers.items() if _decimals(one) and text.isdigit() and _implied(text, one)]
    return written or tenths


def _implied(text: str, one: Shown) -> bool:
    return Decimal(text).scaleb(-_decimals(one)) == one.value


def _decimals(one: Shown) -> int:
    return max(0, -int(one.value.as_tuple().exponent))


def _form(line: Line) -> tuple[str, ...]:
    """Return what lines of one form have in common: all but their numbers, words and blanks."""
    return tuple(cell.text if cell.kind == "other" else cell.kind for cell in line)


def _words(line: Line) -> tuple[str, ...]:
    return tuple(cell.text for cell in line if cell.kind == "word" and cell.text not in SEXES)


def _alike(one: Line, other: Line) -> bool:
    """Say whether two lines are of one form and differ in one word at most: a mark, not two labels."""
    if _form(one) != _form(other):
        return False
    differ = [a for a, b in zip(one, other, strict=True) if a.kind == "word" and a.text != b.text]
    return len([cell for cell in differ if cell.text not in SEXES]) <= 1


def _layout(line: Line, places: Places, alike: Sequence[Line], found: Found, *, comma: bool) -> str:
    """Return the layout of *line*: free fields where that can be read in one way only, else fixed columns."""
    mark = _mark(places, alike)
    if mark is not None:
        found.settings["stable"] = line[mark].text
        found.notes.append(f"taken as the mark of a stable value: {line[mark].text}")
    try:
        written = "".join(_written(line, places, alike, mark, wide=False))
        layout(written, frozenset(NAMES), comma=comma)
    except ValueError:
        written = "".join(_written(line, places, alike, mark, wide=True))
    same = [cell.text for at, cell in enumerate(line) if cell.kind == "word" and _kept(at, line, alike)]
    if same:
        found.notes.append(f"must stand in every line just so: {' '.join(same)}")
    if any(cell.kind == "date" for cell in line):
        found.notes.append("a date or time that is not certain is passed over; it could be {%d/%m/%y}")
    return written


def _mark(places: Places, alike: Sequence[Line]) -> int | None:
    """Return the place of a word that all lines with these values share and another line has not."""
    right = [line for line in alike if all(at in _places(line, one) for at, one in places.items())]
    for at, cell in enumerate(right[0]):
        words = {line[at].text for line in right}
        others = {line[at].text for line in alike} - words
        if cell.kind == "word" and len(words) == 1 and others and not words & SEXES:
            return at
    return None


def _written(
    line: Line, places: Places, alike: Sequence[Line], mark: int | None, *, wide: bool
) -> Iterator[str]:
    timed = False
    for at, cell in enumerate(line):
        blank = " " if " " in cell.lead else ""
        spans = {len(other[at].lead + other[at].text) for other in alike}
        width = str(spans.pop()) if wide and len(spans) == 1 else ""
        if at in places:
            one = places[at]
            decimals = f".{_decimals(one)}" if cell.text.isdigit() and Decimal(cell.text) != one.value else ""
            yield _field(one.name, width, decimals, "")
        elif at == mark:
            yield _field("stable", width, "", blank)
        elif cell.kind == "time" and not timed and MOMENT.fullmatch(cell.text):
            timed = True
            yield blank + _time(cell.text)
        elif _kept(at, line, alike):
            yield blank + escaped(cell.text)
        else:
            yield _field("_", width, "", blank)


def _field(name: str, width: str, decimals: str, blank: str) -> str:
    form = f":{width}{decimals}" if width or decimals else ""
    return f"{'' if width else blank}{{{name}{form}}}"


def _kept(at: int, line: Line, alike: Sequence[Line]) -> bool:
    """Say whether this part belongs to the form: all that is no number, is the same everywhere and no sex."""
    cell = line[at]
    if len({other[at].text for other in alike}) > 1:
        return False
    if cell.kind == "number":  # a figure of a label, as in "T1:"
        return bool(at) and line[at - 1].kind == "word" and not cell.lead
    return cell.kind == "other" or (cell.kind == "word" and cell.text not in SEXES)


def _time(text: str) -> str:
    found = MOMENT.fullmatch(text)
    assert found is not None
    return f"{{%Y{found[1]}%m{found[2]}%d{found[3]}%H:%M{':%S' if found[4] else ''}}}"


def escaped(text: str) -> str:
    """Return *text* as a layout writes it, everything in it standing for itself."""
    return "".join(map(_escape, text))


def _escape(character: str) -> str:
    if character in "{}\\":
        return f"\\{character}"
    return character if character.isprintable() else f"\\x{ord(character):02x}"


def _units(forms: Sequence[tuple[Line, Places]]) -> dict[str, str]:
    """Return the unit settings: as a person said them, or as they stand behind the number."""
    units: dict[str, str] = {}
    wanted: dict[str, Shown] = {}
    for line, places in forms:
        for at, one in places.items():
            group = "pressure" if one.name in PRESSURE else one.name
            if group not in UNITS:
                if one.unit not in OTHER_UNITS:
                    raise _unclear(f"{one.name} in {one.unit} cannot be read")
                continue
            wanted.setdefault(group, one)
            stated = one.unit or "".join(cell.text for cell in line[at + 1 : at + 4])
            known = (unit for unit in UNITS[group] if stated.lower().startswith(unit.lower()))
            unit = next(known, units.get(group))
            if (one.unit and unit is None) or units.get(group, unit) != unit:
                raise _unclear(f"{one.name} in {stated}: only {' or '.join(UNITS[group])}")
            units |= {group: unit} if unit else {}
    for group in wanted.keys() - units.keys():
        one = wanted[group]
        said = " or ".join(f"{one.name}={one.value}{unit}" for unit in UNITS[group])
        raise _unclear(f"say the unit: --shown {said}")
    return {f"unit_{group}": unit for group, unit in units.items()}


def _unclear(reason: str) -> RequestRefused:
    return RequestRefused(reason, code="learn.unclear")
