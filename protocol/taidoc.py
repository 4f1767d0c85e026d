"""Packets of TaiDoc's TD-42xx glucose meters: always eight bytes.

`51 | CMD | D0 D1 D2 D3 | A3 from the host, A5 from the meter | SUM of the first seven`. Source: sheet
serial/taidoc_td42xx.md; how the halves of the serial number join is Tidepool's reading.
"""

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Final

from protocol.alone import AloneFramer
from protocol.checks import sum8
from protocol.errors import MalformedValue
from protocol.framing import LengthFramer
from protocol.glucose import limits, mg_dl, other_kind, stored
from protocol.readings import DeviceClock, Event, Identified, Reading
from protocol.times import device_time

START = b"\x51"
SIZE = 8
FROM_HOST, FROM_METER = 0xA3, 0xA5
CONNECT, READ_CLOCK, MODEL, RECORD_TIME, RECORD_VALUE, SERIAL_1, SERIAL_2 = range(0x22, 0x29)
COUNT, SET_CLOCK, COMMUNICATING = 0x2B, 0x33, 0x54
SENT: Final = frozenset(
    {CONNECT, READ_CLOCK, MODEL, RECORD_TIME, RECORD_VALUE, SERIAL_1, SERIAL_2, COUNT, SET_CLOCK}
)
CONNECTED: Final = frozenset({CONNECT, MODEL, COMMUNICATING})
NOTHING = bytes(4)
FIELD = 4
SHOWN = limits(20, 600)
CONTROL = 3
MEALS = {1: {"meal": "before"}, 2: {"meal": "after"}}
KINDS = {
    0x06: "haematocrit",
    0x07: "ketone",
    0x08: "uric_acid",
    0x09: "cholesterol",
    0x0B: "haemoglobin",
    0x0C: "lactate",
    0x0D: "triglycerides",
}
"""What a record holds, by four bits of its flags; every other number is glucose, as the sheet says."""


def framer() -> AloneFramer:
    """Return a framer for a meter's packets; four bytes alone are a date field as documents print it."""
    return AloneFramer(
        LengthFramer(START, 2, lambda _: SIZE, _checked),
        may=lambda held: len(held) <= FIELD,
        alone=lambda held: len(held) == FIELD,
    )


def _checked(packet: bytes) -> bool:
    return packet[6] in {FROM_HOST, FROM_METER} and sum8(packet[:-1]) == packet[-1]


def question(command: int, data: bytes = NOTHING) -> bytes:
    """Return the host's packet. Raises ValueError for one never sent, erasing first of all."""
    if command not in SENT or len(data) != FIELD:
        raise ValueError(f"never sent: {command:02x} {data.hex(' ')}")
    body = START + bytes([command]) + data + bytes([FROM_HOST])
    return body + bytes([sum8(body)])


def numbered(index: int) -> bytes:
    """Return the data that names a record, 0 being the newest."""
    return index.to_bytes(2, "little") + bytes(2)


def clock_field(moment: datetime) -> bytes:
    """Return *moment* as the meter writes it. Raises ValueError outside its seven bits of years."""
    if not 2000 <= moment.year <= 2127:
        raise ValueError(f"not within the meter's years: {moment}")
    day = (moment.year - 2000) << 9 | moment.month << 5 | moment.day
    return day.to_bytes(2, "little") + bytes([moment.minute, moment.hour])


def is_answer(packet: bytes, commands: Iterable[int]) -> bool:
    """Say whether *packet* is the meter's answer to one of *commands*."""
    return len(packet) == SIZE and packet[6] == FROM_METER and packet[1] in commands


def counted(packet: bytes) -> int:
    """Return how many records a packet says there are."""
    return int.from_bytes(packet[2:4], "little")


class Meaning:
    """What a meter's packets say, in their order: a record and a serial number come in two packets each."""

    def __init__(self) -> None:
        """Begin with nothing heard."""
        self._time = self._half = b""
        self._model = ""

    def of(self, packet: bytes) -> Iterator[Reading | Event]:
        """Yield what *packet* says; raise MalformedValue for what is not documented."""
        time, self._time = self._time, b""
        if len(packet) == FIELD:
            yield DeviceClock(_moment(packet), packet)
            return
        if packet[6] == FROM_HOST:
            raise MalformedValue("a question of ours came back")
        match packet[1]:
            case 0x23 | 0x33:
                yield DeviceClock(_moment(packet[2:6]), packet)
            case 0x24:
                self._model = _model(packet)
            case 0x25:
                self._time = packet
                _moment(packet[2:6])
            case 0x26:
                yield _result(time, packet)
            case 0x27:
                self._half = packet
            case 0x28 if self._half:
                model = {"model": self._model} if self._model else {}
                yield Identified((packet[5:1:-1] + self._half[5:1:-1]).hex(), model)
            case other if other not in {CONNECT, SERIAL_2, COUNT, COMMUNICATING}:
                raise MalformedValue(f"command {other:02x} is not documented")


def _model(packet: bytes) -> str:
    digits = packet[3:1:-1].hex()
    if not digits.isdecimal():
        raise MalformedValue(f"a model of {digits}")
    return f"TD-{digits}" if any(packet[2:4]) else ""


def _moment(field: bytes) -> datetime:
    day = int.from_bytes(field[:2], "little")
    return device_time(2000 + (day >> 9), day >> 5 & 0x0F, day & 0x1F, field[3] & 0x1F, field[2] & 0x3F)


def _result(time: bytes, packet: bytes) -> Reading | Event:
    raw, flags = counted(packet), packet[5]
    moment = _moment(time[2:6]) if time else None
    kind, mark = KINDS.get(flags >> 2 & 0x0F), flags >> 6
    evidence = (time, packet) if time else (packet,)
    if kind:
        return other_kind(
            f"{kind} control" if mark == CONTROL else kind, str(raw), moment, b"".join(evidence)
        )
    control = mark == CONTROL
    return stored(mg_dl(raw, SHOWN), moment, evidence, context=MEALS.get(mark, {}), control=control)
