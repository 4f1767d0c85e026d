"""The fields of one Bluetooth value, taken one after another; too short a value is refused, never guessed."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from protocol.errors import MalformedValue
from protocol.ieee11073 import Special, date_time, float32, sfloat

Number = Decimal | Special


@dataclass(frozen=True, slots=True)
class Moment:
    """A device's date and time; where it does not know them, `at` is None and the rest says so."""

    at: datetime | None
    context: Mapping[str, str]
    flags: frozenset[str]
    raw: str

    @property
    def name(self) -> str:
        """The moment as a part of a record's name: the same words whenever it is told again."""
        return self.at.isoformat() if self.at else self.raw


def unknown_moment(data: bytes) -> Moment:
    """Return the moment of a clock that does not know it."""
    return Moment(None, {"stated_time": data.hex(" ")}, frozenset({"clock_lost"}), data.hex())


class Fields:
    """What is left of a value. Every method raises MalformedValue where too little is."""

    def __init__(self, data: bytes) -> None:
        """Begin at the first byte of *data*."""
        self._data = data
        self._at = 0

    def take(self, count: int) -> bytes:
        """Return the next *count* bytes."""
        taken = self._data[self._at : self._at + count]
        if len(taken) < count:
            raise MalformedValue(f"{len(self._data)} bytes are too few for what the flags say")
        self._at += count
        return taken

    def number(self, size: int) -> int:
        """Return the next *size* bytes as an unsigned number."""
        return int.from_bytes(self.take(size), "little")

    def signed(self, size: int) -> int:
        """Return the next *size* bytes as a signed number."""
        return int.from_bytes(self.take(size), "little", signed=True)

    def sfloat(self) -> Number:
        """Return the next 2 bytes as a number with its exponent."""
        return sfloat(self.take(2))

    def float32(self) -> Number:
        """Return the next 4 bytes as a number with its exponent."""
        return float32(self.take(4))

    def moment(self) -> Moment:
        """Return the next 7 bytes as a Date Time."""
        raw = self.take(7)
        at = date_time(raw)
        return unknown_moment(raw) if at is None else Moment(at, {}, frozenset(), raw.hex())

    def left(self) -> bytes:
        """Return all that is left."""
        return self.take(len(self._data) - self._at)


def bits(word: int, names: Mapping[int, str]) -> list[str]:
    """Return the names of the bits set in *word*, lowest first."""
    return [name for bit, name in names.items() if word >> bit & 1]


def shown(number: Number) -> str:
    """Return *number* as a person reads it."""
    return format(number, "f") if isinstance(number, Decimal) else number.value


def shifted(number: Decimal, places: int) -> Decimal:
    """Return *number* times ten to the power of *places*, every digit kept."""
    sign, digits, exponent = number.as_tuple()
    if not isinstance(exponent, int):
        raise MalformedValue(f"no finite number: {number}")
    return Decimal((sign, digits, exponent + places))
