"""ParamaTech FT-201 arm-in blood-pressure machine of clinics; known from one old program.

Cable: RS-232, 4800 8N2. The machine pushes STX, date, time, systolic, diastolic and pulse with a blank before
each, ETX. There is no check, so the form is judged to the letter; an older note shows junk around a message.
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
    rb" (?P<date>\d{6}) (?P<time>\d{4}) (?P<systolic>\d{3}) (?P<diastolic>\d{3}) (?P<pulse_rate>\d{3})"
)
UNITS = {Measure.SYSTOLIC: "mm[Hg]", Measure.DIASTOLIC: "mm[Hg]", Measure.PULSE_RATE: "/min"}


def decode_line(frame: bytes) -> Iterator[Reading]:
    """Yield the reading of one message; raise MalformedValue for any other form."""
    found = LINE.fullmatch(frame[1:-1])
    if found is None:
        raise MalformedValue("not date, time, systolic, diastolic, pulse")
    values = {measure: Quantity(Decimal(int(found[measure])), unit) for measure, unit in UNITS.items()}
    if not all(quantity.value for quantity in values.values()):
        raise MalformedValue("zero is not a value")
    clock = found["date"] + found["time"]
    moment = device_time(2000 + int(clock[:2]), *(int(clock[at : at + 2]) for at in range(2, 10, 2)))
    yield Reading(Kind.BLOOD_PRESSURE, values, (frame,), device_time=moment)


decode = frame_by_frame(decode_line)

DRIVER = Driver(
    name="parama_ft201",
    title="ParamaTech FT-201 clinic blood-pressure machine",
    models=("FT-201",),
    kinds=(Kind.BLOOD_PRESSURE,),
    link=Serial(baudrate=4800, stopbits=2),
    framer=lambda: DelimitedFramer((STX, ETX), limit=64),
    decode=decode,
    talk=push(decode),
    grade="C",
    provenance="document",
    sources="serial/clinic_bp_kiosks_misc.md: the bytes beside one parser (XiMPLib)",
    not_known=(
        "what the junk around a message of an older note was",
        "what is sent when a measurement fails",
    ),
)
