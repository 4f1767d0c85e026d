"""Terumo BP-500 arm-in blood-pressure machine of clinics; known from one old program's sample line.

Line settings are not told, 9600 8N1 is a guess. The machine pushes STX, fields parted by commas, ETX, and one
check character whose rule is not known; nothing but the form of the line guards against a wrong digit.
"""

import re
from collections.abc import Iterator
from decimal import Decimal

from drivers.catalogue import Driver, Serial, frame_by_frame
from drivers.push import push
from protocol.errors import MalformedValue
from protocol.framing import DelimitedFramer
from protocol.quantities import Quantity
from protocol.readings import Kind, Measure, Reading
from protocol.times import device_time

STX, ETX = b"\x02", b"\x03"
LINE = re.compile(
    rb"R1,(?P<id>[ -+\--~]{9}),(?P<date>\d{6}),(?P<time>\d{6}),(?P<systolic>\d{3}),(?P<mean_pressure>\d{3}),"
    rb"(?P<diastolic>\d{3}),(?P<pulse_rate>\d{3})(?:,[ -~]*)?"
)
UNITS = {
    Measure.SYSTOLIC: "mm[Hg]",
    Measure.MEAN_PRESSURE: "mm[Hg]",
    Measure.DIASTOLIC: "mm[Hg]",
    Measure.PULSE_RATE: "/min",
}
IDENTITY = slice(4, 13)


def decode_line(frame: bytes) -> Iterator[Reading]:
    """Yield the reading of one line; raise MalformedValue for a line of any other form."""
    found = LINE.fullmatch(frame[1:-1])
    if found is None:
        raise MalformedValue("not R1, identity, date, time, pressures and pulse")
    values = {measure: Quantity(Decimal(int(found[measure])), unit) for measure, unit in UNITS.items()}
    if not all(quantity.value for quantity in values.values()):
        raise MalformedValue("zero is not a value")
    date, time = found["date"].decode("ascii"), found["time"].decode("ascii")
    numbers = (int(text[at : at + 2]) for text in (date, time) for at in (0, 2, 4))
    typed = found["id"].decode("ascii").strip()
    yield Reading(
        Kind.BLOOD_PRESSURE,
        values,
        (frame,),
        device_time=device_time(2000 + next(numbers), *numbers),
        context={"patient_id": typed} if len(set(typed)) > 1 else {},
    )


def redact(frame: bytes) -> bytes:
    """Return *frame* with zeros for the identity, as the machine writes nobody; another form is all zeros."""
    if LINE.fullmatch(frame[1:-1]) is None:
        return STX + b"0" * (len(frame) - 2) + ETX
    return frame[: IDENTITY.start] + b"0" * 9 + frame[IDENTITY.stop :]


decode = frame_by_frame(decode_line)

DRIVER = Driver(
    name="terumo_bp500",
    title="Terumo BP-500 clinic blood-pressure machine",
    models=("BP-500",),
    kinds=(Kind.BLOOD_PRESSURE,),
    link=Serial(),
    framer=lambda: DelimitedFramer((STX, ETX), limit=256),
    decode=decode,
    talk=push(decode),
    grade="C",
    provenance="document",
    sources="serial/clinic_bp_kiosks_misc.md: the sample beside one parser (a C# modality gateway)",
    not_known=(
        "all line settings",
        "the rule of the check character behind ETX (it is not looked at)",
        "the fields behind the pulse, and what is sent when a measurement fails",
    ),
    redact=redact,
)
