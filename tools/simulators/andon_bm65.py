"""An Andon / Beurer BM65 blood-pressure monitor: measures by its own key, tells its memory record by record.

From the sheet andon_beurer_serial. It answers only while awake and falls asleep after a while without a
question. What the description and the header byte say is not known: a name, and zero.
"""

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
    scaled,
)

WAKE, COUNT, RECORD, DESCRIPTION = 0xAA, 0xA2, 0xA3, 0xA4
AWAKE = b"\x55"
OFFSET = 25
NUMBERS = ("systolic", "diastolic", "pulse_rate")
MOST = 60
"""Records in the memory; the sheet states none."""
ASLEEP_AFTER_S = 30.0


def device(setup: Setup) -> Device:
    """Measure people and answer the host."""
    monitor = _Monitor(setup)
    while True:
        yield from attempt(monitor.take((yield Await(ASLEEP_AFTER_S))))


class _Monitor:
    def __init__(self, setup: Setup) -> None:
        self._setup = setup
        self._awake = self._index_follows = False
        self._memory: list[bytes] = []

    def take(self, cue: Cue | None) -> Device:
        match cue:
            case None:
                self._awake = self._index_follows = False
            case Heard(data):
                for byte in data:
                    yield from self._answer(byte)
            case Measure(values):
                self._keep(values, self._setup.clock())
                yield Show({name: str(scaled(values, name, 0, 280)) for name in NUMBERS})
            case Store(records):
                for record in records:
                    self._keep(record, _moment(record))
            case Fail():
                yield Refuse("a failed measurement leaves nothing in the memory")
            case _:
                pass

    def _answer(self, byte: int) -> Device:
        if self._index_follows:
            self._index_follows = False
            if 1 <= byte <= len(self._memory):
                yield Say(self._memory[byte - 1], result=True)
        elif byte == WAKE:
            self._awake = True
            yield Say(AWAKE)
        elif not self._awake or byte not in {COUNT, RECORD, DESCRIPTION}:
            yield Violation(f"asked {byte:02x}{'' if self._awake else ' while asleep'}")
        elif byte == COUNT:
            yield Say(bytes([len(self._memory)]))
        elif byte == DESCRIPTION:
            yield Say(b"simulated BM65".ljust(32))
        else:
            self._index_follows = True

    def _keep(self, values: Values, at: datetime) -> None:
        systolic, diastolic, pulse = (scaled(values, name, 0, 280) for name in NUMBERS)
        if min(systolic, diastolic) <= OFFSET or not 0 < pulse < 256:
            raise OrderRefused("pressures above 25, and a pulse of one byte")
        pressures = (systolic - OFFSET, diastolic - OFFSET, pulse)
        record = bytes([0, *pressures, at.month, at.day, at.hour, at.minute, at.year - 2000])
        self._memory = [*self._memory, record][-MOST:]


def _moment(record: Values) -> datetime:
    try:
        at = datetime.fromisoformat(record["at"])
    except (KeyError, ValueError):
        raise OrderRefused("a stored record needs its time as `at`, in ISO 8601") from None
    if not 2000 <= at.year <= 2255:
        raise OrderRefused("the monitor's years are 2000 to 2255")
    return at


def person(chance: Random) -> Values:
    """Return a plausible person's blood pressure."""
    diastolic = chance.randint(62, 96)
    return {
        "systolic": str(diastolic + chance.randint(34, 58)),
        "diastolic": str(diastolic),
        "pulse_rate": str(chance.randint(55, 98)),
    }


SIMULATOR = Simulator(device, person)
