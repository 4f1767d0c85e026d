"""A FreeStyle Lite on its cable: the one command, a memory under one sum, a clock of its own.

From the sheet freestyle_optium. With `marks=yes` 02 and 03 stand around an answer.
"""

from datetime import datetime

from tools.glucose import Memory, Result, person
from tools.simulators import Attached, Await, Cue, Device, Heard, Say, Setup, Simulator, Violation, attempt

SERIAL, VERSION = "SIMN001-C0824", "1.43       -P"
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "June", "July", "Aug", "Sep", "Oct", "Nov", "Dec")
COMMAND = b"mem"


def device(setup: Setup) -> Device:
    """Answer the host; a person may measure in between."""
    meter = _Meter(setup)
    while True:
        cue = yield Await()
        yield from attempt(meter.take(cue))


class _Meter:
    def __init__(self, setup: Setup) -> None:
        self._setup = setup
        self._memory = Memory(20, 500, 400)
        self._held = b""

    def take(self, cue: Cue | None) -> Device:
        match cue:
            case Attached():
                self._held = b""
            case Heard(data):
                self._held += data
                while COMMAND in self._held:
                    before, _, self._held = self._held.partition(COMMAND)
                    if before:
                        yield Violation(f"{before!r}")
                    yield Say(self._tell(), result=bool(self._memory.results))
                self._held = self._held[-256:]
            case _:
                yield from self._memory.take(cue, self._setup.clock())

    def _tell(self) -> bytes:
        now, results = self._setup.clock(), self._memory.results
        told = f"\r\n{SERIAL}\r\n{VERSION}\r\n{_day(now)} {now:%H:%M:%S}\r\n"
        if results:
            told += f"{len(results):03d}\r\n\n" + "".join(self._record(one) + "\r\n" for one in results)
            told += f"0x{sum(told.encode('ascii')) & 0xFFFF:04X}  END"
        else:
            told += "Log Empty END"
        said = told.encode("ascii")
        return b"\x02" + said + b"\x03" if self._setup.options["marks"] == "yes" else said + b"\r\n"

    def _record(self, result: Result) -> str:
        value = f"{result.value:03d}"
        if not self._memory.low <= result.value <= self._memory.high:
            value = "HI " if result.value > self._memory.high else "LO "
        return f"{value}  {_day(result.at)} {result.at:%H:%M} 00 0x{'control' in result.marks:02X}"


def _day(at: datetime) -> str:
    return f"{MONTHS[at.month - 1]:4} {at:%d %Y}"


SIMULATOR = Simulator(device, person, {"marks": ("no", "yes")})
