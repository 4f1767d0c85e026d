"""A Bluetooth conversation written down plays back; where a driver names people, they are blanked."""

import asyncio
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner
from lab import BP, lab, leaping
from peripheral import Machine, blood_pressure

from drivers import catalogue
from gateway.conductor import conduct
from gateway.links.recorder import Recorder
from gateway.links.replay import LeapingLoop, Replay, play
from protocol.errors import LinkError, Lost, Unavailable
from protocol.framing import Noise
from protocol.readings import Event, Reading
from protocol.transcript import Gives, Heard, Transcript, parse, render
from tools.wire import replay

CUFF = catalogue.every()["sig_blood_pressure"]
RESULT = blood_pressure(128, 82, 97, 71, (2026, 11, 21, 12, 0, 0))


class Kept:
    """A sink that gives everything to the recorder."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder

    async def report(self, reading: Reading) -> None:
        self._recorder.gave(reading)

    async def known(self, record: str) -> bool:
        return False

    async def observe(self, event: Event) -> None:
        self._recorder.gave(event)

    def noise(self, noise: Noise) -> None:
        raise AssertionError(noise)


async def recorded(machine: Machine, link, driver) -> Transcript:
    recorder = Recorder(link, driver)
    talking = asyncio.create_task(conduct(CUFF, CUFF.settings, recorder, Kept(recorder), asyncio.Queue()))
    subscribed = asyncio.Event()
    machine.bp_measurement.once("subscription", lambda *told: subscribed.set())
    await subscribed.wait()
    await machine.send_blood_pressure(RESULT)
    await talking
    await recorder.close()
    return recorder.transcript("captured in a test", {})


def test_what_was_recorded_plays_back():
    made: list[Transcript] = []

    @leaping
    async def record():
        async with lab() as here:
            machine = await here.awake()
            made.append(await recorded(machine, await here.radio.connect(machine.address, BP), None))

    record()
    text = render(made[0])
    assert "2A35+" in text
    assert f"2A35< {RESULT.hex(' ')}" in text
    assert "2A24? " in text
    played = play(CUFF, parse(text))
    assert played.fault is None
    assert [str(reading.values["systolic"].value) for reading in played.readings] == ["128"]


@leaping
async def test_a_value_that_names_a_person_is_blanked():
    blanking = replace(CUFF, redact=lambda frame: frame[:1] + bytes(len(frame) - 1))
    async with lab() as here:
        machine = await here.awake()
        made = await recorded(machine, await here.radio.connect(machine.address, BP), blanking)
        heard = [turn for turn in made.turns if isinstance(turn, Heard)]
        assert heard == [Heard(RESULT[:1] + bytes(len(RESULT) - 1), "2A35")]


class Line:
    """A link that is no Bluetooth one."""

    async def read(self) -> bytes:
        raise Lost("gone")

    async def close(self) -> None:
        """Nothing is held."""


@leaping
async def test_a_line_has_no_characteristics():
    recorder = Recorder(Line())
    for step in (recorder.subscribe("2A35"), recorder.read_value("2A35")):
        with pytest.raises(Unavailable) as refused:
            await step
        assert refused.value.code == "link.settings"
    with pytest.raises(LinkError):
        await recorder.write_value("2A35", b"\1", response=True)


def test_a_recording_of_the_air_is_no_pseudo_terminal_s(tmp_path: Path):
    path = Path(__file__).parents[1] / "transcripts" / "sig_blood_pressure-live.txt"
    ran = CliRunner().invoke(replay, [str(path), "--pty", str(tmp_path / "port")])
    assert (ran.exit_code, "simulate DRIVER --transcript" in ran.output) == (2, True)
    assert CliRunner().invoke(replay, [str(path)]).exit_code == 0


async def talked_with(link: Replay, orders: asyncio.Queue, key: str) -> Recorder:
    driver = catalogue.every()["omron_ble"]
    recorder = Recorder(link, None, [bytes.fromhex(key)])
    with suppress(LinkError):
        await conduct(driver, {**driver.settings, "key": key}, recorder, Kept(recorder), orders)
    return recorder


def test_the_key_of_a_monitor_is_in_no_recording_and_the_recording_plays_back():
    path = Path(__file__).parents[1] / "transcripts" / "omron_ble-memory.txt"
    spoken = parse(path.read_text(encoding="utf-8"))
    key = spoken.settings["key"]

    async def record() -> Transcript:
        orders: asyncio.Queue = asyncio.Queue()
        recorder = await talked_with(Replay(spoken, orders), orders, key)
        return recorder.transcript("captured in a test", {"key": key})

    with asyncio.Runner(loop_factory=LeapingLoop) as runner:
        text = render(runner.run(record()))
    assert bytes.fromhex(key).hex(" ") not in text
    assert key not in text
    played = play(catalogue.every()["omron_ble"], parse(text))
    assert played.fault is None
    assert [f"= {turn.reading}" for turn in spoken.turns if isinstance(turn, Gives)] == [
        line for line in played.lines if line.startswith("=")
    ]
