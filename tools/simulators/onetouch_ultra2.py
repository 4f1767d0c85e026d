"""A OneTouch Ultra2 on its cable: text questions, a memory newest first, a clock of its own.

From the sheet lifescan_onetouch; the answers to `DM@` and `DMF` as its sources read them. With `first=lost`
nothing is answered to the first question after the host came. An erase is obeyed and reported.
"""

from datetime import datetime, timedelta

from tools.glucose import Memory, Result, moment, person
from tools.simulators import (
    Attached,
    Await,
    Cue,
    Device,
    Heard,
    Pause,
    Say,
    Setup,
    Simulator,
    Violation,
    attempt,
)

WAKE = b"\x11\r"
SERIAL = "SIM001A2Y"
MEALS = {"before": "B", "after": "A"}


def line(text: str) -> bytes:
    """Return a line with its sum: all characters before the blank in front of it."""
    return f"{text} {sum(text.encode('ascii')) & 0xFFFF:04X}\r\n".encode("ascii")


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
        self._deaf = False

    def take(self, cue: Cue | None) -> Device:
        match cue:
            case Attached():
                self._held, self._deaf = b"", self._setup.options["first"] == "lost"
            case Heard(data):
                self._held = (self._held + data)[-256:]
                while (end := self._held.find(b"\r", self._held.find(WAKE) + 2)) >= 0 and WAKE in self._held:
                    question = self._held[self._held.find(WAKE) + 2 : end]
                    self._held = self._held[end + 1 :]
                    yield from self._heed(question.decode("latin-1"))
            case _:
                yield from self._memory.take(cue, self._now())

    def _now(self) -> datetime:
        return self._setup.clock() + self._set_by

    def _heed(self, question: str) -> Device:
        if self._deaf:
            self._deaf = False
        elif question == "DM@":
            yield Say(line(f'@ "{SERIAL}"'))
        elif question == "DMF":
            yield Say(line(f"F {_moment(self._now())}"))
        elif question == "DM?":
            yield Say(line("? P02.00.00 30/08/06"))
        elif question == "DMP":
            yield from self._tell()
        elif question.startswith("DMT"):
            self._set_by = moment(question[3:], "%m/%d/%y %H:%M:%S") - self._setup.clock()
            yield Say(line(f"T {_moment(self._now())}"))
        elif question == "DMZ":
            self._memory.results.clear()
            yield Violation("erase")
            yield Say(line("Z"))

    def _tell(self) -> Device:
        results = list(self._memory.results)
        yield Say(line(f'P {len(results):03d},"{SERIAL}","MG/DL "'))
        for result in results:
            yield Say(line(self._record(result)), result=True)
            yield Pause(0.01)

    def _record(self, result: Result) -> str:
        control = "C" if "control" in result.marks else " "
        value = f" {result.value:03d}"
        if result.value > self._memory.high or result.value < self._memory.low:
            value = " HIGH" if result.value > self._memory.high else "  LOW"
        doubt = "?" if "questionable" in result.marks else " " if len(value) == 4 else ""
        meal = MEALS.get(result.marks.get("meal", ""), "N")
        return f'P {_moment(result.at)},"{control}{value}{doubt}","{meal}","00", 00'


def _moment(at: datetime) -> str:
    return f'"{at:%a}","{at:%m/%d/%y}","{at:%H:%M:%S}   "'.upper()


SIMULATOR = Simulator(device, person, {"first": ("heard", "lost")})
