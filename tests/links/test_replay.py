"""Transcripts as links: played in chunks of any size, compared with what the driver says, recorded again."""

import asyncio
import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from cables import Cable, soon
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.catalogue import every
from drivers.dialogue import Order
from gateway.conductor import conduct
from gateway.links.recorder import PAUSE_S, Recorder
from gateway.links.replay import LeapingLoop, Replay, driver_settings, play
from gateway.links.serial import LineSettings, open_serial
from protocol.errors import Lost, UnexpectedReply
from protocol.framing import Noise
from protocol.readings import Event, Reading
from protocol.transcript import (
    Gives,
    Heard,
    Ordered,
    Sent,
    Silence,
    Transcript,
    TranscriptError,
    parse,
    render,
)

FOLDER = Path(__file__).parents[1] / "transcripts"
METER = parse((FOLDER / "sinocare_sn-live.txt").read_text())
MONITOR = parse((FOLDER / "omron_hbp-format_5.txt").read_text())
BOARD = parse((FOLDER / "pm6750-measurement.txt").read_text())


def stated(transcript: Transcript) -> list[str]:
    return [f"= {turn.reading}" for turn in transcript.turns if isinstance(turn, Gives)]


def given_by(lines: tuple[str, ...]) -> list[str]:
    return [line for line in lines if line.startswith("=")]


def changed(transcript: Transcript, *turns: object) -> Transcript:
    return Transcript(transcript.provenance, turns, transcript.settings)  # type: ignore[arg-type]


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 40), st.sampled_from(["sinocare_sn-live", "omron_hbp-format_5", "pm6750-measurement"]))
def test_chunks_of_any_size_give_the_stated_readings(chunk: int, name: str) -> None:
    transcript = parse((FOLDER / f"{name}.txt").read_text())
    played = play(every()[name.partition("-")[0]], transcript, chunk)
    assert played.fault is None
    assert given_by(played.lines) == stated(transcript)
    assert len(stated(transcript)) >= 1


def test_hours_of_silence_pass_at_once() -> None:
    hours = changed(MONITOR, Silence(7200), *MONITOR.turns, Silence(7200))
    assert given_by(play(every()["omron_hbp"], hours).lines) == stated(MONITOR)


def test_a_line_that_is_never_ended_is_given_out_at_the_end() -> None:
    cut = changed(MONITOR, Heard(b"2026,07,11,09,05,                    ,0,120,080,072,0"))
    assert len(play(every()["omron_hbp"], cut).readings) == 1


def test_another_word_than_the_transcripts_is_named() -> None:
    first = METER.turns[0]
    assert isinstance(first, Sent)
    wrong = changed(METER, Sent(b"\x53\x4e\x00"), *METER.turns[1:])
    fault = play(every()["sinocare_sn"], wrong).fault
    assert isinstance(fault, UnexpectedReply)
    assert fault.code == "replay.differs"
    assert first.data.hex(" ") in fault.detail
    assert "53 4e 00" in fault.detail


def test_a_word_that_the_driver_never_says_is_named() -> None:
    wrong = changed(MONITOR, Sent(b"never said"), *MONITOR.turns)
    played = play(every()["omron_hbp"], wrong)
    assert played.fault is not None
    assert played.fault.code == "replay.differs"
    assert b"never said".hex(" ") in played.fault.detail
    assert played.readings == ()


def test_what_is_said_after_the_end_is_shown() -> None:
    nothing = changed(METER, Silence(0.1))
    assert play(every()["sinocare_sn"], nothing).beyond.startswith(b"SN")


def test_the_answer_is_held_back_until_the_question() -> None:
    async def work() -> None:
        link = Replay(changed(METER, Heard(b"a"), Sent(b"?"), Heard(b"b")))
        assert await link.read() == b"a"
        early = asyncio.create_task(link.read())
        await asyncio.sleep(100)
        assert not early.done()
        await link.write(b"?")
        assert await early == b"b"
        with pytest.raises(Lost):
            await link.read()

    with asyncio.Runner(loop_factory=LeapingLoop) as runner:
        runner.run(work())


def test_orders_come_where_the_transcript_has_them() -> None:
    async def work() -> None:
        orders: asyncio.Queue[Order] = asyncio.Queue()
        link = Replay(changed(BOARD, Heard(b"a"), Silence(5), Ordered("start", {"patient": "adult"})), orders)
        await link.read()
        assert orders.empty()
        with pytest.raises(Lost):
            await link.read()
        assert orders.get_nowait() == Order("start", {"patient": "adult"})

    with asyncio.Runner(loop_factory=LeapingLoop) as runner:
        runner.run(work())


def test_settings_are_read_as_the_driver_has_them() -> None:
    for driver in every().values():
        for name, default in driver.settings.items():
            text = {True: "yes", False: "no"}[default] if isinstance(default, bool) else str(default)
            assert driver_settings(driver, {name: text}) == driver.settings
        with pytest.raises(TranscriptError):
            driver_settings(driver, {"no such setting": "1"})


class Written:
    """A sink that tells the recorder what the driver made of it."""

    def __init__(self, recorder: Recorder) -> None:
        self.recorder = recorder
        self.records: set[str | None] = set()
        self.enough = asyncio.Event()

    async def report(self, reading: Reading) -> None:
        self.recorder.gave(reading)
        self.records.add(reading.record)
        self.enough.set()

    async def known(self, record: str) -> bool:
        return record in self.records

    async def observe(self, event: Event) -> None:
        self.recorder.gave(event)

    def noise(self, noise: Noise) -> None:
        """The recorder has the bytes."""


def test_a_conversation_recorded_and_played_again_is_the_same() -> None:
    """Record a replay of each transcript in its own time: the record says the same and gives the same."""
    for path in sorted(FOLDER.glob("*.txt")):
        transcript, driver = parse(path.read_text()), every()[path.stem.partition("-")[0]]

        async def work() -> Transcript:
            orders: asyncio.Queue[Order] = asyncio.Queue()
            recorder = Recorder(Replay(transcript, orders, 3))  # noqa: B023
            told = driver_settings(driver, transcript.settings)  # noqa: B023
            with contextlib.suppress(Lost):
                await conduct(driver.under(told), told, recorder, Written(recorder), orders)  # noqa: B023
            return recorder.transcript("captured in a test", transcript.settings)  # noqa: B023

        with asyncio.Runner(loop_factory=LeapingLoop) as runner:
            recorded = runner.run(work())
        assert stated(recorded) == stated(transcript), path.stem
        assert heard_bytes(recorded) == heard_bytes(transcript), path.stem
        assert parse(render(recorded)) == recorded, path.stem


def heard_bytes(transcript: Transcript) -> bytes:
    return b"".join(turn.data for turn in transcript.turns if isinstance(turn, Heard))


def pieces(transcript: Transcript) -> Iterator[object]:
    for turn in transcript.turns:
        yield turn if isinstance(turn, Heard | Sent) else type(turn)


def test_silences_are_written_and_chunks_joined() -> None:
    async def work() -> Transcript:
        turns = (Heard(b"a"), Heard(b"b"), Silence(PAUSE_S * 2), Heard(b"c"), Sent(b"?"), Heard(b"d"))
        recorder = Recorder(Replay(changed(METER, *turns)))
        for _ in range(3):
            await recorder.read()
        await recorder.write(b"?")
        await recorder.read()
        return recorder.transcript("captured in a test", {})

    with asyncio.Runner(loop_factory=LeapingLoop) as runner:
        recorded = runner.run(work())
    assert list(pieces(recorded)) == [Heard(b"ab"), Silence, Heard(b"c"), Sent(b"?"), Heard(b"d")]


async def test_a_live_conversation_is_recorded(cable: Cable) -> None:
    driver = every()["omron_hbp"]
    recorder = Recorder(await soon(open_serial(cable.port, LineSettings.of(driver.link))))
    sink = Written(recorder)
    conducting = asyncio.create_task(conduct(driver, {}, recorder, sink, asyncio.Queue()))
    cable.says(heard_bytes(MONITOR)[:57])
    await soon(sink.enough.wait())
    conducting.cancel()
    await asyncio.wait({conducting})
    await soon(recorder.close())
    recorded = recorder.transcript("captured in a test", {})
    assert stated(recorded) == stated(MONITOR)[:1]
    played = await asyncio.to_thread(play, driver, recorded)
    assert given_by(played.lines) == stated(MONITOR)[:1]
