"""Frames of Sinocare (三诺) glucose meters: the same over a cable and over Bluetooth.

`53 4E | LEN | device code (2) | command | content | SUM`: LEN counts what follows it, SUM included; SUM is
the low byte of the sum from LEN on. Sources: protocols sheets serial/sinocare_sn.md and ble/sinocare.md.
"""

from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal

from protocol.checks import sum8
from protocol.errors import MalformedValue
from protocol.framing import LengthFramer
from protocol.quantities import Quantity, tenths
from protocol.readings import DeviceClock, Event, Identified, Kind, Measure, Notice, Progress, Reading
from protocol.times import device_time

START = b"SN"
SHORTEST = 4
"""Two bytes device code, the command, the sum."""

CONNECT, ERROR, WAITING, RESULT, RECORDS, SET_CLOCK, IDENTITY = range(1, 8)
ERASED, CORRECTION, TEST_STARTED, POWER_OFF = 0x08, 0x09, 0x0A, 0x0B
NOTICES = {
    CONNECT: "sinocare_sn.connected",
    SET_CLOCK: "sinocare_sn.answered",
    ERASED: "sinocare_sn.answered",
    CORRECTION: "sinocare_sn.answered",
    TEST_STARTED: "sinocare_sn.test_started",
    POWER_OFF: "sinocare_sn.power_off",
}
LOW, HIGH = Decimal("1.1"), Decimal("33.3")
BEYOND = {
    b"\x01\x01": Quantity(HIGH, "mmol/L", ">"),
    b"\x01\x02": Quantity(LOW, "mmol/L", "<"),
}
"""HI and LO as the Bluetooth sheet of the same frame documents them, with the vendor's own limits."""

OLD_IDENTITY = 0x10
"""The length byte of a firmware without seconds; a longer identity has them."""
READ_IDENTITY, READ_RECORDS = bytes([IDENTITY, 0, 0]), bytes([RECORDS, 0, 0])
"""As the source of the sheet's first dialogue (public source no. 25765852381) sends them."""


def framer() -> LengthFramer:
    """Return a framer for a meter's stream."""
    return LengthFramer(START, 3, _length, _checked)


def _length(header: bytes) -> int | None:
    return header[2] + 3 if header[2] >= SHORTEST else None


def _checked(frame: bytes) -> bool:
    return sum8(frame[2:-1]) == frame[-1]


def command(body: bytes, code: bytes = b"\x00\x02") -> bytes:
    """Return the host's frame around *body* (command and its bytes) for a device *code*.

    Raises ValueError for a command this project never sends, erasing first of all.
    """
    if body[0] not in {IDENTITY, RECORDS, SET_CLOCK}:
        raise ValueError(f"never sent: {body.hex(' ')}")
    counted = bytes([len(code) + len(body) + 1]) + code + body
    return START + counted + bytes([sum8(counted)])


def clock_body(moment: datetime, *, seconds: bool) -> bytes:
    """Return the body that sets the clock; newer firmware takes seconds too."""
    fields = (moment.year - 2000, moment.month, moment.day, moment.hour, moment.minute, moment.second)
    return bytes([SET_CLOCK, *(fields if seconds else fields[:5])])


def decode_frame(frame: bytes) -> Iterator[Reading | Event]:
    """Yield what one frame of a meter says; raise MalformedValue for what is not documented."""
    number, content = frame[5], frame[6:-1]
    if number == RESULT:
        yield _result(content, frame)
    elif number == RECORDS:
        yield from _records(content, frame)
    elif number == IDENTITY:
        yield from _identity(content, frame)
    elif number == ERROR and content:
        yield _beyond(content, frame)
    elif number == WAITING:
        yield Progress(Kind.GLUCOSE, {}, "waiting_for_blood")
    elif number in NOTICES:
        yield Notice(NOTICES[number], {"command": f"{number:02x}", "bytes": content.hex(" ")})
    else:
        raise MalformedValue(f"command {number:02x} with {len(content)} bytes is not documented")


def _result(content: bytes, frame: bytes) -> Reading:
    if len(content) not in {10, 12}:
        raise MalformedValue(f"a result of {len(content)} bytes is not documented")
    clock = 6 if len(content) == 12 else 5
    sample, warmth = content[clock + 2], int.from_bytes(content[clock + 3 : clock + 5], "big")
    context = {"sample_type": str(sample), "meter_temperature": format(Decimal(warmth).scaleb(-1), "f")}
    if clock == 6:
        context["correction_code"] = str(content[11])
    return _glucose(content[:clock], content[clock : clock + 2], frame, context, stored=False)


def _records(content: bytes, frame: bytes) -> Iterator[Reading | Event]:
    """Yield the records of one packet; one that cannot be does not take the others with it."""
    if content == READ_RECORDS[1:] and frame == command(READ_RECORDS):
        raise MalformedValue("our own question came back")
    if content[:1] == b"\0":
        yield Notice("sinocare_sn.memory_empty")
        return
    if len(content) < 3 or len(content) != 3 + 8 * content[2] or not 1 <= content[1] <= content[0]:
        raise MalformedValue("the packet does not hold the records it announces")
    refused = []
    for at in range(3, len(content), 8):
        record = content[at : at + 8]
        try:
            yield _glucose(record[:5] + record[7:], record[5:7], frame, {}, stored=True)
        except MalformedValue as impossible:
            refused.append(impossible.detail)
    if refused:
        raise MalformedValue("; ".join(refused))


def _glucose(clock: bytes, value: bytes, frame: bytes, context: dict[str, str], *, stored: bool) -> Reading:
    """Return one result. Live and stored it has the same name, unless the live one came without seconds."""
    moment = device_time(2000 + clock[0], *clock[1:])
    raw = int.from_bytes(value, "big")
    if raw == 0:
        raise MalformedValue("zero is not a value")
    quantity = tenths(raw, "mmol/L")
    return Reading(
        Kind.GLUCOSE,
        {Measure.GLUCOSE: quantity},
        (frame,),
        device_time=moment,
        context={"device_code": frame[3:5].hex(), **context},
        stored=stored,
        record=f"glucose {moment.isoformat()} {quantity.value}" if len(clock) == 6 else None,
    )


def _beyond(content: bytes, frame: bytes) -> Reading:
    context, limit = {"device_code": frame[3:5].hex()}, BEYOND.get(content)
    if limit is None:
        return Reading(Kind.GLUCOSE, {}, (frame,), context=context, failed=f"device_error:{content.hex()}")
    return Reading(Kind.GLUCOSE, {Measure.GLUCOSE: limit}, (frame,), context=context)


def _identity(content: bytes, frame: bytes) -> Iterator[Event]:
    clock = 5 if frame[2] == OLD_IDENTITY else 6
    if len(content) < 7 + clock:
        raise MalformedValue("too short for an identity and a clock")
    identity = content[:7]
    if any(identity) and set(identity) != {0xFF}:
        yield Identified(identity.hex(), {"device_code": frame[3:5].hex()})
    yield DeviceClock(device_time(2000 + content[7], *content[8 : 7 + clock]), frame)
