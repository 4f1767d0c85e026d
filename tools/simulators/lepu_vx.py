"""A Lepu VX board: silent but for a heartbeat, streams on command, inflates only on the host's start.

From the sheet lepu_vx. What the next started measurement will find is queued beforehand; a start with nobody
in the cuff ends in "cuff loose". A result is told three times unless it is acknowledged; an old one is told
when a host comes, as after power-on.
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
    whole,
)

START = b"\xaa\x55"
COMMAND, CONFIRMATION, DATA, HEARTBEAT, UP = 0xF0, 0xF1, 0xF3, 0xF4, 0xF6
BOARD, NIBP = 0x00, 0x04
FAILURES = {
    "module": 1,
    "cuff_loose": 2,
    "leak": 3,
    "hose_blocked": 4,
    "weak_signal": 5,
    "out_of_range": 6,
    "movement": 7,
    "over_pressure": 8,
    "timed_out": 9,
    "wrong_cuff": 10,
    "error": 11,
}
NEVER = {
    0x02: "continuous measurement",
    0x0A: "pump",
    0x0B: "valve",
    0x0C: "valve",
    0x0D: "sleep",
    0x0E: "reset",
    0x0F: "venipuncture",
    0x10: "pressure check",
    0x11: "pressure check",
    0x12: "leak test",
    0xF0: "calibration",
}
LIMITS = ((80, 280, 160), (80, 210, 140), (60, 140, 90))
"""Lowest, highest and usual first pressure of adult, child and neonate."""
NAMES = ("systolic", "diastolic", "mean_pressure", "pulse_rate")
NOBODY = (
    (0x06, 0x02, bytes.fromhex("01 00 00 00 00 00 00 00 00")),
    (0x03, 0x00, bytes.fromhex("01 01 00 80")),
    (0x01, 0x00, bytes.fromhex("01 01 ff 00 00 00 00 00 00")),
)
"""What the stream says with nobody connected: token, type, content."""
TRANSMISSIONS, AGAIN_S = 3, 0.5
STEPS, STEP_S, STREAM_S = 5, 0.04, 0.2

Result = Measure | Fail


def crc(data: bytes) -> int:
    """Return CRC-8/MAXIM."""
    code = 0
    for byte in data:
        for place in range(8):
            code = code >> 1 ^ 0x8C * ((code ^ byte >> place) & 1)
    return code


def device(setup: Setup) -> Device:
    """Obey the host; stream while it wants, and tell a result again until it is acknowledged."""
    board = _Board(setup.chance)
    while True:
        cue = yield Await(board.patience())
        yield from attempt(board.take(cue))


class _Board:
    def __init__(self, chance: Random) -> None:
        self._chance = chance
        self._held = b""
        self._index = 0
        self._parameters = self._streaming = self._running = False
        self._patient, self._pressure = 0, LIMITS[0][2]
        self._next: deque[Result] = deque()
        self._last = bytes(12)
        self._left = 0

    def patience(self) -> float | None:
        """Return how long the board waits before it says something by itself."""
        return STREAM_S if self._streaming else AGAIN_S if self._left else None

    def take(self, cue: Cue | None) -> Device:
        match cue:
            case None if self._left:
                yield from self._again()
            case None:
                for token, number, content in NOBODY:
                    yield self._say(DATA, token, number, content)
            case Attached():
                self._held, self._streaming = b"", False
                yield self._say(UP, NIBP, 0x04, self._last)
                yield self._say(HEARTBEAT, BOARD, 0x00, b"")
            case Heard(data):
                for token, number, content in self._commands(data):
                    yield from self._obey(token, number, content)
            case Measure():
                _found(cue)
                self._next.append(cue)
            case Fail(reason):
                if reason not in FAILURES:
                    raise OrderRefused(f"this module fails as {', '.join(FAILURES)}")
                self._next.append(cue)
            case _:
                pass

    def _commands(self, data: bytes) -> Iterator[tuple[int, int, bytes]]:
        self._held += data
        while (begin := self._held.find(START)) >= 0:
            self._held = self._held[begin:]
            if len(self._held) < 3 or len(self._held) < self._held[2]:
                return
            frame = self._held[: self._held[2]]
            if len(frame) >= 8 and crc(frame[:-1]) == frame[-1]:
                self._held = self._held[len(frame) :]
                if frame[4] == COMMAND:
                    yield frame[5], frame[6], frame[7:-1]
            else:
                self._held = self._held[1:]

    def _obey(self, token: int, number: int, content: bytes) -> Device:
        yield self._say(CONFIRMATION, token, number, b"")
        if token == NIBP and number in NEVER:
            yield Violation(NEVER[number])
        elif token == NIBP:
            yield from self._blood_pressure(number, content)
        elif (token, number) == (BOARD, 0x00):
            yield Violation("reset")
        elif (token, number) == (BOARD, 0x02):
            self._parameters = True
        elif (token, number) == (BOARD, 0x04):
            self._streaming = True
            if not self._parameters:
                yield Violation("a stream started without parameters")
        elif (token, number) == (BOARD, 0x05):
            self._streaming = False

    def _blood_pressure(self, number: int, content: bytes) -> Device:
        if number == 0x20:
            self._left = 0
        elif number == 0x03:
            self._running = False
            yield self._answer(number, "A")
        elif self._running:
            yield self._answer(number, "B")
        elif number == 0x04:
            yield from self._set_patient(content)
        elif number == 0x05:
            yield from self._set_pressure(content)
        elif number == 0x01:
            yield from self._measure()

    def _set_patient(self, content: bytes) -> Device:
        known = len(content) == 1 and content[0] < len(LIMITS)
        if known:
            self._patient, self._pressure = content[0], LIMITS[content[0]][2]
        yield self._answer(0x04, "O" if known else "N")

    def _set_pressure(self, content: bytes) -> Device:
        low, high, _ = LIMITS[self._patient]
        pressure = int.from_bytes(content, "big")
        if allowed := len(content) == 2 and low <= pressure <= high:
            self._pressure = pressure
        yield self._answer(0x05, "O" if allowed else "N")

    def _measure(self) -> Device:
        result = self._next.popleft() if self._next else Fail("cuff_loose")
        self._running, self._left = True, 0
        yield self._answer(0x01, "O")
        for cuff in self._curve():
            yield self._say(UP, NIBP, 0x02, cuff.to_bytes(2, "big") + b"\0")
            yield from attempt(self.take_during((yield Await(STEP_S))))
            if not self._running:
                yield ShowFailure("stopped")
                return
        self._running = False
        yield from self._outcome(result)
        yield self._answer(0x01, "K")

    def take_during(self, cue: Cue | None) -> Device:
        """Take a cue while a measurement runs: the stream rests, the host is heard."""
        if cue is not None:
            yield from self.take(cue)

    def _curve(self) -> Iterator[int]:
        yield from (self._pressure * step // STEPS for step in range(1, STEPS + 1))
        yield from (
            self._pressure * step // STEPS + self._chance.randint(0, 3) for step in range(STEPS - 1, 0, -1)
        )

    def _outcome(self, result: Result) -> Device:
        mode = 0x20 | self._patient << 1
        if isinstance(result, Fail):
            self._last = bytes([mode, FAILURES[result.reason]]) + bytes(10)
        else:
            numbers = _found(result)
            self._last = bytes([mode, 0, 0, 0]) + b"".join(number.to_bytes(2, "big") for number in numbers)
        self._left = TRANSMISSIONS - 1
        yield self._say(UP, NIBP, 0x04, self._last, result=True)
        self._last = bytes([mode | 1]) + self._last[1:]
        if isinstance(result, Fail):
            yield ShowFailure(result.reason)
        else:
            yield Show(dict(zip(NAMES, map(str, numbers), strict=True)))

    def _again(self) -> Device:
        self._left -= 1
        yield self._say(UP, NIBP, 0x04, self._last)

    def _answer(self, number: int, letter: str) -> Say:
        return self._say(UP, NIBP, 0x01, bytes([number, ord(letter)]))

    def _say(self, kind: int, token: int, number: int, content: bytes, *, result: bool = False) -> Say:
        frame = START + bytes([8 + len(content), self._index, kind, token, number]) + content
        self._index = (self._index + 1) % 256
        return Say(frame + bytes([crc(frame)]), result=result)


def _found(measure: Measure) -> tuple[int, int, int, int]:
    values = measure.values
    systolic, diastolic = whole(values, "systolic", 300), whole(values, "diastolic", 300)
    mean = diastolic + (systolic - diastolic) // 3
    told = whole(values, "mean_pressure", 300) if "mean_pressure" in values else mean
    return systolic, diastolic, told, whole(values, "pulse_rate", 300)


def person(chance: Random) -> Values:
    """Return a plausible person's blood pressure."""
    diastolic = chance.randint(62, 96)
    systolic = diastolic + chance.randint(34, 58)
    mean, pulse = diastolic + (systolic - diastolic) // 3, chance.randint(55, 98)
    return dict(zip(NAMES, map(str, (systolic, diastolic, mean, pulse)), strict=True))


SIMULATOR = Simulator(device, person)
