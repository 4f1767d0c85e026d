"""A CareSens on its cable: a probe byte, packets with a CRC, results without one, its clock.

From the sheet other_glucose_meters. Whether record 1 is the newest no source tells: `order` has both. With
`protocol=1` it is an older meter, which answers the probe and nothing else.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta

from tools.glucose import Memory, Result, moment, person
from tools.simulators import Attached, Await, Cue, Device, Heard, Say, Setup, Simulator, Violation, attempt

START, END = b"\x02iSPc", 3
SERIAL = b"SIM0000001"
PROBES = {"3": b"\x2e", "1": b"\x20"}


def crc(data: bytes) -> int:
    """Return the CRC: polynomial 1021, begun at FFFF."""
    value = 0xFFFF
    for byte in data:
        value ^= byte << 8
        for _ in range(8):
            value = (value << 1 ^ (0x1021 if value & 0x8000 else 0)) & 0xFFFF
    return value


def packet(name: bytes, data: bytes, *, checked: bool = True) -> bytes:
    """Return a packet; one that is not *checked* has zeros for its CRC."""
    body = START + bytes([7 + len(data)]) + name + data
    return body + (crc(body + b"\x03") if checked else 0).to_bytes(2) + b"\x03"


def device(setup: Setup) -> Device:
    """Answer the host; a person may measure in between."""
    meter = _Meter(setup)
    while True:
        cue = yield Await()
        yield from attempt(meter.take(cue))


class _Meter:
    def __init__(self, setup: Setup) -> None:
        self._setup = setup
        self._set_by = timedelta()
        self._memory = Memory(20, 600, 500)
        self._held = b""

    def take(self, cue: Cue | None) -> Device:
        match cue:
            case Attached():
                self._held = b""
            case Heard(data):
                for asked in self._packets(data):
                    yield from self._heed(asked)
            case _:
                yield from self._memory.take(cue, self._now())

    def _now(self) -> datetime:
        return self._setup.clock() + self._set_by

    def _packets(self, data: bytes) -> Iterator[bytes]:
        """Yield each probe byte and each whole packet."""
        self._held = (self._held + data)[-512:]
        while self._held:
            begin = self._held.find(START)
            if begin or len(self._held) < 6:
                if begin < 0 and any(START.startswith(self._held[-n:]) for n in range(1, 6)):
                    return
                yield from (b"\x80" for byte in self._held[: max(begin, 0) or None] if byte == 0x80)
                self._held = self._held[begin:] if begin > 0 else b""
                continue
            size = 6 + self._held[5]
            if len(self._held) < size:
                return
            asked, self._held = self._held[:size], self._held[size:]
            yield asked

    def _heed(self, asked: bytes) -> Device:
        protocol = self._setup.options["protocol"]
        if asked == b"\x80":
            yield Say(PROBES[protocol])
        elif protocol == "3":
            yield from self._answer(asked)

    def _answer(self, asked: bytes) -> Device:
        name, data = asked[6:10], asked[10:-3]
        if asked[-1] != END or len(asked) < 13:
            yield Say(packet(b"SIZE", b""))
        elif crc(asked[:-3] + b"\x03") != int.from_bytes(asked[-3:-1]):
            yield Say(packet(b"ECRC", b""))
        elif name == b"NCOT":
            yield Say(packet(name, len(self._memory.results).to_bytes(2)))
        elif name == b"RSNB":
            yield Say(packet(name, SERIAL + b"\0"))
        elif name == b"RTIM":
            yield Say(packet(name, _time(self._now())))
        elif name == b"WTIM" and len(data) == 6:
            told = moment("-".join(map(str, data)), "%y-%m-%d-%H-%M-%S")
            self._set_by = told - self._setup.clock()
            yield Say(packet(name, data))
        elif name == b"GLUE" and len(data) == 3:
            yield from self._tell(int.from_bytes(data[:2]), data[2])
        else:
            yield Violation(f"command {name!r}")
            yield Say(packet(b"CMND", b""))

    def _tell(self, first: int, count: int) -> Device:
        results = self._memory.results
        if self._setup.options["order"] == "oldest":
            results = results[::-1]
        told = results[first - 1 : first - 1 + count]
        if not (first >= 1 and 1 <= count <= 27) or len(told) != count:
            yield Violation(f"records {first} and {count - 1} more")
            return
        yield Say(packet(b"GLUE", b"".join(map(self._record, told)), checked=False), result=True)

    def _record(self, result: Result) -> bytes:
        flags = 0x01 if "control" in result.marks else 0
        flags |= 0x02 if result.marks.get("meal") == "after" else 0
        flags |= 0x04 if result.value < self._memory.low else 0
        flags |= 0x08 if result.value > self._memory.high else 0
        flags |= 0x40 if result.marks.get("kind") == "ketone" else 0
        return _time(result.at) + bytes([flags or 0x20]) + result.value.to_bytes(2)


def _time(at: datetime) -> bytes:
    return bytes([at.year - 2000, at.month, at.day, at.hour, at.minute, at.second])


SIMULATOR = Simulator(device, person, {"order": ("newest", "oldest"), "protocol": ("3", "1")})
