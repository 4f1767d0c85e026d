"""What may leave a box in a diagnostics bundle, as an allow-list: words of this program's own, and figures.

A text passes only if it is one of ours (a code, a driver, a state, a sentence of a log call) or has a form in
which nobody can be named (a time, a version, a pair of USB ids). Everything else is left out, whatever it is.
"""

import ast
import re
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path

import drivers
import gateway
import store
from drivers import catalogue
from gateway import messages
from gateway.logs import WHOLE
from protocol.readings import Kind

LEFT_OUT = "(left out)"
CONDITIONS = frozenset({"starting", "waiting", "connected", "measuring", "silent", "lost", "failed"})
REACH = frozenset({"unknown", "reachable", "unreachable"})
LEVELS = frozenset({"info", "warning", "error", "critical"})
FORWARDERS = frozenset(
    path.stem for path in (Path(gateway.__file__).parent / "forwarders").glob("*.py") if path.stem[0] != "_"
)
_TIME = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(:\d{2}(\.\d{1,6})?)?(Z|[+-]\d{2}:\d{2})?")
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
_VERSION = re.compile(r"\d{1,4}(\.\d{1,4}){0,3}([a-z+~.-][a-z0-9+~.-]{0,24})?")
_USB = re.compile(r"[0-9a-f]{4}:[0-9a-f]{4}")
_PLACE = re.compile(r"(?:protocol|drivers|store|gateway|tools)/[a-z_/]+\.py:\d+ [A-Za-z_<>]+")
_CLASS = re.compile(r"[A-Z][A-Za-z]{2,40}(Error|Exception|Timeout|Group)?")
_PROGRAM = re.compile(r"[A-Za-z][A-Za-z0-9._-]{0,15}")
_FIELD = re.compile(r"%[-#0 +]*\d*(?:\.\d+)?[srdifgxo]")

Passes = Callable[[object], bool]


def _whole(form: re.Pattern[str]) -> Passes:
    return lambda value: isinstance(value, str) and form.fullmatch(value) is not None


def _one_of(words: frozenset[str]) -> Passes:
    return lambda value: isinstance(value, str) and value in words


def figure(value: object) -> bool:
    """Say whether *value* is a number or a yes or no, small enough to be nobody's number."""
    return isinstance(value, bool) or (isinstance(value, int | float) and abs(value) < 1e15)


def code(value: object) -> bool:
    """Say whether *value* is a code that has a text of ours."""
    return isinstance(value, str) and value in messages.known_codes()


def driver(value: object) -> bool:
    """Say whether *value* is a driver's name."""
    return isinstance(value, str) and value in catalogue.every()


def program(value: object, root: Path = Path("/")) -> bool:
    """Say whether *value* names a program that belongs to the system, not one that a person wrote here."""
    known = isinstance(value, str) and _PROGRAM.fullmatch(value) is not None
    return known and any(
        (root / folder / str(value)).exists() for folder in ("usr/bin", "usr/sbin", "bin", "sbin")
    )


time = _whole(_TIME)
day = _whole(_DAY)
version = _whole(_VERSION)
usb = _whole(_USB)
kind = _one_of(frozenset(Kind))
condition = _one_of(CONDITIONS | REACH)
forwarder = _one_of(FORWARDERS)


def picked(source: Mapping[str, object], rules: Mapping[str, Passes]) -> dict[str, object]:
    """Return the fields of *source* that have a rule and pass it; None stays None."""
    return {
        name: source[name]
        for name, passes in rules.items()
        if name in source and (source[name] is None or passes(source[name]))
    }


def log_line(line: Mapping[str, object], devices: Mapping[str, int]) -> dict[str, object] | None:
    """Return what may leave of one line of the service's log, None where nothing may.

    Only lines of our own from INFO on, whose sentence stands in the source; a device by its number.
    """
    needed = picked(line, {"level": _one_of(LEVELS), "logger": _one_of(_loggers()), "event": _ours})
    if len(needed) < 3 or None in needed.values():
        return None
    kept = {**needed, **picked(line, LOG_FIELDS)}
    if isinstance(device := line.get("device"), str) and device in devices:
        kept["device"] = devices[device]
    if isinstance(exception := line.get("exception"), Mapping):
        kept["exception"] = _exception(exception)
    return kept


LOG_FIELDS: Mapping[str, Passes] = {
    "at": time,
    "code": code,
    "condition": condition,
    "driver": driver,
    "forwarder": forwarder,
    "kind": kind,
    "attempt": figure,
    "bytes": figure,
    "count": figure,
    "ms": figure,
    "seq": figure,
    "status": figure,
}


def _exception(told: Mapping[str, object]) -> dict[str, object]:
    """Return an exception's type, code and places in our own files; never its text."""
    kept = picked(told, {"type": _whole(_CLASS), "code": code})
    places = told.get("at")
    found = (_PLACE.search(str(place)) for place in places) if isinstance(places, list) else ()
    return kept | {"at": [place.group() for place in found if place]}


def _ours(event: object) -> bool:
    """Say whether *event* is a sentence of a log call of ours, its arguments left out or named by a code."""
    return isinstance(event, str) and any(form.fullmatch(event) for form in _sentences())


def _sources() -> list[Path]:
    """Return the files of the service's own source."""
    folders = [Path(str(package.__file__)).parent for package in (drivers, gateway, store)]
    return [path for folder in folders for path in sorted(folder.rglob("*.py"))]


@cache
def _loggers() -> frozenset[str]:
    """Return the names of our own loggers: those of the modules, but for the ones that write paths."""
    top = Path(str(gateway.__file__)).parents[1]
    return frozenset(".".join(path.relative_to(top).with_suffix("").parts) for path in _sources()) - WHOLE


@cache
def _sentences() -> tuple[re.Pattern[str], ...]:
    """Return the form of every sentence that our own log calls say, read from our own source."""
    found = set[str]().union(*(_said(ast.parse(path.read_text(encoding="utf-8"))) for path in _sources()))
    argument = r"(?:…|[a-z_]+(?:\.[a-z_0-9]+)+|[A-Z][A-Za-z]{2,40})"
    return tuple(
        re.compile(argument.join(map(re.escape, _FIELD.split(sentence))))
        for sentence in sorted(found)
        if "\n" not in sentence
    )


def _said(tree: ast.Module) -> set[str]:
    calls = (node for node in ast.walk(tree) if isinstance(node, ast.Call) and node.args)
    return {
        call.args[0].value
        for call in calls
        if isinstance(call.func, ast.Attribute)
        and isinstance(call.func.value, ast.Name)
        and call.func.value.id == "log"
        and isinstance(call.args[0], ast.Constant)
        and isinstance(call.args[0].value, str)
    }
