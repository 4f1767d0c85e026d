"""Packets of i-SENS CareSens glucose meters and what is sold under other names.

`02 | iSPc | LEN | command, 4 letters | data | CRC-16 | 03`: LEN counts from the command on, the CRC runs over
all but itself. Results alone come without a CRC that holds. Source: sheet serial/other_glucose_meters.md and
what it names, Tidepool's driver careSens.js.
"""

from collections.abc import Iterator
from datetime import datetime
from typing import Final

from protocol.alone import AloneFramer
from protocol.checks import crc16_ccitt
from protocol.errors import MalformedValue
from protocol.framing import Frame, LengthFramer, Noise
from protocol.glucose import above, below, limits, mg_dl, other_kind, stored
from protocol.readings import DeviceClock, Event, Identified, Notice, Reading
from protocol.times import device_time

START, END = b"\x02iSPc", b"\x03"
HEAD, NAME, TAIL = 6, 4, 3
"""Bytes before the command, of the command, and behind the data."""
COUNT, SERIAL, CLOCK, RESULTS, SET_CLOCK = b"NCOT", b"RSNB", b"RTIM", b"GLUE", b"WTIM"
QUESTIONS: Final = frozenset({COUNT, SERIAL, CLOCK, RESULTS})
ERRORS = {
    b"TOUT": "time-out",
    b"HEAD": "header",
    b"SIZE": "length",
    b"ECRC": "CRC",
    b"CMND": "command",
}
PROBE = b"\x80"
"""A byte alone that every meter answers with a byte alone: which protocol it speaks."""
OTHERS = {b"\x20": "1", b"\x2f": "2"}
"""What meters of other protocols answer to it."""
PROBED = frozenset({b"\x2e", *OTHERS})
RECORD, MOST_RECORDS = 9, 27
"""Bytes of a record, and records in one answer."""
MOMENT = 6
SHOWN = limits(20, 600)
CONTROL, AFTER_MEAL, LOW, HIGH, FASTING, KETONE = 0x01, 0x02, 0x04, 0x08, 0x10, 0x40


class ProbedFramer:
    """Packets; and the last byte before a silence, where it may be the answer to the probe."""

    def __init__(self) -> None:
        """Begin with nothing heard."""
        self._packets = LengthFramer(START, HEAD, _length, _checked)
        self._last = b""

    def feed(self, chunk: bytes) -> Iterator[Frame | Noise]:
        """Yield each whole packet in what has arrived, and the noise between."""
        held = self._last + chunk
        self._last = held[-1:] if held[-1:] in PROBED else b""
        yield from self._packets.feed(held[: len(held) - len(self._last)])

    def finish(self) -> Iterator[Frame | Noise]:
        """Yield what is held as noise, and the answer to the probe."""
        last, self._last = self._last, b""
        yield from self._packets.finish()
        if last:
            yield Frame(last)


def framer() -> AloneFramer:
    """Return a framer for what a meter says; one bare record may stand alone, as the sheet lays it out."""
    return AloneFramer(
        ProbedFramer(),
        may=lambda held: len(held) <= RECORD and not held.startswith(START),
        alone=lambda held: len(held) == RECORD,
    )


def packet(name: bytes, data: bytes = b"") -> bytes:
    """Return a packet with its CRC."""
    body = START + bytes([NAME + len(data) + TAIL]) + name + data
    return body + crc16_ccitt(body + END).to_bytes(2) + END


def question(name: bytes) -> bytes:
    """Return a question without data. Raises ValueError for what is none."""
    if name not in QUESTIONS - {RESULTS}:
        raise ValueError(f"never sent: {name!r}")
    return packet(name)


def ask_results(first: int, count: int) -> bytes:
    """Return the question for *count* records from *first* on, counted from 1. Raises ValueError."""
    if not (1 <= first <= 0xFFFF and 1 <= count <= MOST_RECORDS):
        raise ValueError(f"{count} records from {first}")
    return packet(RESULTS, first.to_bytes(2) + bytes([count]))


def set_clock(moment: datetime) -> bytes:
    """Return the command that sets the clock. Raises ValueError outside 2000 to 2099."""
    if not 2000 <= moment.year <= 2099:
        raise ValueError(f"a two-digit year: {moment.year}")
    year = moment.year - 2000
    return packet(
        SET_CLOCK, bytes([year, moment.month, moment.day, moment.hour, moment.minute, moment.second])
    )


def data_of(frame: bytes, name: bytes) -> bytes | None:
    """Return the data of a meter's answer to *name*; None where the frame is another one."""
    if not frame.startswith(START) or frame[HEAD : HEAD + NAME] != name:
        return None
    return frame[HEAD + NAME : -TAIL]


def counted(frame: bytes) -> int | None:
    """Return how many records an answer says there are; None where it is another one."""
    data = data_of(frame, COUNT)
    return int.from_bytes(data) if data and len(data) == 2 else None


def holds_records(frame: bytes, count: int) -> bool:
    """Say whether a frame is an answer with *count* records."""
    data = data_of(frame, RESULTS)
    return data is not None and len(data) == count * RECORD


def decode_packet(frame: bytes) -> Iterator[Reading | Event]:
    """Yield what one frame says; raise MalformedValue for what is not documented."""
    name, data = frame[HEAD : HEAD + NAME], frame[HEAD + NAME : -TAIL]
    if frame in PROBED or (name == SET_CLOCK and len(data) == MOMENT):
        return
    if len(frame) == RECORD:
        yield from _records(frame)
    elif name in ERRORS:
        yield Notice("caresens.refused", {"what": ERRORS[name]}, fault=True)
    elif name == CLOCK and len(data) == MOMENT:
        yield DeviceClock(_moment(data), frame)
    elif name == SERIAL and data:
        yield Identified(_serial(data))
    elif name == RESULTS and data and len(data) % RECORD == 0:
        yield from _records(data)
    elif not (name == COUNT and len(data) == 2):
        raise MalformedValue(f"{name!r} with {len(data)} bytes is no answer of this meter")


def _length(header: bytes) -> int | None:
    return HEAD + header[-1] if header[-1] >= NAME + TAIL else None


def _checked(frame: bytes) -> bool:
    if not frame.endswith(END):
        return False
    data = data_of(frame, RESULTS)
    whole_records = bool(data) and len(data or b"") % RECORD == 0
    return whole_records or crc16_ccitt(frame[:-TAIL] + END) == int.from_bytes(frame[-TAIL:-1])


def _serial(data: bytes) -> str:
    """Return the serial number; the byte behind it is no part of it."""
    text = data[:-1].decode("latin-1").strip()
    if not (text and text.isascii() and text.isprintable()):
        raise MalformedValue("no serial number")
    return text


def _records(data: bytes) -> Iterator[Reading | Event]:
    """Yield each record; one that cannot be does not take the others with it."""
    refused = []
    for begin in range(0, len(data), RECORD):
        try:
            yield _record(data[begin : begin + RECORD])
        except MalformedValue as impossible:
            refused.append(impossible.detail)
    if refused:
        raise MalformedValue("; ".join(refused))


def _record(raw: bytes) -> Reading | Event:
    moment, flags, value = _moment(raw), raw[MOMENT], int.from_bytes(raw[-2:])
    if flags & LOW and flags & HIGH:
        raise MalformedValue("both low and high")
    if flags & KETONE:
        name = "ketone control" if flags & CONTROL else "ketone"
        return other_kind(name, "HI" if flags & HIGH else str(value), moment, raw)
    beyond = above(SHOWN) if flags & HIGH else below(SHOWN) if flags & LOW else None
    context = {"meal": "after"} if flags & AFTER_MEAL else {}
    return stored(
        beyond or mg_dl(value, SHOWN),
        moment,
        (raw,),
        context=context | ({"fasting": "yes"} if flags & FASTING else {}),
        control=bool(flags & CONTROL),
    )


def _moment(raw: bytes) -> datetime:
    return device_time(2000 + raw[0], *raw[1:MOMENT])
