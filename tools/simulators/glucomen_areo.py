"""A GlucoMen Areo on its cable: commands of one byte, text blocks under a CRC-8, results in its own unit.

From the sheet other_glucose_meters. A command that sets the clock is obeyed and reported: no gateway here may
send it.
"""

from random import Random

from tools.glucose import stored_at
from tools.simulators import (
    Await,
    Cue,
    Device,
    Fail,
    Heard,
    Measure,
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

IDENTITY = "1,2,3,  SIM0001234,  1.05"
MARKS = {"before": "02", "after": "04"}
PLACES = {"mmol/L": 1, "mg/dL": 0}
FULL = 730


def block(*lines: str) -> bytes:
    """Return a block: bracket, lines, check code in capitals, bracket."""
    text = "".join(line + "\r\n" for line in ("[", *lines)).encode("ascii")
    return text + f"{_crc(text):02X}\r\n]\r\n".encode("ascii")


def _crc(data: bytes) -> int:
    check = 0
    for bit in range(len(data) * 8):
        check, low = check >> 1, check & 1 ^ data[bit // 8] >> bit % 8 & 1
        check ^= 0x8C if low else 0
    return check


def device(setup: Setup) -> Device:
    """Answer the host; a person may measure in between."""
    meter = _Meter(setup)
    while True:
        cue = yield Await()
        yield from attempt(meter.take(cue))


class _Meter:
    def __init__(self, setup: Setup) -> None:
        self._setup = setup
        self._unit = setup.options["unit"]
        self._lines: list[str] = []

    def take(self, cue: Cue | None) -> Device:
        match cue:
            case Heard(data):
                yield from self._heed(data)
            case Measure(values, extras):
                self._keep(self._line({**extras, **values, "at": self._setup.clock().isoformat()}))
                yield Show({"glucose": self._value(values)})
            case Store(records):
                for record in sorted(records, key=lambda told: told.get("at", "")):
                    self._keep(self._line(record))
            case Fail():
                yield Refuse("this meter keeps nothing of a test that failed")

    def _heed(self, data: bytes) -> Device:
        for byte in data:
            if byte == 0xA2:
                yield Say(block(IDENTITY))
            elif byte == 0x80:
                empty = b"[\r\n\x90\x3d\r\n]\r\n"
                yield Say(block(*self._lines) if self._lines else empty, result=True)
            elif byte == 0xC2:
                yield Violation("clock set")
                yield Say(b"P")

    def _keep(self, line: str) -> None:
        self._lines.insert(0, line)
        del self._lines[FULL:]

    def _value(self, told: Values) -> str:
        places = PLACES[self._unit]
        return decimal(scaled(told, "glucose", places, 600 * 10**places), places)

    def _line(self, told: Values) -> str:
        at = stored_at(told, (2000, 2099))
        mark = MARKS.get(told.get("meal", ""), "00")
        return f"{told.get('kind', 'Glu')},{self._value(told)},{self._unit},{mark},{at:%y%m%d},{at:%H%M}"


def person(chance: Random) -> Values:
    """Return a plausible person's blood sugar in mmol/L."""
    return {"glucose": decimal(chance.randint(39, 139), 1)}


SIMULATOR = Simulator(device, person, {"unit": ("mmol/L", "mg/dL")})
