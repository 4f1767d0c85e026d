"""The device side of each protocol, written from its sheet and from nothing in `drivers/`.

A device is a generator, as a driver's dialogue is: it yields what it does and receives what happens to
it, and knows no port, no clock and no time of its own. `tools/simulate.py` gives it all three.
"""

from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal
from importlib import import_module
from pkgutil import iter_modules
from random import Random

Values = Mapping[str, str]
"""Decimal strings by the contract's measure names."""


class OrderRefused(Exception):
    """The person at the simulated machine asks for something this machine cannot do."""


@dataclass(frozen=True, slots=True)
class Say:
    """Put these bytes on the line. `result` marks the message that carries a measurement's outcome."""

    data: bytes
    result: bool = False


@dataclass(frozen=True, slots=True)
class Await:
    """Give me the next cue, or None when *timeout* seconds pass without one."""

    timeout: float | None = None


@dataclass(frozen=True, slots=True)
class Pause:
    """Let this many seconds pass; cues wait."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Show:
    """The machine's own display now shows this outcome of a measurement."""

    values: Values


@dataclass(frozen=True, slots=True)
class ShowFailure:
    """The machine's own display says that the measurement failed, and how."""

    failed: str


@dataclass(frozen=True, slots=True)
class Violation:
    """The host did what a gateway must never do unasked."""

    what: str


@dataclass(frozen=True, slots=True)
class Refuse:
    """What the person asked for cannot be done on this machine."""

    why: str


@dataclass(frozen=True, slots=True)
class Attached:
    """A host has opened the port."""


@dataclass(frozen=True, slots=True)
class Heard:
    """Bytes from the host, as they came."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Measure:
    """A person uses the machine and it finds these values; `extras` are the machine's other fields."""

    values: Values
    extras: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Fail:
    """A person uses the machine and it finds nothing, for this reason."""

    reason: str


@dataclass(frozen=True, slots=True)
class Store:
    """Put these into the machine's memory, as measured earlier: values, and `at` in ISO 8601."""

    records: tuple[Mapping[str, str], ...]


Act = Say | Await | Pause | Show | ShowFailure | Violation | Refuse
Cue = Attached | Heard | Measure | Fail | Store
Device = Generator[Act, Cue | None, None]


@dataclass(frozen=True, slots=True)
class Setup:
    """One machine: its chosen options, its own clock (naive), and its chance."""

    options: Mapping[str, str]
    clock: Callable[[], datetime]
    chance: Random


@dataclass(frozen=True, slots=True)
class Simulator:
    """A machine that can be simulated.

    `device` never ends and never raises; `person` gives what the machine finds on a plausible person.
    `options` are the choices a technician has, the first of each being taken unless told.
    """

    device: Callable[[Setup], Device]
    person: Callable[[Random], Values]
    options: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


def attempt(acts: Device) -> Device:
    """Do *acts*; where they turn out impossible, say so and go on."""
    try:
        yield from acts
    except OrderRefused as refused:
        yield Refuse(str(refused))


def whole(values: Values, name: str, limit: int) -> int:
    """Return the value *name*, a whole number from 0 to *limit*; raises OrderRefused."""
    return scaled(values, name, 0, limit)


def scaled(values: Values, name: str, places: int, limit: int) -> int:
    """Return the value *name* times 10^*places*, rounded, from 0 to *limit*; raises OrderRefused."""
    try:
        number = int(Decimal(values[name]).scaleb(places).to_integral_value(ROUND_HALF_UP))
    except (KeyError, ValueError, ArithmeticError):
        raise OrderRefused(f"{name} must be given as a decimal number") from None
    if not 0 <= number <= limit:
        raise OrderRefused(f"{name} is beyond what this machine can send")
    return number


def decimal(number: int, places: int) -> str:
    """Return *number* divided by 10^*places* with exactly that many places."""
    return format(Decimal(number).scaleb(-places), "f")


def names() -> list[str]:
    """Return the drivers whose machine can be simulated."""
    return sorted(module.name for module in iter_modules(__path__))


def simulator(name: str) -> Simulator:
    """Return the simulated machine for the driver *name*, one of `names()`."""
    found = import_module(f"{__name__}.{name}").SIMULATOR
    assert isinstance(found, Simulator)
    return found
