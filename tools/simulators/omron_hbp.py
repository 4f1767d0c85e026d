"""An Omron waiting-room blood-pressure machine: one text line after each measurement, nothing else.

From the sheet omron_hbp_clinic: format 5 (HBP-9030) and the bp line (HBP-9020/9021).
"""

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

END = {"crlf": "\r\n", "cr": "\r"}
NOBODY = {"5": " " * 20, "bp": "9" * 20}


def device(setup: Setup) -> Device:
    """Measure whoever sits down and send the line when the printer would print."""
    while True:
        cue = yield Await()
        match cue:
            case Measure():
                yield from attempt(_measured(setup, cue))
            case Fail():
                yield from attempt(_failed(setup, cue))
            case _:
                pass


def _measured(setup: Setup, measure: Measure) -> Device:
    line, shown = (_bp_line if setup.options["format"] == "bp" else _format_5)(setup, measure)
    yield Say(f"{line}{END[setup.options['end']]}".encode("ascii"), result=True)
    yield Show(shown)


def _failed(setup: Setup, fail: Fail) -> Device:
    if setup.options["format"] != "5" or not (fail.reason.isdigit() and fail.reason in "123456789"):
        raise OrderRefused("only format 5 tells a failure, as an error number from 1 to 9")
    line = f"{setup.clock():%Y,%m,%d,%H,%M},{NOBODY['5']},{fail.reason},   ,   ,   ,0"
    yield Say(f"{line}{END[setup.options['end']]}".encode("ascii"), result=True)
    yield ShowFailure(fail.reason)


def _format_5(setup: Setup, measure: Measure) -> tuple[str, Values]:
    shown = {name: str(whole(measure.values, name, 999)) for name in ("systolic", "diastolic", "pulse_rate")}
    numbers = ",".join(f"{int(number):03d}" for number in shown.values())
    moved = "1" if measure.extras.get("movement") == "1" else "0"
    return f"{setup.clock():%Y,%m,%d,%H,%M},{_person(measure, '5')},0,{numbers},{moved}", shown


def _bp_line(setup: Setup, measure: Measure) -> tuple[str, Values]:
    names = ("systolic", "mean_pressure", "diastolic", "pulse_rate")
    shown = {name: str(whole(measure.values, name, 999)) for name in names}
    numbers = ",".join(f"{int(number):03d}" for number in shown.values())
    return f"bp,{_person(measure, 'bp')},{setup.clock():%Y/%m/%d,%H:%M},{numbers},3", shown


def _person(measure: Measure, line: str) -> str:
    return measure.extras.get("id", "").ljust(20)[:20] if "id" in measure.extras else NOBODY[line]


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


SIMULATOR = Simulator(device, person, {"format": ("5", "bp"), "end": ("crlf", "cr")})
