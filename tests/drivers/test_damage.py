"""Damaged frames: cut short, a bit turned over, rubbish. Nothing raises, no check lets another value by."""

from collections.abc import Sequence
from contextlib import suppress
from itertools import takewhile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.catalogue import Driver, every
from drivers.dialogue import Answer, Known, Listen, Read, Send, Subscribe, Write
from protocol import berry, checks, sinocare
from protocol.errors import ProtocolError
from protocol.framing import BySource, Frame, Value
from protocol.readings import Reading
from protocol.transcript import Answered, Heard, Ordered, Sent
from tests.drivers.test_vectors import HEARD
from tests.play import TRANSCRIPTS, driver_of, read
from tests.vector_rows import decoded, raw

UNASKED = Path(__file__).parents[1] / "unasked"
CHECKED = [row for row in HEARD if row["protocol"] in {"pm6750", "sinocare_sn"}]
DRIVERS = pytest.mark.parametrize("driver", every().values(), ids=lambda driver: driver.name)
STARTS = st.sampled_from(
    [b"\x55\xaa", b"SN", b"\x02", b"\0\r\n", b"\x03", b"\x1bT\0", b"\r\n", b"ST,GS,+", b"bp,", b"2026,07,11,"]
)
RUBBISH = st.lists(st.one_of(st.binary(max_size=12), STARTS), max_size=12).map(b"".join)


def unasked(driver: Driver) -> list[str]:
    """Return all that a driver may say when nobody ordered anything: bytes as hex, `..` any, `*` any rest."""
    stated = UNASKED / f"{driver.name}.txt"
    lines = stated.read_text(encoding="utf-8").splitlines() if stated.exists() else []
    return [code for line in lines if (code := line.partition("#")[0].strip().lower())]


def fits(pattern: str, data: bytes) -> bool:
    codes = pattern.split()
    rest = codes[-1] == "*"
    fixed = codes[:-1] if rest else codes
    if len(data) < len(fixed) or (len(data) > len(fixed) and not rest):
        return False
    return all(code == ".." or int(code, 16) == byte for code, byte in zip(fixed, data, strict=False))


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
    """Return the frames of all that is heard; over Bluetooth what was answered to a question as well."""
    framer = BySource(driver.framer)
    turns = [turn for path in TRANSCRIPTS if driver_of(path) is driver for turn in read(path).turns]
    said = [Value(turn.data, turn.source) for turn in turns if isinstance(turn, Heard)]
    if not driver.bluetooth:
        said = [Value(b"".join(said), "")]
    pieces = [piece for value in said for piece in framer.feed(value)]
    answered = [turn for turn in turns if isinstance(turn, Answered) and turn.data is not None]
    return [piece for piece in [*pieces, *framer.finish()] if isinstance(piece, Frame)] + [
        Frame(turn.data, turn.characteristic) for turn in answered if turn.data is not None
    ]


def sent_in_transcripts(driver: Driver) -> list[bytes]:
    """Return what *driver* says in its transcripts before a person ordered anything."""
    said: list[bytes] = []
    for path in TRANSCRIPTS:
        turns = read(path).turns if driver_of(path) is driver else ()
        before = takewhile(lambda turn: not isinstance(turn, Ordered), turns)
        said += [turn.data for turn in before if isinstance(turn, Sent)]
    return said


def sent_to(driver: Driver, answers: Sequence[Answer]) -> list[bytes]:
    """Return what *driver* sends while the device says *answers* (None: silence) and nobody orders."""
    dialogue = driver.talk(driver.settings)
    sent: list[bytes] = []
    left: list[Answer] = list(answers)
    answer: Answer = None
    with suppress(ProtocolError, StopIteration):
        while True:
            step = dialogue.send(answer)
            answer = None
            if isinstance(step, Send | Write):
                sent.append(step.data)
            elif isinstance(step, Known):
                answer = False
            elif isinstance(step, Subscribe):
                answer = True
            elif isinstance(step, Read):
                answer = told_at(step.characteristic, answers)
            elif isinstance(step, Listen):
                patient = step.timeout is None and step.within is None
                while left and (answer := left.pop(0)) is None and patient:
                    pass
                if not left and (answer is None):
                    break
    return sent


def told_at(characteristic: str, answers: Sequence[Answer]) -> Frame | None:
    """Return what is told at *characteristic*, None where the device has none."""
    told = (answer for answer in answers if isinstance(answer, Frame) and answer.source == characteristic)
    return next(told, None)


@DRIVERS
@settings(max_examples=80)
@given(chosen=st.data())
def test_unasked_no_driver_starts_erases_or_sets_anything(driver: Driver, chosen: st.DataObject) -> None:
    frames = st.sampled_from(heard_in_transcripts(driver))
    for data in sent_to(driver, chosen.draw(st.lists(st.one_of(st.none(), frames), max_size=30))):
        assert any(fits(pattern, data) for pattern in unasked(driver)), data.hex(" ")


@pytest.mark.parametrize("path", sorted(UNASKED.glob("*.txt")), ids=lambda path: path.stem)
def test_each_unasked_question_is_really_asked(path: Path) -> None:
    driver = every()[path.stem]
    frames = heard_in_transcripts(driver)
    twice = [answer for frame in frames for answer in (frame, frame, None, None)]
    said = [*sent_to(driver, twice), *sent_to(driver, [*frames, None]), *sent_in_transcripts(driver)]
    idle = [pattern for pattern in unasked(driver) if not any(fits(pattern, data) for data in said)]
    assert not idle


@DRIVERS
def test_a_megabyte_of_rubbish_passes_and_little_is_held(driver: Driver) -> None:
    framer, given_out = driver.framer(), 0
    rubbish = (b"\x55\xaa\x40SN\xff\x02ST,GS,       \0\r\n2026,07\x1b" + bytes(range(256))) * 3600
    for chunk in (rubbish, b" " * 100_000):
        given_out += sum(len(piece.data) for piece in framer.feed(chunk))
    assert len(rubbish) + 100_000 - given_out <= 4096
    given_out += sum(len(piece.data) for piece in framer.finish())
    assert given_out == len(rubbish) + 100_000
