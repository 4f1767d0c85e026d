"""What a device reported, in its own words, before the gateway judges it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum
from typing import Literal

from protocol.quantities import Quantity


class Kind(StrEnum):
    """What was examined; the contract's kinds."""

    BLOOD_PRESSURE = "blood_pressure"
    GLUCOSE = "glucose"
    BODY_SIZE = "body_size"
    TEMPERATURE = "temperature"
    OXIMETRY = "oximetry"
    BODY_COMPOSITION = "body_composition"


class Measure(StrEnum):
    """One number of a reading; the contract's measures."""

    SYSTOLIC = "systolic"
    DIASTOLIC = "diastolic"
    MEAN_PRESSURE = "mean_pressure"
    PULSE_RATE = "pulse_rate"
    GLUCOSE = "glucose"
    BODY_HEIGHT = "body_height"
    BODY_WEIGHT = "body_weight"
    BMI = "bmi"
    WAIST = "waist"
    BODY_TEMPERATURE = "body_temperature"
    SPO2 = "spo2"
    BODY_FAT = "body_fat"


@dataclass(frozen=True, slots=True)
class Reading:
    """One report from a device.

    Always true: at least one value, or `failed` names why there is none, never both; at least one
    evidence frame; `device_time` is the device's own naive time and never filled in from our clock;
    no value here was computed by us. `stored` marks a reading from the device's memory, `record` is
    the machine's own name for it: equal whenever the machine tells the same record again, None where
    the machine gives nothing that tells two of its readings apart.
    """

    kind: Kind
    values: Mapping[Measure, Quantity]
    evidence: tuple[bytes, ...]
    device_time: datetime | None = None
    sequence: int | None = None
    context: Mapping[str, str] = field(default_factory=dict)
    flags: frozenset[str] = frozenset()
    failed: str | None = None
    stored: bool = False
    record: str | None = None

    def __post_init__(self) -> None:
        if bool(self.values) == bool(self.failed):
            raise ValueError("a reading has values or says why it failed, never both")
        if not self.evidence or not all(self.evidence):
            raise ValueError("a reading needs the frames it came from")
        if self.device_time is not None and self.device_time.tzinfo is not None:
            raise ValueError("device time is the device's own naive time")


@dataclass(frozen=True, slots=True)
class DeviceClock:
    """The device's clock, read now; with our instant beside it, it is the coincident timestamp."""

    device_time: datetime
    evidence: bytes


@dataclass(frozen=True, slots=True)
class Progress:
    """A value on its way (cuff pressure, a weight not yet stable): shown, never stored as a result.

    The first one `underway` since the last result is when a measurement began; one that is not says that
    nothing is being measured (an empty plate, no finger, a board that starts up).
    """

    kind: Kind
    values: Mapping[Measure, Quantity] | Mapping[str, Quantity]
    state: str
    underway: bool = True


@dataclass(frozen=True, slots=True)
class Identified:
    """What the device says it is; only what it said."""

    serial: str
    detail: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Notice:
    """Something said that is no value; `code` names its text in `gateway/messages.py`.

    A `fault` stands in the device's state until something sensible is heard: a person has to do something.
    With `evidence` it is a result that this project has no measure for: journalled before the device hears
    that it was taken.
    """

    code: str
    detail: Mapping[str, str] = field(default_factory=dict)
    fault: bool = False
    evidence: bytes = b""


@dataclass(frozen=True, slots=True)
class CardRead:
    """A person's card, read off a card reader: who sits down, in the card's own words.

    `system` names the kind of number as an exam's identifiers do. `nation` is the code on the card,
    `valid_to` None where the card never ends. It says nothing of its holder when shown as a text, so that no
    log, fault or record does; whoever needs the holder names the field.
    """

    system: str
    number: str = field(repr=False)
    name: str = field(repr=False)
    sex: Literal["male", "female"] = field(repr=False)
    birth_date: date = field(repr=False)
    nation: str = field(repr=False)
    address: str = field(repr=False)
    valid_from: date = field(repr=False)
    valid_to: date | None = field(repr=False)


Event = DeviceClock | Progress | Identified | Notice | CardRead
PERSONAL = frozenset({"patient_id"})
"""What in a reading's context may name a person: typed at a machine, and never used for binding."""
