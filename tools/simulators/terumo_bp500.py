"""A Terumo BP-500 clinic blood-pressure machine: one line after each measurement.

From the sheet clinic_bp_kiosks_misc. The rule of the check character is not known: it is the question mark of
the only sample. What a failed measurement sends is not known.
"""

from random import Random

from tools.simulators import (
    Await,
    Device,
    Fail,
    Measure,
    OrderRefused,
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

NOBODY, CHECK = "000000000", "?"
NUMBERS = ("systolic", "mean_pressure", "diastolic", "pulse_rate")
REST = "0000,0000,00000,000"


def device(setup: Setup) -> Device:
    """Measure whoever puts an arm in and send the line."""
    while True:
        cue = yield Await()
        if isinstance(cue, Measure):
            yield from attempt(_measured(setup, cue))
        elif isinstance(cue, Fail | Store):
            yield Refuse("no source tells what this machine sends but results")


def _measured(setup: Setup, measure: Measure) -> Device:
    shown = {name: str(whole(measure.values, name, 299)) for name in NUMBERS}
    typed = measure.extras.get("id", NOBODY)
    if len(typed) != len(NOBODY) or not typed.isascii() or "," in typed or not typed.isprintable():
        raise OrderRefused("an identity has nine characters and no comma")
    numbers = ",".join(f"{int(number):03d}" for number in shown.values())
    line = f"R1,{typed},{setup.clock():%y%m%d,%H%M%S},{numbers},{REST}"
    yield Say(f"\x02{line}\x03{CHECK}".encode("ascii"), result=True)
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
