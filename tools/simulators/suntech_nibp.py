"""A SunTech OEM blood-pressure module: inflates only on the host's start, keeps its last result for ever.

From the sheet suntech_nibp. What the next measurement will find is queued beforehand; a start with nobody in
the cuff ends in error 1 (no source says what the numbers mean). A result asked for without a measurement of
this contact is told as a violation: it would be filed for the wrong person.
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

START, STREAM = b"\x20", b"\x56"
ABORT, RESULT, PRESSURE = b"\x79\x01\x00", b"\x79\x03\x00", b"\x79\x05\x00"
NEVER = {
    b"\x0c\x00\x01\x01": "valves closed",
    b"\x81\x00\x00\x00\x01": "sleep",
    b"\x81\x00\x00\x00\x00": "wake",
    b"\x8a": "reset",
    STREAM: "streaming start",
}
COMMANDS = (START, ABORT, RESULT, PRESSURE, *NEVER)
EMPTY_MMHG, TOP = 5, 180
RISE, FALL = 4, 5
PRESSURES = ("systolic", "diastolic", "mean_pressure")
STEP_S, FETCH_S = 0.1, 1.0

Found = Measure | Fail


def packet(data: bytes) -> bytes:
    """Return a whole packet: start, its own length, data, and what makes the sum of it all zero."""
    whole_but_sum = bytes([0x3E, len(data) + 3]) + data
    return whole_but_sum + bytes([-sum(whole_but_sum) & 0xFF])


def device(setup: Setup) -> Device:
    """Obey the host."""
    module = _Module(setup)
    while True:
        yield from attempt(module.take((yield Await())))


class _Module:
    def __init__(self, setup: Setup) -> None:
        self._reluctant = setup.options["start"]
        self._held = b""
        self._next: deque[Found] = deque()
        self._cuff = 3 * EMPTY_MMHG if self._reluctant == "air_left" else 0
        self._running = self._fresh = False
        self._last = _outcome(0, {})

    def take(self, cue: Cue | None) -> Device:
        match cue:
            case Heard(data):
                for command in self._commands(data):
                    yield from self._obey(command)
            case Attached():
                self._fresh = False
            case Measure():
                _numbers(cue)
                self._next.append(cue)
            case Fail(reason):
                if not (reason.isascii() and reason.isdecimal() and 0 < int(reason) < 256):
                    raise OrderRefused("this module fails with an error number from 1 to 255")
                self._next.append(cue)
            case _:
                pass

    def _commands(self, data: bytes) -> Iterator[bytes]:
        self._held += data
        while (begin := self._held.find(0x3A)) >= 0:
            self._held = self._held[begin:]
            known = [command for command in COMMANDS if self._held[1:].startswith(command)]
            if known and len(self._held) >= len(known[0]) + 2:
                told = self._held[: len(known[0]) + 2]
                self._held = self._held[len(told) if sum(told) & 0xFF == 0 else 1 :]
                if sum(told) & 0xFF == 0:
                    yield known[0]
            elif known or any(command.startswith(self._held[1:]) for command in COMMANDS):
                return
            else:
                self._held = self._held[1:]

    def _obey(self, command: bytes) -> Device:
        if command in NEVER:
            yield Violation(NEVER[command])
        elif command == PRESSURE:
            yield Say(packet(self._cuff.to_bytes(2, "little")))
            self._cuff = self._cuff if self._running else self._cuff // 2
        elif command == ABORT:
            self._running = False
            yield Say(packet(b"A"))
        elif self._running or self._reluctant == "busy":
            self._reluctant = ""
            yield Say(packet(b"B"))
        elif command == RESULT:
            if not self._fresh:
                yield Violation("asked for a result that may be another person's")
            self._fresh = False
            yield Say(packet(self._last), result=True)
        else:
            yield from self._measure()

    def _measure(self) -> Device:
        if self._cuff >= EMPTY_MMHG:
            yield Violation("start with air in the cuff")
        found = self._next.popleft() if self._next else Fail("1")
        self._running = True
        yield Say(packet(b"O"))
        for cuff in (*range(TOP // RISE, TOP + 1, TOP // RISE), *range(TOP, 0, -TOP // FALL)):
            self._cuff = cuff
            yield from attempt(self.take((yield Await(STEP_S))))
            if not self._running:
                self._cuff = 0
                yield ShowFailure("stopped")
                return
        self._running, self._cuff = False, 0
        yield from self._end(found)

    def _end(self, found: Found) -> Device:
        """Keep the outcome for the host to fetch, and show it."""
        self._fresh = True
        numbers = _numbers(found) if isinstance(found, Measure) else {}
        self._last = _outcome(int(found.reason) if isinstance(found, Fail) else 0, numbers)
        yield Say(packet(b"K"))
        while self._fresh and (cue := (yield Await(FETCH_S))) is not None:
            yield from attempt(self.take(cue))
        if isinstance(found, Fail):
            yield ShowFailure(found.reason)
        else:
            yield Show({name: str(number) for name, number in numbers.items()})


def _numbers(found: Measure) -> dict[str, int]:
    values = found.values
    systolic, diastolic = whole(values, "systolic", 300), whole(values, "diastolic", 300)
    mean = diastolic + (systolic - diastolic) // 3
    return {
        "systolic": systolic,
        "mean_pressure": whole(values, "mean_pressure", 300) if "mean_pressure" in values else mean,
        "diastolic": diastolic,
        "pulse_rate": whole(values, "pulse_rate", 255) if "pulse_rate" in values else 70,
    }


def _outcome(error: int, numbers: dict[str, int]) -> bytes:
    pressures = {name: numbers.get(name, 0).to_bytes(2, "little") for name in PRESSURES}
    beats = 30 if numbers else 0
    pulse = numbers.get("pulse_rate", 0)
    return b"".join(
        (
            pressures["systolic"],
            pressures["diastolic"],
            bytes([beats, 1, *bytes(8), pulse, 0]),
            pressures["mean_pressure"],
            bytes([error, 0, 0]),
        )
    )


def person(chance: Random) -> Values:
    """Return a plausible person's blood pressure."""
    diastolic = chance.randint(62, 96)
    systolic = diastolic + chance.randint(34, 58)
    return {
        "systolic": str(systolic),
        "mean_pressure": str(diastolic + (systolic - diastolic) // 3),
        "diastolic": str(diastolic),
        "pulse_rate": str(chance.randint(55, 98)),
    }


SIMULATOR = Simulator(device, person, {"start": ("ready", "air_left", "busy")})
