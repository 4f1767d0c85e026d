"""`simulate` as a process: what it prints, what it takes, and a transcript served to the real driver."""

import asyncio
import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from drivers import catalogue
from drivers.dialogue import Order
from gateway.conductor import conduct
from gateway.links.serial import LineSettings, open_serial
from protocol import transcript
from protocol.framing import Noise
from protocol.readings import Event, Reading

COMMAND = Path(sys.executable).with_name("checkup-gateway")
TRANSCRIPTS = Path(__file__).parent.parent / "transcripts"
DEADLINE_S = 20.0
PERSON = {"systolic": "128", "diastolic": "82", "pulse_rate": "66"}


@contextmanager
def simulated(*words: str | Path) -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(
        [COMMAND, "simulate", *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        try:
            yield process
        finally:
            process.terminate()


def told(process: subprocess.Popen[bytes]) -> dict[str, object]:
    assert process.stdout
    return json.loads(process.stdout.readline())


def order(process: subprocess.Popen[bytes], *orders: object) -> None:
    assert process.stdin
    process.stdin.write("".join(json.dumps(one) + "\n" for one in orders).encode())
    process.stdin.flush()


def test_the_link_is_the_same_across_unplug_and_replug(tmp_path: Path) -> None:
    link = tmp_path / "deeper" / "port"
    with simulated("omron_hbp", "--pty", link, "--script") as process:
        first = told(process)
        assert first == {"pty": str(link.readlink()), "link": str(link)}
        order(process, {"measure": PERSON})
        assert told(process) == {"unsent": PERSON}
        order(process, {"unplug": True}, {"measure": PERSON})
        assert told(process) == {"unsent": PERSON}
        assert not link.is_symlink()
        order(process, {"replug": True})
        assert told(process) == {"pty": str(link.readlink()), "link": str(link)}
        assert process.stdin
        process.stdin.close()
        assert process.wait(DEADLINE_S) == 0
    assert not link.is_symlink()


def test_what_is_no_order_is_refused_and_the_machine_goes_on(tmp_path: Path) -> None:
    with simulated("omron_hbp", "--script", "--pty", tmp_path / "port") as process:
        told(process)
        wrong = [
            "no JSON",
            {},
            {"measure": 3},
            {"measure": {"systolic": "x"}},
            {"stored": 1},
            {"noise": "zz"},
        ]
        order(process, *wrong)
        assert [list(told(process)) for _ in wrong] == [["refused"]] * len(wrong)
        order(process, {"measure": PERSON})
        assert told(process) == {"unsent": PERSON}


def test_a_script_waits_between_its_orders_and_ends_with_its_file(tmp_path: Path) -> None:
    script = [{"measure": PERSON}, {"wait": 0.3}, {"fail": "7"}, {"clock": "late"}]
    done = subprocess.run(
        [COMMAND, "simulate", "omron_hbp", "--script", "--pty", tmp_path / "port"],
        input="".join(json.dumps(one) + "\n" for one in script).encode(),
        capture_output=True,
        timeout=DEADLINE_S,
        check=True,
    )
    said = [json.loads(line) for line in done.stdout.splitlines()][1:]
    assert said[0] == {"unsent": PERSON}
    assert {"refused": "seconds are a number"} in said
    assert {"unsent": {"failed": "7"}} in said


def test_people_come_by_themselves_and_the_seed_decides_who(tmp_path: Path) -> None:
    def first_two(seed: str) -> list[dict[str, object]]:
        with simulated("gtech_gl", "--interval", "0.1", "--seed", seed, "--pty", tmp_path / seed) as process:
            told(process)
            return [told(process), told(process)]

    assert first_two("1") == first_two("1") != first_two("2")


def test_a_file_in_the_link_s_place_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "port").write_text("mine")
    done = subprocess.run(
        [COMMAND, "simulate", "omron_hbp", "--pty", tmp_path / "port"], capture_output=True, check=False
    )
    assert (done.returncode, done.stdout) == (4, b"")
    assert b"link.unavailable" in done.stderr
    assert (tmp_path / "port").read_text() == "mine"


class Heard:
    """Keeps the readings as a transcript states them."""

    def __init__(self, wanted: int) -> None:
        self.lines: list[str] = []
        self.complete = asyncio.Event()
        self._wanted = wanted

    async def report(self, reading: Reading) -> None:
        self.lines.append(transcript.reading_line(reading))
        if len(self.lines) == self._wanted:
            self.complete.set()

    async def known(self, record: str) -> bool:
        return any(f"record {record}" in line.split("; ") for line in self.lines)

    async def observe(self, event: Event) -> None: ...

    def noise(self, noise: Noise) -> None: ...


@pytest.mark.parametrize(
    "name", ["sinocare_sn-memory", "gtech_gl-printed", "omron_hbp-format_5", "scale_st_gs-stream"]
)
async def test_a_transcript_is_served_to_the_driver_twice(name: str, tmp_path: Path) -> None:
    path = TRANSCRIPTS / f"{name}.txt"
    recording = transcript.parse(path.read_text())
    driver = catalogue.every()[name.partition("-")[0]]
    stated = [turn.reading for turn in recording.turns if isinstance(turn, transcript.Gives)]
    settings = {**driver.settings, **recording.settings}
    with simulated(driver.name, "--transcript", path, "--pty", tmp_path / "port") as process:
        assert "pty" in await asyncio.to_thread(told, process)
        for _ in range(2):
            heard, orders = Heard(len(stated)), asyncio.Queue[Order]()
            for turn in recording.turns:
                if isinstance(turn, transcript.Ordered):
                    orders.put_nowait(Order(turn.name, turn.arguments))
            link = await open_serial(str(tmp_path / "port"), LineSettings.of(driver.link))
            conversation = asyncio.create_task(conduct(driver, settings, link, heard, orders))
            await asyncio.wait_for(heard.complete.wait(), DEADLINE_S)
            conversation.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await conversation
            await link.close()
            assert heard.lines == stated
            assert await asyncio.to_thread(told, process) == {"host": True}
            assert await asyncio.to_thread(told, process) == {"host": False}
