"""Text lines of Abbott FreeStyle Optium, Precision Xtra and Xceed meters.

Source: sheet serial/freestyle_optium.md; the order of the memory's first lines is glucometer-protocols'.
Every line ends CR LF, the memory begins with a blank one, and its check sum counts them all, ends included.
"""

import re
from collections.abc import Iterator
from datetime import datetime

from protocol.checks import sum16
from protocol.errors import MalformedValue
from protocol.framing import Frame, Held, Noise
from protocol.glucose import above, below, limits, mg_dl, other_kind, stored
from protocol.readings import DeviceClock, Event, Identified, Reading
from protocol.times import device_time

SHOWN = limits(20, 500)
LONGEST = 128
"""Ours: bytes of the longest line."""
MOST_LINES = 1010
"""More than the three digits of a memory's count can announce."""
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
QUESTIONS = frozenset({"colq", "xmem"})

MONTH = rb"([A-Z][a-z]{2})"
FULL_MONTH = rb"(?=[A-Z][a-z]{2} |June|July)" + MONTH + rb"[ ey]"
IDENTITY = re.compile(rb"S/N:\t([A-Z0-9-]{11,13})")
CLOCK = re.compile(rb"Clock:\t" + MONTH + rb"  (\d\d) (\d{4})\t(\d\d):(\d\d):(\d\d)")
USAGE = re.compile(rb"Usage:\t(\d{1,5})")
OTHER = re.compile(rb"(?:Ver|Market|ROM):\t[ -~\t]+|CMD OK|\$[a-z]+")
"""What says nothing of its own; a meter sometimes only echoes a command, as glucometerutils notes."""
OK = b"CMD OK"
SERIAL = re.compile(rb"([A-Z0-9-]{11,13})")
NOW = re.compile(FULL_MONTH + rb" (\d\d) (\d{4}) (\d\d):(\d\d):(\d\d)")
COUNT = re.compile(rb"\d{3}")
RECORD = re.compile(
    rb"(\d{3}|HI |LO )  " + FULL_MONTH + rb" (\d\d) (\d{4}) (\d\d):(\d\d) ([GK]) 0x([0-9A-Fa-f]{2})"
)
END = re.compile(rb"0x([0-9A-Fa-f]{4})  END")
CONTROL, CLOCK_LOST = 0x01, 0x02
BEYOND = {b"HI ": above(SHOWN), b"LO ": below(SHOWN)}
BEFORE_RECORDS = 5
"""Lines of a memory before its first record: a blank one, serial number, version, clock, count."""


class TextFramer(Held):
    """Lines that end with LF, blank ones too: the check sum counts them. Of an overlong one nothing."""

    def __init__(self) -> None:
        """Begin with nothing heard."""
        super().__init__()
        self._overlong = False

    def feed(self, chunk: bytes) -> Iterator[Frame | Noise]:
        """Yield each whole line, its end included."""
        for begin in range(0, len(chunk), LONGEST):
            self._held += chunk[begin : begin + LONGEST]
            while (end := self._held.find(b"\n", 0, LONGEST)) >= 0 or len(self._held) > LONGEST:
                line = self._take((end if end >= 0 else LONGEST - 1) + 1)
                yield Noise(line, "line too long") if self._overlong or end < 0 else Frame(line)
                self._overlong = end < 0

    def finish(self) -> Iterator[Frame | Noise]:
        """Yield the unended rest as a line."""
        if self._held:
            rest = self._take(len(self._held))
            yield Noise(rest, "line too long") if self._overlong else Frame(rest)
        self._overlong = False


def question(name: str) -> bytes:
    """Return a question. Raises ValueError for what is none."""
    if name not in QUESTIONS:
        raise ValueError(f"never sent: ${name}")
    return f"${name}\r\n".encode("ascii")


def set_clock(moment: datetime) -> bytes:
    """Return the command that sets the clock, to the minute. Raises ValueError outside 2000 to 2099."""
    if not 2000 <= moment.year <= 2099:
        raise ValueError(f"a two-digit year: {moment.year}")
    return f"$tim,{moment:%m,%d,%y,%H,%M}\r\n".encode("ascii")


def used(line: bytes) -> int | None:
    """Return how many records a line says there are; None where it says something else."""
    usage = USAGE.fullmatch(_text(line))
    return int(usage[1]) if usage else None


class Meaning:
    """What a meter's lines say, in their order.

    A memory says nothing before its check sum has come and is right. A line outside of one speaks for itself,
    a record only if it may stand *alone*.
    """

    def __init__(self, *, alone: bool = True) -> None:
        """Begin with nothing heard."""
        self._block: list[bytes] = []
        self._alone = alone

    def of(self, line: bytes) -> Iterator[Reading | Event]:
        """Yield what *line* completes; raise MalformedValue for what is not documented."""
        text, block = _text(line), self._block
        if not text:
            self._block = [line]
            if len(block) > 1:
                raise MalformedValue("the memory ended before its check sum")
        elif len(block) > 1 or (block and SERIAL.fullmatch(text)):
            block.append(line)
            if END.fullmatch(text):
                self._block = []
                yield from _memory(block)
            elif len(block) > MOST_LINES:
                self._block = []
                raise MalformedValue("a memory without end")
        else:
            self._block = []
            yield from self._line(text, line)

    def rest(self) -> None:
        """Raise MalformedValue where a memory has begun and not ended."""
        if len(self._block) > 1:
            raise MalformedValue("the memory ended before its check sum")

    def _line(self, text: bytes, line: bytes) -> Iterator[Reading | Event]:
        if identity := IDENTITY.fullmatch(text):
            yield Identified(identity[1].decode("ascii"))
        elif clock := CLOCK.fullmatch(text):
            yield DeviceClock(moment(*clock.groups()), line)
        elif not (OTHER.fullmatch(text) or USAGE.fullmatch(text)):
            if RECORD.fullmatch(text) and not self._alone:
                raise MalformedValue("a record outside of a memory")
            yield from _record(text, line)


def _text(line: bytes) -> bytes:
    return line.rstrip(b"\r\n")


def _memory(block: list[bytes]) -> Iterator[Reading | Event]:
    """Yield what a memory says, newest first; one impossible record does not take the others with it."""
    end = END.fullmatch(_text(block[-1]))
    if end is None or sum16(b"".join(block[:-1])) != int(end[1], 16):
        raise MalformedValue("the check sum of the memory does not match")
    head, records = [_text(line) for line in block[:BEFORE_RECORDS]], block[BEFORE_RECORDS:-1]
    if len(head) < BEFORE_RECORDS or not COUNT.fullmatch(head[4]) or int(head[4]) != len(records):
        raise MalformedValue("the memory does not hold the records it announces")
    yield Identified(head[1].decode("ascii"), {"version": head[2].decode("latin-1")})
    if now := NOW.fullmatch(head[3]):
        yield DeviceClock(moment(*now.groups()), block[3])
    refused = []
    for line in records:
        try:
            yield from _record(_text(line), line)
        except MalformedValue as impossible:
            refused.append(impossible.detail)
    if refused:
        raise MalformedValue("; ".join(refused))


def _record(text: bytes, line: bytes) -> Iterator[Reading | Event]:
    record = RECORD.fullmatch(text)
    if record is None:
        raise MalformedValue("not a line of this meter")
    value, kind, status = record[1], record[7], int(record[8], 16)
    when = moment(*record.groups()[1:6])
    if kind == b"K":
        name = "ketone control" if status & CONTROL else "ketone"
        yield other_kind(name, value.decode("ascii").strip(), when, line)
        return
    yield stored(
        BEYOND[value] if value in BEYOND else mg_dl(int(value), SHOWN),
        when,
        (line,),
        context={} if status & ~(CONTROL | CLOCK_LOST) == 0 else {"status": f"{status:02x}"},
        flags=frozenset({"clock_lost"} if status & CLOCK_LOST else ()),
        control=bool(status & CONTROL),
    )


def moment(month: bytes, day: bytes, year: bytes, *time: bytes) -> datetime:
    """Return the moment that the parts of a line name; raise MalformedValue where there is none."""
    name = month.decode("ascii")
    if name not in MONTHS:
        raise MalformedValue(f"no month is called {name}")
    return device_time(int(year), MONTHS.index(name) + 1, int(day), *map(int, time))
