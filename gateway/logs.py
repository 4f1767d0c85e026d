"""Logs: one JSON line an event on stderr, for the journal of systemd to keep.

The rule against leaks is an allow-list: above DEBUG only the fields of `PLAIN` are written, an exception
as its type or code, and no other argument of a message, for it may hold a name, a number or a value.
"""

import json
import logging
import traceback
from datetime import UTC, datetime
from typing import TextIO

from protocol.errors import GatewayError

WIRE = 5
"""Every byte of a device: below DEBUG, off unless asked for."""
PLAIN = frozenset(
    {
        "attempt",
        "bytes",
        "cause",
        "code",
        "condition",
        "count",
        "device",
        "driver",
        "exam",
        "forwarder",
        "host",
        "kind",
        "measurement",
        "method",
        "ms",
        "path",
        "port",
        "seq",
        "status",
        "version",
    }
)
"""Fields that never hold a person or a value; `cause` is in our words, never a typed reason or an answer."""
WHOLE = frozenset({"gateway.access", "gateway.api.guard"})
"""Loggers whose arguments are written out: method, path without query, status, time; type and frames."""
OURS = ("protocol", "drivers", "store", "gateway", "tools")
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class JsonLines(logging.Formatter):
    """One record, one line of JSON: `at` (UTC), `level`, `logger`, `event`, then the record's own fields."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line; above DEBUG only what is certain to name nobody."""
        open_ = record.levelno <= logging.DEBUG
        ours = record.name.partition(".")[0] in OURS
        line: dict[str, object] = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": record.getMessage() if open_ or not ours else _event(record),
        }
        fields = {name: value for name, value in vars(record).items() if name not in _STANDARD}
        line |= fields if open_ else {name: value for name, value in fields.items() if name in PLAIN}
        if record.exc_info and record.exc_info[1]:
            line["exception"] = _exception(record.exc_info[1], open_=open_)
        return json.dumps(line, ensure_ascii=False, default=str)


def setup(level: str, stream: TextIO | None = None) -> None:
    """Send this process's log to *stream* (stderr) from *level* on: wire, debug, info, warning or error.

    Other people's packages speak from WARNING on only: their INFO lines hold addresses with numbers in them.
    """
    logging.addLevelName(WIRE, "WIRE")
    outlet = logging.StreamHandler(stream)
    outlet.setFormatter(JsonLines())
    least = logging.getLevelNamesMapping()[level.upper()]
    logging.basicConfig(level=max(least, logging.WARNING), handlers=[outlet], force=True)
    logging.captureWarnings(True)
    for name in OURS:
        logging.getLogger(name).setLevel(least)


def _event(record: logging.LogRecord) -> str:
    """Return the message with its exceptions named and its other arguments left out."""
    if record.name in WHOLE:
        return record.getMessage()
    if not isinstance(record.args, tuple):
        return str(record.msg)
    try:
        return str(record.msg) % tuple(map(_named, record.args))
    except TypeError:  # the message wants a number where none may be shown
        return str(record.msg)


def _named(argument: object) -> str:
    if isinstance(argument, GatewayError):
        return argument.code
    return type(argument).__qualname__ if isinstance(argument, BaseException) else "…"


def _exception(error: BaseException, *, open_: bool) -> dict[str, object]:
    """Return type, code and place; the text and the chain of causes only where all may be shown."""
    frames = traceback.extract_tb(error.__traceback__)
    told: dict[str, object] = {
        "type": type(error).__qualname__,
        "at": [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames],
    }
    if isinstance(error, GatewayError):
        told["code"] = error.code
    if open_:
        told["text"] = "".join(traceback.format_exception(error))
    if isinstance(error, BaseExceptionGroup):
        told["several"] = [_exception(inner, open_=open_) for inner in error.exceptions]
    return told
