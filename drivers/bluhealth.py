"""The height and weight board of a BluHealth kiosk.

Line: 115200 8N1, text lines `HEIGHT: … cm` and `WEIGHT: … kg (measuring|locked|reset|error)`. Only a weight
that is "locked" is a result. A height has no such mark: it counts when it was said twice while somebody stood
on the plate, which the weight lines tell.
"""

import re
from collections.abc import Generator, Iterator
from decimal import Decimal

from drivers.catalogue import Decoded, Driver, Serial, frame_by_frame
from drivers.dialogue import Answer, Dialogue, Listen, Settings, Step
from drivers.repeated import QUIET, Repeated
from protocol.errors import MalformedValue
from protocol.framing import Frame, LineFramer
from protocol.quantities import Quantity
from protocol.readings import Event, Kind, Measure, Progress, Reading

NUMBER = r"(?P<value>[0-9]{1,3}(?:\.[0-9]{1,3})?)"
HEIGHT = re.compile(rf"HEIGHT: *+{NUMBER} *+cm *+")
WEIGHT = re.compile(rf"WEIGHT: *+{NUMBER} *+kg *+\((?P<state>measuring|locked)\) *+")
NO_WEIGHT = re.compile(r"WEIGHT:[^()]*+\((?P<state>reset|error)\) *+")
EQUAL_LINES = 2


def decode_line(frame: bytes) -> Iterator[Reading | Event]:
    """Yield what one line says; raise MalformedValue for any other line."""
    line = frame.rstrip(b"\r\n").decode("latin-1")
    if (found := HEIGHT.fullmatch(line)) is not None:
        height = _value(found, Measure.BODY_HEIGHT, "cm")
        yield Reading(Kind.BODY_SIZE, height, (frame,), context={"stability": "not stated"})
    elif (found := WEIGHT.fullmatch(line)) is not None:
        weight = _value(found, Measure.BODY_WEIGHT, "kg")
        if found["state"] == "locked":
            yield Reading(Kind.BODY_SIZE, weight, (frame,))
        else:
            yield Progress(Kind.BODY_SIZE, weight, "unstable")
    elif (found := NO_WEIGHT.fullmatch(line)) is not None:
        if found["state"] == "error":
            yield Reading(Kind.BODY_SIZE, {}, (frame,), failed="device_error:error")
        else:
            yield Progress(Kind.BODY_SIZE, {}, "reset", underway=False)
    else:
        raise MalformedValue("neither a HEIGHT nor a WEIGHT line")


def _value(found: re.Match[str], measure: Measure, unit: str) -> dict[Measure, Quantity]:
    number = Decimal(found["value"])
    if not number and found.groupdict().get("state") != "measuring":
        raise MalformedValue("a value of nought")
    return {measure: Quantity(number, unit)}


decode = frame_by_frame(decode_line)


def talk(_settings: Settings) -> Dialogue:
    """Take one weight and one height per person; nothing is ever sent."""
    repeated, somebody = Repeated(EQUAL_LINES), False
    while True:
        answer = yield Listen(QUIET)
        if not isinstance(answer, Frame):
            repeated.quiet()
            somebody = False
            continue
        for said in decode([answer]):
            somebody = yield from _weigh(said, repeated, somebody=somebody)


def _weigh(said: Decoded, repeated: Repeated, *, somebody: bool) -> Generator[Step, Answer, bool]:
    """Take what one line said; return whether somebody stands on the plate."""
    if isinstance(said, Progress):
        somebody = said.underway
    elif isinstance(said, Reading) and Measure.BODY_WEIGHT in said.values:
        somebody = True
    if somebody or not (isinstance(said, Reading) and said.values):
        yield from repeated.take(said)
    return somebody


DRIVER = Driver(
    name="bluhealth",
    title="BluHealth kiosk height and weight board",
    models=("BluHealth kiosk",),
    kinds=(Kind.BODY_SIZE,),
    link=Serial(baudrate=115200),
    framer=LineFramer,
    decode=decode,
    talk=talk,
    grade="C",
    provenance="constructed",
    sources="serial/height_weight_lines.md: one program",
    not_known=(
        "what the height line says while nobody is there (it counts only while somebody is on the plate)",
        "whether a weight without a state can come (refused)",
        "how many decimals the numbers have (up to three are taken)",
    ),
)
