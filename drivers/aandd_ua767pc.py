"""A&D UA-767PC home blood-pressure monitor with a serial port.

Cable: RS-232; the baud rate is not told, 9600 8N1 is the default of the library one client uses. After each
measurement come ten characters: `80`, then systolic minus diastolic, diastolic and pulse as two hexadecimal
digits each, and two characters no client uses (probably the line's end). It carries no time.
"""

import re
from collections.abc import Iterator
from decimal import Decimal

from drivers.catalogue import Driver, Serial, frame_by_frame
from drivers.push import push
from protocol.errors import MalformedValue
from protocol.framing import LineFramer
from protocol.quantities import Quantity
from protocol.readings import Kind, Measure, Reading

LINE = re.compile(rb"(?P<result>[0-9A-Fa-f]{2})(?P<numbers>[0-9A-Fa-f]{6})(?:[ -~]{2})?")
GOOD = b"80"
FLOW = b"\x11\x13"
"""XON and XOFF, which one client lets its port use."""


def decode_line(frame: bytes) -> Iterator[Reading]:
    """Yield the reading of one result; raise MalformedValue for anything but the ten characters."""
    found = LINE.fullmatch(frame.strip(b"\r\n" + FLOW))
    if found is None:
        raise MalformedValue("not 80 and three hexadecimal numbers")
    if found["result"] != GOOD:
        failed = f"device_error:{found['result'].decode('ascii')}"
        yield Reading(Kind.BLOOD_PRESSURE, {}, (frame,), failed=failed)
        return
    difference, diastolic, pulse = bytes.fromhex(found["numbers"].decode("ascii"))
    if not (diastolic and pulse):
        raise MalformedValue("zero is not a value")
    values = {
        Measure.SYSTOLIC: Quantity(Decimal(difference + diastolic), "mm[Hg]"),
        Measure.DIASTOLIC: Quantity(Decimal(diastolic), "mm[Hg]"),
        Measure.PULSE_RATE: Quantity(Decimal(pulse), "/min"),
    }
    yield Reading(Kind.BLOOD_PRESSURE, values, (frame,))


decode = frame_by_frame(decode_line)

DRIVER = Driver(
    name="aandd_ua767pc",
    title="A&D UA-767PC home blood-pressure monitor",
    models=("UA-767PC",),
    kinds=(Kind.BLOOD_PRESSURE,),
    link=Serial(),
    framer=LineFramer,
    decode=decode,
    talk=push(decode),
    grade="B",
    provenance="constructed",
    sources="serial/aandd_ua767pc.md: videntity/python-omhe and a JavaScript client",
    not_known=(
        "a captured result (those here are constructed)",
        "the baud rate",
        "what the last two characters are",
        "what stands in place of 80 when a measurement fails (every other number is taken as an error)",
        "how the memory is read",
    ),
)
