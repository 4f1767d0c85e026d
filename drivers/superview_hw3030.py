"""SuperView HW-3030 height and weight machine (Korea).

Cable: RS-232, 9600 8N1. The machine says `W`, five characters of weight, `H`, five of height and a blank; the
one known program ends it with CR, its own comment with 5E hex: both are taken. There is no check, no clock
and no mark for a stable value, so two equal lines are wanted; where each result is said once: `repeat = 1`.
"""

import re
from collections.abc import Iterator
from decimal import Decimal

from drivers.catalogue import Driver, Serial, frame_by_frame
from drivers.dialogue import Dialogue, Settings
from drivers.repeated import listening
from protocol.errors import MalformedValue
from protocol.lines import EndedFramer
from protocol.quantities import Quantity
from protocol.readings import Kind, Measure, Progress, Reading

ENDS = (b"^", b"\r", b"\n")
LINE = re.compile(r"W(?P<weight>[ 0-9.]{5})H(?P<height>[ 0-9.]{5}) ")
NUMBER = re.compile(r" *+([0-9]{1,3}\.[0-9]{1,2}) *+")


def decode_line(frame: bytes) -> Iterator[Reading | Progress]:
    """Yield the reading of one line; raise MalformedValue for a line not exactly of this form."""
    found = LINE.fullmatch(frame.rstrip(b"^\r\n").decode("latin-1"))
    if found is None:
        raise MalformedValue("not W, weight, H, height, a blank")
    weight, height = _number(found["weight"]), _number(found["height"])
    values = {
        Measure.BODY_WEIGHT: Quantity(weight, "kg"),
        Measure.BODY_HEIGHT: Quantity(height, "cm"),
    }
    if not weight and not height:
        yield Progress(Kind.BODY_SIZE, values, "empty", underway=False)
    elif weight and height:
        yield Reading(Kind.BODY_SIZE, values, (frame,), context={"stability": "not stated"})
    else:
        raise MalformedValue("a value of nought")


def _number(text: str) -> Decimal:
    found = NUMBER.fullmatch(text)
    if found is None:
        raise MalformedValue(f"no number with its decimal point: {text!r}")
    return Decimal(found[1])


decode = frame_by_frame(decode_line)


def talk(settings: Settings) -> Dialogue:
    """Take one reading per person; nothing is ever sent."""
    return listening(decode, int(settings["repeat"]))


DRIVER = Driver(
    name="superview_hw3030",
    title="SuperView height and weight machine",
    models=("HW-3030",),
    kinds=(Kind.BODY_SIZE,),
    link=Serial(),
    framer=lambda: EndedFramer(ENDS),
    decode=decode,
    talk=talk,
    grade="C",
    provenance="constructed",
    sources="serial/height_weight_lines.md: one program (XiMPLib HW3030.cs)",
    not_known=(
        "whether the line ends with CR or with 5E hex",
        "the units: cm and kg are taken, as in all the same program reads",
        "whether the five characters can come without a decimal point (refused)",
        "whether a result is said once or again and again",
    ),
    settings={"repeat": 2},
)
