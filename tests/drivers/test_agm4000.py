"""AGM-4000: messages to the byte, in reports of any size, and what can never be sent."""

import pytest

from drivers.agm4000 import DRIVER
from drivers.catalogue import Refusal, Serial
from protocol import allmedicus
from protocol.framing import Frame, Noise
from protocol.readings import Identified, Measure, Reading
from tests.silent import asked_in_silence
from tests.vector_rows import decoded

NAME = "agm4000"
COUNT = bytes.fromhex("80 01 fe 00 81 fe")
"""Checks by hand: 7F is 80 xor FF, so 80 xor FE is 7E, inverted 81; 01 xor 00, inverted FE."""
MORNING = bytes([0, 0, 26 << 1, 3 << 5 | 1, 0, 113, 8 >> 2, (8 & 3) << 6 | 30])


def message(command: int, data: bytes = b"") -> bytes:
    size = 1 + len(data)
    low, high = 0x80 ^ (0xFF - size), size ^ command
    for even in data[0::2]:
        low ^= even
    for odd in data[1::2]:
        high ^= odd
    return bytes([0x80, size, 0xFF - size, command]) + data + bytes([0xFF - low, 0xFF - high])


def changed(place: int, byte: int) -> bytes:
    return MORNING[:place] + bytes([byte]) + MORNING[place + 1 :]


def test_the_count_is_asked_for_as_worked_out_by_hand() -> None:
    assert allmedicus.question(allmedicus.COUNT) == COUNT == message(0)


def test_every_byte_of_a_question_has_a_report_of_its_own() -> None:
    sent = allmedicus.in_reports(COUNT)
    assert len(sent) == 64 * len(COUNT)
    assert sent[::64] == COUNT
    assert sum(sent) == sum(COUNT)


@pytest.mark.parametrize(("command", "data"), [(4, b""), (4, b"\1\2"), (1, b""), (0, b"\1"), (2, b"")])
def test_what_does_not_read_cannot_be_built(command: int, data: bytes) -> None:
    with pytest.raises(ValueError, match="never sent"):
        allmedicus.question(command, data)


@pytest.mark.parametrize("size", [16, 32, 64])
def test_a_record_is_found_in_reports_of_any_size(size: int) -> None:
    said = message(1, MORNING)
    framer = allmedicus.MessageFramer()
    report = said.ljust(size, b"\0")
    pieces = [*framer.feed(report), *framer.feed(report), *framer.finish()]
    assert [piece for piece in pieces if isinstance(piece, Frame)] == [Frame(said)] * 2
    assert {piece.reason for piece in pieces if isinstance(piece, Noise)} <= {""}


def test_a_record_says_its_bits() -> None:
    (reading,) = decoded(NAME, message(1, MORNING))
    assert isinstance(reading, Reading)
    assert reading.values[Measure.GLUCOSE].value == 113
    assert reading.device_time is not None
    assert reading.device_time.isoformat() == "2026-03-01T08:30:00"


@pytest.mark.parametrize(
    "data",
    [
        changed(4, 0xFC),
        changed(6, 0x02 | 0x38),
        MORNING + b"\0\0",
    ],
)
def test_bits_no_source_names_change_nothing(data: bytes) -> None:
    (plain,), (reading,) = decoded(NAME, message(1, MORNING)), decoded(NAME, message(1, data))
    assert isinstance(plain, Reading)
    assert isinstance(reading, Reading)
    assert (reading.values, reading.device_time) == (plain.values, plain.device_time)


@pytest.mark.parametrize(
    ("high", "low", "shown"), [(0, 19, "<20"), (0, 20, "20"), (2, 0x58, "600"), (2, 0x59, ">600")]
)
def test_the_ends_of_the_range(high: int, low: int, shown: str) -> None:
    (reading,) = decoded(NAME, message(1, MORNING[:4] + bytes([high, low]) + MORNING[6:]))
    assert isinstance(reading, Reading)
    quantity = reading.values[Measure.GLUCOSE]
    assert f"{quantity.comparator or ''}{quantity.value}" == shown


@pytest.mark.parametrize(
    "said",
    [
        message(1, MORNING[:4] + b"\0\x12" + MORNING[6:]),
        message(1, MORNING[:4] + b"\2\x5a" + MORNING[6:]),
        message(1, changed(3, 1)),
        message(1, changed(7, 63)),
        message(1, b"\0\0"),
        message(9),
        message(9, b"\0\0\0"),
        message(0),
        message(4, b"\0"),
    ],
)
def test_what_no_source_knows_is_refused(said: bytes) -> None:
    assert [type(item) for item in decoded(NAME, said)] == [Refusal]


def test_one_bit_turned_over_gives_nothing() -> None:
    whole = message(1, MORNING)
    for place in range(len(whole) * 8):
        damaged = bytearray(whole)
        damaged[place // 8] ^= 1 << place % 8
        assert decoded(NAME, bytes(damaged)) == []


def test_a_serial_number_ends_at_its_nul_or_after_seven() -> None:
    assert decoded(NAME, message(9, b"AB12\0xyz")) == [Identified("AB12")]
    assert decoded(NAME, message(9, b"AB12345678")) == [Identified("AB12345")]


def test_the_serial_cable_has_a_line_and_no_reports() -> None:
    port = DRIVER.under({"cable": "port"})
    assert port.link == Serial(baudrate=19200)
    with pytest.raises(ValueError, match="hid or port"):
        DRIVER.under({"cable": "usb"})


def test_a_meter_that_is_not_there_is_asked_three_times() -> None:
    assert asked_in_silence(DRIVER) == [allmedicus.in_reports(COUNT)] * 3
