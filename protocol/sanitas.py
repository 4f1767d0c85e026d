"""Frames of Sanitas SBF70 and SBF75, Beurer BF710 and relatives: `E7 | command | …`, no check code.

Sources: protocols sheet ble/scales_vendor.md (weight, parts of a composition, confirmation) with its captured
frames; the first word and what the parts hold in public sources no. 52085791045 and 66383346627, captured
parts of one composition in no. 55002615497.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal

from protocol.errors import MalformedValue
from protocol.quantities import Quantity, tenths
from protocol.readings import Event, Kind, Measure, Notice, Reading
from protocol.scales import TOLD, moves, ohms

START = 0xE7
HELLO, TAKEN = b"\xe6\x01", b"\xe7\xf1"
WEIGHT, COMPOSITION, ANSWER = 0x58, 0x59, 0xF0
STEP = Decimal("0.05")
EQUAL = 3
"""Ours (the sheet asks for two): equal weights in a row that make a result; the first may be bogus."""
MOST_PARTS = 8
"""Ours: parts of one composition; three were captured."""
WHOLE = 22
"""Bytes of the parts of one captured composition."""


def confirmation(frame: bytes) -> bytes:
    """Return what the scale waits for after *frame*, nothing where it waits for none."""
    if len(frame) < 4 or frame[0] != START or frame[1] not in {WEIGHT, COMPOSITION}:
        return b""
    return TAKEN + frame[1:4]


@dataclass(slots=True)
class Session:
    """What was heard at one contact: weights in a row, and the parts of a composition."""

    equal: list[bytes] = field(default_factory=list)
    parts: list[bytes] = field(default_factory=list)

    def decode(self, frame: bytes) -> Iterator[Reading | Event]:
        """Yield what one frame says; raise MalformedValue for what is not documented."""
        if len(frame) < 2 or frame[0] not in {START, HELLO[0]}:
            raise MalformedValue("no frame of this scale")
        if frame[0] == HELLO[0] or frame[1] == ANSWER:
            yield Notice(TOLD, {"bytes": frame.hex(" ")})
        elif frame[1] == WEIGHT and len(frame) == 5:
            yield self._weight(frame)
        elif frame[1] == COMPOSITION and len(frame) >= 5:
            yield from self._part(frame)
        else:
            raise MalformedValue(f"command {frame[1]:02x} with {len(frame)} bytes is not documented")

    def _weight(self, frame: bytes) -> Reading | Event:
        weight = _weight(frame[3:5])
        if frame[2] > 1:
            raise MalformedValue(f"state {frame[2]:02x} is not documented")
        if self.equal and self.equal[-1][3:] != frame[3:]:
            self.equal.clear()
        self.equal = [*self.equal, frame][-EQUAL:]
        if len(self.equal) < EQUAL or not weight.value:
            return moves(weight)
        return Reading(Kind.BODY_SIZE, {Measure.BODY_WEIGHT: weight}, tuple(self.equal))

    def _part(self, frame: bytes) -> Iterator[Reading | Event]:
        """Take one part; the first names a person of the scale's and holds no value."""
        count, number = frame[2], frame[3]
        if number == 1:
            self.parts.clear()
        elif number != len(self.parts) + 1:
            self.parts.clear()
            raise MalformedValue(f"part {number} of {count} without the one before")
        if not 1 <= number <= count <= MOST_PARTS:
            raise MalformedValue(f"part {number} of {count}")
        self.parts.append(frame)
        if number == count and count > 1:
            yield _composition(tuple(self.parts))
            self.parts.clear()
        else:
            yield Notice(TOLD, {"part": f"{number}/{count}"})


def _composition(parts: tuple[bytes, ...]) -> Reading | Event:
    """Return what the parts after the first say together; all nought is a person the scale does not know."""
    told = b"".join(part[4:] for part in parts[1:])
    if len(told) < WHOLE:
        raise MalformedValue(f"a composition of {len(told)} bytes is not documented")
    seconds, weight = int.from_bytes(told[:4], "big"), _weight(told[4:6])
    impedance, fat, water, muscle = (int.from_bytes(told[at : at + 2], "big") for at in (6, 8, 10, 12))
    if not weight.value:
        raise MalformedValue("a composition without a weight")
    context = {"clock_seconds": str(seconds), **ohms(impedance)}
    for name, raw in (("water_percent", water), ("muscle_percent", muscle)):
        if raw:
            context[name] = format(Decimal(raw).scaleb(-1), "f")
    values = {Measure.BODY_WEIGHT: weight}
    if fat:
        values[Measure.BODY_FAT] = tenths(fat, "%")
    return Reading(Kind.BODY_COMPOSITION if fat else Kind.BODY_SIZE, values, parts, context=context)


def _weight(raw: bytes) -> Quantity:
    return Quantity(int.from_bytes(raw, "big") * STEP, "kg")
