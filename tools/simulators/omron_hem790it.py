"""An Omron HEM-7080IT home monitor: two users' memories, a clock of its own, counted 8-byte reports.

From the sheet omron_hem790it and the captures it names. A session begins with a feature report and zeros;
the first question after it gets NO, as is frequent. What the reports hold behind the counted bytes is what
stood there before. The display shows a measurement when a host has read it, at once where none is there.
"""

from collections import deque
from collections.abc import Iterator
from datetime import datetime
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
    Simulator,
    Store,
    Values,
    attempt,
    whole,
)

REPORT = 8
FEATURES = {b"\x01\x01", b"\x74\xbc", b"\x10\x74"}
ZEROS = 12
LENGTHS = {b"VER": 5, b"PRF": 5, b"SRL": 5, b"END": 5, b"GDC": 8, b"GME": 8, b"GMA": 9, b"GEA": 9}
TOLD = {b"VER": b"M7080IT 207", b"PRF": b"0010100000", b"SRL": b"\x06\0\0\0\0\0\0"}
NAMES = ("systolic", "diastolic", "pulse_rate")
NEVER_SET = datetime(2007, 1, 1)  # noqa: DTZ001 (a device's own time)
MOST = 84

Record = tuple[datetime, tuple[int, ...]]


def device(setup: Setup) -> Device:
    """Keep each measurement and answer the host."""
    monitor = _Monitor(setup)
    while True:
        cue = yield Await()
        yield from attempt(monitor.take(cue))


class _Monitor:
    def __init__(self, setup: Setup) -> None:
        self._setup = setup
        self._switched_on = setup.clock()
        self._memory: tuple[deque[Record], ...] = (deque(maxlen=MOST), deque(maxlen=MOST))
        self._unshown: list[Record] = []
        self._held = self._partial = b""
        self._buffer = bytes(REPORT - 1)
        self._zeros = 0
        self._host = self._open = self._balks = False

    def take(self, cue: Cue | None) -> Device:
        match cue:
            case Attached():
                self._host, self._held, self._partial = True, b"", b""
            case Heard(data):
                for carried in self._carried(data):
                    yield from self._hear(carried)
            case Measure(values, extras):
                yield from self._measure(values, extras)
            case Store(records):
                for record in records:
                    self._bank(record).append(_stored(record))
            case Fail():
                raise OrderRefused("this monitor keeps no failed measurement")
            case _:
                pass

    def _bank(self, told: Values) -> deque[Record]:
        if told.get("user", "1") not in {"1", "2"}:
            raise OrderRefused("this monitor has the users 1 and 2")
        return self._memory[int(told.get("user", "1")) - 1]

    def _measure(self, values: Values, extras: Values) -> Device:
        now = self._setup.clock()
        if self._setup.options["clock"] == "never_set":
            now = NEVER_SET + (now - self._switched_on)
        record = now.replace(microsecond=0), _numbers(values)
        self._bank(extras).append(record)
        if self._host:
            self._unshown.append(record)
        else:
            yield Show(_shown(record))

    def _carried(self, data: bytes) -> Iterator[bytes]:
        """Yield what each report carries; a feature report stands between them on a line that has none."""
        self._held += data
        while self._held:
            feature = not self._partial and (self._held[0] == 1 or self._held[0] >= REPORT)
            if len(self._held) < (2 if feature else REPORT):
                return
            if feature:
                known = self._held[:2] in FEATURES
                self._held = self._held[2 if known else 1 :]
                self._open, self._zeros = self._open and not known, 0
            else:
                carried, self._held = self._held[1 : 1 + self._held[0]], self._held[REPORT:]
                yield carried

    def _hear(self, carried: bytes) -> Device:
        if not self._partial and not any(carried):
            self._zeros += len(carried)
            if self._zeros >= ZEROS:
                self._zeros, self._open, self._balks = 0, True, self._setup.options["first_answer"] == "no"
                yield self._say(b"OK")
            return
        self._partial += carried
        length = LENGTHS.get(self._partial[:3])
        if length is not None and len(self._partial) < length:
            return
        command, self._partial = self._partial, b""
        right = length == len(command) and _xor(command[3:]) == 0
        if not (right and self._open) or self._balks:
            self._balks = False
            yield self._say(b"NO")
        else:
            yield from self._obey(command[:3], command[3:])

    def _obey(self, letters: bytes, arguments: bytes) -> Device:
        if letters in TOLD:
            yield self._say(_answer(TOLD[letters]))
        elif letters == b"END":
            self._open = False
            yield self._say(b"OK")
            yield self._say(b"OFF\r\n")
        elif arguments[1] >= len(self._memory):
            yield self._say(b"NO")
        elif letters == b"GDC":
            yield self._say(_answer(bytes([0, 0x10, 0, len(self._memory[arguments[1]])])))
        elif letters == b"GME":
            yield from self._tell(self._memory[arguments[1]], arguments[3])
        else:
            yield self._say(_answer(bytes([0xFF, 0xFB, 0, 0, 0, 0, 0, 0])))

    def _tell(self, memory: deque[Record], index: int) -> Device:
        if index >= len(memory):
            yield self._say(b"NO")
            return
        record = memory[len(memory) - 1 - index]
        at, (systolic, diastolic, pulse) = record
        clock = bytes([at.year - 2000, at.month, at.day, at.hour, at.minute, at.second])
        fresh = record in self._unshown
        yield self._say(_answer(clock + bytes([0, 0, systolic, diastolic, pulse, 0, 0])), result=fresh)
        if fresh:
            self._unshown.remove(record)
            yield Show(_shown(record))

    def _say(self, message: bytes, *, result: bool = False) -> Say:
        reports = b""
        for at in range(0, len(message), REPORT - 1):
            piece = message[at : at + REPORT - 1]
            self._buffer = piece + self._buffer[len(piece) :]
            reports += bytes([len(piece)]) + self._buffer
        return Say(reports, result=result)


def _answer(data: bytes) -> bytes:
    return b"OK\0" + data + bytes([_xor(data)])


def _xor(data: bytes) -> int:
    left = 0
    for byte in data:
        left ^= byte
    return left


def _numbers(values: Values) -> tuple[int, ...]:
    numbers = tuple(whole(values, name, 255) for name in NAMES)
    if not all(numbers):
        raise OrderRefused("this monitor stores no such blood pressure")
    return numbers


def _stored(told: Values) -> Record:
    try:
        at = datetime.fromisoformat(told["at"])
    except (KeyError, ValueError):
        raise OrderRefused("a stored record needs its time as `at`, in ISO 8601") from None
    if not 2000 <= at.year <= 2255:
        raise OrderRefused("the monitor's years are 2000 to 2255")
    return at, _numbers(told)


def _shown(record: Record) -> Values:
    return dict(zip(NAMES, map(str, record[1]), strict=True))


def person(chance: Random) -> Values:
    """Return a plausible person's blood pressure."""
    diastolic = chance.randint(62, 96)
    numbers = diastolic + chance.randint(34, 58), diastolic, chance.randint(55, 98)
    return dict(zip(NAMES, map(str, numbers), strict=True))


SIMULATOR = Simulator(device, person, {"first_answer": ("no", "ok"), "clock": ("set", "never_set")})
