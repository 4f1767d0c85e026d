"""A PAR / Medlab NIBP module: inflates on the host's start, streams digits, tells its last result for ever.

From the sheet par_nibp20xx. The order of the second and third pressure is a choice, as no source confirms it.
What the message numbers mean is not known; any may be simulated. The module has no display: what is shown is
what every source agrees on.
"""

import re
from collections import deque
from collections.abc import Iterator
from random import Random

from tools.simulators import (
    Await,
    Cue,
    Device,
    Fail,
    Heard,
    Measure,
    OrderRefused,
    Say,
    Setup,
    Show,
    ShowFailure,
    Simulator,
    Values,
    Violation,
    attempt,
    whole,
)

START, MANUAL, STATUS = "01", "03", "18"
COMMAND = re.compile(r"\x02([^\x02\x03]*;;)([0-9A-F]{2})\x03")
LONGEST = 64
CURVE = (20, 60, 110, 160, 140, 120, 100, 80, 60, 40, 999)
STEP_S = 0.05
CERTAIN = ("systolic", "pulse_rate")

Found = Measure | Fail


def framed(text: str) -> str:
    """Return a whole message: start, text, sum, end."""
    return f"\x02{text}{sum(text.encode('ascii')) & 0xFF:02X}\x03"


def device(setup: Setup) -> Device:
    """Obey the host."""
    module = _Module(setup)
    while True:
        yield from attempt(module.take((yield Await())))


class _Module:
    def __init__(self, setup: Setup) -> None:
        self._mean_second = setup.options["second"] == "mean"
        self._held = ""
        self._next: deque[Found] = deque()
        self._running = False
        self._last = ("00", "000000000", "000")
        self._shown: Show | ShowFailure | None = None

    def take(self, cue: Cue | None) -> Device:
        match cue:
            case Heard(data):
                for command in self._commands(data):
                    yield from self._obey(command)
            case Measure() | Fail():
                self._outcome(cue)
                self._next.append(cue)
            case _:
                pass

    def _commands(self, data: bytes) -> Iterator[str]:
        self._held = (self._held + data.decode("latin-1"))[-LONGEST:]
        while (found := COMMAND.search(self._held)) is not None:
            self._held = self._held[found.end() :]
            if int(found[2], 16) == sum(found[1].encode("latin-1")) & 0xFF:
                yield found[1].removesuffix(";;")

    def _obey(self, command: str) -> Device:
        if command == STATUS:
            message, pressures, pulse = self._last
            body = f"S{int(self._running)};A0;C00;M{message};P{pressures};R{pulse};T0000;;"
            yield Say(f"{framed(body)}\r".encode("ascii"), result=self._shown is not None)
            if self._shown is not None:
                yield self._shown
            self._shown = None
        elif command == START and not self._running:
            yield from self._measure()
        elif command not in {START, MANUAL}:
            yield Violation(f"sent {command!r}")

    def _measure(self) -> Device:
        found = self._next.popleft() if self._next else Fail("01")
        self._running = True
        for cuff in CURVE:
            yield Say(f"{cuff:03d}".encode("ascii"))
            yield from attempt(self.take((yield Await(STEP_S))))
        self._running = False
        self._last = self._outcome(found)
        if isinstance(found, Fail):
            self._shown = ShowFailure(found.reason)
        else:
            self._shown = Show({name: str(whole(found.values, name, 299)) for name in CERTAIN})

    def _outcome(self, found: Found) -> tuple[str, str, str]:
        """Return message, pressures and pulse as the status tells them."""
        if isinstance(found, Fail):
            if not re.fullmatch("[0-9]{2}", found.reason) or found.reason == "00":
                raise OrderRefused("a failure is a message number of two digits, not 00")
            return found.reason, self._last[1], self._last[2]
        names = ["systolic", "diastolic", "mean_pressure"]
        if self._mean_second:
            names = ["systolic", "mean_pressure", "diastolic"]
        pressures = "".join(f"{whole(found.values, name, 299):03d}" for name in names)
        return "00", pressures, f"{whole(found.values, 'pulse_rate', 299):03d}"


def person(chance: Random) -> Values:
    """Return a plausible person's blood pressure."""
    diastolic = chance.randint(62, 96)
    systolic = diastolic + chance.randint(34, 58)
    return {
        "systolic": str(systolic),
        "mean_pressure": str(diastolic + (systolic - diastolic) // 3),
        "diastolic": str(diastolic),
        "pulse_rate": str(chance.randint(55, 98)),
    }


SIMULATOR = Simulator(device, person, {"second": ("diastolic", "mean")})
