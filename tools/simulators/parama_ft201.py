"""A ParamaTech FT-201 clinic blood-pressure machine: one message a measurement, with junk if wanted.

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

NUMBERS = ("systolic", "diastolic", "pulse_rate")
JUNK = {"none": b"", "around": b"\x00\xff"}


def device(setup: Setup) -> Device:
    """Measure whoever puts an arm in and send the message."""
    while True:
        cue = yield Await()
        if isinstance(cue, Measure):
            yield from attempt(_measured(setup, cue))
        elif isinstance(cue, Fail | Store):
            yield Refuse("no source tells what this machine sends but results")


def _measured(setup: Setup, measure: Measure) -> Device:
    shown = {name: str(whole(measure.values, name, 299)) for name in NUMBERS}
    numbers = " ".join(f"{int(number):03d}" for number in shown.values())
    message = f"\x02 {setup.clock():%y%m%d %H%M} {numbers}\x03".encode("ascii")
    junk = JUNK[setup.options["junk"]]
    yield Say(junk + message + junk, result=True)
    yield Show(shown)


def person(chance: Random) -> Values:
    """Return a plausible person's blood pressure."""
    diastolic = chance.randint(62, 96)
    return {
        "systolic": str(diastolic + chance.randint(34, 58)),
        "diastolic": str(diastolic),
        "pulse_rate": str(chance.randint(55, 98)),
    }


SIMULATOR = Simulator(device, person, {"junk": ("none", "around")})
