"""A UEBE Visomat blood-pressure monitor: measures by its own key, keeps two banks, tells them when asked.

From the sheet visomat. The answer to the question for the clock is not known, so it is never given. Results
go into the bank of the user (`extras`: user 1 or 2, pulse irregular or not); one whose clock was lost before
is kept with the year 2044, as real memories hold it.
"""

from collections.abc import Iterator
from datetime import datetime
from random import Random

from tools.simulators import (
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
    Simulator,
    Store,
    Values,
    Violation,
    attempt,
    whole,
)

DUMP, CLOCK = "R00", "R02"
BANKS = ("1", "2")
MOST = 60
"""Records in one bank; the sheet states none."""
LOST = "2044-06-01T13:20:00"
NUMBERS = ("systolic", "diastolic", "pulse_rate")


def device(setup: Setup) -> Device:
    """Measure people and answer the host."""
    monitor = _Monitor(setup)
    while True:
        yield from attempt(monitor.take((yield Await())))


class _Monitor:
    def __init__(self, setup: Setup) -> None:
        self._setup = setup
        self._held = ""
        self._banks: dict[str, list[str]] = {bank: [] for bank in BANKS}

    def take(self, cue: Cue | None) -> Device:
        match cue:
            case Heard(data):
                for question in self._questions(data):
                    yield from self._answer(question)
            case Measure(values, extras):
                lost = self._setup.options["clock"] == "lost"
                at = datetime.fromisoformat(LOST) if lost else self._setup.clock()
                self._keep(values, extras, at)
                yield Show({name: str(whole(values, name, 999)) for name in NUMBERS})
            case Store(records):
                for record in records:
                    self._keep(record, record, _moment(record))
            case Fail():
                yield Refuse("a failed measurement leaves nothing in the memory")
            case _:
                pass

    def _questions(self, data: bytes) -> Iterator[str]:
        self._held += data.decode("latin-1")
        while (begin := self._held.find("R")) >= 0 and len(self._held) - begin >= 3:
            question, self._held = self._held[begin : begin + 3], self._held[begin + 3 :]
            yield question

    def _answer(self, question: str) -> Device:
        if question == DUMP:
            told = "".join(f"M{bank}{self._bank(records)}" for bank, records in self._banks.items())
            yield Say(f"\x02{told}\x03".encode("latin-1"), result=True)
        elif question != CLOCK:
            yield Violation(f"asked {question!r}")

    def _bank(self, records: list[str]) -> str:
        return f"{len(records):02d}{''.join(records)}" if records else "001"

    def _keep(self, values: Values, extras: Values, at: datetime) -> None:
        bank = extras.get("user", BANKS[0])
        if bank not in BANKS:
            raise OrderRefused("this monitor has the users 1 and 2")
        numbers = "".join(f"{whole(values, name, 999):03d}" for name in NUMBERS)
        flag = "1" if extras.get("pulse") == "irregular" else "0"
        self._banks[bank] = [*self._banks[bank], f"{at:%y%m%d%H%M}{flag}{numbers}"][-MOST:]


def _moment(record: Values) -> datetime:
    try:
        return datetime.fromisoformat(record["at"])
    except (KeyError, ValueError):
        raise OrderRefused("a stored record needs its time as `at`, in ISO 8601") from None


def person(chance: Random) -> Values:
    """Return a plausible person's blood pressure."""
    diastolic = chance.randint(62, 96)
    return {
        "systolic": str(diastolic + chance.randint(34, 58)),
        "diastolic": str(diastolic),
        "pulse_rate": str(chance.randint(55, 98)),
    }


SIMULATOR = Simulator(device, person, {"clock": ("right", "lost")})
