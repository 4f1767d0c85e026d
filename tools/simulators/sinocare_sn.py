"""A Sinocare Safe-Accu meter on its "SN" protocol: results as they come, a memory, a clock of its own.

From the sheets sinocare_sn (serial) and sinocare (HI and LO). The clock may run wrong on purpose; the
host may set it. An erase is obeyed and reported: no gateway may send it unasked.
"""

from collections import deque
from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import Decimal, InvalidOperation
from random import Random

from tools.simulators import (
    Await,
    Cue,
    Device,
    Fail,
    Heard,
    Measure,
    OrderRefused,
    Pause,
    Refuse,
    Say,
    Setup,
    Show,
    Simulator,
    Store,
    Values,
    Violation,
    attempt,
    decimal,
    scaled,
)

START, DEVICE = b"SN", b"\x00\x04"
CONNECT, ERROR, BLOOD, RESULT, RECORDS, SET_CLOCK, IDENTIFY, ERASE = range(1, 9)
UNASKED = {0x09: "correction code", 0x0A: "start", 0x0B: "power off"}
HIGH, LOW = Decimal("33.3"), Decimal("1.1")
A_PACKET = 5
"""Records in one packet; the sheet states none, several packets are what matters."""
SERIAL = b"SIM0001"

Record = tuple[datetime, int]


def frame(command: int, content: bytes) -> bytes:
    """Return a whole frame: start, count of what follows, device code, command, content, sum."""
    body = bytes([len(content) + 4]) + DEVICE + bytes([command]) + content
    return START + body + bytes([sum(body) & 0xFF])


def device(setup: Setup) -> Device:
    """Answer the host and send each result when it is there."""
    meter = _Meter(setup)
    while True:
        cue = yield Await()
        yield from attempt(meter.take(cue))


class _Meter:
    def __init__(self, setup: Setup) -> None:
        self._setup = setup
        self._seconds = setup.options["firmware"] == "new"
        self._set_by = timedelta()
        self._memory: deque[Record] = deque(maxlen=255 * A_PACKET)
        self._held = b""

    def take(self, cue: Cue | None) -> Device:
        match cue:
            case Heard(data):
                for command, content in self._commands(data):
                    yield from self._answer(command, content)
            case Measure():
                yield from self._measure(cue)
            case Store(records):
                self._memory += [_record(record) for record in records]
            case Fail():
                yield Refuse("this meter's error list is not known: only HI and LO")
            case _:
                pass

    def _now(self) -> datetime:
        return self._setup.clock() + self._set_by

    def _commands(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        self._held += data
        while (begin := self._held.find(START)) >= 0:
            self._held = self._held[begin:]
            if len(self._held) < 3 or len(self._held) < self._held[2] + 3:
                return
            body = self._held[2 : self._held[2] + 3]
            if len(body) >= 5 and sum(body[:-1]) & 0xFF == body[-1]:
                self._held = self._held[len(body) + 2 :]
                yield body[3], body[4:-1]
            else:
                self._held = self._held[1:]

    def _answer(self, command: int, content: bytes) -> Device:
        match command:
            case 0x01:
                yield Say(frame(CONNECT, content))
            case 0x05:
                for packet in self._packets():
                    yield Say(frame(RECORDS, packet))
                    yield Pause(0.02)
            case 0x06:
                self._set(content)
                yield Say(frame(SET_CLOCK, content))
            case 0x07:
                yield Say(frame(IDENTIFY, SERIAL + self._stamp(self._now())))
            case 0x08:
                self._memory.clear()
                yield Violation("erase")
                yield Say(frame(ERASE, b"\x01"))
            case _ if command in UNASKED:
                yield Violation(UNASKED[command])

    def _set(self, content: bytes) -> None:
        if len(content) not in {5, 6}:
            raise OrderRefused("a clock setting has 5 or 6 bytes")
        year, month, day, hour, minute = content[:5]
        second = content[5] if len(content) == 6 else 0
        try:
            told = datetime(2000 + year, month, day, hour, minute, second)  # noqa: DTZ001 (a device's own time)
        except ValueError:
            raise OrderRefused("a clock setting that is no date") from None
        self._set_by = told - self._setup.clock()

    def _packets(self) -> Iterator[bytes]:
        total = -(-len(self._memory) // A_PACKET)
        if total == 0:
            yield bytes(3)
        memory = list(self._memory)
        for number in range(total):
            records = memory[number * A_PACKET : (number + 1) * A_PACKET]
            told = b"".join(
                _minutes(at) + value.to_bytes(2, "big") + bytes([at.second]) for at, value in records
            )
            yield bytes([total, number + 1, len(records)]) + told

    def _measure(self, measure: Measure) -> Device:
        beyond = _beyond(measure.values.get("glucose", ""))
        value = 0 if beyond else scaled(measure.values, "glucose", 1, 0xFFFF)
        yield Say(frame(BLOOD, b""))
        yield Pause(0.05)
        if beyond:
            mark, shown = beyond
            yield Say(frame(ERROR, bytes([1, mark])), result=True)
            yield Show({"glucose": shown})
            return
        at = self._now()
        self._memory.append((at, value))
        yield Say(frame(RESULT, self._stamp(at) + self._tail(value)), result=True)
        yield Show({"glucose": decimal(value, 1)})

    def _stamp(self, at: datetime) -> bytes:
        return _minutes(at) + bytes([at.second] * self._seconds)

    def _tail(self, value: int) -> bytes:
        temperature = (225).to_bytes(2, "big")
        return value.to_bytes(2, "big") + b"\x00" + temperature + b"\x00" * self._seconds


def _minutes(at: datetime) -> bytes:
    return bytes([at.year - 2000, at.month, at.day, at.hour, at.minute])


def _record(told: Values) -> Record:
    try:
        at = datetime.fromisoformat(told["at"])
    except (KeyError, ValueError):
        raise OrderRefused("a stored record needs its time as `at`, in ISO 8601") from None
    if not 2000 <= at.year <= 2255:
        raise OrderRefused("the meter's years are 2000 to 2255")
    return at, scaled(told, "glucose", 1, 0xFFFF)


def _beyond(glucose: str) -> tuple[int, str] | None:
    """Return the mark and the words where the meter shows HI or LO."""
    try:
        high = glucose == "HI" or (glucose != "LO" and Decimal(glucose) > HIGH)
        low = glucose == "LO" or (glucose != "HI" and Decimal(glucose) < LOW)
    except InvalidOperation:
        return None
    if high:
        return 0x01, f">{HIGH}"
    return (0x02, f"<{LOW}") if low else None


def person(chance: Random) -> Values:
    """Return a plausible person's blood sugar in mmol/L."""
    return {"glucose": decimal(chance.randint(39, 139), 1)}


SIMULATOR = Simulator(device, person, {"firmware": ("new", "old")})
