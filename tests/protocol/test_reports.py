"""Messages cut into reports: put together whatever pieces they arrive in, no byte lost, little held."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol import microlife, omron_usb
from protocol.framing import Frame, Framer, Noise, ReportFramer

REPORTS = [
    bytes.fromhex(text)
    for text in (
        "02 4f 4b 00 06 00 00 00",
        "07 4f 4b 00 07 01 03 00",
        "07 06 33 00 00 70 4b 47",
        "03 00 00 4c 00 00 00 00",
        "07 4f 4b 00 30 30 31 30",
        "07 31 30 30 30 30 30 00",
        "02 4e 4f 00 00 00 00 00",
        "08 60 00 00 00 00 00 00",
        "00 00 00 00 00 00 00 00",
        "f7 06 30 37 31 31 32 30",
        "f7 32 36 30 39 30 35 33",
        "f3 30 43 41 00 00 00 00",
        "f1 06 00 00 00 00 00 00",
        "f7 00 00 80 52 42 00 00",
    )
]
STREAM = st.lists(st.one_of(st.sampled_from(REPORTS), st.binary(min_size=8, max_size=8)), max_size=12)
FRAMERS = pytest.mark.parametrize("make", [omron_usb.framer, microlife.framer, lambda: ReportFramer(8)])


def cut(framer: Framer, chunks: list[bytes]) -> list[Frame | Noise]:
    pieces = [piece for chunk in chunks for piece in framer.feed(chunk)]
    return [*pieces, *framer.finish()]


@FRAMERS
@given(reports=STREAM, rest=st.binary(max_size=20), size=st.integers(1, 9))
def test_no_byte_is_lost_and_chunks_change_nothing(
    make, reports: list[bytes], rest: bytes, size: int
) -> None:
    data = b"".join(reports) + rest
    pieces = cut(make(), [data[at : at + size] for at in range(0, len(data), size)])
    assert b"".join(piece.data for piece in pieces) == data
    assert pieces == cut(make(), [data])


def test_reports_begin_anew_after_a_silence() -> None:
    framer = ReportFramer(8)
    assert list(framer.feed(b"abcdefghijk")) == [Frame(b"abcdefgh")]
    assert list(framer.finish()) == [Noise(b"ijk", "incomplete")]
    assert list(framer.feed(b"ABCDEFGH")) == [Frame(b"ABCDEFGH")]


def test_a_message_that_ends_with_a_full_report_is_whole_after_a_silence_or_at_the_next() -> None:
    profile, ok = b"".join(REPORTS[4:6]), REPORTS[0]
    assert cut(omron_usb.framer(), [profile]) == [Frame(profile)]
    assert cut(omron_usb.framer(), [profile + ok]) == [Frame(profile), Frame(ok)]


def test_a_message_broken_off_does_not_take_the_next_with_it() -> None:
    begun, ok = REPORTS[1], REPORTS[0]
    assert cut(omron_usb.framer(), [begun + REPORTS[7] + ok]) == [
        Noise(begun, "incomplete"),
        Noise(REPORTS[7], "no frame start"),
        Frame(ok),
    ]


def test_a_piece_of_a_broken_memory_is_never_a_result() -> None:
    """`fFA` in the text would be 102/70, pulse 65."""
    text = b"\xf70066" + b"fFA"[:2] + b"A"
    assert cut(microlife.framer(), [b"\xf2\x060" + bytes(5) + text]) == [
        Noise(b"\xf2\x060" + bytes(5), "check failed"),
        Noise(text, "no frame start"),
    ]


@FRAMERS
def test_what_never_ends_is_held_no_longer_than_a_message_can_be(make) -> None:
    for endless in (b"\x07OK\x00\x01\x02\x03\x04", b"\xf7\x06012345", b"\xf7012345A", b"\x07abcdefg"):
        framer = make()
        given_out = sum(len(piece.data) for _ in range(4000) for piece in framer.feed(endless))
        assert 4000 * 8 - given_out < 10_000
