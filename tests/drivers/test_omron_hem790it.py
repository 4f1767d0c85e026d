"""Omron USB monitors: the vectors, what transcripts cannot show, and the simulated machine by its driver."""

from datetime import datetime
from decimal import Decimal
from random import Random
from typing import Any

import pytest

from drivers.catalogue import every
from protocol import omron_usb
from protocol.framing import Frame
from protocol.readings import Measure, Notice, Reading
from protocol.transcript import Heard, Sent, reading_line
from tests.play import TRANSCRIPTS, driver_of, play, read
from tests.vector_rows import decoded, raw, rows
from tools import simulators
from tools.simulators import Attached, Await, Device, Say, Setup, Store

NAME = "omron_hem790it"
BUILT = {
    b"VER": omron_usb.ASK_VERSION,
    b"PRF": omron_usb.command(b"PRF", b"0"),
    b"SRL": omron_usb.ASK_SERIAL,
    b"GDC": omron_usb.ask_count(0),
    b"GME": omron_usb.ask_reading(0, 0),
    b"END": omron_usb.GO_OFF,
}


@pytest.mark.parametrize("row", rows(NAME, "device->host"), ids=lambda row: row["id"])
def test_a_message_of_the_vectors_gives_what_is_stated(row: dict[str, Any]) -> None:
    expected, (said,) = row["expected"], decoded(NAME, raw(row))
    if "text" in expected:
        assert isinstance(said, Notice)
        assert said.detail == {"version": expected["text"]}
        return
    assert isinstance(said, Reading)
    assert said.device_time == datetime.fromisoformat(expected["time"])
    assert [quantity.value for quantity in said.values.values()] == [
        Decimal(expected[name]) for name in ("sys", "dia", "pulse")
    ]


@pytest.mark.parametrize("row", rows(NAME, "host->device"), ids=lambda row: row["id"])
def test_a_question_is_built_to_the_byte(row: dict[str, Any]) -> None:
    assert BUILT[raw(row)[:3]] == raw(row)


@pytest.mark.parametrize("letters", [b"CTD", b"CLR", b"SET", b"DEL", b"VE"])
def test_nothing_but_documented_questions_can_be_built(letters: bytes) -> None:
    with pytest.raises(ValueError, match="never sent"):
        omron_usb.command(letters, b"0")


FORMS = {
    "with its header": "4f 4b 00 07 01 03 00 06 33 00 00 70 4b 47 00 00 4c",
    "in reports": "07 4f 4b 00 07 01 03 00 07 06 33 00 00 70 4b 47 03 00 00 4c 00 00 00 00",
    "leftovers behind": "07 4f 4b 00 07 01 03 00 07 06 33 00 00 70 4b 47 03 00 00 4c 4f 4b 00 81",
}


@pytest.mark.parametrize("text", FORMS.values(), ids=FORMS)
def test_every_form_of_a_message_says_the_same(text: str) -> None:
    (stated,) = decoded(NAME, bytes.fromhex("07 01 03 00 06 33 00 00 70 4b 47 00 00 4c"))
    (said,) = decoded(NAME, bytes.fromhex(text))
    assert isinstance(stated, Reading)
    assert isinstance(said, Reading)
    assert reading_line(said) == reading_line(stated)
    assert said.evidence == (bytes.fromhex(text),)


@pytest.mark.parametrize("text", FORMS.values(), ids=FORMS)
def test_a_bit_turned_over_gives_no_other_reading(text: str) -> None:
    """But for the leftovers, which say nothing, and the zero after OK, which the check covers."""
    data = bytes.fromhex(text)
    whole = decoded(NAME, data)
    for place in range(len(data) * 8):
        damaged = bytearray(data)
        damaged[place // 8] ^= 1 << place % 8
        readings = [one for one in decoded(NAME, bytes(damaged)) if isinstance(one, Reading)]
        assert [reading_line(one) for one in readings] in ([], [reading_line(one) for one in whole])


def test_a_weekly_average_is_told_as_one_with_its_25_mmhg() -> None:
    (said,) = decoded(NAME, bytes.fromhex("80 01 09 04 13 71 69 70 f7"))
    assert isinstance(said, Reading)
    assert said.values[Measure.SYSTOLIC].value == 138
    assert (said.device_time, said.record) == (None, None)
    assert said.context == {"average": "weekly", "week": "2009-04-19"}


@pytest.mark.parametrize("text", ["80 02 08 04 14 00 00 00 9a", "ff fb 00 00 00 00 00 00 04"])
def test_a_week_without_readings_has_no_values(text: str) -> None:
    (said,) = decoded(NAME, bytes.fromhex(text))
    assert isinstance(said, Notice)
    assert said.detail == {"week": "empty"}


def test_only_what_the_journal_does_not_know_is_read() -> None:
    path = next(path for path in TRANSCRIPTS if path.stem == f"{NAME}-never_set")
    transcript = read(path)
    oldest, *_ = play(driver_of(path), transcript).readings
    assert oldest.record is not None
    turns = [turn for turn in transcript.turns if reading_line(oldest) not in getattr(turn, "reading", "")]
    played = play(
        driver_of(path), type(transcript)(transcript.provenance, tuple(turns)), known={oldest.record}
    )
    assert [reading.record for reading in played.readings] == ["blood_pressure 2007-01-03T00:06:51 112/75/71"]


def said(device: Device, *cues: object) -> bytes:
    waiting, heard, answer = list(cues), b"", None
    while True:
        act = device.send(answer)
        answer = None
        if isinstance(act, Say):
            heard += act.data
        elif isinstance(act, Await):
            if not waiting:
                return heard
            answer = waiting.pop(0)


def test_the_simulated_monitor_says_what_the_capture_holds() -> None:
    machine = simulators.simulator(NAME)
    options = {option: choices[0] for option, choices in machine.options.items()} | {"first_answer": "ok"}
    device = machine.device(Setup(options, lambda: datetime(2026, 1, 1), Random(1)))
    stored = {"systolic": "129", "diastolic": "78", "pulse_rate": "77", "at": "2008-04-21T16:10:46"}
    said(device, None, Store((stored,)), Attached())
    path = next(path for path in TRANSCRIPTS if path.stem == f"{NAME}-one_reading")
    answers: list[bytes] = []
    for turn in read(path).turns:
        match turn:
            case Sent(data):
                answers = messages(said(device, None, simulators.Heard(data)))
            case Heard(data):
                assert all(message in answers for message in messages(data))


def messages(reports: bytes) -> list[bytes]:
    framer = every()[NAME].framer()
    pieces = [*framer.feed(reports), *framer.finish()]
    return [omron_usb.message(piece.data) for piece in pieces if isinstance(piece, Frame)]
