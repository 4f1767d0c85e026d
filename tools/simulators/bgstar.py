"""A BGStar on its cable: text questions ended by CR, a memory newest first, failed tests kept as well.

From the sheet other_glucose_meters and glucometer-protocols. What is no question is reported.
"""

from datetime import datetime

from tools.glucose import Memory, Result, person
from tools.simulators import (
    Await,
    Cue,
    Device,
    Fail,
    Heard,
    Say,
    Setup,
    ShowFailure,
    Simulator,
    Violation,
    attempt,
)

NAME, SERIAL = "SIMU-AR", "SIM00000000001"
MEALS = {"before breakfast": 1, "after breakfast": 2, "before lunch": 3, "after lunch": 4}
FULL = 1865


def device(setup: Setup) -> Device:
    """Answer the host; a person may measure in between."""
    meter = _Meter(setup)
    while True:
        cue = yield Await()
        yield from attempt(meter.take(cue))


class _Meter:
    def __init__(self, setup: Setup) -> None:
        self._setup = setup
        self._memory = Memory(20, 600, FULL, (2000, 2999))
        self._held = b""

    def take(self, cue: Cue | None) -> Device:
        match cue:
            case Heard(data):
                self._held = (self._held + data)[-256:]
                while (end := self._held.find(b"\r")) >= 0:
                    question, self._held = self._held[:end], self._held[end + 1 :]
                    yield from self._heed(question.decode("latin-1"))
            case Fail(reason):
                self._memory.results.insert(0, Result(self._setup.clock(), 0, {"failed": reason}))
                yield ShowFailure(reason)
            case _:
                yield from self._memory.take(cue, self._setup.clock())

    def _heed(self, question: str) -> Device:
        now, results = self._setup.clock(), self._memory.results
        words = question.split(" ")
        if question == "hello":
            yield Say(_line(f"hello {NAME}"))
        elif question == "get serial":
            yield Say(_line(f"serial {SERIAL}"))
        elif question == "get datetime":
            yield Say(_line(f"datetime {_moment(now)}"))
        elif question == "get glucount":
            yield Say(_line(f"glucount {len(results)}"))
        elif words[:2] == ["get", "glurec"] and words[2:] and words[2].isdecimal():
            number = int(words[2])
            if number < len(results):
                yield Say(_line(f"glurec {_record(results[number])}"), result=True)
        else:
            yield Violation(f"not a question: {question}")


def _line(text: str) -> bytes:
    return f"200 {text}\r".encode("ascii", "replace")


def _record(result: Result) -> str:
    value = f"E{result.marks['failed']}" if "failed" in result.marks else str(result.value)
    return f"1 0 {value} {MEALS.get(result.marks.get('meal', ''), 0)} {_moment(result.at)}"


def _moment(at: datetime) -> str:
    return f"{at.year} {at.month} {at.day} {at.hour} {at.minute} {at.second}"


SIMULATOR = Simulator(device, person)
