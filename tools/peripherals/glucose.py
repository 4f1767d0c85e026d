"""A glucose meter of the standard service: a memory to be asked for, a bond by passkey. Sheet sig_gls."""

import struct
from datetime import datetime

from tools.glucose import person
from tools.peripherals import Peripheral, Result, sfloat, stamp
from tools.simulators import Measure, OrderRefused, Show, scaled

VALUE, CONTEXT_FOLLOWS = 0x02, 0x10
MILLIGRAMS_PER_DECILITRE = -5
"""The exponent that makes kg/L of them."""
BLOOD, CONTROL = 0x11, 0x4A
"""Sort of sample and where it was taken: capillary blood of a finger, control solution."""
MEALS = {"before": 1, "after": 2, "fasting": 3, "casual": 4, "bedtime": 5}


def measured(measure: Measure, at: datetime, number: int) -> Result:
    """Return a record; `meal` is one of MEALS and told in a context, `kind` may be control."""
    glucose = scaled(measure.values, "glucose", 0, 2000)
    meal = measure.extras.get("meal", "")
    if meal and meal not in MEALS:
        raise OrderRefused(f"a meal is one of {', '.join(MEALS)}")
    sample = CONTROL if measure.extras.get("kind") == "control" else BLOOD
    begin = struct.pack("<BH", VALUE | (CONTEXT_FOLLOWS if meal else 0), number) + stamp(at)
    told = begin + sfloat(glucose, MILLIGRAMS_PER_DECILITRE) + bytes([sample])
    values = [("2A18", told)]
    if meal:
        values.append(("2A34", struct.pack("<BHB", 0x02, number, MEALS[meal])))
    return Result(tuple(values), Show({"glucose": str(glucose)}))


def chosen(numbers: list[int], operator: int, operand: bytes) -> list[int] | None:
    """Return which of the records *numbers*, sorted, a request means; None for one that is not known."""
    bounds = struct.unpack(f"<{len(operand) // 2}H", operand[1:]) if operand[:1] == b"\x01" else ()
    match operator, bounds:
        case 1, ():
            return numbers
        case 3, (first,):
            return [number for number in numbers if number >= first]
        case 4, (first, last):
            return [number for number in numbers if first <= number <= last]
        case 5, ():
            return numbers[:1]
        case 6, ():
            return numbers[-1:]
    return None


def answered(request: bytes, numbers: list[int]) -> tuple[list[int], bytes]:
    """Return the records to tell for a request at the control point, and the indication that ends it.

    Operations: 1 report, 4 count (answered with 5); of all others the answer (6) says "not supported".
    """
    operation, operator, operand = request[0], request[1] if len(request) > 1 else 0, request[2:]
    found = chosen(numbers, operator, operand)
    if operation == 4 and found is not None:
        return [], bytes([5, 0]) + struct.pack("<H", len(found))
    code = 2 if operation != 1 else 3 if found is None else 1 if found else 6
    return found if found and code == 1 else [], bytes([6, 0, operation, code])


MACHINES = {
    "sig_glucose": Peripheral(
        name="meter+DEMO",
        service="1808",
        told={"2A18": False, "2A34": False},
        measured=measured,
        person=person,
        readable={"2A51": b"\x00\x00"},
        pairing="passkey",
        memory=True,
    )
}
