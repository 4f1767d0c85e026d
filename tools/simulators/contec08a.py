"""A Contec 08A arm monitor: measures by itself, keeps what it found, tells it when a host asks.

From the sheet contec08a: reports of 64 bytes (option hid) or a stream. Its display shows a measurement when a
host has read it, at once where none is there. Failing as `switched_off` it refuses the next question and is
on again after that. A delete is obeyed and reported: no gateway may send it.
"""

from collections import deque
from collections.abc import Iterator
from datetime import datetime, timedelta
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
    whole,
)

REPORT = 64
COMMANDS = {0x40: 6, 0x42: 6, 0x43: 6, 0x4A: 4, 0x4C: 10}
READ = {
    "hid": {bytes.fromhex(f"43 41 01 0{user} 02 00") for user in (4, 5, 6, 7)},
    "stream": {bytes.fromhex("43 42 01 07 05 00")},
}
DELETE = {bytes.fromhex("43 42 03 07 02 00"), bytes.fromhex("43 42 03 07 03 00")}
CLOCK_FOLLOWS = bytes.fromhex("43 42 02 ff 04 00")
NAMES = ("systolic", "diastolic", "pulse_rate", "mean_pressure")
MOST = 300
"""A hundred records for each of three users."""

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
        self._hid = setup.options["variant"] == "hid"
        self._memory: deque[Record] = deque(maxlen=MOST)
        self._unshown: deque[Record] = deque(maxlen=MOST)
        self._set_by = timedelta()
        self._held = b""
        self._host = self._off = self._setting = False

    def take(self, cue: Cue | None) -> Device:
        match cue:
            case Attached():
                self._host, self._held = True, b""
            case Heard(data):
                for command in self._commands(data):
                    yield from attempt(self._obey(command))
            case Measure(values):
                yield from self._measure(values)
            case Store(records):
                self._memory += [_stored(record) for record in records]
            case Fail(reason):
                if reason != "switched_off":
                    raise OrderRefused("how this monitor tells a failed measurement is not known")
                self._off = True
                if not self._host:
                    yield from self._refuse()
            case _:
                pass

    def _now(self) -> datetime:
        return self._setup.clock() + self._set_by

    def _measure(self, values: Values) -> Device:
        record = self._now().replace(microsecond=0), _numbers(values)
        self._memory.append(record)
        if self._host:
            self._unshown.append(record)
        else:
            yield Show(_shown(record))

    def _commands(self, data: bytes) -> Iterator[bytes]:
        """Yield each whole command; in reports what fills them up is skipped, as are bytes of none."""
        self._held += data
        while self._held:
            size = COMMANDS.get(self._held[0], 1)
            if len(self._held) < (REPORT if self._hid and size > 1 else size):
                return
            command, rest = self._held[:size], self._held[REPORT if self._hid and size > 1 else size :]
            self._held = rest
            if size > 1:
                yield command

    def _obey(self, command: bytes) -> Device:
        if command[0] == 0x40:
            yield self._say(bytes([0x41, 0, 0, 0, 0]))
        elif command[0] == 0x42:
            yield self._say(bytes.fromhex("48 41 02 13 01 02")[: 6 if self._hid else 5])
        elif self._off:
            yield from self._refuse()
        elif command in READ["hid" if self._hid else "stream"]:
            yield from self._tell()
        elif command in DELETE:
            self._memory.clear()
            yield Violation("delete")
            yield self._say(bytes.fromhex("4a 43 01 00"))
        elif command == CLOCK_FOLLOWS:
            self._setting = True
            yield self._say(bytes.fromhex("4a 43 01 00"))
        elif command[0] == 0x4C:
            yield from self._set(command)

    def _refuse(self) -> Device:
        self._off = False
        yield self._say(bytes.fromhex("4a 43 00 00"), result=True)
        yield ShowFailure("switched_off")

    def _tell(self) -> Device:
        if self._hid:
            yield self._say(bytes.fromhex("4a 43 01 00"))
        memory = list(self._memory)
        yield self._say(_header(len(memory)))
        for record in memory:
            fresh = record in self._unshown
            yield self._say(_packed(record), result=fresh)
            if fresh:
                self._unshown.remove(record)
                yield Show(_shown(record))

    def _set(self, command: bytes) -> Device:
        year, month, day, hour, minute, second = (byte & 0x7F for byte in command[3:9])
        try:
            told = datetime(2000 + year, month, day, hour, minute, second)  # noqa: DTZ001 (a device's own time)
        except ValueError:
            yield self._say(bytes.fromhex("4a 4c 01 01"))
            return
        if not self._setting:
            yield Violation("a clock setting that was not announced")
        self._setting, self._set_by = False, told - self._setup.clock()
        yield self._say(bytes.fromhex("4a 4c 01 00"))

    def _say(self, message: bytes, *, result: bool = False) -> Say:
        return Say(message.ljust(REPORT, b"\0") if self._hid else message, result=result)


def _header(count: int) -> bytes:
    """Announce *count* records of the first user; what the bytes between mean is not known."""
    low = count & 0xFF
    unknown = bytes([0x82]) + bytes([0x80] * 7)
    return bytes([0x46, 0x41, 0x80 | low >> 7 << 1, 0x80 | count >> 8, 0x80 | low & 0x7F]) + unknown + b"\x81"


def _packed(record: Record) -> bytes:
    at, (systolic, diastolic, pulse, mean) = record
    first = (systolic >> 8, systolic & 0xFF, diastolic, pulse, mean, at.year - 2000, at.month)
    mask = sum((value >> 7) << place for place, value in enumerate(first))
    last = (at.day, at.hour, at.minute, at.second, 0x11)
    return bytes([0x80 | mask, *(0x80 | v for v in first), 0x80, *(0x80 | v for v in last)])


def _numbers(values: Values) -> tuple[int, ...]:
    """Return what is stored; the mean pressure, where none is told, is what a display might show."""
    systolic, diastolic, pulse = (whole(values, name, 255) for name in NAMES[:3])
    if not (0 < diastolic <= systolic and pulse):
        raise OrderRefused("this monitor stores no such blood pressure")
    told = "mean_pressure" in values
    mean = whole(values, "mean_pressure", 255) if told else diastolic + (systolic - diastolic) // 3
    return systolic, diastolic, pulse, mean


def _stored(told: Values) -> Record:
    try:
        at = datetime.fromisoformat(told["at"])
    except (KeyError, ValueError):
        raise OrderRefused("a stored record needs its time as `at`, in ISO 8601") from None
    if not 2000 <= at.year <= 2127:
        raise OrderRefused("the monitor's years are 2000 to 2127")
    return at, _numbers(told)


def _shown(record: Record) -> Values:
    return dict(zip(NAMES, map(str, record[1]), strict=True))


def person(chance: Random) -> Values:
    """Return a plausible person's blood pressure."""
    diastolic = chance.randint(62, 96)
    systolic = diastolic + chance.randint(34, 58)
    mean, pulse = diastolic + (systolic - diastolic) // 3, chance.randint(55, 98)
    return dict(zip(NAMES, map(str, (systolic, diastolic, pulse, mean)), strict=True))


SIMULATOR = Simulator(device, person, {"variant": ("hid", "stream")})
