"""An A&D UA-767PC home blood-pressure monitor: ten characters after each measurement.

From the sheet aandd_ua767pc. The last two characters are not known: an end of line, or two zeros. What stands
in place of 80 when a measurement fails is not known either; any other two digits may be simulated.
"""

import re
from random import Random

from tools.simulators import (
    Await,
    Device,
    Fail,
    Measure,
    OrderRefused,
    Say,
    Setup,
    Show,
    ShowFailure,
    Simulator,
    Values,
    attempt,
    whole,
)

ENDS = {"line": "\r\n", "zeros": "00"}


def device(setup: Setup) -> Device:
    """Measure whoever presses the key and send the result."""
    while True:
        cue = yield Await()
        if isinstance(cue, Measure | Fail):
            yield from attempt(_ended(setup, cue))


def _ended(setup: Setup, cue: Measure | Fail) -> Device:
    if isinstance(cue, Fail):
        if cue.reason == "80" or not re.fullmatch("[0-9A-F]{2}", cue.reason):
            raise OrderRefused("a failure is two hexadecimal digits other than 80")
        yield Say(f"{cue.reason}000000{ENDS[setup.options['end']]}".encode("ascii"), result=True)
        yield ShowFailure(cue.reason)
        return
    systolic, diastolic, pulse = (
        whole(cue.values, name, limit)
        for name, limit in (("systolic", 299), ("diastolic", 255), ("pulse_rate", 255))
    )
    if not 0 <= systolic - diastolic < 256 or not diastolic or not pulse:
        raise OrderRefused("systolic not below diastolic, and no zero")
    line = f"80{systolic - diastolic:02X}{diastolic:02X}{pulse:02X}{ENDS[setup.options['end']]}"
    yield Say(line.encode("ascii"), result=True)
    yield Show({"systolic": str(systolic), "diastolic": str(diastolic), "pulse_rate": str(pulse)})


def person(chance: Random) -> Values:
    """Return a plausible person's blood pressure."""
    diastolic = chance.randint(62, 96)
    return {
        "systolic": str(diastolic + chance.randint(34, 58)),
        "diastolic": str(diastolic),
        "pulse_rate": str(chance.randint(55, 98)),
    }


SIMULATOR = Simulator(device, person, {"end": ("line", "zeros")})
