"""The memory of Abbott FreeStyle Lite, Freedom Lite and Mini meters: text lines under one check sum.

Like a FreeStyle Optium's (`protocol/freestyle.py`), but for a blank line behind the count and other fields in
a record. Sources: sheet serial/freestyle_optium.md and what it names: glucometer-protocols'
freestyle-lite.md, Tidepool's abbottFreeStyleLite.js, glucometerutils' fsfreedomlite.py.
"""

import re
from collections.abc import Iterator

from protocol.checks import sum16
from protocol.errors import MalformedValue
from protocol.freestyle import BEYOND, COUNT, FULL_MONTH, MOST_LINES, NOW, SERIAL, SHOWN, moment
from protocol.glucose import mg_dl, stored
from protocol.readings import DeviceClock, Event, Identified, Reading

ASK = b"mem"
"""The one command there is; no line end follows it."""
ENVELOPE = b"\x02\x03"
"""What may stand before the first line and behind the last one; the sum leaves it out."""
RECORD = re.compile(
    rb"(\d{3}|HI |LO )  " + FULL_MONTH + rb" (\d\d) (\d{4}) (\d\d):(\d\d) ([0-9A-Fa-f]{2}) 0x([0-9A-Fa-f]{2})"
)
END = re.compile(rb"0x([0-9A-Fa-f]{4})  END")
EMPTY = re.compile(rb"Log Empty(?: +END)?")
OVER = re.compile(rb"(?:.* |)END|CMD Fail!|Log Not Found")
"""Whatever ends an answer, good or not."""
CONTROL = 0x01
HEAD = 4
"""Lines before the count: a blank one, serial number, version, clock."""


def text(line: bytes) -> bytes:
    """Return what a line says, without its end and what may envelop it."""
    return line.strip(b"\r\n" + ENVELOPE)


def is_over(line: bytes) -> bool:
    """Say whether a line is the last one of an answer."""
    return OVER.fullmatch(text(line)) is not None


class Meaning:
    """What a meter's lines say, in their order.

    A memory says nothing before its check sum has come and is right. A record outside of one speaks for
    itself if it may stand *alone*.
    """

    def __init__(self, *, alone: bool = True) -> None:
        """Begin with nothing heard."""
        self._block: list[bytes] = []
        self._alone = alone

    def of(self, line: bytes) -> Iterator[Reading | Event]:
        """Yield what *line* completes; raise MalformedValue for what is not documented."""
        said, before = text(line), self._block[-1:]
        begins = SERIAL.fullmatch(said) is not None and before != [] and not text(before[0])
        if begins:
            cut, self._block = len(self._block) > 1, [*before, line]
            if cut:
                raise MalformedValue("the memory ended before its check sum")
        elif len(self._block) > 1:
            yield from self._within(line)
        elif not said:
            self._block = [line]
        else:
            self._block = []
            if not (self._alone and RECORD.fullmatch(said)):
                raise MalformedValue("not a line of this meter")
            yield _record(said, line)

    def rest(self) -> None:
        """Raise MalformedValue where a memory has begun and not ended."""
        if len(self._block) > 1:
            raise MalformedValue("the memory ended before its check sum")

    def _within(self, line: bytes) -> Iterator[Reading | Event]:
        block = self._block
        block.append(line)
        if is_over(line):
            self._block = []
            yield from _memory(block)
        elif len(block) > MOST_LINES:
            self._block = []
            raise MalformedValue("a memory without end")


def _memory(block: list[bytes]) -> Iterator[Reading | Event]:
    """Yield what a memory says; an empty one has no check sum, so its clock is left out."""
    said = [text(line) for line in block]
    identity = Identified(said[1].decode("ascii"), {"version": said[2].decode("latin-1")})
    if EMPTY.fullmatch(said[HEAD] if len(said) > HEAD else b""):
        yield identity
        return
    end = END.fullmatch(said[-1])
    covered = block[0].lstrip(ENVELOPE) + b"".join(block[1:-1])
    if end is None or sum16(covered) != int(end[1], 16):
        raise MalformedValue("the check sum of the memory does not match")
    records = [line for line in block[HEAD + 1 : -1] if text(line)]
    if not COUNT.fullmatch(said[HEAD]) or int(said[HEAD]) != len(records):
        raise MalformedValue("the memory does not hold the records it announces")
    yield identity
    if now := NOW.fullmatch(said[HEAD - 1]):
        yield DeviceClock(moment(*now.groups()), block[HEAD - 1])
    yield from _records(records)


def _records(lines: list[bytes]) -> Iterator[Reading]:
    """Yield each record; one that cannot be does not take the others with it."""
    refused = []
    for line in lines:
        try:
            yield _record(text(line), line)
        except MalformedValue as impossible:
            refused.append(impossible.detail)
    if refused:
        raise MalformedValue("; ".join(refused))


def _record(said: bytes, line: bytes) -> Reading:
    record = RECORD.fullmatch(said)
    if record is None:
        raise MalformedValue("not a record of this meter")
    value, plasma, status = record[1], record[7], int(record[8], 16)
    context = {} if int(plasma, 16) == 0 else {"plasma_type": plasma.decode("ascii")}
    return stored(
        BEYOND[value] if value in BEYOND else mg_dl(int(value), SHOWN),
        moment(*record.groups()[1:6]),
        (line,),
        context=context if status & ~CONTROL == 0 else {**context, "status": f"{status:02x}"},
        control=bool(status & CONTROL),
    )
