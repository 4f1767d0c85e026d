"""A FreeStyle Optium on its cable: text commands, a memory newest first under one sum, a clock in minutes.

From the sheet freestyle_optium. With `first=ignored` the first command after the host came gets an empty
answer.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta

from tools.glucose import Memory, Result, moment, person
from tools.simulators import Attached, Await, Cue, Device, Heard, Say, Setup, Simulator, attempt

SERIAL, VERSION = "SIMX001-A0BC2", "0.22"
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
END = "\r\n"


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
        self._memory = Memory(20, 500, 450)
        self._held = b""
        self._deaf = False

    def take(self, cue: Cue | None) -> Device:
        match cue:
            case Attached():
                self._held, self._deaf = b"", self._setup.options["first"] == "ignored"
            case Heard(data):
                for command in self._commands(data):
                    yield from self._heed(command)
            case _:
                yield from self._memory.take(cue, self._now())

    def _now(self) -> datetime:
        return self._setup.clock() + self._set_by

    def _commands(self, data: bytes) -> Iterator[str]:
        self._held = (self._held + data)[-256:]
        while (end := self._held.find(b"\r\n")) >= 0:
            line, self._held = self._held[:end], self._held[end + 2 :]
            yield line.decode("latin-1")

    def _heed(self, command: str) -> Device:
        if self._deaf:
            self._deaf = False
            yield Say(b"\r\n")
        elif command == "$colq":
            yield Say(self._state().encode("ascii"))
        elif command == "$xmem":
            memory = self._tell()
            yield Say(
                f"{memory}0x{sum(memory.encode('ascii')) & 0xFFFF:04X}  END{END}".encode("ascii"), result=True
            )
        elif command.startswith("$tim,"):
            told = moment(command.removeprefix("$tim,"), "%m,%d,%y,%H,%M")
            self._set_by = told - self._setup.clock()
            yield Say(b"CMD OK\r\n")

    def _state(self) -> str:
        now = self._now()
        clock = f"{MONTHS[now.month - 1]}  {now:%d %Y}\t{now:%H:%M:%S}"
        lines = (
            f"S/N:\t{SERIAL}",
            f"Ver:\t{VERSION}\tMMOL",
            f"Clock:\t{clock}",
            "Market:\t1\t2",
            "ROM:\t1\t2\t3\t4",
            f"Usage:\t{len(self._memory.results)}",
            "CMD OK",
        )
        return "".join(line + END for line in lines)

    def _tell(self) -> str:
        now, results = self._now(), self._memory.results
        head = ("", SERIAL, VERSION, f"{_day(now)} {now:%H:%M:%S}", f"{len(results):03d}")
        return "".join(line + END for line in (*head, *map(self._record, results)))

    def _record(self, result: Result) -> str:
        value = f"{result.value:03d}"
        if not self._memory.low <= result.value <= self._memory.high:
            value = "HI " if result.value > self._memory.high else "LO "
        status = ("control" in result.marks) | ("clock_lost" in result.marks) << 1
        kind = "K" if result.marks.get("kind") == "ketone" else "G"
        return f"{value}  {_day(result.at)} {result.at:%H:%M} {kind} 0x{status:02X}"


def _day(at: datetime) -> str:
    full = {6: "June", 7: "July"}
    return f"{full.get(at.month, MONTHS[at.month - 1] + ' ')} {at:%d %Y}"


SIMULATOR = Simulator(device, person, {"first": ("heard", "ignored")})
