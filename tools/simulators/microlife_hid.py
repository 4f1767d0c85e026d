"""A Microlife monitor with USB: a clock, a memory with its owner's name, and measuring when the host says so.

From the sheet microlife_hid. A person measures alone and the monitor keeps it; its display shows that when a
host has read it, at once where none is there. With the option `started_by=host` what a person will find waits
for the host's start instead; a start with nobody in the cuff ends in error 3. Setting clock or name is not
obeyed but reported: no gateway may do it. Asleep until it is woken.
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
    ShowFailure,
    Simulator,
    Store,
    Values,
    Violation,
    attempt,
    scaled,
)

REPORT = 8
PREFIX = b"\x12\x16\x18"
STOP, UNLINK, LINK, READ_ALL, START, READ_CLOCK = 0x19, 0x20, 0x21, 0x22, 0x25, 0x26
SETTING = {0x23: "name setting", 0x27: "clock setting"}
ACK = b"\x06"
NAMES = ("systolic", "diastolic", "pulse_rate")
MOST = 99
MEASURING_S = 0.6
NOBODY = "3"

Record = tuple[datetime, tuple[int, ...]]
Result = Measure | Fail


def device(setup: Setup) -> Device:
    """Obey the host."""
    monitor = _Monitor(setup)
    while True:
        cue = yield Await()
        yield from attempt(monitor.take(cue))


class _Monitor:
    def __init__(self, setup: Setup) -> None:
        self._setup = setup
        self._memory: deque[Record] = deque(maxlen=MOST)
        self._next: deque[Result] = deque()
        self._held = b""
        self._unshown: list[Record] = []
        self._host = self._awake = self._linked = self._running = False

    def take(self, cue: Cue | None) -> Device:
        match cue:
            case Attached():
                self._host, self._held, self._awake, self._linked = True, b"", False, False
            case Heard(data):
                for carried in self._carried(data):
                    yield from self._hear(carried)
            case Measure(values):
                numbers = _numbers(values, 255)
                if self._setup.options["started_by"] == "host":
                    self._next.append(cue)
                else:
                    yield from self._found_alone(numbers)
            case Fail(reason):
                if not (reason.isdecimal() and len(reason) == 1):
                    raise OrderRefused("this monitor fails with an error number, 0 to 9")
                self._next.append(cue)
            case Store(records):
                self._memory += [_stored(record) for record in records]
            case _:
                pass

    def _carried(self, data: bytes) -> Iterator[bytes]:
        self._held += data
        while len(self._held) >= REPORT:
            report, self._held = self._held[:REPORT], self._held[REPORT:]
            yield report[1 : 1 + (report[0] & 0x0F)]

    def _hear(self, carried: bytes) -> Device:
        if carried == bytes(5):
            self._awake = True
        elif self._awake and carried[:3] == PREFIX and len(carried) == 4:
            yield from self._obey(carried[3])

    def _obey(self, number: int) -> Device:
        if number in SETTING:
            yield Violation(SETTING[number])
        elif number == READ_CLOCK:
            yield Say(_reports(_answer(f"{self._setup.clock():%m%d%Y%H%M%S}")))
        elif number == READ_ALL:
            yield Say(_reports(_answer(self._memory_text())), result=bool(self._unshown))
            for record in self._unshown:
                yield Show(_shown(record))
            self._unshown.clear()
        elif number in {LINK, UNLINK}:
            self._linked = number == LINK
            yield Say(_reports(ACK))
        elif number == STOP:
            self._running = False
            yield Say(_reports(ACK))
        elif number == START and not self._linked:
            yield Violation("start without a link")
        elif number == START and not self._running:
            yield Say(_reports(ACK))
            yield from self._measure()

    def _found_alone(self, numbers: tuple[int, ...]) -> Device:
        self._memory.append(record := (self._setup.clock().replace(second=0, microsecond=0), numbers))
        if self._host:
            self._unshown.append(record)
        else:
            yield Show(_shown(record))

    def _memory_text(self) -> str:
        owner = self._setup.options["owner"].encode().hex().upper()
        records = "".join(map(_record, reversed(self._memory)))
        return f"{len(self._memory):04X}0000{owner:0<24}{records}"

    def _measure(self) -> Device:
        result = self._next.popleft() if self._next else Fail(NOBODY)
        self._running = True
        yield from attempt(self.take((yield Await(MEASURING_S))))
        if not self._running:
            yield ShowFailure("stopped")
            return
        self._running = False
        if isinstance(result, Fail):
            yield Say(_reports(b"\0\0Er" + bytes([int(result.reason)])), result=True)
            yield ShowFailure(result.reason)
            return
        numbers = _numbers(result.values, 255)
        self._memory.append(record := (self._setup.clock().replace(second=0, microsecond=0), numbers))
        yield Say(_reports(b"\0\0" + bytes(numbers) + bytes(4)), result=True)
        yield Show(_shown(record))


def _reports(message: bytes) -> bytes:
    pieces = (message[at : at + REPORT - 1] for at in range(0, len(message), REPORT - 1))
    return b"".join(bytes([0xF0 | len(piece)]) + piece.ljust(REPORT - 1, b"\0") for piece in pieces)


def _answer(text: str) -> bytes:
    told = text.encode("ascii")
    return ACK + told + f"{sum(told) & 0xFF:02X}".encode("ascii")


def _record(record: Record) -> str:
    at, (systolic, diastolic, pulse) = record
    return f"{at:%y%m%d%H%M}000000{systolic | diastolic << 10 | pulse << 20:08X}00000000"


def _shown(record: Record) -> Values:
    return dict(zip(NAMES, map(str, record[1]), strict=True))


def _numbers(values: Values, limit: int) -> tuple[int, ...]:
    systolic, diastolic, pulse = (scaled(values, name, 0, limit) for name in NAMES)
    if not (systolic > diastolic > 0 and pulse):
        raise OrderRefused("this monitor finds no such blood pressure")
    return systolic, diastolic, pulse


def _stored(told: Values) -> Record:
    try:
        at = datetime.fromisoformat(told["at"])
    except (KeyError, ValueError):
        raise OrderRefused("a stored record needs its time as `at`, in ISO 8601") from None
    if not 2000 <= at.year <= 2099:
        raise OrderRefused("the monitor's years are 2000 to 2099")
    return at, _numbers(told, 1023)


def person(chance: Random) -> Values:
    """Return a plausible person's blood pressure."""
    diastolic = chance.randint(62, 96)
    numbers = diastolic + chance.randint(34, 58), diastolic, chance.randint(55, 98)
    return dict(zip(NAMES, map(str, numbers), strict=True))


SIMULATOR = Simulator(device, person, {"started_by": ("person", "host"), "owner": ("A17", "")})
