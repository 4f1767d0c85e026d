"""Omron arm-in blood-pressure machines of waiting rooms: HBP-9020, 9021, 9030, 9031C.

Cable: 9020/9021 by RS-232 (2400 baud, 8 data bits, even parity; one source opens two stop bits, its comment
says one); 9030/9031C by the rear USB socket "USB2", a virtual port at any baud rate, cable at most 2 m.
Service menu item 32 of the 9030/9031C chooses the output format: it must be 5 (or the `bp,` line).
The machine pushes one line after each measurement; there is no check, so the form is judged to the letter.
"""

import re
from collections.abc import Iterator, Mapping
from decimal import Decimal

from drivers.catalogue import Driver, Serial, frame_by_frame
from drivers.push import push
from protocol.errors import MalformedValue
from protocol.framing import LineFramer
from protocol.quantities import Quantity
from protocol.readings import Kind, Measure, Reading
from protocol.times import device_time

FORMAT_5 = re.compile(
    rb"(?P<date>\d{4},\d{2},\d{2},\d{2},\d{2}),(?P<id>[ -+\--~]{20}),(?P<error>\d),"
    rb"(?P<systolic>\d{3}|   ),(?P<diastolic>\d{3}|   ),(?P<pulse_rate>\d{3}|   ),(?P<movement>[01])"
)
BP_LINE = re.compile(
    rb"bp,(?P<id>[ -+\--~]{20}),(?P<date>\d{4}/\d{2}/\d{2},\d{2}:\d{2}),"
    rb"(?P<systolic>\d{3}),(?P<mean_pressure>\d{3}),(?P<diastolic>\d{3}),(?P<pulse_rate>\d{3}),(?P<n>\d)"
)
OTHER_FORMATS = (b"MMBP203N", b"ID")

UNITS = {
    Measure.SYSTOLIC: "mm[Hg]",
    Measure.MEAN_PRESSURE: "mm[Hg]",
    Measure.DIASTOLIC: "mm[Hg]",
    Measure.PULSE_RATE: "/min",
}
RANGES = {
    Measure.SYSTOLIC: (Decimal(60), Decimal(260)),
    Measure.DIASTOLIC: (Decimal(30), Decimal(215)),
    Measure.PULSE_RATE: (Decimal(40), Decimal(180)),
}
"""The machine's own ranges, from the OMRON manual 2873643-0F as the source quotes it."""

Fields = Mapping[str, str]


def decode_line(frame: bytes) -> Iterator[Reading]:
    """Yield the reading of one line; raise MalformedValue for a line not exactly of a known form."""
    line = frame.rstrip(b"\r\n")
    if line.startswith(OTHER_FORMATS):
        raise MalformedValue("set service menu item 32 to 5", code="omron_hbp.wrong_format")
    if (found := FORMAT_5.fullmatch(line)) is not None:
        yield _format_5(_text(found), frame)
    elif (found := BP_LINE.fullmatch(line)) is not None:
        yield _bp_line(_text(found), frame)
    else:
        raise MalformedValue("neither a format 5 line nor a bp line")


def _format_5(fields: Fields, frame: bytes) -> Reading:
    failed = fields["error"] != "0"
    blank = [not fields[measure].strip() for measure in RANGES]
    if any(blank) and not (failed and all(blank)):
        raise MalformedValue("blanks among the numbers")
    values = {} if failed else _values(fields)
    for measure, (low, high) in RANGES.items():
        if values and not low <= values[measure].value <= high:
            raise MalformedValue(f"{measure} {fields[measure]} is outside {low} to {high}")
    return Reading(
        Kind.BLOOD_PRESSURE,
        values,
        (frame,),
        device_time=device_time(*map(int, fields["date"].split(","))),
        context=_patient(fields["id"]),
        flags=frozenset({"body_movement"} if fields["movement"] == "1" else ()),
        failed=f"device_error:{fields['error']}" if failed else None,
    )


def _bp_line(fields: Fields, frame: bytes) -> Reading:
    values = _values(fields)
    if not all(quantity.value for quantity in values.values()):
        raise MalformedValue("zero is not a value")
    return Reading(
        Kind.BLOOD_PRESSURE,
        values,
        (frame,),
        device_time=device_time(*map(int, re.split("[/,:]", fields["date"]))),
        context=_patient(fields["id"]) | {"n": fields["n"]},
    )


def _text(found: re.Match[bytes]) -> Fields:
    return {name: value.decode("ascii") for name, value in found.groupdict().items()}


def _values(fields: Fields) -> dict[Measure, Quantity]:
    return {
        measure: Quantity(Decimal(fields[measure]), unit)
        for measure, unit in UNITS.items()
        if measure in fields
    }


def _patient(typed: str) -> dict[str, str]:
    """Return what was typed at the machine; blank or one character repeated is what it fills in itself.

    It is kept for a person to compare, never to find the person by: anything may be typed there.
    """
    entered = typed.strip()
    return {"patient_id": entered} if len(set(entered)) > 1 else {}


def redact(frame: bytes) -> bytes:
    """Return *frame* with blanks for what was typed; of another line only its format's name is kept."""
    line = frame.rstrip(b"\r\n")
    if (found := FORMAT_5.fullmatch(line) or BP_LINE.fullmatch(line)) is not None:
        begin, end = found.span("id")
        return frame[:begin] + b" " * (end - begin) + frame[end:]
    kept = next((name for name in OTHER_FORMATS if line.startswith(name)), b"")
    return kept.ljust(len(line), b"*") + frame[len(line) :]


decode = frame_by_frame(decode_line)

DRIVER = Driver(
    name="omron_hbp",
    title="Omron HBP arm-in blood-pressure machine",
    models=("HBP-9020", "HBP-9021", "HBP-9030", "HBP-9031C"),
    kinds=(Kind.BLOOD_PRESSURE,),
    link=Serial(baudrate=2400, parity="E", stopbits=2),
    framer=LineFramer,
    decode=decode,
    talk=push(decode),
    grade="A",
    provenance="document",
    sources="serial/omron_hbp_clinic.md: OMRON manual 2873643-0F p. 20 as two clients quote it",
    not_known=(
        "what the last field of the bp line means (seen: 0 and 3)",
        "what the error numbers mean",
        "whether the RS-232 models use one stop bit or two",
        "whether the bp line has a form for a failed measurement",
    ),
    machine_range=RANGES,
    redact=redact,
)
