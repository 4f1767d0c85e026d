"""An AGM-4000 on its cable: one byte in a report from the host, whole answers back, a memory newest first.

From the sheet other_glucose_meters. With `first=nothing` the first question after the host came is answered
by zeros, as the one known client expects it now and then. `cable=port` is the serial cable, without reports.
"""

from tools.glucose import Memory, Result, person
from tools.simulators import Attached, Await, Cue, Device, Heard, Say, Setup, Simulator, Violation, attempt

SIZE = 64
SERIAL = b"SIM0001"
EVENTS = {"after": 1, "before": 2}
NOTHING = bytes(SIZE)


def message(command: int, data: bytes) -> bytes:
    """Return a message with its two checks."""
    size = 1 + len(data)
    low, high = 0x80 ^ (255 - size), size ^ command
    for place, byte in enumerate(data):
        if place % 2:
            high ^= byte
        else:
            low ^= byte
    return bytes([0x80, size, 255 - size, command]) + data + bytes([255 - low, 255 - high])


def device(setup: Setup) -> Device:
    """Answer the host; a person may measure in between."""
    meter = _Meter(setup)
    while True:
        cue = yield Await()
        yield from attempt(meter.take(cue))


class _Meter:
    def __init__(self, setup: Setup) -> None:
        self._setup = setup
        self._hid = setup.options["cable"] == "hid"
        self._memory = Memory(20, 600, 500, years=(2000, 2127))
        self._held = self._asked = b""
        self._deaf = False

    def take(self, cue: Cue | None) -> Device:
        match cue:
            case Attached():
                self._held = self._asked = b""
                self._deaf = self._setup.options["first"] == "nothing"
            case Heard(data):
                for byte in self._bytes(data):
                    yield from self._hear(byte)
            case _:
                yield from self._memory.take(cue, self._setup.clock())

    def _bytes(self, data: bytes) -> bytes:
        """Return what the host says: of each report the first byte."""
        if not self._hid:
            return data
        held = self._held + data
        whole = len(held) // SIZE * SIZE
        self._held = held[whole:]
        return held[:whole:SIZE]

    def _hear(self, byte: int) -> Device:
        if not self._asked and byte != 0x80:
            return
        self._asked += bytes([byte])
        if len(self._asked) == 3 and self._asked[1] + byte != 255:
            self._asked = b""
        elif len(self._asked) > 3 and len(self._asked) == self._asked[1] + 5:
            asked, self._asked = self._asked, b""
            if asked == message(asked[3], asked[4:-2]):
                yield from self._heed(asked[3], asked[4:-2])

    def _heed(self, command: int, data: bytes) -> Device:
        results = self._memory.results
        index = int.from_bytes(data)
        if self._deaf:
            self._deaf = False
            yield Say(NOTHING if self._hid else b"\0")
        elif command == 0 and not data:
            yield from self._say(command, len(results).to_bytes(2))
        elif command == 9 and not data:
            yield from self._say(command, SERIAL + b"\0")
        elif command == 1 and len(data) == 2 and index < len(results):
            yield from self._say(command, data + _bits(results[index]), result=True)
        else:
            yield Violation(f"command {command:02x} {data.hex(' ')}".strip())

    def _say(self, command: int, data: bytes, *, result: bool = False) -> Device:
        said = message(command, data)
        yield Say(said.ljust(SIZE, b"\0") if self._hid else said, result=result)


def _bits(result: Result) -> bytes:
    at = result.at
    event = 3 if "control" in result.marks else EVENTS.get(result.marks.get("meal", ""), 0)
    day = (at.year - 2000) << 9 | at.month << 5 | at.day
    time = event << 14 | at.hour << 6 | at.minute
    return day.to_bytes(2) + result.value.to_bytes(2) + time.to_bytes(2)


SIMULATOR = Simulator(device, person, {"first": ("answered", "nothing"), "cable": ("hid", "port")})
