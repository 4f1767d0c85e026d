"""A&D TM-2655, TM-2656, TM-2657 arm-in blood-pressure machines of clinics.

Cable: RS-232 of the optional I/O unit (TM2657-01 and others), 2400 baud; parity and stop bits are not known,
8N1 is a guess. The machine pushes one message after a measurement, as to a printer: STX, fields parted by RS,
ETX. A field is known by its first letter; where it stands is only compared with what two readers expect.
"""

import re
from collections.abc import Iterator, Mapping
from decimal import Decimal

from drivers.catalogue import Driver, Serial, frame_by_frame
from drivers.push import push
from protocol.errors import MalformedValue
from protocol.framing import DelimitedFramer
from protocol.quantities import Quantity
from protocol.readings import Kind, Measure, Reading

STX, ETX, RS = b"\x02", b"\x03", b"\x1e"
FIELD = re.compile(rb"([SMDPimrt]) *+(\d{1,4}) *+")
VALUES = {
    "S": (Measure.SYSTOLIC, "mm[Hg]"),
    "M": (Measure.MEAN_PRESSURE, "mm[Hg]"),
    "D": (Measure.DIASTOLIC, "mm[Hg]"),
    "P": (Measure.PULSE_RATE, "/min"),
}
CONTEXT = {"i": "irregular_beats", "m": "body_movement", "r": "retest", "t": "measuring_seconds"}
FLAGS = {"i": "irregular_pulse", "m": "body_movement"}
PLACES = {"S": 5, "D": 7, "P": 8}
"""Where two readers find these among the fields, counted from 0."""

Fields = Mapping[str, tuple[int, int]]
"""Place and number of each field, by its letter."""


def decode_message(frame: bytes) -> Iterator[Reading]:
    """Yield the reading of one message; raise MalformedValue where its pressures are missing or in doubt."""
    fields = _fields(frame[1:-1].split(RS))
    values = {
        measure: Quantity(Decimal(fields[letter][1]), unit)
        for letter, (measure, unit) in VALUES.items()
        if letter in fields
    }
    if not {"S", "D"} <= fields.keys() or not all(quantity.value for quantity in values.values()):
        raise MalformedValue("no systolic and diastolic pressure")
    flags = {flag for letter, flag in FLAGS.items() if letter in fields and fields[letter][1]}
    if any(fields[letter][0] != place for letter, place in PLACES.items() if letter in fields):
        flags.add("unexpected_layout")
    yield Reading(
        Kind.BLOOD_PRESSURE,
        values,
        (frame,),
        context={name: str(fields[letter][1]) for letter, name in CONTEXT.items() if letter in fields},
        flags=frozenset(flags),
    )


def _fields(parts: list[bytes]) -> Fields:
    """Return the fields that can be told by their letter: the systolic pressure, and those behind it.

    Identity, date and time stand before it; whatever letters they hold are not looked at.
    """
    found: dict[str, tuple[int, int]] = {}
    tagged = [(place, match) for place, part in enumerate(parts) if (match := FIELD.fullmatch(part))]
    begin = _only("S", [place for place, match in tagged if match[1] == b"S"])
    for letter in (*VALUES, *CONTEXT):
        here = {
            place: int(match[2])
            for place, match in tagged
            if place >= begin and match[1] == letter.encode("ascii")
        }
        if here:
            place = _only(letter, list(here))
            found[letter] = (place, here[place])
    return found


def _only(letter: str, places: list[int]) -> int:
    """Return the one place of a letter; of several, the one where it is expected. Raises MalformedValue."""
    if len(places) == 1:
        return places[0]
    if PLACES.get(letter) in places:
        return PLACES[letter]
    raise MalformedValue(f"{len(places)} fields with the letter {letter}")


def redact(frame: bytes) -> bytes:
    """Return *frame* with `-` for all that stands before the systolic pressure; for all if there is none."""
    parts = frame[1:-1].split(RS)
    try:
        begin = _fields(parts)["S"][0]
    except (MalformedValue, KeyError):
        begin = len(parts)
    blank = [b"-" * len(part) for part in parts[:begin]]
    return STX + RS.join([*blank, *parts[begin:]]) + ETX


decode = frame_by_frame(decode_message)

DRIVER = Driver(
    name="aandd_tm2657",
    title="A&D arm-in clinic blood-pressure machine",
    models=("TM-2655", "TM-2656", "TM-2657"),
    kinds=(Kind.BLOOD_PRESSURE,),
    link=Serial(baudrate=2400),
    framer=lambda: DelimitedFramer((STX, ETX), limit=256),
    decode=decode,
    talk=push(decode),
    grade="B",
    provenance="constructed",
    sources="serial/aandd_tm2657.md: a C# modality gateway and a Python reader that agree on the fields",
    not_known=(
        "a captured message; ask the vendor before relying on this (manuals 1WMPD4003318, 1WMPD4002893B)",
        "parity and stop bits (8N1 is a guess)",
        "how identity, date and time are written (they stay in the frame and are not read)",
        "whether there is a checksum, and what is sent when a measurement fails",
        "how many digits a field has, and what the retest mark counts",
    ),
    redact=redact,
)
