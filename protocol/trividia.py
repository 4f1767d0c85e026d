"""Messages of Trividia TRUE METRIX glucose meters: text in brackets with two digits of sum, in HID reports.

A report is `A0 | length | text`, filled up; the one known client finds no A0 in what comes back, so both are
taken. A message may run on into the next report. Source: sheet serial/other_glucose_meters.md and what it
names, Tidepool's driver.
"""

import re
from collections.abc import Iterator

from protocol.checks import sum8, sum16
from protocol.errors import MalformedValue
from protocol.framing import Frame, Noise, ReportFramer
from protocol.glucose import limits, mg_dl, stored
from protocol.readings import DeviceClock, Event, Identified, Reading
from protocol.times import device_time

REPORT = 64
HEADER = 0xA0
SHOWN = limits(20, 600)
WAKE, IDENTIFY, READ_SERIAL, READ_CLOCK, READ_RESULTS = "^", "I", "Z1", "T", "G"
SENT = frozenset({WAKE, IDENTIFY, READ_SERIAL, READ_CLOCK, READ_RESULTS, "V", "*", "_"})
"""What the sheet lists: nothing among it erases or sets, and `_` (power off) is built and never sent."""
MESSAGE = re.compile(rb"\(([^()]{0,62})\)([0-9A-Fa-f]{2})")
RESULT = re.compile(rb"g5([0-9A-F]{12,16})", re.IGNORECASE)
CLOCK = re.compile(rb"t?(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)")
IDENTITY = re.compile(rb"z1([!-~]{1,32})")
MODEL = re.compile(rb"i([!-~]{1,16})")
TOTAL = re.compile(rb"x[ -~]?([0-9A-F]{4})", re.IGNORECASE)
MODELS = {b"MR2": "TRUE METRIX", b"RC2": "TRUE METRIX GO", b"BLU": "TRUE METRIX AIR"}
MOST_HELD = 256
"""Ours: bytes of text without a whole message, and then none is coming."""
CONTROL = 11
"""The place of the digit that is not 0 where control solution was tested."""


class TextReports(ReportFramer):
    """Reports; a text in brackets alone, silence before and after, is a message as documents print it."""

    def finish(self) -> Iterator[Frame | Noise]:
        """Yield a text that stands alone as a frame, any other rest as noise."""
        if MESSAGE.match(self._held):
            yield Frame(self._take(len(self._held)))
        yield from super().finish()


def message(name: str) -> bytes:
    """Return the text of a command. Raises ValueError for one the sheet does not list."""
    if name not in SENT:
        raise ValueError(f"never sent: {name}")
    text = f"({name})".encode("ascii")
    return text + f"{sum8(text):02X}".encode("ascii")


def report(name: str) -> bytes:
    """Return the whole report of a command."""
    text = message(name)
    return (bytes([HEADER, len(text)]) + text).ljust(REPORT, b"\0")


def text_of(frame: bytes) -> bytes | None:
    """Return the text that a report carries; None where it is none."""
    if len(frame) < REPORT:
        return frame if MESSAGE.match(frame) else None
    begin = 2 if frame[0] == HEADER else 1
    text = frame[begin : begin + frame[begin - 1]]
    whole = begin + frame[begin - 1] <= REPORT
    return text if whole and all(0x20 <= byte < 0x7F for byte in text) else None


class Meaning:
    """What a meter's reports say, in their order: a message may run on into the next one."""

    def __init__(self) -> None:
        """Begin with nothing heard."""
        self.said: list[bytes] = []
        """The messages so far, checked, in their order."""
        self._text = b""
        self._from: list[bytes] = []

    def of(self, frame: bytes) -> Iterator[Reading | Event]:
        """Yield what *frame* completes; raise MalformedValue for what is not documented."""
        text = text_of(frame)
        if text is None:
            self._text, self._from = b"", []
            raise MalformedValue("not a report of this meter")
        self._text += text
        self._from = [*self._from, frame] if text else self._from
        refused = []
        while found := MESSAGE.search(self._text):
            evidence = tuple(self._from)
            self._text = self._text[found.end() :]
            self._from = [frame] if self._text else []
            try:
                yield from self._one(found, evidence)
            except MalformedValue as impossible:
                refused.append(impossible.detail)
        if len(self._text) > MOST_HELD:
            self._text, self._from = b"", []
            refused.append("text without end")
        if refused:
            raise MalformedValue("; ".join(refused))

    def rest(self) -> None:
        """Raise MalformedValue where a message has begun and not ended."""
        if self._text:
            raise MalformedValue("a message without end")

    def total(self) -> bool | None:
        """Say whether the sum over all results is right; None where it has not come."""
        results = b"".join(result[1] for one in self.said if (result := RESULT.fullmatch(one)))
        totals = [int(total[1], 16) for one in self.said if (total := TOTAL.fullmatch(one))]
        return totals[-1] == sum16(results) if totals else None

    def _one(self, found: re.Match[bytes], evidence: tuple[bytes, ...]) -> Iterator[Reading | Event]:
        content = found[1]
        if sum8(b"(" + content + b")") != int(found[2], 16):
            raise MalformedValue("the sum of a message does not match")
        self.said.append(content)
        if result := RESULT.fullmatch(content):
            yield _result(result[1], evidence)
        elif clock := CLOCK.fullmatch(content):
            second, minute, hour, day, month, year = map(int, clock.groups())
            yield DeviceClock(device_time(2000 + year, month, day, hour, minute, second), evidence[-1])
        elif identity := IDENTITY.fullmatch(content):
            models = [MODELS.get(model[1], model[1].decode("ascii")) for model in self._models()]
            yield Identified(identity[1].decode("ascii"), {"model": models[-1]} if models else {})

    def _models(self) -> list[re.Match[bytes]]:
        return [model for one in self.said if (model := MODEL.fullmatch(one))]


def _result(digits: bytes, evidence: tuple[bytes, ...]) -> Reading:
    number = [int(digits[begin:end], 16) for begin, end in ((0, 1), (1, 4), (4, 7), (7, 10))]
    month, day_year, time, value = number
    moment = device_time(2000 + day_year % 100, month, day_year // 100, time // 100, time % 100)
    control = digits[CONTROL] != ord("0")
    return stored(mg_dl(value & 0x7FF, SHOWN), moment, evidence, context={}, control=control)
