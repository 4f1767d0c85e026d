"""An A&D TM-2657 clinic blood-pressure machine: one message of lettered fields after each measurement.

From the sheet aandd_tm2657. What stands before the values (identity, date, time) is not known there, so these
fields are empty. What a failed measurement sends is not known either.
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

UNKNOWN_FIELDS = 5
NUMBERS = {"S": "systolic", "M": "mean_pressure", "D": "diastolic", "P": "pulse_rate"}


def device(_setup: Setup) -> Device:
    """Measure whoever puts an arm in and send the result."""
    while True:
        cue = yield Await()
        if isinstance(cue, Measure):
            yield from attempt(_measured(cue))
        elif isinstance(cue, Fail | Store):
            yield Refuse("no source tells what this machine sends but results")


def _measured(measure: Measure) -> Device:
    shown = {name: str(whole(measure.values, name, 299)) for name in NUMBERS.values()}
    beats = whole({"beats": measure.extras.get("irregular_beats", "0")}, "beats", 99)
    moved = "1" if measure.extras.get("movement") == "1" else "0"
    fields = [""] * UNKNOWN_FIELDS
    fields += [f"{letter}{int(shown[name]):03d}" for letter, name in NUMBERS.items()]
    fields += [f"i{beats:02d}", f"m{moved}", "r0", "t45"]
    yield Say(b"\x02" + "\x1e".join(fields).encode("ascii") + b"\x03", result=True)
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
