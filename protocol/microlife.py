"""Messages of Microlife USB blood-pressure monitors, carried in counted 8-byte reports.

The low nibble of a report's first byte counts; the monitor sets the high one to F. An answer is 06, text in
hexadecimal digits and two digits for the sum of the text; a result told as it is measured has no check at
all. Sources: protocols sheet serial/microlife_hid.md and what it names, joergmlpts/blood-pressure-monitor
(`bpm_usb.py`) and, for live results, geniustom/FEMET_ServicePlugin (`BP_Lib.pas`).
"""

from collections.abc import Iterator, Mapping
from decimal import Decimal

from protocol.checks import sum8
from protocol.errors import MalformedValue
from protocol.framing import Frame, Held, Noise
from protocol.quantities import Quantity
from protocol.readings import DeviceClock, Event, Kind, Measure, Reading
from protocol.reports import CountedFramer, Rules
from protocol.times import device_time

REPORT = 8
ACK = b"\x06"
PREFIX = b"\x12\x16\x18"
STOP, LINK, READ_ALL, START, READ_CLOCK = 0x19, 0x21, 0x22, 0x25, 0x26
SENT = frozenset({STOP, LINK, READ_ALL, START, READ_CLOCK})
"""All that may ever be sent; the others set the clock or the owner's name, or are not needed."""
WAKE = bytes(5)

HEX = frozenset(b"0123456789ABCDEFabcdef")
CLOCK, HEAD, RECORD = 14, 32, 32
"""Characters of a clock, of the memory's head and of one record."""
MOST_RECORDS = 255
"""Ours: more than these monitors keep."""
LIVE_AT, LIVE_LEAST, LIVE_MOST = 2, 5, 28
"""Where a live result's values begin, and within how many bytes one was read."""
ERROR = b"Er"
UNITS: Mapping[Measure, str] = {
    Measure.SYSTOLIC: "mm[Hg]",
    Measure.DIASTOLIC: "mm[Hg]",
    Measure.PULSE_RATE: "/min",
}


def command(number: int) -> bytes:
    """Return a command; raises ValueError for one that this project never sends."""
    if number not in SENT:
        raise ValueError(f"never sent: {number:02x}")
    return PREFIX + bytes([number])


def in_report(data: bytes) -> bytes:
    """Return up to seven bytes as a whole report of the host."""
    return bytes([len(data)]) + data.ljust(REPORT - 1, b"\0")


def framer() -> CountedFramer:
    """Return a framer for what a monitor says; an answer printed without its counts is taken too."""
    return CountedFramer(RULES)


def _count(first: int) -> int | None:
    return first & 0x0F if first & 0x0F < REPORT else None


def _starts(report: bytes, first: bool) -> bool:
    """A live result begins like nothing else, so it is one only after a silence: not a piece of a memory."""
    carried = report[1 : 1 + (_count(report[0]) or 0)]
    if carried[:1] == ACK:
        return HEX.issuperset(carried[1:])
    return first and report[0] >> 4 == 0x0F and len(carried) >= LIVE_LEAST


def _whole(message: bytes, ended: bool) -> bool | None:
    if message[:1] != ACK:
        return True if ended else (None if len(message) <= LIVE_MOST else False)
    if not HEX.issuperset(message[1:]):
        return False
    if ended or len(message) == _memory_length(message):
        return message == ACK or _checked(message)
    return None


def _memory_length(message: bytes) -> int | None:
    """Return how long a memory that begins so is with 06 and sum; None while that is not yet told."""
    if len(message) < 1 + HEAD:
        return None
    return 1 + HEAD + RECORD * int(message[1:5], 16) + 2


def _checked(message: bytes) -> bool:
    text, told = message[1:-2], message[-2:]
    return len(text) > 0 and int(told, 16) == sum8(text)


def _bare(data: bytes) -> bool:
    return data[:1] == ACK and _whole(data, True) is True


RULES = Rules(
    REPORT,
    _count,
    _starts,
    _whole,
    _bare,
    longest_bare=1 + HEAD + 3 * RECORD + 2,
    most=(1 + HEAD + MOST_RECORDS * RECORD + 2) // (REPORT - 1) + 1,
)


class Bursts(Held):
    """What a monitor says without reports, from one silence to the next: nothing else tells where it ends."""

    def feed(self, chunk: bytes) -> Iterator[Frame | Noise]:
        """Hold what has arrived; what is longer than any message is noise."""
        self._held += chunk
        while len(self._held) > RULES.most * REPORT:
            yield Noise(self._take(RULES.most * REPORT), "frame too long")

    def finish(self) -> Iterator[Frame | Noise]:
        """Yield the answer that ends with the silence, or all of it if it may be a live result."""
        data = self._take(len(self._held))
        begins = [at for at in range(len(data)) if data[at : at + 1] == ACK and _whole(data[at:], True)]
        at = begins[0] if begins else len(data) * (not LIVE_LEAST <= len(data) <= LIVE_MOST)
        if at:
            yield Noise(data[:at], "no frame start")
        if data[at:]:
            yield Frame(data[at:])


def is_clock(frame: bytes) -> bool:
    """Say whether a frame answers the question for the clock."""
    return len(RULES.message(frame)) == 1 + CLOCK + 2


def is_memory(frame: bytes) -> bool:
    """Say whether a frame is the memory."""
    message = RULES.message(frame)
    return message[:1] == ACK and len(message) == _memory_length(message)


def is_live(frame: bytes) -> bool:
    """Say whether a frame may be a result told as it is measured."""
    return RULES.message(frame)[:1] != ACK


def decode_message(frame: bytes) -> Iterator[Reading | Event]:
    """Yield what one message says; raise MalformedValue for what is not documented."""
    message = RULES.message(frame)
    text = message[1:-2].decode("latin-1")
    if message == ACK:
        return
    if is_live(frame):
        yield _live(message, frame)
    elif is_clock(frame) and text.isdecimal():
        day = int(text[4:8]), int(text[:2]), int(text[2:4])
        yield DeviceClock(device_time(*day, *(int(text[at : at + 2]) for at in (8, 10, 12))), frame)
    elif is_memory(frame):
        yield from _memory(text, frame)
    else:
        raise MalformedValue(f"an answer of {len(message)} bytes that is not documented")


def redact(frame: bytes) -> bytes:
    """Return *frame* without the owner's name and all else that may name somebody; its sum fits again."""
    message = RULES.message(frame)
    if message == ACK:
        return RULES.repacked(frame, message)
    if is_live(frame):
        values = message[LIVE_AT : LIVE_AT + 3]
        return RULES.repacked(frame, bytes(LIVE_AT) + values + bytes(len(message) - LIVE_AT - len(values)))
    text = message[1:-2].decode("latin-1")
    if is_memory(frame):
        text = text[:4] + "0" * (HEAD - 4) + _nameless_records(text[HEAD:])
    elif not (is_clock(frame) and text.isdecimal()):
        text = "F" * len(text)
    said = text.encode("ascii")
    return RULES.repacked(frame, ACK + said + b"%02X" % sum8(said))


def _nameless_records(text: str) -> str:
    """Return records with noughts for the characters whose meaning is not known."""
    return "".join(
        text[at : at + 10] + "0" * 6 + text[at + 16 : at + RECORD] for at in range(0, len(text), RECORD)
    )


def _live(message: bytes, frame: bytes) -> Reading:
    systolic, diastolic, pulse = message[LIVE_AT : LIVE_AT + 3]
    if message[LIVE_AT : LIVE_AT + 2] == ERROR:
        number = chr(pulse) if chr(pulse).isdecimal() and pulse < 0x80 else str(pulse)
        return Reading(Kind.BLOOD_PRESSURE, {}, (frame,), failed=f"device_error:{number}")
    if not systolic > diastolic > 0 or not pulse or systolic == ACK[0]:
        raise MalformedValue(f"{systolic}, {diastolic}, {pulse} is no blood pressure")
    return Reading(Kind.BLOOD_PRESSURE, _values(systolic, diastolic, pulse), (frame,))


def _memory(text: str, frame: bytes) -> Iterator[Reading]:
    """Yield each record; one that cannot be does not take the others with it."""
    refused, context = [], _owner(text[8:HEAD])
    for at in range(HEAD, len(text), RECORD):
        try:
            raw = RULES.raw(frame, 1 + at, 1 + at + RECORD)
            yield _record(text[at : at + RECORD], raw, context)
        except MalformedValue as impossible:
            refused.append(impossible.detail)
    if refused:
        raise MalformedValue("; ".join(refused))


def _owner(text: str) -> dict[str, str]:
    """Return the owner's name or number that was set, as far as it reads as one; letters only in pairs."""
    typed = bytes.fromhex(text).decode("latin-1")
    kept = typed[: next((at for at, letter in enumerate(typed) if not _readable(letter)), len(typed))]
    return {"patient_id": kept} if len(set(kept)) > 1 else {}


def _readable(letter: str) -> bool:
    return letter.isascii() and letter.isalnum()


def _record(text: str, raw: bytes, context: Mapping[str, str]) -> Reading:
    if not text[:10].isdecimal():
        raise MalformedValue("a record without a time")
    moment = device_time(2000 + int(text[:2]), *(int(text[at : at + 2]) for at in (2, 4, 6, 8)))
    word = int(text[16:24], 16)
    values = _values(word & 0x3FF, word >> 10 & 0x3FF, word >> 20 & 0x3FF)
    numbers = "/".join(str(quantity.value) for quantity in values.values())
    return Reading(
        Kind.BLOOD_PRESSURE,
        values,
        (raw,),
        device_time=moment,
        context=context,
        stored=True,
        record=f"blood_pressure {moment.isoformat()} {numbers}",
    )


def _values(*numbers: int) -> dict[Measure, Quantity]:
    if not all(numbers):
        raise MalformedValue("zero is not a value")
    return {
        measure: Quantity(Decimal(number), unit)
        for (measure, unit), number in zip(UNITS.items(), numbers, strict=True)
    }
