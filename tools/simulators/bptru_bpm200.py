"""A BpTRU BPM-200: measures when its own button is pressed or the host says start, alone or in a series.

From the sheet bptru_bpm200. With the option `started_by=host` what a person will find waits for the host's
start; a start with nobody in the cuff ends in too few pulses. A series is six readings; the average leaves
out the first. A host that starts without having cleared mixes two persons, which is reported.
"""

from collections import deque
from collections.abc import Iterator
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
    Say,
    Setup,
    Show,
    ShowFailure,
    Simulator,
    Values,
    Violation,
    attempt,
    scaled,
)

SIZE = 8
COMMAND, RESET = 0x11, 0x10
ACK, NACK, BUTTON = 0x06, 0x15, 0x55
INFLATING, DEFLATING, RESULT, AVERAGE, REVIEW = 0x49, 0x44, 0x42, 0x41, 0x52
HANDSHAKE, STOP, REVIEWING, CYCLE, START, CLEAR = range(6)
CYCLES = (1, 2, 3, 5, 0)
"""Minutes between the readings of a series; no source lists them."""
FAILURES = {
    "too_few_pulses": 0x80,
    "movement": 0x81,
    "over_pressure": 0x82,
    "weak_pulses": 0x88,
    "battery_low": 0x8F,
    "systolic_over_range": 0x40,
}
NAMES = ("systolic", "diastolic", "pulse_rate")
CURVE = ((INFLATING, 60), (INFLATING, 140), (INFLATING, 180), (DEFLATING, 120), (DEFLATING, 70))
STEP_S, BETWEEN_S = 0.04, 0.1
A_SERIES = 6

Result = Measure | Fail


def device(setup: Setup) -> Device:
    """Obey the host, and whoever presses the buttons."""
    monitor = _Monitor(setup)
    while True:
        cue = yield Await()
        yield from attempt(monitor.take(cue))


class _Monitor:
    def __init__(self, setup: Setup) -> None:
        self._by_host = setup.options["started_by"] == "host"
        self._next: deque[Result] = deque()
        self._held = b""
        self._cycle = 0
        self._list: list[tuple[int, ...]] = []
        self._running = False

    def take(self, cue: Cue | None) -> Device:
        match cue:
            case Attached():
                self._held = b""
            case Heard(data):
                for message in self._messages(data):
                    yield from self._obey(message[1], message[2])
            case Measure() | Fail():
                _told(cue)
                self._next.append(cue)
                if not (self._by_host or self._running):
                    self._list.clear()
                    yield Say(_message(BUTTON, START, self._cycle, 1))
                    yield from self._measure()
            case _:
                pass

    def _messages(self, data: bytes) -> Iterator[bytes]:
        self._held += data
        while len(self._held) >= SIZE:
            message = self._held[:SIZE]
            if message == _message(*message[1:6]):
                self._held = self._held[SIZE:]
                yield message
            else:
                self._held = self._held[1:]

    def _obey(self, number: int, action: int) -> Device:
        if number == RESET:
            yield Violation("reset")
        elif number != COMMAND or action > CLEAR or action == REVIEWING:
            yield Say(_message(NACK, action))
        elif action == HANDSHAKE:
            yield Say(_message(ACK, HANDSHAKE, 1, 2, 3))
        elif action == CYCLE:
            self._cycle = CYCLES[(CYCLES.index(self._cycle) + 1) % len(CYCLES)]
            yield Say(_message(ACK, CYCLE, self._cycle))
        elif action == CLEAR:
            self._list.clear()
            yield Say(_message(ACK, CLEAR))
        elif action == STOP and self._running:
            self._running = False
            yield Say(_message(ACK, STOP))
        elif action == START and not self._running:
            if self._list:
                yield Violation("start without a clear")
            yield Say(_message(ACK, START, self._cycle, len(self._list) + 1))
            yield from self._measure()

    def _measure(self) -> Device:
        self._running = True
        for number in range(A_SERIES if self._cycle else 1):
            yield from self._one(self._next.popleft() if self._next else Fail("too_few_pulses"))
            if not self._running:
                yield ShowFailure("stopped")
                return
            if number + 1 < A_SERIES and self._cycle:
                yield from attempt(self.take((yield Await(BETWEEN_S))))
        self._running = False
        if self._cycle and len(self._list) > 1:
            yield Say(_message(AVERAGE, len(self._list) - 1, *_mean(self._list[1:])))
            yield Say(_message(REVIEW, 0, *_mean(self._list[1:])))

    def _one(self, result: Result) -> Device:
        for direction, pressure in CURVE:
            yield Say(_message(direction, pressure & 0xFF, pressure >> 8))
            yield from attempt(self.take((yield Await(STEP_S))))
            if not self._running:
                return
        code, numbers = _told(result)
        yield Say(_message(RESULT, code, *numbers), result=True)
        if isinstance(result, Fail):
            yield ShowFailure(result.reason)
        else:
            self._list.append(numbers)
            yield Show(dict(zip(NAMES, map(str, numbers), strict=True)))


def _message(*body: int) -> bytes:
    filled = bytes(body).ljust(5, b"\0")
    return b"\x02" + filled + bytes([_crc(filled), 0x03])


def _crc(data: bytes) -> int:
    left = 0
    for byte in data:
        left ^= byte
        for _ in range(8):
            left = (left << 1 ^ 0x07) & 0xFF if left & 0x80 else left << 1
    return left


def _mean(readings: list[tuple[int, ...]]) -> tuple[int, ...]:
    return tuple(sum(column) // len(readings) for column in zip(*readings, strict=True))


def _told(result: Result) -> tuple[int, tuple[int, ...]]:
    """Return the code and the three numbers of a result; raises OrderRefused."""
    if isinstance(result, Fail):
        if result.reason not in FAILURES:
            raise OrderRefused(f"this monitor fails as {', '.join(FAILURES)}")
        return FAILURES[result.reason], (
            (0x19, 80, 70) if result.reason == "systolic_over_range" else (0, 0, 0)
        )
    numbers = tuple(scaled(result.values, name, 0, 255) for name in NAMES)
    if not all(numbers):
        raise OrderRefused("this monitor finds no such blood pressure")
    return 0, numbers


def person(chance: Random) -> Values:
    """Return a plausible person's blood pressure."""
    diastolic = chance.randint(62, 96)
    numbers = diastolic + chance.randint(34, 58), diastolic, chance.randint(55, 98)
    return dict(zip(NAMES, map(str, numbers), strict=True))


SIMULATOR = Simulator(device, person, {"started_by": ("person", "host")})
