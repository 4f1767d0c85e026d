"""Records and clocks in the memory of Omron monitors, and where each model keeps them.

Source: protocols sheet ble/omron.md (memory map, record and clock layouts) and what it cites:
userx14/omblepy, eigger/hass-omron (HEM-6232T, the 14-byte little-endian record, clocks of the big-endian
models) and oliexdev/openScale (body record of the HBF-702T).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Literal

from protocol.checks import sum8
from protocol.errors import MalformedValue
from protocol.quantities import Quantity
from protocol.readings import Kind, Measure, Reading
from protocol.times import device_time

LAST_YEAR = 2063
"""The year has six bits in most layouts; where it has eight, more is no year either."""
EMPTY_ABOVE = 0xE1
LAST_SECOND = 59
"""The second can read up to 63."""
SLOWEST = 30
"""Ours: beats a minute; less is a year or another field of a layout that is not this one."""

Layout = Callable[[bytes], "Found"]


@dataclass(frozen=True, slots=True)
class Found:
    """What a record of a blood pressure says."""

    systolic: int
    diastolic: int
    pulse: int
    moment: datetime
    moved: bool
    irregular: bool
    sequence: int | None = None
    failed: str | None = None


def big_endian(data: bytes) -> Found:
    """Return a 14-byte record whose bits count from the first byte's highest; MalformedValue for none."""
    diastolic, systolic, year, pulse = data[:4]
    moved, irregular, moment = _stamp(year, data[4:8], "big")
    return _possible(Found(systolic + 25, diastolic, pulse, moment, moved, irregular))


def little_endian(data: bytes) -> Found:
    """Return a record of 14, 16 or (HeartGuide) 24 bytes whose first byte is the systolic pressure."""
    systolic, diastolic, pulse, year = data[:4]
    if systolic > EMPTY_ABOVE:
        raise MalformedValue(f"no systolic pressure: {systolic}")
    moved, irregular, moment = _stamp(year & 0x3F, data[4:8], "little")
    found = Found(systolic + 25, diastolic, pulse, moment, moved, irregular)
    if len(data) == HEART_GUIDE:
        found = replace(found, sequence=int.from_bytes(data[10:12], "little"))
        if data[17]:
            return replace(found, failed=f"device_error:{data[17]}")
    return _possible(found)


HEART_GUIDE, BODY = 24, 48
LAYOUTS: Mapping[str, Layout] = {"big": big_endian, "little": little_endian}
BY_LENGTH: Mapping[int, Sequence[str]] = {
    14: ("big", "little"),
    16: ("little",),
    HEART_GUIDE: ("little",),
}


def _stamp(year: int, data: bytes, order: Literal["big", "little"]) -> tuple[bool, bool, datetime]:
    """Return movement, irregular pulse and time."""
    day, time = int.from_bytes(data[:2], order), int.from_bytes(data[2:], order)
    moment = device_time(
        2000 + year,
        day >> 10 & 0x0F,
        day >> 5 & 0x1F,
        day & 0x1F,
        time >> 6 & 0x3F,
        min(time & 0x3F, LAST_SECOND),
    )
    if moment.year > LAST_YEAR:
        raise MalformedValue(f"no year: {moment.year}")
    return bool(day >> 15), bool(day >> 14 & 1), moment


def _possible(found: Found) -> Found:
    if not found.systolic > found.diastolic > 0 or found.pulse < SLOWEST:
        raise MalformedValue(f"no record: {found.systolic}/{found.diastolic}, pulse {found.pulse}")
    return found


def is_empty(data: bytes) -> bool:
    """Say whether this slot was never written."""
    return set(data) in ({0xFF}, {0})


def pressure(data: bytes, layout: str, user: int | None, evidence: tuple[bytes, ...]) -> Reading:
    """Return the blood pressure of one record; MalformedValue where *layout* does not allow it."""
    if layout not in BY_LENGTH.get(len(data), ()):
        raise MalformedValue(f"no record of this model: {data.hex(' ')}")
    found = LAYOUTS[layout](data)
    slot = f"user {user} " if user else ""
    flags = {"body_movement"} if found.moved else set()
    flags |= {"irregular_pulse"} if found.irregular else set()
    values = {
        Measure.SYSTOLIC: Quantity(Decimal(found.systolic), "mm[Hg]"),
        Measure.DIASTOLIC: Quantity(Decimal(found.diastolic), "mm[Hg]"),
        Measure.PULSE_RATE: Quantity(Decimal(found.pulse), "/min"),
    }
    numbers = f"{found.systolic}/{found.diastolic} {found.pulse}"
    return Reading(
        Kind.BLOOD_PRESSURE,
        {} if found.failed else values,
        evidence,
        device_time=found.moment,
        sequence=found.sequence,
        context={"user": str(user)} if user else {},
        flags=frozenset(flags),
        failed=found.failed,
        stored=True,
        record=f"{slot}{found.moment.isoformat()} {found.failed or numbers}",
    )


def body(data: bytes, user: int | None, evidence: tuple[bytes, ...]) -> Reading:
    """Return what a 48-byte record of a body-composition scale says; a raw zero was not measured."""
    if len(data) != BODY:
        raise MalformedValue(f"a body record has {BODY} bytes")
    moment = device_time(
        2000 + (data[7] & 0x3F),
        data[11] & 0x0F,
        data[12] >> 3,
        int.from_bytes(data[12:14], "big") >> 6 & 0x1F,
        data[9] & 0x3F,
        data[13] & 0x3F,
    )
    raw = {name: int.from_bytes(data[at : at + 2], "big") for name, at in WORDS.items()}
    weight = Decimal(raw["weight"] >> 4) * Decimal("0.05")
    if not weight:
        raise MalformedValue("a record without a weight")
    values = {Measure.BODY_WEIGHT: Quantity(weight, "kg")}
    if fat := raw["fat"] >> 6:
        values[Measure.BODY_FAT] = Quantity(Decimal(fat).scaleb(-1), "%")
    if bmi := raw["bmi"] >> 6:
        values[Measure.BMI] = Quantity(Decimal(bmi).scaleb(-1), "kg/m2")
    return Reading(
        Kind.BODY_COMPOSITION,
        values,
        evidence,
        device_time=moment,
        context=({"user": str(user)} if user else {}) | _of_the_body(raw, data),
        stored=True,
        record=(f"user {user} " if user else "") + f"{moment.isoformat()} {weight}",
    )


WORDS: Mapping[str, int] = {"fat": 2, "bmr": 4, "muscle": 6, "bmi": 8, "weight": 26}


def _of_the_body(raw: Mapping[str, int], data: bytes) -> dict[str, str]:
    stated = {
        "skeletal_muscle_percent": Decimal(raw["muscle"] >> 6).scaleb(-1),
        "bmr_kcal": Decimal(raw["bmr"] >> 4),
        "visceral_fat_level": Decimal(raw["fat"] & 0x3F) * Decimal("0.5"),
        "body_age": Decimal(data[10] & 0x7F),
    }
    return {name: format(value, "f") for name, value in stated.items() if value}


def clock(data: bytes) -> datetime:
    """Return the time of a clock block; its length and its sum say which of the three layouts it has.

    16 bytes: eight that are kept, then year to second and the sum, or the big-endian models' order and the
    sum last; 10 bytes: two that are kept, then that order. MalformedValue where the sum is wrong.
    """
    if len(data) == 16 and sum8(data[:14]) == data[14] and not data[15]:
        year, month, day, hour, minute, second = data[8:14]
    elif len(data) in {10, 16} and sum8(data[:-2]) == data[-1]:
        month, year, hour, day, second, minute = data[-8:-2]
    else:
        raise MalformedValue(f"no clock block: {data.hex(' ')}")
    return device_time(2000 + year, month, day, hour, minute, min(second, LAST_SECOND))


@dataclass(frozen=True, slots=True)
class Model:
    """Where a model keeps its records: of each user so many slots from an address on, written in turn.

    `cursor` is where the next slot to be written stands: for each user two bytes in the layout's order, the
    low one counting, or (a scale) one byte whose low six bits count. None: no source tells.
    """

    layout: str
    users: tuple[int, ...]
    slots: int
    size: int
    cursor: int | None = None
    clock: tuple[int, int] | None = None

    def cursors(self, settings: bytes) -> list[int | None]:
        """Return the next slot of each user as the *settings* bytes tell it; None where it is none."""
        if self.layout == "body":
            told = [byte & 0x3F for byte in settings]
        else:
            low = 1 if self.layout == "big" else 0
            told = [settings[at + low] for at in range(0, len(settings) - 1, 2)]
        return [next_slot if next_slot <= self.slots else None for next_slot in told[: len(self.users)]]


MODELS: Mapping[str, Model] = {
    "HEM-7322T": Model("big", (0x02AC, 0x0824), 100, 14, 0x0260, (0x0274, 10)),
    "HEM-7600T": Model("big", (0x02AC,), 100, 14, 0x0260, (0x0274, 10)),
    "HEM-6232T": Model("big", (0x02E8, 0x0860), 100, 14, 0x0260, (0x028C, 16)),
    "HEM-7530T": Model("big", (0x02E8,), 90, 14),
    "HEM-7150T": Model("little", (0x0098,), 60, 16, 0x0010, (0x003C, 16)),
    "HEM-7155T": Model("little", (0x0098, 0x0458), 60, 16, 0x0010, (0x003C, 16)),
    "HEM-7342T": Model("little", (0x0098, 0x06D8), 100, 16, 0x0010, (0x003C, 16)),
    "HEM-7361T": Model("little", (0x0098, 0x06D8), 100, 16, 0x0010, (0x003C, 16)),
    "HBF-702T": Model("body", (0x02C0, 0x0890, 0x0E60, 0x1430), 30, BODY, 0x01A0),
}


def record(data: bytes, layout: str, user: int | None, evidence: tuple[bytes, ...]) -> Reading:
    """Return what one record says in the *layout* of its model; MalformedValue where it cannot."""
    return body(data, user, evidence) if layout == "body" else pressure(data, layout, user, evidence)


def alone(data: bytes) -> Reading:
    """Return a record of which only the bytes are known: it must fit one layout, and one only.

    Raises MalformedValue, under `omron_ble.model_unknown` where two layouts allow it.
    """
    if len(data) == BODY:
        return body(data, None, (data,))
    fitting = []
    for layout in BY_LENGTH.get(len(data), ()):
        try:
            fitting.append(pressure(data, layout, None, (data,)))
        except MalformedValue:
            continue
    if len(fitting) > 1:
        raise MalformedValue("two layouts allow this record", code="omron_ble.model_unknown")
    if not fitting:
        raise MalformedValue(f"no record and no clock: {data.hex(' ')}")
    return fitting[0]
