"""IEEE 11073 numbers and times as Bluetooth values carry them, least byte first.

Source: ble/sig_common.md. A number is a mantissa and a power of ten, both two's complement without any bias;
it becomes a `Decimal` of exactly that mantissa and exponent. Times are the device's own, without a zone.
"""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from protocol.errors import MalformedValue
from protocol.times import device_time

FIRST_YEAR = 1582
LAST_WEEKDAY = 7


class Special(StrEnum):
    """What a number says instead of a value; never itself a value."""

    NAN = "NaN"
    """No valid result."""
    NRES = "NRes"
    """The value cannot be stated at this resolution."""
    ABOVE = "+INF"
    BELOW = "-INF"
    RESERVED = "reserved"


SFLOAT_SPECIAL = {
    0x07FE: Special.ABOVE,
    0x07FF: Special.NAN,
    0x0800: Special.NRES,
    0x0801: Special.RESERVED,
    0x0802: Special.BELOW,
}
FLOAT_SPECIAL = {
    0x007FFFFE: Special.ABOVE,
    0x007FFFFF: Special.NAN,
    0x00800000: Special.NRES,
    0x00800001: Special.RESERVED,
    0x00800002: Special.BELOW,
}


def sfloat(data: bytes) -> Decimal | Special:
    """Return the number in these 2 bytes (medfloat16); raise MalformedValue for any other length."""
    word = _word(data, 2)
    return SFLOAT_SPECIAL.get(word) or _number(word & 0x0FFF, 12, word >> 12, 4)


def float32(data: bytes) -> Decimal | Special:
    """Return the number in these 4 bytes (medfloat32); raise MalformedValue for any other length."""
    word = _word(data, 4)
    return FLOAT_SPECIAL.get(word) or _number(word & 0xFFFFFF, 24, word >> 24, 8)


def date_time(data: bytes) -> datetime | None:
    """Return the moment in these 7 bytes (Date Time, 2A08); None where year, month or day is unknown (0).

    Raises MalformedValue for another length and for what is no moment.
    """
    if len(data) != 7:
        raise MalformedValue(f"a Date Time has 7 bytes: {data.hex(' ')}")
    year, month, day = int.from_bytes(data[:2], "little"), data[2], data[3]
    known = device_time(year or 2000, month or 1, day or 1, *data[4:])
    if year and year < FIRST_YEAR:
        raise MalformedValue(f"no year of a Date Time: {year}")
    return known if year and month and day else None


def date_time_bytes(moment: datetime) -> bytes:
    """Return *moment* as the 7 bytes of a Date Time."""
    parts = (moment.month, moment.day, moment.hour, moment.minute, moment.second)
    return moment.year.to_bytes(2, "little") + bytes(parts)


@dataclass(frozen=True, slots=True)
class CurrentTime:
    """A Current Time (2A2B): the moment (None: not known), 1/256 s, and as bits why it was last set.

    The weekday is 1 for Monday to 7, or 0 where it is not known.
    """

    moment: datetime | None
    weekday: int
    fractions: int
    adjusted: int


def current_time(data: bytes) -> CurrentTime:
    """Return what these 10 bytes (Current Time, 2A2B) say; raise MalformedValue for what is none."""
    if len(data) != 10 or data[7] > LAST_WEEKDAY:
        raise MalformedValue(f"a Current Time has 10 bytes and a weekday up to 7: {data.hex(' ')}")
    return CurrentTime(date_time(data[:7]), *data[7:])


def current_time_bytes(moment: datetime) -> bytes:
    """Return *moment* as a Current Time that a person set by hand (adjust reason 0: manual)."""
    return date_time_bytes(moment) + bytes((moment.isoweekday(), 0, 0))


def _word(data: bytes, size: int) -> int:
    if len(data) != size:
        raise MalformedValue(f"a number of {size} bytes: {data.hex(' ')}")
    return int.from_bytes(data, "little")


def _number(mantissa: int, mantissa_bits: int, exponent: int, exponent_bits: int) -> Decimal:
    value, power = _signed(mantissa, mantissa_bits), _signed(exponent, exponent_bits)
    return Decimal((int(value < 0), tuple(map(int, str(abs(value)))), power))


def _signed(raw: int, bits: int) -> int:
    return raw - (1 << bits) if raw >> bits - 1 else raw
