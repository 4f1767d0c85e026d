"""`listen` as a program and as a screen, each on a pseudo-terminal that stands for the device's port."""

import json
import os
import pty
import re
import select
import stat
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import IO

import pytest
from textual.pilot import Pilot
from textual.widgets import DataTable, Static

from drivers.catalogue import every
from protocol.errors import Lost
from protocol.transcript import Gives, Heard, Sent, parse
from tests.tools.programs import (
    DEADLINE_S,
    ROOT,
    TRANSCRIPTS,
    appears,
    command,
    device,
    interrupted,
    lines_until,
    run,
    running,
)
from tools.lines import Line
from tools.listen import Conversation
from tools.screen import Screen
from tools.watching import Choice

LINE = b"2026,07,11,09,05,                    ,0,120,080,072,0\r\n"
WRONG = b"ID,[red]AGE,SEX\r\n"


def test_listen_shows_the_bytes_and_what_they_mean(tmp_path: Path) -> None:
    with (
        device(tmp_path / "port") as master,
        running("listen", tmp_path / "port", "--driver", "omron_hbp") as it,
    ):
        master.write(LINE)
        shown = lines_until(it, "reading")
        assert LINE[:8].hex(" ") in shown[0]
        assert "2026,07,11" in shown[0]
        assert "systolic 120 mm[Hg]" in shown[-1]
        master.write(b"ID,AGE,SEX\r\n")
        assert "omron_hbp.wrong_format" in lines_until(it, "refused")[-1]
        assert interrupted(it) == 0


def test_listen_gives_json_and_never_sends(tmp_path: Path) -> None:
    with device(tmp_path / "port") as master:
        with running("listen", tmp_path / "port", "--driver", "sinocare_sn", "--json") as it:
            sent = b"".join(turn.data for turn in live_meter() if isinstance(turn, Heard))
            master.write(sent)
            shown = [json.loads(line) for line in lines_until(it, '"type": "reading"')]
            os.set_blocking(master.fileno(), False)
            assert master.read(1) is None
        assert b"".join(bytes.fromhex(one["hex"]) for one in shown if one["type"] == "chunk") == sent
        assert shown[-1]["values"] == {"glucose": {"value": "26.8", "unit": "mmol/L"}}


def live_meter() -> tuple[object, ...]:
    return parse((TRANSCRIPTS / "sinocare_sn-live.txt").read_text()).turns


def test_listen_stops_by_itself(tmp_path: Path) -> None:
    with device(tmp_path / "port"):
        ended = run(
            "listen", tmp_path / "port", "--driver", "omron_hbp", "--seconds", "0.2", "--baudrate", "9600"
        )
    assert ended.returncode == 0, ended.stderr


def test_a_pulled_cable_ends_with_the_devices_status(tmp_path: Path) -> None:
    words = ("listen", tmp_path / "port", "--driver", "omron_hbp")
    with device(tmp_path / "port") as master, running(*words) as it:
        master.write(LINE)
        lines_until(it, "reading")
        master.close()
        assert it.wait(DEADLINE_S) == 4


@pytest.mark.parametrize(
    "words",
    [
        ("listen", "/dev/null", "--driver", "no_such_driver"),
        ("listen", "/dev/null", "--driver", "omron_hbp", "--parity", "X"),
        ("listen", "/dev/null", "--driver", "omron_hbp", "--set", "no=1"),
        ("listen", "/dev/null", "--driver", "omron_hbp", "--set", "no"),
        ("listen", "/dev/null", "--set", "mode=print"),
        ("listen", "/dev/null", "--driver", "omron_hbp", "-o", "/no/such/folder/file"),
        ("listen", "/dev/null", "--talk"),
    ],
    ids=" ".join,
)
def test_usage(words: tuple[str, ...]) -> None:
    assert run(*words).returncode == 2


def test_nothing_there_is_a_link_error(tmp_path: Path) -> None:
    ended = run("listen", tmp_path / "nothing")
    assert (ended.returncode, ended.stdout) == (4, "")
    assert "link.unavailable" in ended.stderr


def test_without_a_driver_the_bytes_are_shown(tmp_path: Path) -> None:
    with device(tmp_path / "port") as master, running("listen", tmp_path / "port") as it:
        master.write(b"\x53\x4e\x06")
        assert lines_until(it, "53 4e 06")[0].endswith("< 53 4e 06")
        assert interrupted(it) == 0


@pytest.mark.parametrize(
    ("choice", "wanted", "unwanted"),
    [
        (("--only", "frames"), ("= 32 30", "reading"), ("<", "refused")),
        (("--only", "noise"), ("refused",), ("<", "reading", "=")),
        (("--only", "bytes"), ("< ",), ("reading", "refused")),
        (("--find", "SYSTOLIC 120"), ("reading",), ("<", "refused")),
        (("--find", "5b 72 65 64"), ("< ",), ("reading",)),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else None,
)
def test_a_choice_of_lines_and_a_file_with_all_of_them(
    tmp_path: Path, choice: tuple[str, ...], wanted: tuple[str, ...], unwanted: tuple[str, ...]
) -> None:
    kept = tmp_path / "kept.txt"
    words: list[str | Path] = ["listen", tmp_path / "port", "--driver", "omron_hbp", "-o", kept, *choice]
    with device(tmp_path / "port") as master, running(*words) as it:
        master.write(LINE + WRONG)
        until(lambda: kept.is_file() and "refused" in kept.read_text())
        assert interrupted(it) == 0
        assert it.stdout is not None
        shown = it.stdout.read()
    assert all(word in shown for word in wanted), shown
    assert not any(f" {word} " in shown for word in unwanted), shown
    for word in ("< 32 30", "= 32 30", "reading", "refused"):
        assert word in kept.read_text()
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert run(*words).returncode == 2, "a file is not written over"


def until(happened: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_talking_shows_both_ways_and_orders_nothing(tmp_path: Path) -> None:
    port = tmp_path / "port"
    transcript = tmp_path / "sinocare_sn-unasked.txt"
    transcript.write_text((TRANSCRIPTS / "sinocare_sn-memory.txt").read_text().partition("!")[0])
    with running("replay", transcript, "--pty", port) as served:
        appears(port)
        with running("listen", port, "--driver", "sinocare_sn", "--talk", "--json") as it:
            turns = parse(transcript.read_text()).turns
            shown: list[dict[str, object]] = []
            for _ in (turn for turn in turns if isinstance(turn, Gives)):
                shown += (json.loads(line) for line in lines_until(it, '"type": "reading"'))
            assert interrupted(it) == 0
        assert served.wait(DEADLINE_S) == 0, "the meter heard what the transcript has, and nothing else"
    sent = [turn.data.hex() for turn in turns if isinstance(turn, Sent)]
    assert [one["hex"] for one in shown if one["type"] == "sent"] == sent


def test_a_device_that_does_not_answer_is_asked_again(tmp_path: Path) -> None:
    words = ("listen", tmp_path / "port", "--driver", "onetouch_ultra2", "--talk")
    with device(tmp_path / "port") as master, running(*words) as it:
        first = lines_until(it, "ended")
        assert "device.no_answer" in first[-1]
        asked = [bytes.fromhex(line.partition("> ")[2].partition("  ")[0]) for line in first if "> " in line]
        assert asked
        assert lines_until(it, f"> {asked[0].hex(' ')}")
        assert interrupted(it) == 0
        assert master.read(len(asked[0])) == asked[0]


def test_nothing_but_the_screen_loads_the_library_that_draws(tmp_path: Path) -> None:
    script = f"""
import sys
from click.testing import CliRunner
from tools.main import COMMANDS, cli
for name in COMMANDS:
    assert CliRunner().invoke(cli, [name, "--help"]).exit_code == 0, name
assert CliRunner().invoke(cli, ["listen", {str(tmp_path / "nothing")!r}]).exit_code == 4
assert not [name for name in sys.modules if name.partition(".")[0] in ("textual", "rich")]
"""
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_only_the_screen_names_the_library_that_draws() -> None:
    folders = ("protocol", "drivers", "store", "gateway", "tools")
    files = [file for folder in folders for file in (ROOT / folder).rglob("*.py")]
    naming = [
        file.name
        for file in files
        if re.search(r"^\s*(from|import) (textual|rich)\b", file.read_text(), re.M)
    ]
    assert naming == ["screen.py"]


class Terminal:
    """A program whose standard input and output are a terminal."""

    def __init__(self, words: list[str], **environ: str) -> None:
        self._ours, theirs = pty.openpty()
        os.set_blocking(self._ours, False)
        self._said = b""
        self.program = subprocess.Popen(
            words,
            cwd=ROOT,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env={**os.environ, "TERM": "xterm-256color", "COLUMNS": "120", "LINES": "30", **environ},
        )
        os.close(theirs)

    def until(self, wanted: bytes) -> None:
        deadline = time.monotonic() + DEADLINE_S
        while wanted not in self._said:
            assert time.monotonic() < deadline, self._said[-2000:]
            if select.select([self._ours], [], [], 0.1)[0]:
                self._said += os.read(self._ours, 65536)

    def press(self, key: bytes) -> None:
        os.write(self._ours, key)

    def ended(self) -> int:
        """Return the status; what is still drawn must be taken, or the program waits for ever."""
        deadline = time.monotonic() + DEADLINE_S
        while self.program.poll() is None:
            assert time.monotonic() < deadline
            if select.select([self._ours], [], [], 0.1)[0]:
                try:
                    self._said += os.read(self._ours, 65536)
                except OSError:
                    continue
        return self.program.returncode

    def close(self) -> None:
        self.program.kill()
        self.program.wait()
        os.close(self._ours)


def test_on_a_terminal_it_is_a_screen_that_a_key_ends(tmp_path: Path) -> None:
    with device(tmp_path / "port") as master:
        screen = Terminal(command("listen", tmp_path / "port", "--driver", "omron_hbp"))
        try:
            screen.until(b"nothing is sent")
            master.write(LINE)
            screen.until(b"systolic 120")
            screen.press(b"q")
            assert screen.ended() == 0
        finally:
            screen.close()


def test_a_pulled_cable_ends_the_screen_with_the_devices_status(tmp_path: Path) -> None:
    with device(tmp_path / "port") as master:
        screen = Terminal(command("listen", tmp_path / "port", "--driver", "omron_hbp"), LC_ALL="C.UTF-8")
        try:
            master.write(LINE)
            screen.until(b"systolic 120")
            master.close()
            screen.until(b"link.lost")
            assert screen.ended() == 4
        finally:
            screen.close()


def test_the_time_ends_the_screen_too(tmp_path: Path) -> None:
    with device(tmp_path / "port"):
        screen = Terminal(command("listen", tmp_path / "port", "--seconds", "0.5"))
        try:
            assert screen.ended() == 0
        finally:
            screen.close()


@pytest.mark.parametrize("how", ["plain", "missing", "dumb"])
def test_a_terminal_may_have_lines_instead(tmp_path: Path, how: str) -> None:
    words = ["listen", str(tmp_path / "port"), "--driver", "omron_hbp", *(["--plain"] * (how == "plain"))]
    hidden = "sys.modules['textual'] = None;" if how == "missing" else ""
    script = f"import sys; {hidden} sys.argv[1:] = {words!r}; from tools.main import main; main()"
    with device(tmp_path / "port") as master:
        lines = Terminal(
            [sys.executable, "-c", script], TERM="dumb" if how == "dumb" else "xterm", PYTHONPATH=str(ROOT)
        )
        try:
            if how == "missing":
                lines.until(b"checkup-gateway[tui]")
            master.write(LINE)
            lines.until(LINE[:5].hex(" ").encode())
            lines.until(b"systolic 120")
            assert b"\x1b[" not in lines._said
        finally:
            lines.close()


@asynccontextmanager
async def screen_on(
    folder: Path, driver: str = "omron_hbp"
) -> AsyncIterator[tuple[Screen, Pilot[BaseException], IO[bytes]]]:
    with device(folder / "port") as master:
        watched = Conversation(str(folder / "port"), Line(), every()[driver], {}, False)
        screen = Screen(watched.title, watched.watch, Choice(), folder)
        async with screen.run_test(size=(120, 30)) as pilot:
            yield screen, pilot, master


def table(screen: Screen) -> list[list[str]]:
    rows: DataTable[object] = screen.query_one(DataTable)
    return [[str(cell) for cell in rows.get_row_at(number)] for number in range(rows.row_count)]


def top(screen: Screen) -> str:
    return str(screen.query_one("#top", Static).render())


async def shows(pilot: Pilot[BaseException], happened: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not happened():
        assert time.monotonic() < deadline
        await pilot.pause(0.02)


async def test_the_screen_shows_bytes_text_and_meaning_beside(tmp_path: Path) -> None:
    async with screen_on(tmp_path) as (screen, pilot, master):
        master.write(LINE + WRONG)
        await shows(pilot, lambda: len(table(screen)) >= 3)
        rows = table(screen)
        assert [row[1] for row in rows] == ["<", "", "!"]
        assert rows[1][2].startswith("32 30 32 36")
        assert rows[1][3].startswith("2026,")
        assert "systolic 120 mm[Hg]" in rows[1][4]
        assert "omron_hbp.wrong_format" in rows[2][4]
        below = screen.query_one("#bytes", Static)
        # A device's bytes are never taken for markup.
        await shows(pilot, lambda: "ID,[red]AGE,SEX." in str(below.render()))
        await shows(
            pilot, lambda: f"heard {len(LINE + WRONG)} B, sent 0 B, frames 2, refused 1" in top(screen)
        )


async def test_the_screen_is_held_and_goes_on_without_a_loss(tmp_path: Path) -> None:
    async with screen_on(tmp_path) as (screen, pilot, master):
        master.write(LINE)
        await shows(pilot, lambda: len(table(screen)) == 2)
        await pilot.press("space")
        master.write(LINE.replace(b",120,", b",121,"))
        await shows(pilot, lambda: "HELD, 3 more" in top(screen))
        assert len(table(screen)) == 2
        await pilot.press("space")
        await shows(pilot, lambda: len(table(screen)) == 4)
        assert "systolic 121" in table(screen)[-1][4]


async def test_the_screen_shows_one_sort_finds_and_saves(tmp_path: Path) -> None:
    async with screen_on(tmp_path) as (screen, pilot, master):
        master.write(LINE + WRONG)
        await shows(pilot, lambda: len(table(screen)) == 3)
        await pilot.press("n")
        assert [row[1] for row in table(screen)] == ["!"]
        await pilot.press("f")
        assert [row[1] for row in table(screen)] == ["=", "", "="]
        await pilot.press("b")
        assert [row[1] for row in table(screen)] == ["<"]
        await pilot.press("a", "slash", *"systolic", "enter")
        await shows(pilot, lambda: len(table(screen)) == 1)
        await pilot.press("s")
        [saved] = tmp_path.glob("listen-*.txt")  # noqa: ASYNC240
        assert stat.S_IMODE(saved.stat().st_mode) == 0o600
        head, line = saved.read_text().splitlines()
        assert "omron_hbp" in head
        assert "systolic 120 mm[Hg]" in line
        await pilot.press("slash", *["backspace"] * 8, "enter")
        await shows(pilot, lambda: len(table(screen)) == 3)


async def test_a_lost_port_ends_the_screen_with_its_reason(tmp_path: Path) -> None:
    async with screen_on(tmp_path) as (screen, pilot, master):
        master.write(LINE)
        await shows(pilot, lambda: len(table(screen)) == 2)
        master.close()
        await shows(pilot, lambda: screen.return_value is not None)
    assert isinstance(screen.return_value, Lost)
