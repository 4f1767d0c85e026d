"""A blood-pressure cuff of the standard service: results with its clock's time. Sheet sig_bps."""

from datetime import datetime
from random import Random

from tools.peripherals import NAN, Peripheral, Result, sfloat, stamp
from tools.simulators import Measure, OrderRefused, Show, ShowFailure, Values, whole

MEASURES = ("systolic", "diastolic", "mean_pressure", "pulse_rate")
TIME, PULSE, STATUS = 0x02, 0x04, 0x10
FAILURES = {"movement": 0x0001, "cuff_loose": 0x0002, "measurement_error": 0x0000}
"""What a cuff can say of a measurement that failed, as status bits."""


def measured(measure: Measure, at: datetime, _number: int) -> Result:
    """Return a result in mmHg; a pulse that is `irregular` is said with it."""
    numbers = [whole(measure.values, name, 299) for name in MEASURES]
    flags = TIME | PULSE | STATUS
    status = 0x0004 if measure.extras.get("pulse") == "irregular" else 0
    pressures, pulse = b"".join(map(sfloat, numbers[:3])), sfloat(numbers[3])
    told = bytes([flags]) + pressures + stamp(at) + pulse + status.to_bytes(2, "little")
    shown = {name: str(number) for name, number in zip(MEASURES, numbers, strict=True)}
    return Result((("2A35", told),), Show(shown))


def failed(reason: str, at: datetime) -> Result:
    """Return what a cuff tells of a measurement that failed."""
    if reason not in FAILURES:
        raise OrderRefused(f"a cuff says {', '.join(sorted(FAILURES))}")
    told = bytes([TIME | STATUS]) + 3 * NAN + stamp(at) + FAILURES[reason].to_bytes(2, "little")
    return Result((("2A35", told),), ShowFailure(reason))


def person(chance: Random) -> Values:
    """Return a plausible person's blood pressure."""
    diastolic = chance.randint(62, 96)
    systolic = diastolic + chance.randint(34, 58)
    mean = diastolic + (systolic - diastolic) // 3
    numbers = (systolic, diastolic, mean, chance.randint(55, 98))
    return {name: str(number) for name, number in zip(MEASURES, numbers, strict=True)}


MACHINES = {
    "sig_blood_pressure": Peripheral(
        name="Yuwell BP-DEMO",
        service="1810",
        told={"2A35": True},
        measured=measured,
        person=person,
        failed=failed,
        readable={"2A49": b"\x07\x00"},
    )
}
