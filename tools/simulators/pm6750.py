"""A BerryMed PM6750 board: silent until the host asks, inflates only on the host's start.

From the sheet pm6750. What the next started measurement will find is queued beforehand; a start with
nobody in the cuff ends in "cuff loose".
"""

from collections import deque
from collections.abc import Iterator
from random import Random

from tools.simulators import (
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
    whole,
)

START = b"\x55\xaa"
FINISHED, MEASURING, STOPPED = 0, 1, 2
FAILURES = {
    "over_pressure": 3,
    "cuff_loose": 4,
    "timed_out": 5,
    "error": 6,
    "movement": 7,
    "no_result": 8,
}
FACTORY = {
    0x0B: "static pressure test",
    0x0C: "NIBP calibration",
    0x0D: "temperature calibration",
    0x0E: "temperature calibration",
    0x10: "leak test",
}
STREAMS = {
    0x01: (0x01, bytes([128] * 7)),
    0x03: (0x04, bytes([2, 127, 255])),
    0x04: (0x05, bytes([3, 0, 0, 0, 0])),
}
"""What each output sends with nobody connected: command number to packet type and content."""
NIBP, PRESSURE = 0x02, 0x0A
RISE, FALL = 5, 6
STEP_S, STREAM_S = 0.04, 0.2

Result = Measure | Fail


def packet(kind: int, content: bytes) -> bytes:
    """Return a whole packet: start, length that counts itself and the sum, content, inverted sum."""
    body = bytes([len(content) + 3, kind]) + content
    return START + body + bytes([~sum(body) & 0xFF])


def device(setup: Setup) -> Device:
    """Obey the host; send the outputs that it switched on."""
    board = _Board(setup.chance)
    while True:
        cue = yield Await(STREAM_S if board.outputs else None)
        if cue is None:
            for command in sorted(board.outputs):
                yield Say(packet(*STREAMS[command]))
        yield from attempt(board.take(cue))


class _Board:
    def __init__(self, chance: Random) -> None:
        self.outputs: set[int] = set()
        self._chance = chance
        self._held = b""
        self._next: deque[Result] = deque()
        self._first_pressure: int | None = None
        self._running = False

    def take(self, cue: Cue | None) -> Device:
        match cue:
            case Heard(data):
                for command, argument in self._commands(data):
                    yield from self._obey(command, argument)
            case Measure():
                _found(cue)
                self._next.append(cue)
            case Fail(reason):
                if reason not in FAILURES:
                    raise OrderRefused(f"this board fails as {', '.join(FAILURES)}")
                self._next.append(cue)
            case _:
                pass

    def _commands(self, data: bytes) -> Iterator[tuple[int, int]]:
        self._held += data
        while (begin := self._held.find(START)) >= 0 and len(self._held) - begin >= 6:
            command = self._held[begin : begin + 6]
            if command[2] == 4 and sum(command[2:]) & 0xFF == 0xFF:
                self._held = self._held[begin + 6 :]
                yield command[3], command[4]
            else:
                self._held = self._held[begin + 1 :]

    def _obey(self, command: int, argument: int) -> Device:
        if command in FACTORY:
            yield Violation(FACTORY[command])
        elif command in STREAMS:
            (self.outputs.add if argument else self.outputs.discard)(command)
        elif command == PRESSURE:
            self._first_pressure = argument * 2
        elif command == NIBP and argument == 0:
            self._running = False
        elif command == NIBP and not self._running:
            yield from self._measure()

    def _measure(self) -> Device:
        if self._first_pressure is None:
            yield Violation("start without a first pressure")
        top, self._first_pressure = self._first_pressure or 150, None
        result = self._next.popleft() if self._next else Fail("cuff_loose")
        self._running = True
        for cuff in self._curve(top):
            yield Say(_nibp(MEASURING, cuff))
            yield from attempt(self.take((yield Await(STEP_S))))
            if not self._running:
                yield Say(_nibp(STOPPED), result=True)
                yield ShowFailure("stopped")
                return
        self._running = False
        yield from _outcome(result)

    def _curve(self, top: int) -> Iterator[int]:
        yield from (top * step // RISE for step in range(1, RISE + 1))
        yield from (top * step // FALL + self._chance.randint(0, 3) for step in range(FALL - 1, 0, -1))


def _outcome(result: Result) -> Device:
    if isinstance(result, Fail):
        yield Say(_nibp(FAILURES[result.reason]), result=True)
        yield ShowFailure(result.reason)
        return
    numbers = _found(result)
    yield Say(_nibp(FINISHED, 0, *numbers), result=True)
    shown = dict(zip(("systolic", "mean_pressure", "diastolic"), map(str, numbers), strict=True))
    yield Show(shown)


def _found(measure: Measure) -> tuple[int, int, int]:
    values = measure.values
    systolic, diastolic = whole(values, "systolic", 255), whole(values, "diastolic", 255)
    mean = diastolic + (systolic - diastolic) // 3
    return systolic, whole(values, "mean_pressure", 255) if "mean_pressure" in values else mean, diastolic


def _nibp(state: int, cuff: int = 0, systolic: int = 0, mean: int = 0, diastolic: int = 0) -> bytes:
    return packet(0x03, bytes([state << 2, min(cuff // 2, 255), systolic, mean, diastolic]))


def person(chance: Random) -> Values:
    """Return a plausible person's blood pressure."""
    diastolic = chance.randint(62, 96)
    systolic = diastolic + chance.randint(34, 58)
    mean = diastolic + (systolic - diastolic) // 3
    return {"systolic": str(systolic), "mean_pressure": str(mean), "diastolic": str(diastolic)}


SIMULATOR = Simulator(device, person)
