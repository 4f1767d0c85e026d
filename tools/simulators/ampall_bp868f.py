"""An AMPall BP868F clinic blood-pressure machine: thirteen digits between two marks after each measurement.

From the sheet clinic_bp_kiosks_misc. What a failed measurement sends is not known.
"""

from random import Random

from tools.simulators import (
    Await,
    Device,
    Fail,
    Measure,
    Refuse,
    Say,
    Setup,
    Show,
    Simulator,
    Store,
    Values,
    attempt,
    whole,
)

NUMBERS = ("systolic", "mean_pressure", "diastolic", "pulse_rate")


def device(_setup: Setup) -> Device:
    """Measure whoever puts an arm in and send the message."""
    while True:
        cue = yield Await()
        if isinstance(cue, Measure):
            yield from attempt(_measured(cue))
        elif isinstance(cue, Fail | Store):
            yield Refuse("no source tells what this machine sends but results")


def _measured(measure: Measure) -> Device:
    shown = {name: str(whole(measure.values, name, 299)) for name in NUMBERS}
    beat = whole({"arrhythmia": measure.extras.get("arrhythmia", "0")}, "arrhythmia", 9)
    numbers = "".join(f"{int(number):03d}" for number in shown.values())
    yield Say(f"^{numbers}{beat}^".encode("ascii"), result=True)
    yield Show(shown)


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


SIMULATOR = Simulator(device, person)
