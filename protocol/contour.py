"""Bayer/Ascensia Contour meters: ASTM frames, on a serial line as they are, over USB in 64-byte reports.

A report is three bytes (`ABC` from the host, anything from the meter), the number of bytes that count, these
bytes; 60 of them say that more follows. Source: sheet serial/contour_astm.md; where a result of the serial
model has its fields is as the sheet's sources read it.
"""

import re
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal

from protocol.astm import ACK, ENQ, EOT, NAK, STX, AstmFramer, Record
from protocol.astm_records import MOMENT, Delimiters, Fields, beyond, cut, moment
from protocol.errors import MalformedValue
from protocol.framing import Frame, Framer, LineFramer, Noise, ReportFramer
from protocol.glucose import other_kind, stored
from protocol.quantities import Quantity
from protocol.readings import DeviceClock, Event, Identified, Notice, Reading

REPORT, HEAD, ROOM = 64, 4, 60
MOST = 32
"""Ours: reports of one message; a header takes five."""
CONTROLS = STX + EOT + ENQ + ACK + NAK
WHOLE = re.compile(rb"[\x03\x17][0-9A-F]{2}\r\n\x05?\Z")
BARE = re.compile(rb"[HR]\|")
UNITS = {"mg/dL", "mmol/L"}
DISPLAYED = {"0": "mg/dL", "1": "mmol/L"}
METHODS = {"P": "plasma", "B": "blood"}
MEALS = {"B": {"meal": "before"}, "A": {"meal": "after"}, "F": {"fasting": "yes"}}
CONTROL = {"C", "E"}
"""C of the USB models, E of the serial one."""
VALUE = re.compile(r"\d{1,4}(\.\d{1,2})?", re.ASCII)
THRESHOLDS = re.compile(r"(\d\d)(\d\d\d)", re.ASCII)


def report(data: bytes) -> bytes:
    """Return the report in which a host says *data*, at most 60 bytes."""
    return (b"ABC" + bytes([len(data)]) + data).ljust(REPORT, b"\0")


def said(frame: bytes) -> list[bytes]:
    """Return what a frame of any of this file's framers carries: ASTM frames and control bytes, in order."""
    framer, cuts = AstmFramer(), range(0, len(frame), REPORT)
    if len(frame) % REPORT == 0 and all(frame[at + HEAD - 1] <= ROOM for at in cuts):
        frame = b"".join(frame[at + HEAD : at + HEAD + frame[at + HEAD - 1]] for at in cuts)
    pieces = [*framer.feed(frame), *framer.finish()]
    return [piece.data for piece in pieces if isinstance(piece, Frame)]


class MessageFramer:
    """Joins the reports of one message. A frame is these reports, raw.

    A message ends with a report that is not full, or a whole ASTM frame; what is open when the meter falls
    silent is given out too, because the meter waits for a NAK.
    """

    def __init__(self) -> None:
        self._reports = ReportFramer(REPORT)
        self._open: list[bytes] = []
        self._message = b""

    def feed(self, chunk: bytes) -> Iterator[Frame | Noise]:
        """Yield each whole message, and the reports that belong to none."""
        for piece in self._reports.feed(chunk):
            yield from self._take(piece.data)

    def finish(self) -> Iterator[Frame | Noise]:
        """Yield the open message as it stands."""
        if self._open:
            yield Frame(self._close())
        yield from self._reports.finish()

    def _take(self, raw: bytes) -> Iterator[Frame | Noise]:
        count = raw[HEAD - 1]
        counted = raw[HEAD : HEAD + count]
        if self._open and (count > ROOM or counted[:1] in (STX, EOT)):
            yield Noise(self._close(), "cut off")
        if count > ROOM or not (counted or self._open):
            yield Noise(raw, "no frame start" if count else "")
            return
        self._open.append(raw)
        self._message += counted
        if count < ROOM or WHOLE.search(self._message):
            yield Frame(self._close())
        elif len(self._open) >= MOST:
            yield Noise(self._close(), "frame too long")

    def _close(self) -> bytes:
        raw = b"".join(self._open)
        self._open, self._message = [], b""
        return raw


class ContourFramer:
    """Messages in reports; or, as sources print them, ASTM frames or single records without any.

    Which of them it is, the first four bytes decide: the fourth counts at most 60 in a report, and is a
    letter in the others.
    """

    def __init__(self) -> None:
        self._begun = b""
        self._framer: Framer | None = None

    def feed(self, chunk: bytes) -> Iterator[Frame | Noise]:
        """Yield each whole message, and the noise between."""
        if self._framer is None:
            self._begun += chunk
            if len(self._begun) < HEAD:
                return
            self._framer, chunk, self._begun = self._chosen(), self._begun, b""
        yield from self._framer.feed(chunk)

    def finish(self) -> Iterator[Frame | Noise]:
        """Yield what is held as it stands."""
        if self._framer is not None:
            yield from self._framer.finish()
        elif self._begun:
            framer, begun, self._begun = self._chosen(), self._begun, b""
            yield from framer.feed(begun)
            yield from framer.finish()

    def _chosen(self) -> Framer:
        if BARE.match(self._begun):
            return LineFramer(limit=1024)
        lettered = len(self._begun) < HEAD or self._begun[HEAD - 1] > ROOM
        return AstmFramer() if self._begun[0] in CONTROLS and lettered else MessageFramer()


class Memory:
    """Reads the records of one download after another.

    With *average* the first result of each is the meter's average: no measurement, and not told as one.
    """

    def __init__(self, *, average: bool) -> None:
        self._average = average
        self._first = True
        self._delimiters = Delimiters()

    def begin(self) -> None:
        """Take an ENQ: the next result is the first again."""
        self._first = True

    def read(self, record: Record) -> Iterator[Reading | Event]:
        """Yield what *record* says. Raises MalformedValue for what is not documented."""
        if record.text.startswith(b"H"):
            self.begin()
            self._delimiters = Delimiters.of(cut(record, Delimiters()).text)
            yield from self._header(cut(record, self._delimiters))
        elif record.text.startswith(b"R"):
            first, self._first = self._first, False
            fields = cut(record, self._delimiters)
            if first and self._average:
                yield Notice("contour_usb.average", {"value": fields[4], "unit": fields[5]})
            else:
                yield self._result(fields)
        elif record.text[:1] not in b"POCL":
            raise MalformedValue("a record that is not documented")

    def _header(self, fields: Fields) -> Iterator[Event]:
        product, versions, serial, sku, *_ = [*fields[5].split(self._delimiters.component), "", "", ""]
        if not (product and serial):
            raise MalformedValue("an H record without product and serial number")
        settings = dict(
            part.partition("=")[::2] for part in fields[6].split(self._delimiters.component) if "=" in part
        )
        names = ("digital_version", "analog_version", "further_version")
        detail = dict(zip(names, versions.split(self._delimiters.repeat), strict=False))
        detail |= {"product": product, "sku": sku, "records": fields[7]} | _displayed(settings)
        yield Identified(serial, {name: text for name, text in detail.items() if text})
        yield DeviceClock(moment(fields.fields[-1].strip()), fields.record.frames[-1])

    def _result(self, fields: Fields) -> Reading | Notice:
        kind = fields[3].rpartition(self._delimiters.component)[2]
        usb = MOMENT.fullmatch(fields[9]) is not None
        at = moment(fields[9] if usb else fields[12])
        if kind != "Glucose":
            return other_kind(kind, f"{fields[4]} {fields[5]}", at, b"".join(fields.record.frames))
        unit, _, method = fields[5].partition(self._delimiters.component)
        if not VALUE.fullmatch(fields[4]) or unit not in UNITS or not Decimal(fields[4]):
            raise MalformedValue(f"no blood sugar: {fields[4]!r} {unit!r}")
        marks = {*re.split(r"[/\\]", fields[7]), fields[8], "" if usb else fields[9]} - {""}
        context = {name: text for mark in sorted(marks) for name, text in MEALS.get(mark, {}).items()}
        stated = {"marks": "/".join(filter(None, fields.fields[6:8] if usb else fields.fields[6:9]))}
        stated["reference_method"] = METHODS.get(method, method)
        reading = stored(
            Quantity(Decimal(fields[4]), unit, beyond("", *marks)),
            at,
            fields.record.frames,
            context=context | {name: text for name, text in stated.items() if text},
            flags=frozenset({"temperature"} if "T" in marks else ()),
            control=bool(marks & CONTROL),
        )
        return replace(reading, sequence=_number(fields[2]))


def _displayed(settings: dict[str, str]) -> dict[str, str]:
    """Return the unit on the meter's display and its limits, which the header states in that unit."""
    unit, limits = DISPLAYED.get(settings.get("U", ""), ""), THRESHOLDS.fullmatch(settings.get("V", ""))
    if not unit or limits is None:
        return {"unit": unit}
    places = 1 if unit == "mmol/L" else 0
    low, high = (format(Decimal(limit).scaleb(-places), "f") for limit in limits.groups())
    return {"unit": unit, "low_limit": low, "high_limit": high}


def _number(text: str) -> int:
    if not re.fullmatch("[0-9]{1,6}", text):
        raise MalformedValue(f"no number of a record: {text!r}")
    return int(text)
