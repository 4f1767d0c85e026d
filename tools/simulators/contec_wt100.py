"""A Contec WT100 scale: keeps each weighing and tells its memory when a host asks.

From the sheet contec_wt100. The number of a record is its place in the memory here. A new scale tells
seconds; an old one does not know the question for them. An erase and a clock setting are obeyed and
reported: the driver only reads.
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
    Pause,
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

START, SCALE = b"\x93\x8e", b"\x00\x05"
SET_CLOCK, ERASE, READ, READ_SECONDS = 0x05, 0x07, 0x08, 0x0B
A_PACKET = 5
"""Records in one packet; the sheet states none, several packets are what matters."""

Record = tuple[datetime, int]


def frame(command: int, content: bytes) -> bytes:
    """Return a whole frame: start, count of what follows, device, command, content, sum."""
    body = bytes([len(content) + 4]) + SCALE + bytes([command]) + content
    return START + body + bytes([sum(body) & 0xFF])


def device(setup: Setup) -> Device:
    """Keep each weighing and answer the host."""
    scale = _Scale(setup)
    while True:
        cue = yield Await()
        yield from attempt(scale.take(cue))


class _Scale:
    def __init__(self, setup: Setup) -> None:
        self._setup = setup
        self._seconds = setup.options["firmware"] == "new"
        self._set_by = timedelta()
        self._memory: deque[Record] = deque(maxlen=255)
        self._unshown = 0
        self._held = b""
        self._host = False

    def take(self, cue: Cue | None) -> Device:
        match cue:
            case Attached():
                self._host, self._held = True, b""
            case Heard(data):
                for command, content in self._commands(data):
                    yield from attempt(self._answer(command, content))
            case Measure(values):
                yield from self._weigh(values)
            case Store(records):
                self._memory += [_stored(record) for record in records]
            case Fail():
                raise OrderRefused("how this scale tells a failed weighing is not known")
            case _:
                pass

    def _weigh(self, values: Values) -> Device:
        weight = scaled(values, "body_weight", 2, 0xFFFF)
        if not weight:
            raise OrderRefused("an empty scale keeps nothing")
        self._memory.append((self._setup.clock() + self._set_by, weight))
        if self._host:
            self._unshown += 1
        else:
            yield Show({"body_weight": decimal(weight, 2)})

    def _commands(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        self._held += data
        while (begin := self._held.find(START)) >= 0:
            self._held = self._held[begin:]
            if len(self._held) < 3 or len(self._held) < self._held[2] + 3:
                return
            body = self._held[2 : self._held[2] + 3]
            if len(body) >= 5 and body[1:3] == SCALE and sum(body[:-1]) & 0xFF == body[-1]:
                self._held = self._held[len(body) + 2 :]
                yield body[3], body[4:-1]
            else:
                self._held = self._held[1:]

    def _answer(self, command: int, content: bytes) -> Device:
        if command == READ or (command == READ_SECONDS and self._seconds):
            yield from self._tell(command)
        elif command == ERASE:
            self._memory.clear()
            yield Violation("erase")
        elif command == SET_CLOCK and len(content) == 6:
            yield Violation("clock setting")
            yield from self._set(content)

    def _set(self, content: bytes) -> Device:
        year, month, day, hour, minute, second = content
        try:
            told = datetime(2000 + year, month, day, hour, minute, second)  # noqa: DTZ001 (a device's own time)
        except ValueError:
            raise OrderRefused("a clock setting that is no date") from None
        self._set_by = told - self._setup.clock()
        yield Say(frame(SET_CLOCK, content + bytes([self._seconds])))

    def _tell(self, command: int) -> Device:
        memory = list(self._memory)
        total = -(-len(memory) // A_PACKET)
        if not total:
            yield Say(frame(command, b"\0"))
        for packet in range(total):
            first = packet * A_PACKET
            records = memory[first : first + A_PACKET]
            told = b"".join(
                _stamp(at, seconds=command == READ_SECONDS) + bytes([first + n]) + weight.to_bytes(2, "big")
                for n, (at, weight) in enumerate(records)
            )
            fresh = self._unshown and packet == total - 1
            yield Say(frame(command, bytes([total, packet + 1, len(records)]) + told), result=bool(fresh))
            yield Pause(0.02)
        for _, weight in memory[len(memory) - self._unshown :]:
            yield Show({"body_weight": decimal(weight, 2)})
        self._unshown = 0


def _stamp(at: datetime, *, seconds: bool) -> bytes:
    stamp = bytes([at.year - 2000, at.month, at.day, at.hour, at.minute])
    return stamp + bytes([at.second] * seconds)


def _stored(told: Values) -> Record:
    try:
        at = datetime.fromisoformat(told["at"])
    except (KeyError, ValueError):
        raise OrderRefused("a stored record needs its time as `at`, in ISO 8601") from None
    if not 2000 <= at.year <= 2255:
        raise OrderRefused("the scale's years are 2000 to 2255")
    return at, scaled(told, "body_weight", 2, 0xFFFF)


def person(chance: Random) -> Values:
    """Return a plausible person's weight in kg."""
    return {"body_weight": decimal(chance.randint(4200, 9800), 2)}


SIMULATOR = Simulator(device, person, {"firmware": ("new", "old")})
