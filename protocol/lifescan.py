"""LifeScan OneTouch meters on the jack cable: text lines (Ultra2) and binary packets (UltraMini, UltraEasy).

Source: sheet serial/lifescan_onetouch.md. Of what it leaves open: the answers to `DM@` and `DMF` are laid out
as in glucometerutils `otultra2.py`, the limits of HI and LO and HI as a number as in Tidepool's drivers.
"""

import re
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta

from protocol.checks import crc16_ccitt, sum16
from protocol.errors import MalformedValue
from protocol.framing import LengthFramer, LineFramer
from protocol.glucose import above, below, limits, mg_dl, stored
from protocol.quantities import Quantity
from protocol.readings import DeviceClock, Event, Identified, Reading
from protocol.times import device_time

SHOWN = limits(20, 600)
"""mg/dL: below, a meter shows LO, above, HI."""

WAKE = b"\x11\r"
QUESTIONS = frozenset({"?", "@", "F", "P", "SU?", "ST?", "ID"})
CHECKED = re.compile(rb"(?s)(.+) ([0-9A-F]{4})")
SERIAL = re.compile(rb'@ "([A-Z0-9]{6,12})"')
MOMENT = rb'"[A-Z]{3}","(\d\d)/(\d\d)/(\d\d)","(\d\d):(\d\d):(\d\d) {3}"'
CLOCK = re.compile(rb"[FT] " + MOMENT)
HEADER = re.compile(rb'P (\d{3}),"([A-Z0-9]{6,12})","(MG/DL |MMOL/L)"')
RECORD = re.compile(
    rb"P " + MOMENT + rb',"([C ]) {0,2}+(\d{3}|HIGH|LOW) {0,2}+([? ]?)","([NBA])","(0\d|1[01])", 00'
)
WORDS: Mapping[bytes, Quantity] = {b"HIGH": above(SHOWN), b"LOW": below(SHOWN)}
MEALS: Mapping[bytes, Mapping[str, str]] = {b"N": {}, b"B": {"meal": "before"}, b"A": {"meal": "after"}}


def lines() -> LineFramer:
    """Return a framer for an Ultra2's lines."""
    return LineFramer()


def question(name: str) -> bytes:
    """Return the wake prefix and the question `DM`*name*. Raises ValueError for all that is no question."""
    if name not in QUESTIONS:
        raise ValueError(f"never sent: DM{name}")
    return WAKE + f"DM{name}\r".encode("ascii")


def set_clock(moment: datetime) -> bytes:
    """Return the command that sets an Ultra2's clock. Raises ValueError outside its two-digit years."""
    if not 2000 <= moment.year <= 2099:
        raise ValueError(f"a two-digit year: {moment.year}")
    return WAKE + f"DMT{moment:%m/%d/%y %H:%M:%S}\r".encode("ascii")


def announced(line: bytes) -> int:
    """Return how many records the header of a memory announces. Raises MalformedValue for any other line."""
    header = HEADER.fullmatch(_text(line))
    if header is None:
        raise MalformedValue("not the header of a memory")
    return int(header[1])


def decode_line(line: bytes) -> Iterator[Reading | Event]:
    """Yield what one line of an Ultra2 says; raise MalformedValue for what is not documented."""
    if not line.strip(b"\x11\r\n\0 "):
        return
    text = _text(line)
    if serial := SERIAL.fullmatch(text):
        yield Identified(serial[1].decode("ascii"))
    elif clock := CLOCK.fullmatch(text):
        yield DeviceClock(_moment(*clock.groups()), line)
    elif header := HEADER.fullmatch(text):
        shown = {"display_unit": header[3].decode("ascii").strip(), "records": header[1].decode("ascii")}
        yield Identified(header[2].decode("ascii"), shown)
    elif record := RECORD.fullmatch(text):
        yield _record(record, line)
    else:
        raise MalformedValue("not a line of this meter")


def _text(line: bytes) -> bytes:
    """Return a line without its sum. Raises MalformedValue where it has none or another."""
    checked = CHECKED.fullmatch(line.rstrip(b"\r\n"))
    if checked is None:
        raise MalformedValue("no sum at the end of the line")
    if sum16(checked[1]) != int(checked[2], 16):
        raise MalformedValue("the sum does not match")
    return checked[1]


def _moment(*fields: bytes) -> datetime:
    month, day, year, hour, minute, second = map(int, fields)
    return device_time(2000 + year, month, day, hour, minute, second)


def _record(record: re.Match[bytes], line: bytes) -> Reading:
    control, value, doubt, meal, comment = record.groups()[6:]
    context = dict(MEALS[meal])
    if comment != b"00":
        context["comment"] = comment.decode("ascii")
    return stored(
        WORDS[value] if value in WORDS else mg_dl(int(value), SHOWN),
        _moment(*record.groups()[:6]),
        (line,),
        context=context,
        flags=frozenset({"questionable"} if doubt == b"?" else ()),
        control=control == b"C",
    )


STX, ETX = b"\x02", b"\x03"
SEND, EXPECT, ACK, RESET = 0x01, 0x02, 0x04, 0x08
"""Bits of the link byte: our send and expect toggles, "taken", "begin anew"."""
EMPTY = 6
EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - the meter's own time has no zone
PLAUSIBLE = datetime(2000, 1, 1)  # noqa: DTZ001
"""No UltraMini was made before: an earlier moment is a lost clock, or a Verio's seconds since 2000."""
READ_SERIAL = bytes.fromhex("05 0b 02 00 00 00 00 84 6a e8 73 00")
READ_CLOCK = bytes.fromhex("05 20 02 00 00 00 00")
SET_CLOCK = bytes.fromhex("05 20 01")
READ_RECORD = bytes.fromhex("05 1f")
READ_UNIT = bytes.fromhex("05 09 02 09 00 00 00 00")
READ_VERSION = bytes.fromhex("05 0d 02")
COUNT = 501
"""The number of the record that is none: asked for it, a meter says how many it has."""
WELL, COUNTED = b"\x05\x06", b"\x05\x0f"


def packets() -> LengthFramer:
    """Return a framer for an UltraMini's packets."""
    return LengthFramer(
        STX,
        2,
        lambda header: header[1] if header[1] >= EMPTY else None,
        lambda packet: packet[-3:-2] == ETX and crc16_ccitt(packet[:-2]).to_bytes(2, "little") == packet[-2:],
    )


def packet(link: int, message: bytes = b"") -> bytes:
    """Return a packet around *message*. Raises ValueError for one never sent, erasing first of all."""
    exact = {b"", READ_SERIAL, READ_CLOCK, READ_UNIT, READ_VERSION}
    numbered = message.startswith(READ_RECORD) and len(message) == 4
    timed = message.startswith(SET_CLOCK) and len(message) == 7
    if message not in exact and not numbered and not timed:
        raise ValueError(f"never sent: {message.hex(' ')}")
    body = STX + bytes([len(message) + EMPTY, link]) + message + ETX
    return body + crc16_ccitt(body).to_bytes(2, "little")


def read_record(number: int) -> bytes:
    """Return the message that asks for a record, 0 being the newest, or with COUNT for how many there are."""
    return READ_RECORD + number.to_bytes(2, "little")


def set_seconds(moment: datetime) -> bytes:
    """Return the message that sets the clock. Raises ValueError before 2000 or beyond 32 bits."""
    if moment < PLAUSIBLE or (seconds := (moment - EPOCH) // timedelta(seconds=1)) > 0xFFFFFFFF:
        raise ValueError(f"not within the meter's years: {moment}")
    return SET_CLOCK + seconds.to_bytes(4, "little")


def message_of(frame: bytes) -> bytes:
    """Return what a packet carries, without its envelope."""
    return frame[3:-3]


def counted(frame: bytes) -> int:
    """Return how many records a packet says there are."""
    return int.from_bytes(message_of(frame)[2:4], "little")


def decode_packet(frame: bytes) -> Iterator[Reading | Event]:
    """Yield what one packet of an UltraMini says; raise MalformedValue for what is not documented."""
    message = message_of(frame)
    content = message[2:]
    if message.startswith(WELL) and len(content) == 8:
        yield _numbered(content, frame)
    elif message.startswith(WELL) and len(content) == 4:
        moment = _since_1970(content)
        if moment < PLAUSIBLE:
            raise MalformedValue(f"a clock at {moment}: lost, or seconds since another year")
        yield DeviceClock(moment, frame)
    elif message.startswith(WELL) and len(content) >= 9 and content.isalnum() and content.isascii():
        yield Identified(content.decode("ascii"))
    elif message and not (message.startswith(COUNTED) and len(content) == 2):
        raise MalformedValue(f"message {message.hex(' ')} is not documented")


def _since_1970(content: bytes) -> datetime:
    return EPOCH + timedelta(seconds=int.from_bytes(content, "little"))


def _numbered(content: bytes, frame: bytes) -> Reading:
    moment = _since_1970(content[:4])
    quantity = mg_dl(int.from_bytes(content[4:], "little"), SHOWN)
    if moment >= PLAUSIBLE:
        return stored(quantity, moment, (frame,), context={})
    context = {"device_seconds": str(int.from_bytes(content[:4], "little"))}
    name = f"at {content[:4].hex()}"
    return stored(quantity, None, (frame,), context=context, flags=frozenset({"clock_lost"}), name=name)
