"""What every framer promises, for every way a stream can be cut and every rubbish around good frames."""

from collections.abc import Callable
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol import berry, sinocare
from protocol.framing import DelimitedFramer, Frame, Framer, LineFramer, Noise

STX = (b"\x02", b"\x03")
PRINTED = (b"\0\r\n", b"\x1bT\0")
LIMIT = 20
GOOD = bytes.fromhex("55aa08030000785d50cf")
FRAMERS: dict[str, tuple[Callable[[], Framer], int]] = {
    "berry": (berry.framer, 66),
    "sinocare": (sinocare.framer, 258),
    "lines": (lambda: LineFramer(LIMIT), LIMIT),
    "marks": (lambda: DelimitedFramer(STX, PRINTED, limit=LIMIT), LIMIT),
}
EACH = pytest.mark.parametrize("name", FRAMERS)
MARKS = [b"\x55\xaa", b"\x04", b"SN", *STX, *PRINTED, b"\r", b"\n", b"\0", b"\x1b", b"T", b"\x1bT", GOOD]
STREAM = st.lists(st.one_of(st.binary(max_size=8), st.sampled_from(MARKS)), max_size=30).map(b"".join)


def cut(data: bytes, places: list[int]) -> list[bytes]:
    edges = sorted({0, len(data), *(place % (len(data) + 1) for place in places)})
    return [data[begin:end] for begin, end in pairwise(edges)]


def frames(pieces: list[Frame | Noise]) -> list[bytes]:
    return [piece.data for piece in pieces if isinstance(piece, Frame)]


def fed(framer: Framer, chunks: list[bytes]) -> list[Frame | Noise]:
    return [piece for chunk in chunks for piece in framer.feed(chunk)]


@EACH
@given(data=STREAM, places=st.lists(st.integers(0, 400), max_size=8))
def test_how_a_stream_is_cut_changes_no_frame(name: str, data: bytes, places: list[int]) -> None:
    make, _ = FRAMERS[name]
    once, cuts, single = make(), make(), make()
    whole = [*fed(once, [data]), *once.finish()]
    assert frames([*fed(cuts, cut(data, places)), *cuts.finish()]) == frames(whole)
    bytewise = fed(single, [bytes([byte]) for byte in data])
    assert frames([*bytewise, *single.finish()]) == frames(whole)


@EACH
@given(data=STREAM, places=st.lists(st.integers(0, 400), max_size=8))
def test_frames_noise_and_held_are_what_was_fed(name: str, data: bytes, places: list[int]) -> None:
    make, longest = FRAMERS[name]
    framer, before = make(), 0
    given_out = b""
    for chunk in cut(data, places):
        given_out += b"".join(piece.data for piece in framer.feed(chunk))
        before += len(chunk)
        assert before - len(given_out) <= longest
    rest = b"".join(piece.data for piece in framer.finish())
    assert given_out + rest == data
    assert list(framer.finish()) == []


@given(st.binary(max_size=40), st.binary(max_size=40))
def test_a_good_frame_is_found_behind_any_rubbish(before: bytes, after: bytes) -> None:
    framer = berry.framer()
    found = frames([*framer.feed(before + GOOD + after), *framer.finish()])
    assert any(GOOD in frame for frame in found)


def test_a_start_inside_a_false_frame_is_not_lost() -> None:
    framer = berry.framer()
    pieces = [*framer.feed(b"\x55\xaa\x10" + GOOD + b"\x00" * 20), *framer.finish()]
    assert frames(pieces) == [GOOD]


def test_noise_says_why() -> None:
    framer = berry.framer()
    pieces = [*framer.feed(b"ab\x55\xaa\x01" + GOOD[:-1] + b"\x00"), *framer.finish()]
    assert {piece.reason for piece in pieces if isinstance(piece, Noise)} == {
        "no frame start",
        "impossible header",
        "check failed",
    }


@pytest.mark.parametrize("end", [b"\r", b"\n", b"\r\n"])
def test_lines_end_at_either_terminator_and_blank_ones_are_nothing(end: bytes) -> None:
    framer = LineFramer()
    assert frames(list(framer.feed(b"one" + end + end + b"two" + end))) == [
        b"one" + end[:1],
        b"two" + end[:1],
    ]


def test_the_tail_of_an_overlong_line_is_not_a_line() -> None:
    framer = LineFramer(LIMIT)
    pieces = fed(framer, [b"x" * 50, b"ST,GS,+ 1.0kg\r", b"good\r"])
    assert frames(pieces) == [b"good\r"]
    assert {piece.reason for piece in pieces if isinstance(piece, Noise)} == {"line too long"}


def test_a_line_without_end_is_given_out_when_the_device_falls_silent() -> None:
    framer = LineFramer()
    assert list(framer.feed(b"ST, GS+ 5.12KG")) == []
    assert list(framer.finish()) == [Frame(b"ST, GS+ 5.12KG")]


def test_a_second_start_mark_begins_the_frame_anew() -> None:
    framer = DelimitedFramer(STX, PRINTED)
    assert list(framer.feed(b"\x02cut off\x02whole\x03\x03")) == [
        Noise(b"\x02cut off", "no frame end"),
        Frame(b"\x02whole\x03"),
        Noise(b"\x03", "no frame start"),
    ]


def test_marks_within_marks_are_refused() -> None:
    with pytest.raises(ValueError, match="part of another"):
        DelimitedFramer((b"\x02", b"\x03"), (b"\x02\x02", b"\x04"))
