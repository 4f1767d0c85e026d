"""The command itself, as a process: exit statuses, what goes where, and what a person reads."""

import json
import os
import signal
import subprocess
import sys
import types
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from gateway import messages
from protocol.errors import (
    Busy,
    ConfigError,
    DiskFull,
    GatewayError,
    JournalHeld,
    Lost,
    MalformedValue,
    NoAnswer,
    Refused,
    RequestRefused,
    Unavailable,
    Unreachable,
)
from tools import main
from tools.main import cli

COMMAND = Path(sys.executable).with_name("checkup-gateway")
LINE = b"2026,07,11,09,05,12345678901234567890,0,120,080,072,0\r\n"


def run(*words: str, stdin: bytes = b"", **environ: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [COMMAND, *words],
        input=stdin,
        capture_output=True,
        check=False,
        env={"PATH": os.environ["PATH"], **environ},
    )


def test_help_names_every_command_of_the_contract() -> None:
    done = run("--help")
    assert done.returncode == 0
    for name in [
        "run",
        "demo",
        "drivers",
        "decode",
        "all-in-one",
        "simulate",
        "listen",
        "record",
        "replay",
        "devices",
        "doctor",
        "config",
        "journal",
        "outbox",
    ]:
        assert f"\n  {name} ".encode() in done.stdout


def test_help_needs_no_command_s_module() -> None:
    script = (
        "import sys; from click.testing import CliRunner; from tools.main import cli;"
        "assert CliRunner().invoke(cli, ['--help']).exit_code == 0;"
        "print({name.split('.')[0] for name in sys.modules} & {'drivers', 'gateway', 'store', 'asyncio'})"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)
    assert done.stdout.strip() == b"set()"


def test_version_is_the_distribution_s() -> None:
    assert run("--version").stdout.startswith(b"checkup-gateway, version ")


def test_completion_offers_commands_and_drivers() -> None:
    words = {"_CHECKUP_GATEWAY_COMPLETE": "bash_complete", "COMP_CWORD": "1"}
    assert run(COMP_WORDS="checkup-gateway de", **words).stdout.split() == [
        b"plain,demo",
        b"plain,decode",
        b"plain,devices",
    ]
    words["COMP_CWORD"] = "2"
    assert run(COMP_WORDS="checkup-gateway decode gtech", **words).stdout.split() == [b"plain,gtech_gl"]


@pytest.mark.parametrize(
    "words",
    [
        ("frobnicate",),
        ("decode",),
        ("decode", "omron_hbp"),
        ("decode", "omron_hpb", "--hex", "00"),
        ("decode", "omron_hbp", "--hex", "0"),
        ("decode", "omron_hbp", "--hex", "zz"),
        ("decode", "omron_hbp", "--hex", "2A35:1E73"),
        ("decode", "omron_hbp", "--hex", "ADV:1E73"),
        ("decode", "omron_hbp", "--file", "/nonexistent"),
        ("drivers", "--json", "--markdown"),
        ("simulate", "gtech_gl", "--set", "dialect=klingon"),
    ],
    ids=" ".join,
)
def test_usage_errors_are_2_and_on_stderr(words: tuple[str, ...]) -> None:
    done = CliRunner().invoke(cli, list(words))
    assert (done.exit_code, done.stdout) == (2, "")
    assert "Error: " in done.stderr


def test_a_near_miss_of_a_driver_s_name_is_answered_with_the_name() -> None:
    assert "perhaps omron_hbp" in CliRunner().invoke(cli, ["decode", "omron_hpb", "--hex", "00"]).stderr


def test_decode_as_a_process() -> None:
    good = run("decode", "omron_hbp", "--hex", LINE.hex(":"), "--json")
    assert (good.returncode, good.stderr) == (0, b"")
    assert json.loads(good.stdout)["readings"][0]["values"]["systolic"] == {"value": "120", "unit": "mm[Hg]"}
    bad = run("decode", "omron_hbp", "--hex", LINE.replace(b",120,", b",+20,").hex(" "))
    assert bad.returncode == 6
    assert bad.stdout.startswith(b"refused ")
    assert bad.stderr
    piped = run("decode", "omron_hbp", "--file", "-", "--json", stdin=LINE)
    assert piped.stdout == good.stdout


def test_a_reader_that_goes_away_is_no_traceback(tmp_path: Path) -> None:
    capture = tmp_path / "capture"
    capture.write_bytes(LINE * 5000)
    with subprocess.Popen(
        [COMMAND, "decode", "omron_hbp", "--file", capture], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout
        assert process.stderr
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 1


def test_control_c_is_130(tmp_path: Path) -> None:
    with subprocess.Popen(
        [COMMAND, "simulate", "omron_hbp", "--pty", tmp_path / "port"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout
        assert process.stderr
        assert json.loads(process.stdout.readline())["link"] == str(tmp_path / "port")
        process.send_signal(signal.SIGINT)
        assert process.stderr.read() == b""
    assert process.returncode == 130
    assert not (tmp_path / "port").is_symlink()


ERRORS: list[tuple[GatewayError, int]] = [
    (GatewayError("x"), 1),
    (ConfigError("http.prot"), 3),
    (Unavailable("/dev/ttyUSB0"), 4),
    (Busy("/dev/ttyUSB0"), 4),
    (Lost("x"), 4),
    (NoAnswer("x"), 4),
    (MalformedValue("x"), 6),
    (RequestRefused("x"), 6),
    (Unreachable("x"), 5),
    (Refused("x"), 5),
    (DiskFull("x"), 1),
    (JournalHeld("x"), 75),
]


@pytest.mark.parametrize("nested", [False, True])
@pytest.mark.parametrize(("error", "status"), ERRORS, ids=lambda value: getattr(value, "code", value))
def test_our_errors_end_in_words_and_their_status(
    error: GatewayError, status: int, nested: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    @click.command()
    def broken() -> None:
        raise (
            ExceptionGroup("several", [ValueError("other"), ExceptionGroup("deeper", [error])])
            if nested
            else error
        )

    module = types.ModuleType("broken_command")
    module.broken = broken  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "broken_command", module)
    monkeypatch.setitem(main.COMMANDS, "broken", ("broken_command:broken", "Fail."))
    for language, locale in (("en", "C.UTF-8"), ("zh-CN", "zh_CN.UTF-8")):
        done = CliRunner(env={"LC_ALL": locale}).invoke(cli, ["broken"])
        assert (done.exit_code, done.stdout) == (status, "")
        assert messages.text(error.code, language) in done.stderr
        assert f"{error.code}: {error.detail}" in done.stderr


def test_a_fault_of_the_program_is_not_dressed_up(monkeypatch: pytest.MonkeyPatch) -> None:
    @click.command()
    def broken() -> None:
        raise ExceptionGroup("several", [ValueError("a bug")])

    module = types.ModuleType("broken_command")
    module.broken = broken  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "broken_command", module)
    monkeypatch.setitem(main.COMMANDS, "broken", ("broken_command:broken", "Fail."))
    assert isinstance(CliRunner().invoke(cli, ["broken"]).exception, ExceptionGroup)
