"""What a person at a simulated machine may do, as JSON objects: one a line, each checked first."""

import json
from collections.abc import Callable, Mapping

from tools.simulators import Cue, Fail, Measure, Store, Values

ORDERS = frozenset(
    {
        "measure",
        "fail",
        "stored",
        "noise",
        "wrong_baud",
        "silence",
        "unplug",
        "replug",
        "half",
        "corrupt",
        "clock",
        "wait",
    }
)


def parsed(line: bytes) -> Mapping[str, object]:
    """Return the order written on *line*; raises ValueError where it is none."""
    order = json.loads(line)
    if not isinstance(order, dict) or not ORDERS.intersection(order):
        raise ValueError(f"an order is a JSON object with one of {', '.join(sorted(ORDERS))}")
    return order


def cues_in(order: Mapping[str, object], someone: Callable[[], Values]) -> list[Cue]:
    """Return the cues for the machine itself in *order*; raises ValueError."""
    found: list[Cue] = []
    if "stored" in order:
        records = order["stored"]
        if not isinstance(records, list):
            raise ValueError("stored is a list of records")
        found.append(Store(tuple(_texts(record) for record in records)))
    if "fail" in order:
        found.append(Fail(str(order["fail"])))
    if "measure" in order or order.get("half"):
        values = _texts(order["measure"]) if "measure" in order else someone()
        extras = {name: str(value) for name, value in order.items() if name not in ORDERS}
        found.append(Measure(values, extras))
    return found


def seconds_of(value: object) -> float:
    """Return *value* as seconds; raises ValueError."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError("seconds are a number")
    return float(value)


def _texts(value: object) -> dict[str, str]:
    if not isinstance(value, dict):
        raise ValueError("values are a JSON object")
    return {str(name): str(inner) for name, inner in value.items()}
