"""An RBP pulse-wave blood-pressure monitor (Raycome): packets of its own key's measurements and the host's.

From the sheet raycome_rbp. It says nothing before it is connected, tells its battery, refuses to measure with
a low one, and tells its final result twice. The error numbers are not known; any may be simulated.
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

HOST = b"\xcc\x80"
CONNECT, START, STOP, BATTERY = b"\x01\x01", b"\x01\x02", b"\x01\x03", b"\x04\x04"
LIVE, RESULT, ERROR = b"\x01\x05", b"\x01\x06", b"\x01\x07"
CHARGE_MV = {"full": 4000, "low": 3600}
TOP, STEPS, STEP_S = 160, 5, 0.1
NUMBERS = ("systolic", "diastolic", "pulse_rate")

Found = Measure | Fail


def packet(action: bytes, data: bytes) -> bytes:
    """Return a whole packet of the monitor: start, version, count, what it says, exclusive or."""
    body = bytes([2, len(action) + len(data)]) + action + data
    check = 0
    for byte in body:
        check ^= byte
    return b"\xaa\x80" + body + bytes([check])


def device(setup: Setup) -> Device:
    """Obey the host, and measure when a person presses the key."""
    monitor = _Monitor(setup)
    while True:
        yield from attempt(monitor.take((yield Await())))


class _Monitor:
    def __init__(self, setup: Setup) -> None:
        self._setup = setup
        self._held = b""
        self._next: deque[Found] = deque()
        self._connected = self._running = self._stopped = False

    def take(self, cue: Cue | None) -> Device:
        match cue:
            case Heard(data):
                for action in self._actions(data):
                    yield from self._obey(action)
            case Attached():
                self._connected = False
            case Measure() | Fail():
                _data(cue, self._setup)
                self._next.append(cue)
                if self._connected and self._setup.options["start"] == "key" and not self._running:
                    yield from self._measure()
            case _:
                pass

    def _actions(self, data: bytes) -> Iterator[bytes]:
        self._held += data
        while (begin := self._held.find(HOST)) >= 0 and len(self._held) - begin >= 8:
            told = self._held[begin : begin + 8]
            check = 0
            for byte in told[2:]:
                check ^= byte
            right = told[3] == 3 and check == 0
            self._held = self._held[begin + (8 if right else 1) :]
            if right:
                yield told[4:6]

    def _obey(self, action: bytes) -> Device:
        if action == CONNECT:
            self._connected = True
            yield Say(packet(CONNECT, b"\0"))
        elif not self._connected and action in {START, STOP, BATTERY}:
            yield Violation("spoken to before it was connected")
        elif action == BATTERY:
            yield Say(packet(BATTERY, CHARGE_MV[self._setup.options["battery"]].to_bytes(2, "big")))
        elif action == STOP:
            self._stopped = True
        elif action == START and self._setup.options["battery"] == "low":
            yield Violation("started with a low battery")
        elif action == START and not self._running:
            yield from self._measure()

    def _measure(self) -> Device:
        found = self._next.popleft() if self._next else Fail("1")
        self._running, self._stopped = True, False
        for step in range(1, STEPS + 1):
            yield Say(packet(LIVE, bytes([0, 0, 0, 0, TOP * step // STEPS, 0])))
            yield from attempt(self.take((yield Await(STEP_S))))
            if self._stopped:
                self._running = False
                yield ShowFailure("stopped")
                return
        self._running = False
        data = _data(found, self._setup)
        action = ERROR if isinstance(found, Fail) else RESULT
        yield Say(packet(action, data), result=True)
        if isinstance(found, Fail):
            yield ShowFailure(found.reason)
            return
        yield Say(packet(action, data))
        yield Show({name: str(whole(found.values, name, 300)) for name in NUMBERS})


def _data(found: Found, setup: Setup) -> bytes:
    if isinstance(found, Fail):
        if not (found.reason.isascii() and found.reason.isdecimal() and int(found.reason) < 256):
            raise OrderRefused("this monitor fails with an error number from 0 to 255")
        return bytes([int(found.reason)])
    at = setup.clock()
    clock = bytes([1, at.year - 2000, at.month, at.day, at.hour, at.minute, at.second])
    return clock + b"".join(whole(found.values, name, 300).to_bytes(2, "big") for name in NUMBERS)


def person(chance: Random) -> Values:
    """Return a plausible person's blood pressure."""
    diastolic = chance.randint(62, 96)
    return {
        "systolic": str(diastolic + chance.randint(34, 58)),
        "diastolic": str(diastolic),
        "pulse_rate": str(chance.randint(55, 98)),
    }


SIMULATOR = Simulator(device, person, {"start": ("host", "key"), "battery": ("full", "low")})
