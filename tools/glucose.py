"""What simulated glucose meters with a memory share: a result as it is kept, and how it comes about."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal, InvalidOperation
from random import Random

from tools.simulators import (
    Cue,
    Device,
    Fail,
    Measure,
    OrderRefused,
    Refuse,
    Show,
    Store,
    Values,
    scaled,
)

MARKS = frozenset({"meal", "control", "kind", "questionable", "clock_lost"})
"""What a person or a story may say of a result beside its value; a meter takes what it knows."""


@dataclass(frozen=True, slots=True)
class Result:
    """One result in a meter's memory: mg/dL, one above or below the limits where the meter shows HI or LO."""

    at: datetime
    value: int
    marks: Mapping[str, str] = field(default_factory=dict)


class Memory:
    """A meter's results, newest first, at most *size*; the oldest goes when another comes."""

    def __init__(self, low: int, high: int, size: int, years: tuple[int, int] = (2000, 2099)) -> None:
        """Begin empty. The meter shows *low* to *high* mg/dL and its clock knows *years*."""
        self.low, self.high = low, high
        self.results: list[Result] = []
        self._size, self._years = size, years

    def take(self, cue: Cue | None, now: datetime) -> Device:
        """Do what a person does with the meter, or what a story says that its memory holds."""
        match cue:
            case Measure(values, extras):
                value = self._value(values)
                self._keep(Result(now, value, _marks(extras)))
                yield Show({"glucose": self._shown(value)})
            case Store(records):
                for record in sorted((self._stored(record) for record in records), key=lambda one: one.at):
                    self._keep(record)
            case Fail():
                yield Refuse("this meter keeps nothing of a test that failed")

    def _keep(self, result: Result) -> None:
        self.results.insert(0, result)
        del self.results[self._size :]

    def _stored(self, told: Values) -> Result:
        return Result(stored_at(told, self._years), self._value(told), _marks(told))

    def _value(self, values: Values) -> int:
        glucose = values.get("glucose", "")
        if glucose in {"HI", "LO"}:
            return self.high + 1 if glucose == "HI" else self.low - 1
        try:
            whole = Decimal(glucose) == int(Decimal(glucose))
        except (InvalidOperation, ValueError, OverflowError):
            whole = False
        if not whole:
            raise OrderRefused("glucose must be given in whole mg/dL, or as HI or LO")
        return max(self.low - 1, min(self.high + 1, scaled(values, "glucose", 0, 0xFFFF)))

    def _shown(self, value: int) -> str:
        if value > self.high:
            return f">{self.high}"
        return f"<{self.low}" if value < self.low else str(value)


def stored_at(told: Values, years: tuple[int, int]) -> datetime:
    """Return when a record was stored; raises OrderRefused where the meter's *years* do not hold it."""
    try:
        at = datetime.fromisoformat(told["at"])
    except (KeyError, ValueError):
        raise OrderRefused("a stored record needs its time as `at`, in ISO 8601") from None
    if not years[0] <= at.year <= years[1]:
        raise OrderRefused(f"the meter's years are {years[0]} to {years[1]}")
    return at


def moment(text: str, form: str) -> datetime:
    """Return the moment a host set the clock to; raises OrderRefused where it is none."""
    try:
        return datetime.strptime(text, form)  # noqa: DTZ007 (a device's own time)
    except ValueError:
        raise OrderRefused("a clock setting that is no date") from None


def _marks(told: Values) -> Values:
    return {name: value for name, value in told.items() if name in MARKS}


def person(chance: Random) -> Values:
    """Return a plausible person's blood sugar in mg/dL."""
    return {"glucose": str(chance.randint(70, 250))}
