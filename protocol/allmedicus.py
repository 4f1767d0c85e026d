"""Messages of Allmedicus AGM-4000 glucose meters and their relatives.

`80 | size | ~size | command | data | low check | high check`: size counts command and data. The low check is
over 80, ~size and the data's bytes 0, 2, 4 …, the high one over size, command and bytes 1, 3, 5 …: each their
exclusive or, inverted. Source: sheet serial/other_glucose_meters.md and what it names, Tidepool's agm4000.js.
"""

from collections.abc import Iterator
from datetime import datetime

from protocol.checks import xor8
from protocol.errors import MalformedValue
from protocol.framing import Frame, LengthFramer, Noise
from protocol.glucose import limits, mg_dl, stored
from protocol.readings import Event, Identified, Reading
from protocol.times import device_time

REPORT = 64
START = b"\x80"
HEAD, TAIL = 4, 2
COUNT, RECORD, SERIAL = 0x00, 0x01, 0x09
SENT = frozenset({COUNT, RECORD, SERIAL})
"""All that is ever asked; the command that sets the clock is not among it: its data are not known."""
RECORD_SIZE, SERIAL_SIZE = 8, 7
SHOWN = limits(20, 600)
LOW, HIGH = 19, 601
"""What a record holds for LO and for HI."""
MEALS = {1: {"meal": "after"}, 2: {"meal": "before"}}
CONTROL = 3


class MessageFramer(LengthFramer):
    """Messages, in reports of any size or none; the zeros that fill a report merely separate them."""

    def __init__(self) -> None:
        """Begin with nothing heard."""
        super().__init__(START, HEAD - 1, _length, _checked)

    def feed(self, chunk: bytes) -> Iterator[Frame | Noise]:
        """Yield each whole message, and what is none."""
        return map(_named, super().feed(chunk))

    def finish(self) -> Iterator[Frame | Noise]:
        """Yield what is held as noise, and any message that stood behind a false start."""
        return map(_named, super().finish())


def question(command: int, data: bytes = b"") -> bytes:
    """Return a question. Raises ValueError for one that is never put."""
    if command not in SENT or len(data) != (2 if command == RECORD else 0):
        raise ValueError(f"never sent: {command:02x} {data.hex(' ')}")
    size = 1 + len(data)
    head = START + bytes([size, ~size & 0xFF, command])
    return head + data + _checks(size, command, data)


def ask_record(index: int) -> bytes:
    """Return the question for a record, 0 being the newest."""
    return question(RECORD, index.to_bytes(2))


def in_reports(message: bytes) -> bytes:
    """Return *message* as the host sends it over USB: a whole report for every byte."""
    return b"".join(bytes([byte]).ljust(REPORT, b"\0") for byte in message)


def data_of(frame: bytes, command: int) -> bytes | None:
    """Return the data of an answer to *command*; None where the frame is another one."""
    return frame[HEAD:-TAIL] if frame[HEAD - 1] == command else None


def counted(frame: bytes) -> int:
    """Return how many records an answer to COUNT says there are."""
    return int.from_bytes(frame[HEAD : HEAD + 2])


def is_record(frame: bytes, index: int) -> bool:
    """Say whether a frame is the record *index*."""
    data = data_of(frame, RECORD)
    return data is not None and len(data) >= RECORD_SIZE and int.from_bytes(data[:2]) == index


def decode_message(frame: bytes) -> Iterator[Reading | Event]:
    """Yield what one message says; raise MalformedValue for what is not documented."""
    command, data = frame[HEAD - 1], frame[HEAD:-TAIL]
    if command == RECORD and len(data) >= RECORD_SIZE:
        yield _record(data, frame)
    elif command == SERIAL and data:
        yield Identified(_serial(data))
    elif command != COUNT or len(data) < 2:
        raise MalformedValue(f"command {command:02x} with {len(data)} bytes is no answer of this meter")


def _named(piece: Frame | Noise) -> Frame | Noise:
    return Noise(piece.data) if isinstance(piece, Noise) and not piece.data.strip(b"\0") else piece


def _length(header: bytes) -> int | None:
    size, inverted = header[1:]
    return HEAD - 1 + size + TAIL if size and size == ~inverted & 0xFF else None


def _checked(frame: bytes) -> bool:
    return _checks(frame[1], frame[HEAD - 1], frame[HEAD:-TAIL]) == frame[-TAIL:]


def _checks(size: int, command: int, data: bytes) -> bytes:
    low = START[0] ^ ~size ^ xor8(data[0::2])
    high = size ^ command ^ xor8(data[1::2])
    return bytes([~low & 0xFF, ~high & 0xFF])


def _serial(data: bytes) -> str:
    text = data[:SERIAL_SIZE].split(b"\0")[0].decode("latin-1").strip()
    if not (text and text.isascii() and text.isprintable()):
        raise MalformedValue("no serial number")
    return text


def _record(data: bytes, frame: bytes) -> Reading:
    value, event = (data[4] & 0x03) << 8 | data[5], data[6] >> 6
    if not LOW <= value <= HIGH:
        raise MalformedValue(f"{value} mg/dL is no value of this meter")
    return stored(
        mg_dl(value, SHOWN),
        _moment(data),
        (frame,),
        context=MEALS.get(event, {}),
        control=event == CONTROL,
    )


def _moment(data: bytes) -> datetime:
    month, hour = (data[2] & 0x01) << 3 | data[3] >> 5, (data[6] & 0x07) << 2 | data[7] >> 6
    return device_time(2000 + (data[2] >> 1), month, data[3] & 0x1F, hour, data[7] & 0x3F)
