"""A TaiDoc TD-4277 on a serial line: eight-byte packets, a memory newest first, a clock in minutes.

From the sheet taidoc_td42xx. With `serial=none` it knows only what a kiosk's client asks of it. An erase is
obeyed and reported.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta

from tools.glucose import Memory, Result, person
from tools.simulators import (
    Await,
    Cue,
    Device,
    Heard,
    OrderRefused,
    Say,
    Setup,
    Simulator,
    Violation,
    attempt,
)

START, FROM_HOST, FROM_METER = 0x51, 0xA3, 0xA5
MODEL = bytes.fromhex("77 42 00 00")
SERIALS = {0x27: b"\x01\x00\x00\x00", 0x28: b"\x53\x49\x4d\x00"}
MEALS = {"before": 0x40, "after": 0x80}
KINDS = {"haematocrit": 6, "ketone": 7, "uric_acid": 8, "cholesterol": 9}


def packet(command: int, data: bytes) -> bytes:
    """Return an answer: start, command, four bytes, direction, sum."""
    body = bytes([START, command]) + data + bytes([FROM_METER])
    return body + bytes([sum(body) & 0xFF])


def device(setup: Setup) -> Device:
    """Answer the host; a person may measure in between."""
    meter = _Meter(setup)
    while True:
        cue = yield Await()
        yield from attempt(meter.take(cue))


class _Meter:
    def __init__(self, setup: Setup) -> None:
        self._setup = setup
        self._set_by = timedelta()
        self._memory = Memory(20, 600, 450, (2000, 2127))
        self._held = b""

    def take(self, cue: Cue | None) -> Device:
        match cue:
            case Heard(data):
                for command, content in self._packets(data):
                    yield from self._heed(command, content)
            case _:
                yield from self._memory.take(cue, self._now())

    def _now(self) -> datetime:
        return self._setup.clock() + self._set_by

    def _packets(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        self._held += data
        while (begin := self._held.find(START)) >= 0:
            self._held = self._held[begin:]
            if len(self._held) < 8:
                return
            whole = self._held[:8]
            if whole[6] == FROM_HOST and sum(whole[:7]) & 0xFF == whole[7]:
                self._held = self._held[8:]
                yield whole[1], whole[2:6]
            else:
                self._held = self._held[1:]

    def _heed(self, command: int, content: bytes) -> Device:
        asked = int.from_bytes(content[:2], "little")
        results = self._memory.results
        answer: bytes | None = None
        match command:
            case 0x22:
                answer = bytes(4)
            case 0x23:
                answer = _stamp(self._now())
            case 0x24:
                answer = MODEL
            case 0x25 | 0x26 if asked < len(results):
                found = results[asked]
                answer = _stamp(found.at) if command == 0x25 else self._value(found)
            case 0x27 | 0x28 if self._setup.options["serial"] == "told":
                answer = SERIALS[command]
            case 0x2B:
                answer = len(results).to_bytes(2, "little") + (b"\0\0" if results else b"\xff\xff")
            case 0x33:
                self._set_by = _moment(content) - self._setup.clock()
                answer = _stamp(self._now())
            case 0x52:
                results.clear()
                yield Violation("erase")
                answer = bytes(4)
        if answer is not None:
            yield Say(packet(command, answer), result=command == 0x26)

    def _value(self, found: Result) -> bytes:
        mark = 0xC0 if "control" in found.marks else MEALS.get(found.marks.get("meal", ""), 0)
        kind = KINDS.get(found.marks.get("kind", ""), 0)
        return found.value.to_bytes(2, "little") + bytes([0, mark | kind << 2])


def _stamp(at: datetime) -> bytes:
    day = (at.year - 2000) << 9 | at.month << 5 | at.day
    return day.to_bytes(2, "little") + bytes([at.minute, at.hour])


def _moment(content: bytes) -> datetime:
    day = int.from_bytes(content[:2], "little")
    try:
        return datetime(2000 + (day >> 9), day >> 5 & 15, day & 31, content[3] & 31, content[2] & 63)  # noqa: DTZ001
    except ValueError:
        raise OrderRefused("a clock setting that is no date") from None


SIMULATOR = Simulator(device, person, {"serial": ("told", "none")})
