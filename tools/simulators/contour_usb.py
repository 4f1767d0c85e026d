"""A Contour meter: its memory on demand, over USB reports or a serial line, and its clock.

From the sheet contour_astm. Which result comes first no source tells: `order` has both. A meter that measures
while a host is there enquires by itself, as E1381 has it; real ones may not be able to measure then.
"""

import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from random import Random

from tools.simulators import (
    Attached,
    Await,
    Cue,
    Device,
    Fail,
    Heard,
    Measure,
    OrderRefused,
    Refuse,
    Say,
    Setup,
    Show,
    Simulator,
    Store,
    Values,
    Violation,
    attempt,
    decimal,
    scaled,
)

ENQ, ACK, NAK, EOT = b"\x05", b"\x06", b"\x15", b"\x04"
REPORT, ROOM = 64, 60
MARKS = {"before": "B", "after": "A", "fasting": "F"}
LIMITS = {"mg/dL": (0, 10, 600), "mmol/L": (1, 6, 333)}
"""Decimal places, lowest and highest value in the last of them."""
FULL = 2000
PATIENCE_S = 15.0
COMMAND = re.compile(rb"[\x04\x05\x06\x15]|[A-Z]\||\d+\|\r")
EVERY = 3
"""With a fault of the line every third frame meets it, at its first try."""


class _Result:
    def __init__(self, at: datetime, value: int, extras: Values) -> None:
        self.at, self.value, self.extras, self.fresh = at, value, dict(extras), False


def device(setup: Setup) -> Device:
    """Obey the host; measure whoever pricks a finger."""
    meter = _Meter(setup)
    while True:
        cue = yield Await(PATIENCE_S if meter.unshown else None)
        yield from attempt(meter.take(cue))


class _Meter:
    def __init__(self, setup: Setup) -> None:
        self._setup = setup
        self._unit = setup.options["unit"]
        self._serial = setup.options["model"] == "serial"
        self._set_by = timedelta()
        self._memory: list[_Result] = []
        self._state = "idle"
        self._frames: list[tuple[bytes, _Result | None]] = []
        self._at = 0
        self._spoilt: set[int] = set()
        self._held = b""
        self._writes = ""

    @property
    def unshown(self) -> list[_Result]:
        return [result for result in self._memory if result.fresh]

    def take(self, cue: Cue | None) -> Device:
        match cue:
            case Attached():
                self._state, self._held = "idle", b""
            case Heard(data):
                for said in self._commands(data):
                    yield from self._obey(said)
            case Measure(values, extras):
                self._keep(self._now(), values, extras).fresh = True
                yield from self._enquire()
            case Store(records):
                for record in records:
                    self._keep(_moment(record), record, record)
            case Fail():
                yield Refuse("no source states how this meter's errors stand in its memory")
            case None:
                for result in self.unshown:
                    yield from self._show(result)

    def _now(self) -> datetime:
        return self._setup.clock() + self._set_by

    def _keep(self, at: datetime, values: Values, extras: Values) -> _Result:
        places, low, high = LIMITS[self._unit]
        value = {"HI": high + 1, "LO": low - 1}.get(values.get("glucose", ""))
        value = scaled(values, "glucose", places, 9999) if value is None else value
        if extras.get("meal", "") not in {"", *MARKS}:
            raise OrderRefused(f"this meter's marks are {', '.join(MARKS)}")
        result = _Result(at, value, extras)
        self._memory = [*self._memory, result][-FULL:]
        return result

    def _commands(self, data: bytes) -> Iterator[bytes]:
        """Yield what the host says, out of its reports."""
        self._held += data
        heard = b"" if not self._serial else self._held
        while not self._serial and len(self._held) >= REPORT:
            report, self._held = self._held[:REPORT], self._held[REPORT:]
            heard += report[4 : 4 + report[3]] if report[:3] == b"ABC" and report[3] <= ROOM else b""
        if self._serial:
            ends = [found.end() for found in COMMAND.finditer(heard)]
            self._held = heard[ends[-1] if ends else 0 :][-REPORT:]
        yield from (found.group() for found in COMMAND.finditer(heard))

    def _obey(self, said: bytes) -> Device:
        if said == EOT:
            yield from self._enquire()
        elif self._state == "command":
            yield from self._command(said)
        elif said == ACK and self._state == "enquired":
            self._state, self._at, self._frames = "sending", 0, self._message()
            yield from self._send()
        elif said == ACK and self._state == "sending":
            self._at += 1
            yield from self._send()
        elif said == NAK and self._state == "sending":
            yield from self._send()
        elif said == NAK:
            self._state = "idle"
            yield from self._say(EOT)
        elif said == ENQ and self._state == "idle":
            self._state, self._writes = "command", ""
            yield from self._say(ACK)
        else:
            yield from self._say(NAK)

    def _enquire(self) -> Device:
        self._state = "enquired"
        yield from self._say(ENQ if self._serial else EOT + self._message()[0][0] + ENQ)

    def _command(self, said: bytes) -> Device:
        """Take a clock setting: W, D or T, the digits."""
        known = {"": b"W|", "W|": b"D|T|"}.get(self._writes)
        digits = re.fullmatch(rb"(\d+)\|\r", said)
        if known and said in known:
            self._writes += said.decode()
        elif digits and self._set(self._writes, digits[1].decode()):
            self._writes = ""
        else:
            yield Violation(f"{said!r} after {self._writes!r} is no documented command")
            yield from self._say(NAK)
            return
        yield from self._say(ACK)

    def _set(self, what: str, digits: str) -> bool:
        now, form = self._now(), {"W|D|": "%y%m%d", "W|T|": "%H%M"}.get(what, "")
        try:
            told = datetime.strptime(digits, form)  # noqa: DTZ007 (a device's own time)
        except ValueError:
            return False
        date, time = (told, now) if what == "W|D|" else (now, told)
        self._set_by += datetime.combine(date.date(), time.time()) - now
        return True

    def _message(self) -> list[tuple[bytes, _Result | None]]:
        """Return the frames of the whole memory, each with the result that stands in it."""
        newest_first = self._setup.options["order"] == "newest"
        results = list(reversed(self._memory) if newest_first else self._memory)
        lines: list[tuple[str, _Result | None]] = [(self._header(), None), ("P|1", None)]
        if self._serial and results:
            mean = _Result(self._now(), sum(one.value for one in results) // len(results), {})
            lines.append((self._line(1, mean), None))
        lines += [(self._line(len(lines) - 1 + place, one), one) for place, one in enumerate(results)]
        lines.append(("L|1|N", None))
        last = len(lines)
        return [(_frame(number, line, number == last), one) for number, (line, one) in enumerate(lines, 1)]

    def _header(self) -> str:
        places, low, high = LIMITS[self._unit]
        return (
            "H|\\^&||7w3LBL|Bayer7390^01.24\\01.04\\09.02.20^7390-0000001^7403-|"
            f"A=1^C=63^G=1^I=0200^R=0^S=1^U={places}^V={low:02d}{high:03d}"
            "^X=070070070070180130150250^Y=360126090050099050300089^Z=1|"
            f"{len(self._memory)}||||||1|{self._now():%Y%m%d%H%M}"
        )

    def _line(self, number: int, result: _Result) -> str:
        places, low, high = LIMITS[self._unit]
        beyond = ">" if result.value > high else "<" if result.value < low else ""
        value, mark = (
            decimal(min(max(result.value, low), high), places),
            MARKS.get(result.extras.get("meal", ""), ""),
        )
        control = result.extras.get("control") == "yes"
        begin, at = f"R|{number}|^^^Glucose|{value}|{self._unit}^P|", f"{result.at:%Y%m%d%H%M}"
        if self._serial:
            return f"{begin}|{beyond}|{mark}|{'E' if control else ''}|||{at}"
        flags = [beyond, "C" if control else "", mark, "M0", "T1"]
        return f"{begin}|{'/'.join(filter(None, flags))}||{at}"

    def _send(self) -> Device:
        """Say the frame that is due; after the last one the meter has no more to say."""
        if self._at >= len(self._frames):
            self._state = "idle"
            yield from self._say(EOT)
            return
        whole, result = self._frames[self._at]
        fault = self._setup.options["fault"]
        if fault != "none" and self._at % EVERY == 1 and self._at not in self._spoilt:
            self._spoilt.add(self._at)
            spoilt = {"sum": whole.replace(b"|", b"!", 1), "half": whole[: len(whole) // 2]}
            yield from self._say(spoilt[fault])
            return
        yield from self._say(whole, result=result is not None and result.fresh)
        if result is not None and result.fresh:
            yield from self._show(result)

    def _show(self, result: _Result) -> Device:
        places, low, high = LIMITS[self._unit]
        result.fresh = False
        value = decimal(min(max(result.value, low), high), places)
        yield Show({"glucose": f"{'>' if result.value > high else '<' if result.value < low else ''}{value}"})

    def _say(self, data: bytes, *, result: bool = False) -> Device:
        if self._serial:
            yield Say(data, result=result)
            return
        parts = [data[at : at + ROOM] for at in range(0, len(data), ROOM)]
        parts += [b""] * (len(parts[-1]) == ROOM)
        reports = [(b"ABC" + bytes([len(part)]) + part).ljust(REPORT, b"\0") for part in parts]
        yield Say(b"".join(reports), result=result)


def _frame(number: int, line: str, last: bool) -> bytes:
    body = f"{number % 8}{line}\r".encode() + (b"\x03" if last else b"\x17")
    return b"\x02" + body + b"%02X\r\n" % (sum(body) & 0xFF)


def _moment(record: Values) -> datetime:
    try:
        return datetime.fromisoformat(record["at"])
    except (KeyError, ValueError):
        raise OrderRefused("a stored record needs its time as `at`, in ISO 8601") from None


def person(chance: Random) -> Values:
    """Return a plausible person's blood sugar in mmol/L."""
    return {"glucose": decimal(chance.randint(39, 139), 1)}


SIMULATOR = Simulator(
    device,
    person,
    {
        "model": ("usb", "serial"),
        "unit": ("mmol/L", "mg/dL"),
        "order": ("newest", "oldest"),
        "fault": ("none", "sum", "half"),
    },
)
