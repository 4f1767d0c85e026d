"""Microlife USB monitors: what transcripts cannot show. No vectors of this protocol exist."""

from datetime import datetime

import pytest

from drivers.catalogue import Serial, every
from protocol import microlife
from protocol.framing import Frame, Noise
from protocol.readings import DeviceClock, Reading
from tests.play import TRANSCRIPTS, driver_of, play, read
from tests.vector_rows import decoded

NAME = "microlife_hid"


def answer(text: str) -> bytes:
    told = text.encode("ascii")
    return b"\x06" + told + b"%02X" % (sum(told) % 256)


def in_reports(message: bytes, high: int = 0xF0) -> bytes:
    pieces = (message[at : at + 7] for at in range(0, len(message), 7))
    return b"".join(bytes([high | len(piece)]) + piece.ljust(7, b"\xa5") for piece in pieces)


def memory(*records: str) -> bytes:
    return answer(f"{len(records):04X}0000" + "413137".ljust(24, "0") + "".join(records))


def record(time: str, systolic: int, diastolic: int, pulse: int) -> str:
    return f"{time}abcdef{systolic | diastolic << 10 | pulse << 20:08X}01234567"


TWO = memory(record("2607110900", 128, 82, 66), record("2607101830", 132, 84, 71))


@pytest.mark.parametrize("high", [0xF0, 0x00, 0x30])
def test_the_low_nibble_counts_and_the_rest_is_left_over(high: int) -> None:
    message = answer("07112026090530")
    assert decoded(NAME, in_reports(message, high)) == [
        DeviceClock(datetime(2026, 7, 11, 9, 5, 30), in_reports(message, high))
    ]


@pytest.mark.parametrize("message", [answer("07112026090530"), TWO, b"\x06"], ids=["clock", "memory", "06"])
def test_an_answer_printed_without_its_counts_says_the_same(message: bytes) -> None:
    whole, bare = decoded(NAME, in_reports(message)), decoded(NAME, message)
    assert [said(one) for one in bare] == [said(one) for one in whole]


def said(item: object) -> object:
    return (item.device_time, item.values, item.context) if isinstance(item, Reading) else type(item)


def test_a_record_carries_the_reports_it_stood_in() -> None:
    raw = in_reports(TWO)
    first, second = (one.evidence[0] for one in decoded(NAME, raw) if isinstance(one, Reading))
    begin, end = 1 + 32, 1 + 32 + 32
    assert first == raw[begin // 7 * 8 : -(-end // 7) * 8]
    assert second == raw[end // 7 * 8 : -(-(end + 32) // 7) * 8]


def test_a_full_memory_is_one_message_and_longer_ones_are_given_up() -> None:
    records = [record(f"26071{n // 60 % 10}{n // 60:02d}{n % 60:02d}", 120, 80, n + 1) for n in range(255)]
    readings = decoded(NAME, in_reports(memory(*records)))
    assert len(readings) == 255
    assert len({one.record for one in readings if isinstance(one, Reading)}) == 255
    assert decoded(NAME, in_reports(memory(*records, *records))) == []


def test_one_bit_turned_over_gives_no_other_reading() -> None:
    raw = in_reports(TWO)
    right = [one.values for one in decoded(NAME, raw) if isinstance(one, Reading)]
    for place in range(len(raw) * 8):
        damaged = bytearray(raw)
        damaged[place // 8] ^= 1 << place % 8
        stored = [one for one in decoded(NAME, bytes(damaged)) if isinstance(one, Reading) and one.stored]
        assert [one.values for one in stored] in ([], right)


@pytest.mark.parametrize(
    "payload",
    [
        "00 00 00 50 40",
        "00 00 50 50 40",
        "00 00 50 00 40",
        "00 00 50 40 00",
        "00 00 06 05 04",
        "00 00 45 73 01",
    ],
)
def test_what_is_no_blood_pressure_is_no_result(payload: str) -> None:
    carried = bytes.fromhex(payload)
    readings = decoded(NAME, bytes([0xF0 | len(carried)]) + carried.ljust(7, b"\0"))
    assert not any(isinstance(one, Reading) for one in readings)


@pytest.mark.parametrize("number", sorted(set(range(256)) - microlife.SENT))
def test_nothing_that_sets_anything_can_be_sent(number: int) -> None:
    with pytest.raises(ValueError, match="never sent"):
        microlife.command(number)


def test_what_the_journal_knows_is_not_told_again() -> None:
    path = next(path for path in TRANSCRIPTS if path.stem == f"{NAME}-memory")
    transcript = read(path)
    names = [one.record for one in play(driver_of(path), transcript).readings]
    assert len(set(names)) == 3
    kept = [turn for turn in transcript.turns if not hasattr(turn, "reading")]
    known = {name for name in names if name}
    again = play(driver_of(path), type(transcript)(transcript.provenance, tuple(kept)), known=known)
    assert again.readings == []


PORT = every()[NAME].under({"cable": "port", "download": True})


def test_on_a_port_the_answer_that_ends_with_the_silence_is_heard() -> None:
    framer = PORT.framer()
    assert [*framer.feed(b"\xff\x06\x00"), *framer.feed(TWO[:9]), *framer.feed(TWO[9:])] == []
    assert list(framer.finish()) == [Noise(b"\xff\x06\x00", "no frame start"), Frame(TWO)]


@pytest.mark.parametrize(
    "data", [TWO[:-1], TWO + TWO, b"\x00", bytes(29)], ids=["cut", "two", "short", "long"]
)
def test_on_a_port_what_is_no_message_is_noise(data: bytes) -> None:
    framer = PORT.framer()
    pieces = [*framer.feed(data), *framer.finish()]
    assert b"".join(piece.data for piece in pieces) == data
    assert [piece for piece in pieces if isinstance(piece, Frame)] in ([], [Frame(TWO)])


def test_on_a_port_no_more_is_held_than_a_memory_can_be() -> None:
    framer = PORT.framer()
    given = sum(len(piece.data) for _ in range(100) for piece in framer.feed(b"\x060" * 1000))
    assert 200_000 - given < 10_000


def test_there_are_two_cables() -> None:
    assert isinstance(PORT.link, Serial)
    with pytest.raises(ValueError, match="hid or port"):
        every()[NAME].under({"cable": "usb", "download": True})
