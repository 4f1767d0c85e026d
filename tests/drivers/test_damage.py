"""Damaged frames: cut short, a bit turned over, rubbish. Nothing raises, no check lets another value by."""

from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.catalogue import Driver, every
from drivers.dialogue import Answer, Listen, Send
from protocol import berry, checks, sinocare
from protocol.framing import Frame
from protocol.readings import Reading
from protocol.transcript import Heard
from tests.drivers.test_vectors import HEARD, decoded, raw
from tests.play import TRANSCRIPTS, driver_of, read

CHECKED = [row for row in HEARD if row["protocol"] in {"pm6750", "sinocare_sn"}]
DRIVERS = pytest.mark.parametrize("driver", every().values(), ids=lambda driver: driver.name)
STARTS = st.sampled_from(
    [b"\x55\xaa", b"SN", b"\x02", b"\0\r\n", b"\x03", b"\x1bT\0", b"\r\n", b"ST,GS,+", b"bp,", b"2026,07,11,"]
)
RUBBISH = st.lists(st.one_of(st.binary(max_size=12), STARTS), max_size=12).map(b"".join)
UNASKED = {
    "pm6750": {
        bytes.fromhex(frame)
        for frame in (
            "55 aa 04 01 00 fa",  # ECG off
            "55 aa 04 03 00 f8",  # SpO2 off
            "55 aa 04 04 00 f7",  # temperature off
            "55 aa 04 fe 00 fd",  # SpO2 wave off
            "55 aa 04 ff 00 fc",  # respiration wave off
            "55 aa 04 02 00 f9",  # blood pressure: stop
        )
    },
    "sinocare_sn": {
        bytes.fromhex("53 4e 06 00 02 07 00 00 0f"),  # identity and clock
        bytes.fromhex("53 4e 06 00 02 05 00 00 0d"),  # records
    },
}
"""All that a driver may say when nobody ordered anything; one that is not named says nothing."""


def values(protocol: str, data: bytes) -> list[object]:
    return [item.values or item.failed for item in decoded(protocol, data) if isinstance(item, Reading)]


@pytest.mark.parametrize("row", CHECKED, ids=lambda row: row["id"])
def test_one_bit_turned_over_never_gives_a_reading(row: dict[str, str]) -> None:
    data = raw(row)
    for place in range(len(data) * 8):
        damaged = bytearray(data)
        damaged[place // 8] ^= 1 << place % 8
        assert values(row["protocol"], bytes(damaged)) == []


@pytest.mark.parametrize(
    "row", [row for row in HEARD if values(row["protocol"], raw(row))], ids=lambda r: r["id"]
)
def test_a_frame_cut_short_never_gives_another_value(row: dict[str, str]) -> None:
    data = raw(row)
    complete = values(row["protocol"], data)
    for length in range(len(data)):
        assert values(row["protocol"], data[:length]) in ([], complete)


@DRIVERS
@given(data=RUBBISH)
def test_no_bytes_make_framing_or_decoding_raise(driver: Driver, data: bytes) -> None:
    framer = driver.framer()
    pieces = [*framer.feed(data), *framer.finish()]
    assert b"".join(piece.data for piece in pieces) == data
    for _ in driver.decode(piece for piece in pieces if isinstance(piece, Frame)):
        pass


@given(st.sampled_from(HEARD), st.binary(min_size=1, max_size=30), st.integers(0, 60))
def test_no_content_makes_decoding_raise_though_its_check_is_right(
    row: dict[str, str], content: bytes, at: int
) -> None:
    data = bytearray(raw(row))
    data[at : at + len(content)] = content
    if row["protocol"] == "pm6750" and len(data) > 5:
        body = bytes([len(data) - 2]) + bytes(data[3:-1])
        data = bytearray(berry.START + body + bytes([checks.inverted_sum8(body)]))
    if row["protocol"] == "sinocare_sn" and len(data) > 7:
        body = bytes([(len(data) - 3) & 0xFF]) + bytes(data[3:-1])
        data = bytearray(sinocare.START + body + bytes([checks.sum8(body)]))
    decoded(row["protocol"], bytes(data))


def heard_in_transcripts(driver: Driver) -> list[Frame]:
    framer = driver.framer()
    turns = [turn for path in TRANSCRIPTS if driver_of(path) is driver for turn in read(path).turns]
    said = b"".join(turn.data for turn in turns if isinstance(turn, Heard))
    return [piece for piece in [*framer.feed(said), *framer.finish()] if isinstance(piece, Frame)]


def sent_to(driver: Driver, answers: Sequence[Answer]) -> list[bytes]:
    """Return what *driver* sends while the device says *answers* (None: silence) and nobody orders."""
    dialogue = driver.talk(driver.settings)
    sent, left, answer = [], list(answers), None
    while True:
        step = dialogue.send(answer)
        answer = None
        if isinstance(step, Send):
            sent.append(step.data)
        elif isinstance(step, Listen):
            patient = step.timeout is None and step.within is None
            while left and (answer := left.pop(0)) is None and patient:
                pass
            if not left and (answer is None):
                return sent


@DRIVERS
@settings(max_examples=80)
@given(chosen=st.data())
def test_unasked_no_driver_starts_erases_or_sets_anything(driver: Driver, chosen: st.DataObject) -> None:
    frames = st.sampled_from(heard_in_transcripts(driver))
    for data in sent_to(driver, chosen.draw(st.lists(st.one_of(st.none(), frames), max_size=30))):
        assert data in UNASKED.get(driver.name, set())


@pytest.mark.parametrize("name", sorted(UNASKED))
def test_each_unasked_question_is_really_asked(name: str) -> None:
    driver = every()[name]
    heard = [answer for frame in heard_in_transcripts(driver) for answer in (frame, frame, None, None)]
    assert set(sent_to(driver, heard)) == UNASKED[name]


@DRIVERS
def test_a_megabyte_of_rubbish_passes_and_little_is_held(driver: Driver) -> None:
    framer, given_out = driver.framer(), 0
    rubbish = (b"\x55\xaa\x40SN\xff\x02ST,GS,       \0\r\n2026,07\x1b" + bytes(range(256))) * 3600
    for chunk in (rubbish, b" " * 100_000):
        given_out += sum(len(piece.data) for piece in framer.feed(chunk))
    assert len(rubbish) + 100_000 - given_out <= 4096
    given_out += sum(len(piece.data) for piece in framer.finish())
    assert given_out == len(rubbish) + 100_000
