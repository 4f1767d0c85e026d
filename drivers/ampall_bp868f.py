"""AMPall BP868F arm-in blood-pressure machine of clinics; known from one old program's simulator.

Cable: RS-232, 9600 8N1. The machine pushes thirteen digits between two `^`: systolic, mean, diastolic, pulse,
arrhythmia. It carries neither a time nor a check, so the form is judged to the letter.
"""

import re
from collections.abc import Iterator
from decimal import Decimal

from drivers.catalogue import Driver, Serial, frame_by_frame
from drivers.push import push
from protocol.errors import MalformedValue
from protocol.framing import LengthFramer
from protocol.quantities import Quantity
from protocol.readings import Kind, Measure, Reading

MARK = b"^"
LINE = re.compile(
    rb"\^(?P<systolic>\d{3})(?P<mean_pressure>\d{3})(?P<diastolic>\d{3})(?P<pulse_rate>\d{3})(?P<beat>\d)\^"
)
SIZE = 15
UNITS = {
    Measure.SYSTOLIC: "mm[Hg]",
    Measure.MEAN_PRESSURE: "mm[Hg]",
    Measure.DIASTOLIC: "mm[Hg]",
    Measure.PULSE_RATE: "/min",
}


def decode_line(frame: bytes) -> Iterator[Reading]:
    """Yield the reading of one message; raise MalformedValue for one without values."""
    found = LINE.fullmatch(frame)
    if found is None:
        raise MalformedValue("not thirteen digits between two marks")
    values = {measure: Quantity(Decimal(int(found[measure])), unit) for measure, unit in UNITS.items()}
    if not all(quantity.value for quantity in values.values()):
        raise MalformedValue("zero is not a value")
    yield Reading(
        Kind.BLOOD_PRESSURE,
        values,
        (frame,),
        context={"arrhythmia": found["beat"].decode("ascii")},
        flags=frozenset() if found["beat"] == b"0" else frozenset({"irregular_pulse"}),
    )


decode = frame_by_frame(decode_line)

DRIVER = Driver(
    name="ampall_bp868f",
    title="AMPall BP868F clinic blood-pressure machine",
    models=("BP868F",),
    kinds=(Kind.BLOOD_PRESSURE,),
    link=Serial(),
    framer=lambda: LengthFramer(MARK, 1, lambda _: SIZE, lambda frame: LINE.fullmatch(frame) is not None),
    decode=decode,
    talk=push(decode),
    grade="C",
    provenance="document",
    sources="serial/clinic_bp_kiosks_misc.md: the line of one program's simulator (XiMPLib)",
    not_known=(
        "what the arrhythmia digit says but that 0 is none (any other is flagged)",
        "what is sent when a measurement fails",
    ),
)
