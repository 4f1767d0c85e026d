"""A OneTouch UltraMini on its cable: packets with toggles, a memory newest first, seconds since 1970.

From the sheet lifescan_onetouch. The toggles stand as the last host left them until a reset packet comes;
what is out of step is not answered. An erase is obeyed and reported.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta

from tools.glucose import Memory, person
from tools.simulators import Await, Cue, Device, Heard, Say, Setup, Simulator, Violation, attempt

STX, ETX = 0x02, 0x03
SEND, EXPECT, ACK, RESET = 1, 2, 4, 8
SERIAL = b"SIM001A2M"
COUNT = 501
EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 (a device's own time)


def crc(data: bytes) -> int:
    """Return the CRC-16-CCITT of *data*, begun at FFFF."""
    found = 0xFFFF
    for bit in range(len(data) * 8):
        found ^= (data[bit // 8] >> (7 - bit % 8) & 1) << 15
        found = (found << 1 ^ (0x1021 if found & 0x8000 else 0)) & 0xFFFF
    return found


def packet(link: int, message: bytes = b"") -> bytes:
    """Return a packet: start, length of all, link, message, end, CRC low byte first."""
    body = bytes([STX, len(message) + 6, link]) + message + bytes([ETX])
    return body + crc(body).to_bytes(2, "little")


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
        self._memory = Memory(20, 600, 500, (1970, 2099))
        self._held = b""
        self._send = self._expect = setup.chance.randint(0, 1)

    def take(self, cue: Cue | None) -> Device:
        match cue:
            case Heard(data):
                for link, message in self._packets(data):
                    yield from self._heed(link, message)
            case _:
                yield from self._memory.take(cue, self._now())

    def _now(self) -> datetime:
        return self._setup.clock() + self._set_by

    def _packets(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        self._held += data
        while (begin := self._held.find(STX)) >= 0:
            self._held = self._held[begin:]
            if len(self._held) < 2 or len(self._held) < self._held[1]:
                return
            whole = self._held[: self._held[1]]
            if len(whole) >= 6 and crc(whole[:-2]).to_bytes(2, "little") == whole[-2:]:
                self._held = self._held[len(whole) :]
                yield whole[2], whole[3:-3]
            else:
                self._held = self._held[1:]

    def _heed(self, link: int, message: bytes) -> Device:
        if link & RESET:
            self._send = self._expect = 0
            yield Say(packet(RESET | ACK))
        elif message and link & SEND == self._expect:
            self._expect ^= 1
            yield Say(packet(ACK | self._link()))
            yield from self._answer(message)
        elif not message and link & ACK:
            self._send = (link & EXPECT) >> 1

    def _link(self) -> int:
        return self._send * SEND | self._expect * EXPECT

    def _answer(self, message: bytes) -> Device:
        content = b""
        if message.startswith(b"\x05\x0b\x02"):
            content = b"\x05\x06" + SERIAL
        elif message.startswith(b"\x05\x0d\x02"):
            content = b"\x05\x06\x11P02.00.0025/05/07"
        elif message.startswith(b"\x05\x20\x01") and len(message) == 7:
            told = EPOCH + timedelta(seconds=int.from_bytes(message[3:], "little"))
            self._set_by = told - self._setup.clock()
            content = b"\x05\x06" + _seconds(self._now())
        elif message.startswith(b"\x05\x20\x02"):
            content = b"\x05\x06" + _seconds(self._now())
        elif message.startswith(b"\x05\x1f") and len(message) == 4:
            content = self._record(int.from_bytes(message[2:], "little"))
        elif message == b"\x05\x1a":
            self._memory.results.clear()
            yield Violation("erase")
            content = b"\x05\x06"
        if content:
            yield Say(
                packet(self._link(), content), result=content.startswith(b"\x05\x06") and len(content) == 10
            )

    def _record(self, number: int) -> bytes:
        results = self._memory.results
        if number == COUNT:
            return b"\x05\x0f" + len(results).to_bytes(2, "little")
        if number >= len(results):
            return b""
        found = results[number]
        value = 0xFFFF if found.value > self._memory.high else found.value
        return b"\x05\x06" + _seconds(found.at) + value.to_bytes(4, "little")


def _seconds(at: datetime) -> bytes:
    return ((at - EPOCH) // timedelta(seconds=1)).to_bytes(4, "little")


SIMULATOR = Simulator(device, person)
