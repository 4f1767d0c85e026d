"""Answers known by their length alone: what a record says, what is refused, when it is read again."""

import pytest

from drivers.andon_bm65 import DRIVER
from drivers.catalogue import Refusal
from drivers.dialogue import Listen, Send
from protocol.errors import NoAnswer
from protocol.framing import Frame
from protocol.readings import Notice, Reading
from tests.vector_rows import decoded

RECORD = bytes([0xAC, 103, 57, 66, 3, 1, 8, 30, 26])


def test_the_pressures_are_sent_less_25_and_the_pulse_is_not() -> None:
    (said,) = decoded("andon_bm65", RECORD)
    assert isinstance(said, Reading)
    assert {name: str(quantity.value) for name, quantity in said.values.items()} == {
        "systolic": "128",
        "diastolic": "82",
        "pulse_rate": "66",
    }
    assert said.stored
    assert said.device_time is not None
    assert said.device_time.isoformat() == "2026-03-01T08:30:00"


@pytest.mark.parametrize(
    ("place", "value"), [(1, 0), (2, 0), (3, 0), (4, 0), (4, 13), (5, 0), (5, 32), (6, 24), (7, 60)]
)
def test_a_record_that_cannot_be_is_refused(place: int, value: int) -> None:
    damaged = bytearray(RECORD)
    damaged[place] = value
    (said,) = decoded("andon_bm65", bytes(damaged))
    assert isinstance(said, Refusal)


@pytest.mark.parametrize("size", [2, 8, 10, 18, 31, 33, 64, 65, 500])
def test_no_other_length_is_an_answer(size: int) -> None:
    (said,) = decoded("andon_bm65", (RECORD * 60)[:size])
    assert isinstance(said, Refusal)


def test_a_description_is_shown_as_text_or_as_bytes() -> None:
    assert decoded("andon_bm65", b"Andon".ljust(32, b"\0")) == [
        Notice("andon_bm65.description", {"text": "Andon"})
    ]
    (said,) = decoded("andon_bm65", b"\x01" * 32)
    assert said == Notice("andon_bm65.description", {"text": " ".join(["01"] * 32)})


def sent_until_silent(*answers: bytes) -> list[bytes]:
    """Return what is sent while the monitor gives *answers*, and then nothing until the driver gives up."""
    dialogue = DRIVER.talk(DRIVER.settings)
    left: list[Frame | None] = []
    for answer in answers:
        left += [*(Frame(bytes([byte])) for byte in answer), None]
    sent: list[bytes] = []

    def converse() -> None:
        step = next(dialogue)
        while True:
            if isinstance(step, Send):
                sent.append(step.data)
            step = dialogue.send(left.pop(0) if isinstance(step, Listen) and left else None)

    with pytest.raises(NoAnswer):
        converse()
    return sent


def test_a_monitor_that_does_not_wake_or_count_is_silent() -> None:
    assert sent_until_silent() == [b"\xaa"]
    assert sent_until_silent(b"\x54") == [b"\xaa"]
    assert sent_until_silent(b"\x55") == [b"\xaa", b"\xa4", b"\xa2"]
    assert sent_until_silent(b"\x55", b"", b"\x01\x01") == [b"\xaa", b"\xa4", b"\xa2"]


def test_an_answer_with_a_byte_too_many_is_no_record() -> None:
    sent = sent_until_silent(b"\x55", b"", b"\x01", RECORD, RECORD, RECORD + b"\0")
    assert sent == [b"\xaa", b"\xa4", b"\xa2", *[b"\xa3\x01"] * 3, b"\xaa"]
