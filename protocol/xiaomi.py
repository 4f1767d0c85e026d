"""What Xiaomi scales advertise: Mi Scale (181D), Mi Body Composition Scale (181B), S400 (FE95, encrypted).

An advertisement names no service here: the plain ones are told by their lengths, an encrypted one by its
frame control. Sources: protocols sheet ble/xiaomi_scales.md with its vectors; for the encrypted one, which
the sheet only names, public sources no. 41835399743 and 66210114159 (object 6E16), proven by the vectors.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal

from protocol import aes
from protocol.errors import MalformedValue
from protocol.ieee11073 import date_time
from protocol.quantities import Quantity
from protocol.readings import Kind, Measure, Progress, Reading
from protocol.scales import IMPEDANCE

V1, V2 = 10, 13
"""Bytes of the plain advertisements."""
LAST_FACTORY_YEAR = 2015
"""A clock that was never set says 1970 or 2015 (sheet)."""
BEACON = b"\x95\xfe"
"""The service number, which some sources leave in front of the S400's data."""
WITH_ADDRESS, WITH_CAPABILITY, WITH_OBJECT = 0x10, 0x20, 0x40
SEALED = 0x5948
"""The frame control of an encrypted object without address, version 5: the only one seen."""
VERSION = 5
S400 = 0x3BD5
BODY_COMPOSITION = b"\x16\x6e\x09"
"""Begins the S400's only known object: its number and its length."""
TAG, COUNTER = 4, 3
ASSOCIATED = b"\x11"
NO_PULSE = 127


@dataclass(frozen=True, slots=True)
class Key:
    """What an S400's advertisements are decrypted with: its address and the key the maker's cloud gave it."""

    address: bytes
    key: bytes


@dataclass(frozen=True, slots=True)
class Told:
    """One advertisement. `name` is equal in all that belong to one weighing, `raw` is not filled in.

    `weight` is None where only more of a weighing was told; `complete` says that nothing more will follow.
    """

    frame: bytes
    name: str
    stable: bool
    removed: bool
    weight: Quantity | None = None
    complete: bool = True
    at: datetime | None = None
    context: Mapping[str, str] = field(default_factory=dict)
    flags: frozenset[str] = frozenset()

    @property
    def gone(self) -> bool:
        """Say whether nobody stands there any more and no result is told."""
        return not self.stable and (self.removed or self.weight is None)


def told(data: bytes, key: Key | None = None) -> Told | None:
    """Return what one advertisement says, None where it tells nothing of a weighing.

    Raises MalformedValue for what is not documented, and (`xiaomi_scale.no_key`, `.wrong_key`) for an
    encrypted one that cannot be read.
    """
    if len(data) == V1:
        control = data[0]
        unit = _unit(pounds=bool(control & 0x01), catty=bool(control & 0x10))
        return _plain(data, control, unit, _of_things(bool(control & 0x40)))
    if len(data) == V2:
        unit = _unit(pounds=bool(data[0] & 0x01), catty=bool(data[1] & 0x40))
        measured = bool(data[1] & 0x02) and int.from_bytes(data[9:11], "little")
        said = _plain(data, data[1], unit, _of_things(bool(data[0] & 0x04)))
        more = {IMPEDANCE: str(measured)} if measured else {}
        return replace(said, context={**said.context, **more}, complete=bool(measured) or said.removed)
    return _beacon(data.removeprefix(BEACON), data, key)


def reading(said: Told) -> Reading | Progress | None:
    """Return the weighing, or that one is under way or over; None for what only belongs to a weight."""
    if said.weight is None and said.stable:
        return None
    if said.weight is None or said.gone or not said.weight.value:
        values = {Measure.BODY_WEIGHT: said.weight} if said.weight else {}
        return Progress(Kind.BODY_SIZE, values, "empty", underway=False)
    values = {Measure.BODY_WEIGHT: said.weight}
    if not said.stable:
        return Progress(Kind.BODY_SIZE, values, "unstable")
    return Reading(
        Kind.BODY_SIZE,
        values,
        (said.frame,),
        device_time=said.at,
        context=said.context,
        flags=said.flags,
        record=None if "clock_lost" in said.flags else said.name,
    )


def _unit(*, pounds: bool, catty: bool) -> str:
    if pounds and catty:
        raise MalformedValue("two units at once")
    return "lb" if pounds else "catty" if catty else "kg"


def _of_things(thing: bool) -> dict[str, str]:
    return {"weighed": "object"} if thing else {}


def _plain(frame: bytes, control: int, unit: str, context: dict[str, str]) -> Told:
    number_at, clock_at = (1, 3) if len(frame) == V1 else (11, 2)
    number = int.from_bytes(frame[number_at : number_at + 2], "little")
    clock = frame[clock_at : clock_at + 7]
    moment = date_time(clock)
    lost = moment is None or moment.year <= LAST_FACTORY_YEAR
    flags = {"clock_lost"} if lost else set()
    if lost:
        context = {**context, "stated_time": moment.isoformat() if moment else clock.hex(" ")}
    if unit == "catty":
        context = {**context, "display_weight": f"{Decimal(number).scaleb(-2)} 斤"}
    if "weighed" in context:
        flags.add("questionable")
    weight = _weight(number, unit)
    return Told(
        frame,
        f"body_weight {moment.isoformat() if moment else clock.hex()} {weight.value} {weight.unit}",
        stable=bool(control & 0x20),
        removed=bool(control & 0x80),
        weight=weight,
        at=None if lost else moment,
        context=context,
        flags=frozenset(flags),
    )


def _weight(number: int, unit: str) -> Quantity:
    """Return the weight; 斤 is half a kilogram exactly, so no figure is lost."""
    if unit == "lb":
        return Quantity(Decimal(number).scaleb(-2), "[lb_av]")
    return Quantity(Decimal(number) * Decimal("0.005"), "kg")


def _beacon(data: bytes, frame: bytes, key: Key | None) -> Told | None:
    """Return what an S400's advertisement says; None for one without any object."""
    control = int.from_bytes(data[:2], "little")
    if len(data) < 5 or control >> 12 != VERSION or control & WITH_CAPABILITY:
        raise MalformedValue("no documented advertisement of a scale")
    if int.from_bytes(data[2:4], "little") != S400:
        raise MalformedValue("another device of this maker", code="xiaomi_scale.model")
    body = data[11:] if control & WITH_ADDRESS else data[5:]
    if not control & WITH_OBJECT:
        return None
    if control & ~WITH_ADDRESS != SEALED:
        raise MalformedValue(f"frame control {control:04x} is not documented")
    if key is None:
        raise MalformedValue("no bindkey is configured", code="xiaomi_scale.no_key")
    address = data[5:11] if control & WITH_ADDRESS else key.address[::-1]
    if len(body) < COUNTER + TAG:
        raise MalformedValue("too short for an encrypted object")
    sealed, counter, tag = body[: -COUNTER - TAG], body[-COUNTER - TAG : -TAG], body[-TAG:]
    plain = aes.ccm_open(key.key, address + data[2:5] + counter, sealed, tag, ASSOCIATED)
    if plain is None:
        raise MalformedValue("the bindkey or the address is not this scale's", code="xiaomi_scale.wrong_key")
    if len(plain) != 12 or not plain.startswith(BODY_COMPOSITION):
        raise MalformedValue(f"object {plain[:2].hex(' ')} is not documented")
    return _composition(plain[3:], frame)


def _composition(value: bytes, frame: bytes) -> Told:
    """Return what object 6E16 says: profile, weight with pulse and impedance, the clock's seconds."""
    profile, word = value[0], int.from_bytes(value[1:5], "little")
    seconds = int.from_bytes(value[5:9], "little")
    weight, pulse, impedance = word & 0x7FF, word >> 11 & 0x7F, word >> 18
    context = {"user": str(profile), "clock_seconds": str(seconds)}
    if 0 < pulse < NO_PULSE:
        context["heart_rate"] = str(pulse + 50)
    if impedance:
        context[IMPEDANCE if weight else "impedance_2_ohm"] = str(Decimal(impedance).scaleb(-1))
    quantity = Quantity(Decimal(weight).scaleb(-1), "kg") if weight else None
    return Told(
        frame,
        f"user {profile} {seconds}",
        stable=bool(weight or impedance),
        removed=not word,
        weight=quantity,
        complete=not weight,
        context=context,
    )
