"""G-Tech GL-150 and GL-310 height and weight machines (Korea).

Cable: RS-232, 9600 8N1; the machine pushes once after each measurement. Two dialects: a line between STX and
ETX, and (GL-310 with function F4 = 1) the text it would print, from NUL CR LF to ESC T NUL. The BMI is passed
on as sent; the gateway computes its own and compares (a simulator is known to send 678.9).
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

LINE, PRINTED = (b"\x02", b"\x03"), (b"\0\r\n", b"\x1bT\0")
FIELDS = re.compile(
    r" *(?P<HEIGHT>\d{1,3}\.\d), *(?P<WEIGHT>\d{1,3}\.\d\d), *(?P<GENDER>[MFC]), *(?P<FATNESS>\d{1,3}\.\d), *"
    r"(?P<BMI>\d{1,3}\.\d) *"
)
PRINTED_LINE = re.compile(r"(?P<label>[A-Z]+(?: +[A-Z]+)*) +---- +(?P<value>\S+)(?: +(?P<unit>cm|kg|%))? *")
PRINTED_UNITS = {"HEIGHT": "cm", "WEIGHT": "kg", "STANDARD": "kg", "FATNESS": "%"}
VALUES = {
    "HEIGHT": (Measure.BODY_HEIGHT, "cm"),
    "WEIGHT": (Measure.BODY_WEIGHT, "kg"),
    "BMI": (Measure.BMI, "kg/m2"),
}
SEXES = {"M": "male", "F": "female", "C": "child", "MALE": "male", "FEMALE": "female", "CHILD": "child"}
CONTEXT = {"FATNESS": "obesity_percent", "STANDARD": "standard_weight_kg", "MARKS": "mark"}


def decode_message(frame: bytes) -> Iterator[Reading]:
    """Yield the reading of one message of either dialect; raise MalformedValue for any other content."""
    try:
        text = frame.decode("ascii")
    except UnicodeDecodeError as foreign:
        raise MalformedValue("not ASCII") from foreign
    yield _reading(_line(text[1:-1]) if frame.startswith(LINE[0]) else _printed(text[3:-3]), frame)


def _line(text: str) -> Mapping[str, str]:
    found = FIELDS.fullmatch(text)
    if found is None:
        raise MalformedValue("not height, weight, sex, obesity, BMI")
    return found.groupdict()


def _printed(text: str) -> Mapping[str, str]:
    fields: dict[str, str] = {}
    for line in filter(None, text.split("\r\n")):
        found = PRINTED_LINE.fullmatch(line)
        label = found["label"].replace(" ", "") if found else ""
        if found is None or label in fields or found["unit"] != PRINTED_UNITS.get(label):
            raise MalformedValue(f"not a line of the printed text: {line!r}")
        fields[label] = found["value"]
    return fields


def _reading(fields: Mapping[str, str], frame: bytes) -> Reading:
    return Reading(
        Kind.BODY_SIZE,
        {measure: _quantity(fields.get(label, ""), unit) for label, (measure, unit) in VALUES.items()},
        (frame,),
        context=_context(fields),
    )


def _quantity(text: str, unit: str) -> Quantity:
    if not re.fullmatch(r"\d+\.\d+", text) or not Decimal(text):
        raise MalformedValue(f"no value in {unit}: {text!r}")
    return Quantity(Decimal(text), unit)


def _context(fields: Mapping[str, str]) -> dict[str, str]:
    context = {name: fields[label] for label, name in CONTEXT.items() if label in fields}
    if (sex := fields.get("GENDER")) is not None:
        context["sex"] = SEXES.get(sex, sex)
    return context


decode = frame_by_frame(decode_message)

DRIVER = Driver(
    name="gtech_gl",
    title="G-Tech height and weight machine",
    models=("GL-150", "GL-310"),
    kinds=(Kind.BODY_SIZE,),
    link=Serial(),
    framer=lambda: DelimitedFramer(LINE, PRINTED),
    decode=decode,
    talk=push(decode),
    grade="B",
    provenance="constructed",
    sources="serial/height_weight_lines.md: two independent readers (XiMPLib GL150.cs, a C# gateway)",
    not_known=(
        "how many digits a weight of 100 kg or more has (one to three are taken)",
        "whether the printed text can carry other lines",
        "what is sent when a measurement fails",
    ),
)
