"""An SD CodeFree on its cable: it challenges when switched on, then gives one record after another.

From the sheet other_glucose_meters. It is switched on when the host comes. With `stray=nul` a NUL comes
before the challenge. A command out of its turn locks the meter (E-5) until it is switched on again, and is
reported.
"""

from collections.abc import Iterator

from tools.glucose import Memory, Result, person
from tools.simulators import Attached, Await, Cue, Device, Heard, Say, Setup, Simulator, Violation, attempt

MEALS = {"before": 0x10, "after": 0x20}
OFF, CHALLENGED, TELLING, LOCKED = range(4)


def packet(message: bytes) -> bytes:
    """Return a packet: start, direction, count of what follows, message, xor of it, end."""
    check = 0
    for byte in message:
        check ^= byte
    return bytes([0x53, 0x20, len(message) + 2]) + message + bytes([check, 0xAA])


def device(setup: Setup) -> Device:
    """Challenge the host and answer it; a person may measure in between."""
    meter = _Meter(setup)
    while True:
        cue = yield Await()
        yield from attempt(meter.take(cue))


class _Meter:
    def __init__(self, setup: Setup) -> None:
        self._setup = setup
        self._memory = Memory(10, 600, 500)
        self._held = b""
        self._state = OFF
        self._next = 0

    def take(self, cue: Cue | None) -> Device:
        match cue:
            case Attached():
                self._held, self._state, self._next = b"", CHALLENGED, 0
                stray = b"\0" if self._setup.options["stray"] == "nul" else b""
                yield Say(stray + packet(b"\x10\x30"))
            case Heard(data):
                for message in self._packets(data):
                    yield from self._heed(message)
            case _:
                yield from self._memory.take(cue, self._setup.clock())

    def _packets(self, data: bytes) -> Iterator[bytes]:
        self._held += data
        while (begin := self._held.find(b"\x53\x10")) >= 0:
            self._held = self._held[begin:]
            if len(self._held) < 3 or len(self._held) < self._held[2] + 3:
                return
            whole = self._held[: self._held[2] + 3]
            self._held = self._held[len(whole) :]
            yield whole[3:-2]

    def _heed(self, message: bytes) -> Device:
        results = self._memory.results
        if self._state == CHALLENGED and message == b"\x10\x40":
            self._state = TELLING
            yield Say(packet(b"\x30" + len(results).to_bytes(2, "big") + b"\xaa" * 19))
        elif self._state == TELLING and message == b"\x10\x60" and self._next < len(results):
            self._next += 1
            yield Say(packet(_record(results[self._next - 1])), result=True)
        elif self._state == TELLING and message == b"\x10\x60":
            self._state = OFF
            yield Say(packet(b"\x10\x70"))
        elif self._state != OFF:
            self._state = LOCKED
            yield Violation(f"E-5 after {message.hex(' ')}")


def _record(result: Result) -> bytes:
    at = result.at
    time = bytes([at.year - 2000, at.month, at.day, at.hour, at.minute])
    meal = MEALS.get(result.marks.get("meal", ""), 0)
    return bytes(2) + time + result.value.to_bytes(2, "big") + bytes([meal]) + bytes(7)


SIMULATOR = Simulator(device, person, {"stray": ("none", "nul")})
