r"""Records of ASTM E1394 (LIS2-A2): what an analyser says, in the hierarchy H > P > O > R, C after any.

The H record itself says by which characters fields, repeats, components and escapes are told apart. Glucose
is a reading; every other result is a notice with its bytes, so that it is kept before the analyser hears that
it was taken. Source: sheet serial/astm_e1381_e1394.md; numbers of fields count from 1, as there.
"""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal

from protocol.astm import Record
from protocol.errors import MalformedValue
from protocol.glucose import stored
from protocol.quantities import Comparator, Quantity
from protocol.readings import DeviceClock, Event, Identified, Notice, Reading
from protocol.times import device_time

GLUCOSE = frozenset({"glucose"})
"""The one name for blood sugar that the sheet shows; "GLU" is a urine strip on other analysers."""
UNITS = {"mg/dl": "mg/dL", "mmol/l": "mmol/L"}
NUMBER = re.compile(r"([<>]?) *(\d+(?:\.\d+)?)", re.ASCII)
MOMENT = re.compile(r"(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)?", re.ASCII)
RANKS = "HPO"
"""The kinds of records that results stand below, from the top."""
CONTEXT = frozenset({"range", "abnormal_flag", "result_status", "instrument", "processing_id", "patient_id"})
MOST = 10_000
"""Ours: results of one broken transfer that are remembered."""


@dataclass(frozen=True, slots=True)
class Delimiters:
    """What separates fields, repeats and components; the defaults are those that nearly every H states."""

    field: str = "|"
    repeat: str = "\\"
    component: str = "^"

    @classmethod
    def of(cls, header: str) -> "Delimiters":
        r"""Return those that an H record defines; a character stated twice (`\\^&`) counts once."""
        field = header[1:2]
        stated = list(dict.fromkeys(header[2:].partition(field)[0])) if field else []
        if len(stated) < 2 or field.isalnum():
            raise MalformedValue("an H record that does not define its delimiters")
        return cls(field, stated[0], stated[1])


@dataclass(frozen=True, slots=True)
class Fields:
    """One record cut into its fields; a field that is not there is empty."""

    record: Record
    text: str
    fields: tuple[str, ...]

    def __getitem__(self, number: int) -> str:
        return self.fields[number - 1].strip() if number <= len(self.fields) else ""


def cut(record: Record, delimiters: Delimiters) -> Fields:
    """Cut *record* at the field delimiter. Text is UTF-8, or else one character a byte."""
    try:
        text = record.text.decode("utf-8")
    except UnicodeDecodeError:
        text = record.text.decode("latin-1")
    return Fields(record, text, tuple(text.split(delimiters.field)))


def moment(text: str) -> datetime:
    """Return the time that YYYYMMDDHHMM or YYYYMMDDHHMMSS states. Raises MalformedValue."""
    found = MOMENT.fullmatch(text)
    if found is None:
        raise MalformedValue(f"no date and time: {text!r}")
    return device_time(*(int(number) for number in found.groups() if number))


class Results:
    """Reads the records of one transfer after another.

    A transfer that breaks off is sent again from its beginning: what was told of it is not told twice. The
    sender of one that ended may not have heard our last answer and send it again, too: then what has a time
    is not told twice; what has none may be another result in the same words.
    """

    def __init__(self, glucose: frozenset[str] = GLUCOSE) -> None:
        self.ended = False
        """Whether the last record was an L."""
        self._glucose = glucose
        self._told: Counter[int] = Counter()
        self._forget()

    def begin(self) -> None:
        """Begin a transfer; what the one before told may be said again."""
        self._told |= self._now
        self._forget()

    def close(self) -> None:
        """End a transfer that came to its end."""
        self._told = Counter({key: count for key, count in self._now.items() if key in self._timed})
        self._now.clear()

    def _forget(self) -> None:
        self._now: Counter[int] = Counter()
        self._timed: set[int] = set()
        self._delimiters = Delimiters()
        self._above: dict[str, Fields] = {}
        self._result_above: Fields | None = None
        self.ended = False

    def read(self, record: Record) -> Iterator[Reading | Event]:
        """Yield what *record* says. Raises MalformedValue where its form allows no reading of it."""
        kind = "" if record.text[1:2].isalnum() else record.text[:1].decode("latin-1")
        self.ended = kind == "L"
        if kind == "H":
            self._above, self._result_above = {}, None
            self._delimiters = Delimiters.of(cut(record, Delimiters()).text)
        fields = cut(record, self._delimiters)
        if kind in {*RANKS, "L"}:
            self._enter(kind, fields)
            yield _shown(fields)
            yield from self._header(fields) if kind == "H" else ()
        elif not self._repeated(fields):
            yield from self._result(fields) if kind == "R" else [self._other(fields)]

    def _enter(self, kind: str, fields: Fields) -> None:
        """Note a record that the results below it belong to; those of its own rank and below are over."""
        higher = RANKS.partition(kind)[0] if kind in RANKS else ""
        self._above = {above: said for above, said in self._above.items() if above in higher}
        if kind in RANKS:
            self._above[kind] = fields
        self._result_above = None

    def _repeated(self, fields: Fields) -> bool:
        """Say whether this very record, of the same person, order and result, was told before."""
        if fields[1] == "R":
            self._result_above = fields
        result = self._result_above
        above = [said.text for kind, said in self._above.items() if kind != "H"]
        key = hash((*above, result and result.text, fields.text))
        if len(self._now) < MOST:
            self._now[key] += 1
            self._timed |= {key} if result and _time(result) else set()
        return 0 < self._now[key] <= self._told[key]

    def _header(self, fields: Fields) -> Iterator[Event]:
        if sender := fields[5]:
            name = sender.split(self._delimiters.component)[0].strip()
            yield Identified(sender, {"instrument": name} if name else {})
        if MOMENT.fullmatch(fields[14]):
            yield DeviceClock(moment(fields[14]), fields.record.text)

    def _other(self, fields: Fields) -> Notice:
        """Return a comment, or a record of a kind that is not interpreted here, to be kept."""
        result = {"of": self._result_above[3]} if self._result_above else {}
        return _shown(fields, evidence=fields.record.text, **result)

    def _result(self, fields: Fields) -> Iterator[Reading | Event]:
        test = next(filter(None, map(str.strip, fields[3].split(self._delimiters.component))), "")
        number, unit = NUMBER.fullmatch(fields[4]), UNITS.get(fields[5].lower())
        if test.lower() not in self._glucose:
            yield self._kept("astm.result", test, fields)
        elif number is None or unit is None or not Decimal(number[2]):
            yield self._kept("astm.glucose_unclear", test, fields)
        else:
            yield self._reading(fields, Quantity(Decimal(number[2]), unit, beyond(number[1], fields[7])))

    def _reading(self, fields: Fields, quantity: Quantity) -> Reading:
        """Return blood sugar. The analyser measured it earlier, perhaps hours: nobody is guessed.

        Only a time with seconds, as E1394 has it, tells two of its results apart.
        """
        told = _time(fields)
        reading = stored(
            quantity,
            moment(told) if told else None,
            self._frames(fields),
            context={name: said for name, said in self._detail(fields).items() if name in CONTEXT},
            control=bool(self._processing()),
        )
        number = int(fields[2]) if re.fullmatch("[0-9]{1,9}", fields[2]) else None
        return replace(reading, sequence=number, record=reading.record if len(told) == 14 else None)

    def _kept(self, code: str, test: str, fields: Fields) -> Notice:
        """Return a result as a notice; its evidence is its record with those it belongs to."""
        lines = [*(said.record.text for said in self._above.values()), fields.record.text]
        detail = {"test": test, **self._detail(fields)}
        return Notice(code, detail, fault=code != "astm.result", evidence=b"\r".join(lines) + b"\r")

    def _detail(self, fields: Fields) -> dict[str, str]:
        """Return what the result's own fields and those above it say, where they say something."""
        said = {
            "test_id": fields[3],
            "value": fields[4],
            "unit": fields[5],
            "range": fields[6],
            "abnormal_flag": fields[7],
            "result_status": fields[9],
            "time": _time(fields),
            "instrument": fields[14],
            "processing_id": self._processing(),
            "patient_id": self._patient(),
            "sequence": fields[2],
        }
        return {name: text for name, text in said.items() if text}

    def _processing(self) -> str:
        """Return what the message is for, nothing where it is for a person: P or not stated."""
        stated = self._above["H"][12] if "H" in self._above else ""
        return "" if stated == "P" else stated

    def _patient(self) -> str:
        """Return the P record's id. One character repeated is what an instrument fills in by itself."""
        if "P" not in self._above:
            return ""
        ids = (self._above["P"][number] for number in (3, 4, 5))
        return next((typed for typed in ids if len(set(typed)) > 1), "")

    def _frames(self, fields: Fields) -> tuple[bytes, ...]:
        above = [frame for said in self._above.values() for frame in said.record.frames]
        return tuple(dict.fromkeys([*above, *fields.record.frames]))


def _time(fields: Fields) -> str:
    """Return when the result was finished or, where only that is told, when it was begun."""
    return fields[13] or fields[12]


def beyond(mark: str, *flags: str) -> Comparator | None:
    """Return the side on which a value lies beyond the range, from its own mark or its abnormal flags."""
    said = {mark, *flags} & {"<", ">"}
    if len(said) > 1:
        raise MalformedValue("both below and above the range")
    return "<" if "<" in said else ">" if said else None


def _shown(fields: Fields, evidence: bytes = b"", **more: str) -> Notice:
    told = {"record": fields[1], "fields": fields.text, "frame_number": str(fields.record.number), **more}
    return Notice("astm.record", told, evidence=evidence)
