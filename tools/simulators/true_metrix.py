"""A TRUE METRIX in its cradle: whole HID reports with text in brackets, a memory newest first.

From the sheet other_glucose_meters. With `lead=none` no A0 stands before what it sends, as its one known
client reads it. Switched off by the host it says nothing until it is woken; that is reported, no gateway may
do it.
"""

from tools.glucose import Memory, Result, person
from tools.simulators import Attached, Await, Cue, Device, Heard, Say, Setup, Simulator, Violation, attempt

SIZE = 64
ROOM = 60
"""Bytes of text in one report; the sheet states none."""
SERIAL, MODEL, FIRMWARE = "SIM00001", "MR2", "v1.00"


def message(content: str) -> bytes:
    """Return a message: brackets, and two digits of the sum of all characters, brackets too."""
    text = f"({content})".encode("ascii")
    return text + f"{sum(text) & 0xFF:02X}".encode("ascii")


def device(setup: Setup) -> Device:
    """Answer the host; a person may measure in between."""
    meter = _Meter(setup)
    while True:
        cue = yield Await()
        yield from attempt(meter.take(cue))


class _Meter:
    def __init__(self, setup: Setup) -> None:
        self._setup = setup
        self._memory = Memory(20, 600, 500)
        self._held = b""
        self._awake = False

    def take(self, cue: Cue | None) -> Device:
        match cue:
            case Attached():
                self._held, self._awake = b"", False
            case Heard(data):
                self._held += data
                while len(self._held) >= SIZE:
                    report, self._held = self._held[:SIZE], self._held[SIZE:]
                    yield from self._heed(report)
            case _:
                yield from self._memory.take(cue, self._setup.clock())

    def _heed(self, report: bytes) -> Device:
        text = report[2 : 2 + report[1]] if report[0] == 0xA0 else b""
        command = text[1:-3].decode("latin-1")
        if not text or text != message(command):
            return
        if command == "^":
            self._awake = True
            yield from self._say(message("*"))
        elif self._awake:
            yield from self._answer(command)

    def _answer(self, command: str) -> Device:
        now = self._setup.clock()
        match command:
            case "I":
                yield from self._say(message(f"i{MODEL}"))
            case "Z1":
                yield from self._say(message(f"z1{SERIAL}"))
            case "V":
                yield from self._say(message(FIRMWARE))
            case "T":
                yield from self._say(message(f"t{now:%S%M%H%d%m%y}"))
            case "G":
                digits = [_digits(result) for result in self._memory.results]
                total = f"x5{sum(''.join(digits).encode('ascii')) & 0xFFFF:04X}"
                text = b"".join(message(f"g5{one}") for one in digits) + message(total)
                yield from self._say(text, result=True)
            case "_":
                self._awake = False
                yield Violation("power off")

    def _say(self, text: bytes, *, result: bool = False) -> Device:
        lead = b"\xa0" if self._setup.options["lead"] == "a0" else b""
        for begin in range(0, len(text), ROOM):
            part = text[begin : begin + ROOM]
            yield Say((lead + bytes([len(part)]) + part).ljust(SIZE, b"\0"), result=result)


def _digits(result: Result) -> str:
    at = result.at
    control = int("control" in result.marks)
    day, time = at.day * 100 + at.year % 100, at.hour * 100 + at.minute
    return f"{at.month:X}{day:03X}{time:03X}{result.value:03X}0{control}"


SIMULATOR = Simulator(device, person, {"lead": ("a0", "none")})
