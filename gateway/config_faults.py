"""Words for what is wrong in a configuration: the key's path, what was likely meant, where it stands."""

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import get_args

from pydantic import BaseModel
from pydantic_core import ErrorDetails

from drivers.catalogue import Driver, left_out
from drivers.dialogue import Settings

Scalar = str | int | bool
_SCALARS = {"str", "int", "bool"}
"""pydantic reports each member of the union apart, under these names."""


def meant(word: str, known: Iterable[str]) -> str:
    """Return `, did you mean "…"?` for the nearest of *known*, or nothing where none is near."""
    near = get_close_matches(word, list(known), n=1)
    return f', did you mean "{near[0]}"?' if near else ""


def in_keys(error: ErrorDetails, model: type[BaseModel], origins: Mapping[str, str], path: Path) -> str:
    """Return one line for one of pydantic's errors in *model*; *origins* as in `Loaded`."""
    parts = [part for part in error["loc"] if part not in _SCALARS]
    key = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in parts).lstrip(".")
    inside = (f"{key}.", f"{key}[")
    where = next((origin for leaf, origin in origins.items() if leaf == key or leaf.startswith(inside)), path)
    what = error["msg"]
    if len(parts) < len(error["loc"]):
        what = "must be a text in quotes, a whole number, true or false"
    if error["type"] == "extra_forbidden":
        what = f"unknown key{meant(str(parts[-1]), _keys(model, parts[:-1]))}"
    return f"{key}: {what} (in {where})" if key else f"{what} (in {where})"


def _keys(model: type[BaseModel], parts: list[str | int]) -> list[str]:
    """Return the keys of the section of *model* that *parts* lead to."""
    for part in parts:
        if isinstance(part, str) and part in model.model_fields:
            annotation = model.model_fields[part].annotation
            inner = (*get_args(annotation), annotation)
            model = next(one for one in inner if isinstance(one, type) and issubclass(one, BaseModel))
    return list(model.model_fields)


def in_device(name: str, port: str, settings: Mapping[str, Scalar], known: Mapping[str, Driver]) -> list[str]:
    """Return what is wrong with a device's driver *name*, its *port* and its *settings*, one text a key."""
    driver = known.get(name)
    if driver is None:
        there = f"there are: {', '.join(known) or 'none'}"
        broken = "".join(f"; {origin} could not be loaded ({why})" for origin, why in left_out().items())
        return [f'driver: no driver "{name}"{meant(name, known)}; {there}{broken}']
    if driver.bluetooth and not port.startswith("ble:"):
        return ["port: this machine speaks Bluetooth; its port is ble:AA:BB:CC:DD:EE:FF"]
    if port.startswith("ble:") and not driver.bluetooth:
        return ["port: this driver speaks no Bluetooth"]
    faults = in_settings(settings, driver.settings) or _unshaped(driver, driver.stated(settings, port))
    return [f"settings.{fault}" for fault in faults]


def _unshaped(driver: Driver, settings: Settings) -> list[str]:
    """Return why no model of the driver is like these settings, in the driver's own words."""
    try:
        driver.under(settings)
    except ValueError as error:
        return [str(error)]
    return []


def in_settings(given: Mapping[str, Scalar], known: Mapping[str, Scalar]) -> list[str]:
    """Return what is wrong with *given*, one text a key: unknown, or not of the default's type."""
    types = {bool: "true or false", int: "a whole number", str: "a text in quotes"}
    faults = []
    for key, value in given.items():
        if key not in known:
            options = f"there are: {', '.join(known)}" if known else "it has none"
            faults.append(f"{key}: unknown to this driver{meant(key, known)}; {options}")
        elif type(value) is not type(known[key]):
            faults.append(f"{key}: must be {types[type(known[key])]}")
    return faults
