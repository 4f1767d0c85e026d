"""E1381 frames: cut the same however they arrive, checked over bytes, numbered, joined; rubbish bounded."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.astm import ACK, ENQ, EOT, LONGEST, NAK, AstmFramer, Receiver
from protocol.errors import MalformedValue
from protocol.framing import Frame, Noise


def frame(number: int, text: bytes, end: bytes = b"\x03", tail: bytes = b"\r\n") -> bytes:
    body = b"%d" % number + text + end
    return b"\x02" + body + b"%02X" % (sum(body) % 256) + tail


def frames(*chunks: bytes) -> list[bytes]:
    framer = AstmFramer()
    pieces = [piece for chunk in chunks for piece in framer.feed(chunk)]
    pieces += framer.finish()
    assert b"".join(piece.data for piece in pieces) == b"".join(chunks)
    return [piece.data for piece in pieces if isinstance(piece, Frame)]


def texts(receiver: Receiver, *heard: bytes) -> list[bytes]:
    return [record.text for one in heard for record in receiver.take(one)]


PIECES = st.one_of(
    st.sampled_from(
        [b"\x02", b"\x03", b"\x17", ENQ, ACK, NAK, EOT, b"\r", b"\n", b"\x02" + b"1A\r\x03", b"82"]
    ),
    st.builds(frame, st.integers(0, 7), st.binary(max_size=9), st.sampled_from([b"\x03", b"\x17"])),
    st.binary(max_size=5),
)


@given(st.lists(PIECES, max_size=12), st.data())
def test_however_the_bytes_arrive_the_frames_are_the_same(pieces: list[bytes], chosen: st.DataObject) -> None:
    data = b"".join(pieces)
    cuts = sorted(chosen.draw(st.sets(st.integers(0, len(data)), max_size=9)) | {0, len(data)})
    chunks = [data[begin:end] for begin, end in pairwise(cuts)]
    assert frames(*chunks) == frames(data) == frames(*(bytes([byte]) for byte in data))


@pytest.mark.parametrize("tail", [b"\r\n", b"\r", b"\n"])
def test_a_line_s_end_may_be_one_byte_or_two(tail: bytes) -> None:
    heard = frame(1, b"A|B\r", tail=tail)
    (cut,) = frames(ENQ + heard + EOT)[1:-1]
    assert cut == heard[: -len(tail)] + tail[:1]
    assert texts(Receiver(), cut) == [b"A|B"]


def test_a_whole_message_in_one_frame_up_to_the_limit() -> None:
    longest = b"R|1|" + b"x" * (LONGEST - 5) + b"\r"
    (cut,) = frames(frame(1, longest))
    assert texts(Receiver(), cut) == [longest[:-1]]
    assert frames(frame(1, longest + b"x")) == []


def test_endless_rubbish_after_a_frame_start_is_given_out() -> None:
    framer = AstmFramer()
    given_out = sum(len(piece.data) for piece in framer.feed(b"\x02" + b"x" * 1_000_000))
    assert 1_000_001 - given_out <= LONGEST + 6


def test_a_frame_that_another_interrupts_is_noise_and_what_led_to_the_other_is_heard() -> None:
    framer = AstmFramer()
    heard = list(framer.feed(b"\x021H|half" + EOT + ENQ + frame(1, b"A\r")))
    assert heard[0] == Noise(b"\x021H|half", "cut off")
    assert [piece.data for piece in heard[1:] if isinstance(piece, Frame)] == [
        EOT,
        ENQ,
        frame(1, b"A\r")[:-1],
    ]


def test_the_sum_is_over_bytes_not_over_characters() -> None:
    name = "P|1||||王\r".encode()
    assert texts(Receiver(), frame(1, name)) == [name[:-1]]


@pytest.mark.parametrize(
    "bad",
    [
        b"\x021A\r\x0383\r",
        b"\x021A\r\x03b2\r",
        b"\x021A\r\x0382",
        b"\x028A\r\x0389\r",
        b"\x021A\r",
        b"\x02",
        b"",
        b"1A\r\x0382\r",
    ],
)
def test_what_is_not_whole_and_right_is_asked_for_again(bad: bytes) -> None:
    receiver = Receiver()
    receiver.begin()
    with pytest.raises(MalformedValue):
        receiver.take(bad)
    assert receiver.whole is False
    assert texts(receiver, frame(1, b"A\r")) == [b"A"]


def test_numbers_run_from_one_to_seven_and_on_to_nought() -> None:
    receiver = Receiver()
    receiver.begin()
    heard = [frame(count % 8, b"%d\r" % count, b"\x17") for count in range(1, 20)]
    assert texts(receiver, *heard) == [b"%d" % count for count in range(1, 20)]


def test_a_repeated_frame_is_taken_once_and_another_of_its_number_is_not() -> None:
    receiver = Receiver()
    receiver.begin()
    assert texts(receiver, frame(1, b"A\r"), frame(1, b"A\r"), frame(2, b"B\r")) == [b"A", b"B"]
    for wrong in (frame(2, b"C\r"), frame(1, b"A\r"), frame(4, b"D\r")):
        with pytest.raises(MalformedValue):
            receiver.take(wrong)


def test_a_new_enquiry_drops_what_was_begun() -> None:
    receiver = Receiver()
    receiver.begin()
    assert texts(receiver, frame(1, b"A|b", b"\x17")) == []
    assert receiver.pending
    receiver.begin()
    assert not receiver.pending
    assert texts(receiver, frame(1, b"A|c\r")) == [b"A|c"]


def test_a_message_that_opens_with_frame_one_begins_anew_though_nobody_enquired() -> None:
    receiver = Receiver()
    first, second = (frame(1, b"H|\\^&|||%d\rL|1\r" % number) for number in (1, 2))
    assert len(texts(receiver, first, second)) == 4


def test_a_record_that_never_ends_is_not_held() -> None:
    receiver = Receiver()
    receiver.begin()
    text = b"x" * 40_000
    assert texts(receiver, frame(1, text, b"\x17")) == []
    with pytest.raises(MalformedValue):
        receiver.take(frame(2, text, b"\x17"))


def test_a_record_knows_the_frames_it_stood_in() -> None:
    receiver = Receiver()
    receiver.begin()
    heard = [frame(1, b"A\rB|", b"\x17"), frame(2, b"b", b"\x17"), frame(3, b"b\rC\r")]
    records = [record for one in heard for record in receiver.take(one)]
    assert [(record.text, record.frames) for record in records] == [
        (b"A", (heard[0],)),
        (b"B|bb", tuple(heard)),
        (b"C", (heard[2],)),
    ]
    assert [record.number for record in records] == [1, 3, 3]
