"""Every driver against every transcript: a new driver adds files there, never a test here."""

from pathlib import Path

import pytest

from drivers.catalogue import Driver, Hid, every
from protocol.readings import CardRead
from protocol.transcript import Gives, Heard, Transcript, parse, reading_line, render
from tests.play import (
    NOISE,
    TRANSCRIPTS,
    Chunks,
    bytewise,
    driver_of,
    play,
    play_cut,
    play_noisy,
    read,
    whole,
)

HIT = {
    "andon_bm65": "no framing at all: a byte more is another answer",
    "freestyle_optium": "one sum over the whole dump: it is asked for again, the transcript has it once",
    "onetouch_ultra2": "a damaged line: the memory is asked for again, the transcript has it once",
    "microlife_hid": "reports without a check of their own",
    "par_nibp20xx": "digits of the cuff pressure are unframed",
    "astm-given_up": "the last of the sender's tries is hit",
    "contour_usb-serial_memory": "more is asked for again than the transcript has",
    "true_metrix-runs_on": "the dump has one sum",
    "bluhealth-person": "equal lines are wanted, and noise stands between them",
    "line-twice": "equal lines are wanted, and noise stands between them",
    "superview_hw3030-twice": "equal lines are wanted, and noise stands between them",
    "scale_st_gs-polled": "the answer to a question is hit",
    "gtech_gl-printed": "the noise holds the mark that begins the other dialect",
}
"""Where noise between messages hits one: that one is lost, and never another given."""
MOST_CUTS = 400
"""A longer conversation is cut at so many places, evenly spread."""
BY_NAME = pytest.mark.parametrize("path", TRANSCRIPTS, ids=lambda path: path.stem)


def noise_for(driver: Driver) -> bytes:
    """Return rubbish as it can stand on this driver's line: where reports are whole, whole reports."""
    link = driver.link
    if driver.bluetooth:
        return b""  # a value arrives as it was sent or not at all
    return (NOISE * link.report)[: 2 * link.report] if isinstance(link, Hid) else NOISE


@BY_NAME
@pytest.mark.parametrize("noisy", [False, True], ids=["clean", "after-noise"])
@pytest.mark.parametrize("chunks", [whole, bytewise], ids=["whole", "bytewise"])
def test_driver_says_and_gives_what_the_transcript_states(path: Path, chunks: Chunks, noisy: bool) -> None:
    driver = driver_of(path)
    played = play(driver, read(path), chunks, noise_for(driver) if noisy else b"")
    for reading in played.readings:
        assert reading.kind in driver.kinds
        assert all(reading.evidence)


@BY_NAME
def test_noise_between_messages_costs_at_most_the_message_it_hits(path: Path) -> None:
    driver, transcript = driver_of(path), read(path)
    stated = [turn.reading for turn in transcript.turns if isinstance(turn, Gives)]
    played, whole_of_it = play_noisy(driver, transcript, noise_for(driver))
    told = [reading_line(one) for one in played.readings]
    assert [line for line in told if line not in stated] == []
    assert whole_of_it or path.stem in HIT or driver.name in HIT


@BY_NAME
def test_a_device_that_falls_silent_anywhere_leaves_only_readings_it_gave_whole(path: Path) -> None:
    driver, transcript = driver_of(path), read(path)
    stated = [turn.reading for turn in transcript.turns if isinstance(turn, Gives)]
    length = sum(len(turn.data) for turn in transcript.turns if isinstance(turn, Heard))
    for after in range(0, length, max(1, length // MOST_CUTS)):
        left = [reading_line(one) for one in play_cut(driver, transcript, after).readings if one.values]
        assert [line for line in left if line not in stated] == [], f"cut after {after} bytes"
        assert len(left) <= len(stated)


@BY_NAME
def test_transcript_is_written_as_the_recorder_would_write_it(path: Path) -> None:
    transcript = read(path)
    assert parse(render(transcript)) == transcript
    assert transcript.provenance.split(":")[0].split()[0] in {
        "captured",
        "document",
        "upstream",
        "constructed",
    }


@pytest.mark.parametrize("driver", every().values(), ids=lambda driver: driver.name)
def test_every_driver_has_a_transcript_that_gives_what_it_is_there_for(driver: Driver) -> None:
    """A reading; from a driver that measures nothing, whose card was read."""
    played = [play(driver, read(path)) for path in TRANSCRIPTS if driver_of(path) is driver]
    if driver.kinds:
        assert any(one.readings for one in played)
    else:
        assert any(isinstance(event, CardRead) for one in played for event in one.events)


def test_a_stored_record_read_twice_carries_the_same_name_and_another_record_another() -> None:
    played = play(*_named("sinocare_sn-memory"))
    first, again = played.readings[:3], played.readings[3:]
    assert [reading_line(reading) for reading in first] == [reading_line(reading) for reading in again]
    assert len({reading.record for reading in played.readings}) == 3


def test_a_result_measured_now_and_downloaded_later_carries_one_name() -> None:
    live = play(*_named("sinocare_sn-live")).readings[0]
    stored = play(*_named("sinocare_sn-memory")).readings[0]
    assert live.record == stored.record
    assert (live.stored, stored.stored) == (False, True)


def _named(stem: str) -> tuple[Driver, Transcript]:
    path = next(path for path in TRANSCRIPTS if path.stem == stem)
    return driver_of(path), read(path)
