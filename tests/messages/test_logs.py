"""What a log line looks like, and what never stands in it."""

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.logs import OURS, PLAIN

ROOT = Path(__file__).parents[2]
PROGRAM = """
import logging, sys
from gateway.logs import WIRE, setup
from protocol.errors import MalformedValue
setup(sys.argv[1])
log = logging.getLogger("gateway.test")
person = {"resident_name": "Zhang San", "id_number": "11010118000101", "value": "137"}
log.log(WIRE, "chunk", extra={"hex": "0aff"})
log.debug("bound %s", "Zhang San", extra=person | {"device": "bp-1"})
log.info("bound %s", "Zhang San", extra=person | {"device": "bp-1", "code": "tray.stored"})
log.warning("lost %s in %d: %s", 137, 137, MalformedValue("Zhang San"))
log.warning("lost %s: %s", 137, MalformedValue("Zhang San"))
log.warning("lost %s", OSError("Zhang San"))
logging.getLogger("gateway.access").info("%s %s %d", "GET", "/v1/exams", 200)
try:
    raise MalformedValue("systolic 137 of Zhang San")
except MalformedValue:
    log.exception("refused", extra=person)
try:
    raise ExceptionGroup("Zhang San", [ValueError("137")])
except ExceptionGroup:
    log.exception("ended")
logging.getLogger("httpx2").info("GET /Patient?identifier=11010118000101")
logging.getLogger("uvicorn.error").error("bind failed on %s", "127.0.0.1")
"""


def lines(level: str) -> list[dict[str, object]]:
    ran = subprocess.run(
        [sys.executable, "-c", PROGRAM, level], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert ran.stdout == ""
    return [json.loads(line) for line in ran.stderr.splitlines()]


def test_a_line_is_json_with_time_level_logger_event_and_fields():
    line = lines("info")[0]
    assert str(line.pop("at")).endswith("+00:00")
    assert line == {
        "level": "info",
        "logger": "gateway.test",
        "event": "bound …",
        "device": "bp-1",
        "code": "tray.stored",
    }


@pytest.mark.parametrize("level", ["info", "warning", "error"])
def test_above_debug_no_name_number_or_value_is_written(level):
    text = json.dumps(lines(level))
    assert not [secret for secret in ("Zhang", "110101", "137", "0aff") if secret in text]


def test_even_when_debug_is_on_lines_above_it_stay_plain():
    assert "Zhang" not in json.dumps(
        [line for line in lines("debug") if line["level"] not in {"debug", "wire"}]
    )


def test_an_exception_keeps_its_type_code_and_place():
    refused, ended, foreign = [line for line in lines("info") if line["level"] == "error"]
    exception = refused["exception"]
    assert exception["type"] == "MalformedValue"
    assert exception["code"] == "device.malformed"
    assert exception["at"] == ["<string>:16 <module>"]
    assert ended["exception"]["several"][0]["type"] == "ValueError"
    assert foreign["event"] == "bind failed on 127.0.0.1"


def test_an_argument_is_left_out_an_exception_is_named_and_a_plain_logger_speaks_whole():
    events = [line["event"] for line in lines("info") if line["level"] in {"info", "warning"}]
    assert events == [
        "bound …",
        "lost %s in %d: %s",
        "lost …: device.malformed",
        "lost OSError",
        "GET /v1/exams 200",
    ]


def test_bytes_are_written_only_when_asked_for():
    assert "0aff" in json.dumps(lines("wire"))
    assert "0aff" not in json.dumps(lines("debug"))
    assert "Zhang San" in json.dumps(lines("debug"))


def calls():
    for package in OURS:
        for path in sorted((ROOT / package).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if (
                    isinstance(node, ast.Call)
                    and isinstance(node.func, ast.Attribute)
                    and node.func.attr in {"info", "warning", "error", "exception", "critical"}
                    and isinstance(node.func.value, ast.Name)
                    and node.func.value.id.lower() in {"log", "logger", "logging"}
                ):
                    yield f"{path.relative_to(ROOT)}:{node.lineno}", node


def test_every_log_call_in_the_source_has_a_constant_event_and_plain_fields():
    found = list(calls())
    assert found
    for place, call in found:
        assert isinstance(call.args[0], ast.Constant), f"{place}: the event must be a constant text"
        for keyword in call.keywords:
            if keyword.arg == "extra" and isinstance(keyword.value, ast.Dict):
                names = {key.value for key in keyword.value.keys if isinstance(key, ast.Constant)}
                assert names <= PLAIN, (
                    f"{place}: {sorted(names - PLAIN)} would be dropped, see gateway/logs.py"
                )
