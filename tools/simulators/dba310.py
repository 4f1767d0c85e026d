"""A DBA-310 body-composition machine: answers what the host asks. From the sheet height_weight_lines.

Fat and water follow the weight by fixed shares. A result that nobody read is gone when the next host comes.
"""

from collections.abc import Iterator
from decimal import ROUND_HALF_UP, Decimal
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
    Refuse,
    Say,
    Setup,
    Show,
    ShowFailure,
    Simulator,
    Store,
    Values,
    attempt,
    scaled,
)

IDLE, PERSON, MEASURING, FINISHED = 1, 2, 3, 4
FAILURES = {"board": 1, "input": 2, "impedance": 3}
FAT = Decimal("0.24")


def device(setup: Setup) -> Device:
    """Answer the host; go through the steps as a person uses the machine."""
    machine = _Machine(setup)
    while True:
        yield from attempt(machine.take((yield Await())))


class _Machine:
    def __init__(self, setup: Setup) -> None:
        self._setup = setup
        self._held = b""
        self._step = IDLE
        self._told: dict[str, str] = {}
        self._next: Measure | Fail | None = None
        self._error = 0

    def take(self, cue: Cue | None) -> Device:
        match cue:
            case Attached():
                self._step, self._held = IDLE, b""
            case Heard(data):
                for line in self._lines(data):
                    yield from self._obey(line)
            case Measure():
                _found(cue)
                self._next, self._step = cue, MEASURING
            case Fail(reason) if reason in FAILURES:
                self._next, self._step = cue, MEASURING
            case Fail():
                raise OrderRefused(f"this machine fails as {', '.join(FAILURES)}")
            case Store():
                yield Refuse("this machine keeps nothing that can be read")
            case None:
                pass

    def _lines(self, data: bytes) -> Iterator[str]:
        *lines, self._held = (self._held + data)[-400:].split(b"\n")
        yield from (line.decode("latin-1") for line in lines)

    def _obey(self, line: str) -> Device:
        name, _, text = line.removeprefix("*").partition("=")
        match name:
            case "idn?":
                yield Say(b"dhy,dba310,18880001\n")
            case "wei?":
                yield Say(b"wei=000.0\n")
            case "stp?":
                yield from self._tell_step()
            case "err?":
                yield Say(f"err={self._error}\n".encode("ascii"))
                for word in [word for word, code in FAILURES.items() if code == self._error]:
                    yield ShowFailure(word)
                self._error = 0
            case "read?":
                yield from self._tell_result()
            case "id" | "hei" | "age" | "gen":
                self._told[name], self._step = text, PERSON
                yield Say(b"ok\n")
            case "mea":
                self._step = MEASURING
                yield Say(b"ok\n")
            case "ret":
                self._step = IDLE
                yield Say(b"ok\n")
            case _:
                pass

    def _tell_step(self) -> Device:
        yield Say(f"stp={self._step}\n".encode("ascii"))
        if self._step == MEASURING and isinstance(self._next, Fail):
            self._step, self._error, self._next = IDLE, FAILURES[self._next.reason], None
        elif self._step == MEASURING and self._next is not None:
            self._step = FINISHED

    def _tell_result(self) -> Device:
        if self._step != FINISHED or not isinstance(self._next, Measure):
            yield Say(b"measing\n")
            return
        found = _found(self._next)
        now = self._setup.clock()
        fields = {
            "id": self._told.get("id", ""),
            "date": f"{now:%Y-%m-%d %H:%M:%S}",
            "gen": self._told.get("gen", "1"),
            "age": self._told.get("age", "47"),
            **found,
        }
        lines = [f"{name}={text};" for name, text in fields.items()]
        yield Say("".join(f"{line}\n" for line in [*lines, "over"]).encode("ascii"), result=True)
        names = {"body_height": "hei", "body_weight": "wei", "bmi": "bmi", "body_fat": "pbf"}
        yield Show({ours: found[theirs] for ours, theirs in names.items()})
        self._step, self._next = IDLE, None


def _found(measure: Measure) -> dict[str, str]:
    height = Decimal(scaled(measure.values, "body_height", 1, 2500)) / 10
    weight = Decimal(scaled(measure.values, "body_weight", 1, 2500)) / 10
    if height < 50 or not weight:
        raise OrderRefused("a height and a weight are needed")
    found = {"hei": height, "wei": weight, "tbw": (weight - weight * FAT) * Decimal("0.73")}
    found |= {"fat": weight * FAT, "bmi": weight / (height / 100) ** 2, "pbf": FAT * 100}
    return {name: str(number.quantize(Decimal("0.1"), ROUND_HALF_UP)) for name, number in found.items()}


def person(chance: Random) -> Values:
    """Return a plausible grown person's height and weight."""
    height = Decimal(chance.randint(1460, 1840)) / 10
    weight = Decimal(chance.randint(185, 305)) / 10 * (height / 100) ** 2
    return {"body_height": str(height), "body_weight": str(weight.quantize(Decimal("0.1"), ROUND_HALF_UP))}


SIMULATOR = Simulator(device, person)
