"""Identity card readers: the sheet's vectors, what a card says, what is refused, what a recording keeps."""

import json
from collections.abc import Iterator
from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.catalogue import Refusal
from drivers.dialogue import Listen
from drivers.idcard_sam import BETWEEN, DRIVER, UNANSWERED
from protocol import idcard
from protocol.errors import NoAnswer
from protocol.framing import Frame
from protocol.idcard import FIELDS, check_character, command
from protocol.readings import CardRead, Notice
from protocol.transcript import Heard
from tests.play import TRANSCRIPTS, play, read
from tests.vector_rows import decoded, raw, rows
from tools.forms import event_json, in_words

HOST = rows("idcard_sam", "host->reader")
HEARD = rows("idcard_sam", "reader->host")
MEANINGS = {
    "90: ready": "idcard_sam.ready",
    "9F": "idcard_sam.found",
    "80": "idcard_sam.no_card",
    "90: card selected": "idcard_sam.selected",
    "81": "idcard_sam.select_failed",
    "41": "idcard_sam.read_failed",
    "60": "idcard_sam.self_test_failed",
}
PERSON = {
    "name": "试一二",
    "sex": "1",
    "nation": "01",
    "birth": "18540312",
    "address": "不存在省不存在县第〇号",
    "number": "999999185403120018",
    "valid_from": "20100101",
    "valid_to": "20300101",
}
"""Nobody: a place that does not exist, born in 1854."""


def text(**other: str) -> bytes:
    said = bytearray(" ".encode("utf-16-le") * 128)
    for name, words in (PERSON | other).items():
        at, size = FIELDS[name]
        said[at : at + size] = words.ljust(size // 2).encode("utf-16-le")
    return bytes(said)


def answer(status: int, data: bytes = b"") -> bytes:
    body = (len(data) + 4).to_bytes(2, "big") + bytes([0, 0, status]) + data
    check = 0
    for byte in body:
        check ^= byte
    return b"\xaa\xaa\xaa\x96\x69" + body + bytes([check])


def card(said: bytes, photo: bytes = bytes(1024)) -> bytes:
    return answer(0x90, b"\x01\x00\x04\x00" + said + photo)


def refusal(said: bytes) -> str:
    (refused,) = decoded("idcard_sam", card(said))
    assert isinstance(refused, Refusal)
    for secret in PERSON.values():
        assert len(secret) < 3 or secret not in refused.reason
    return refused.code


@pytest.mark.parametrize("row", HOST, ids=lambda row: row["id"])
def test_a_question_is_the_documented_one_or_cannot_be_put(row: dict[str, Any]) -> None:
    question = raw(row)[7:-1]
    if question in idcard.QUESTIONS:
        assert command(question) == raw(row)
    else:
        with pytest.raises(ValueError, match="never sent"):
            command(question)


@given(st.binary(min_size=2, max_size=2).filter(lambda question: question not in idcard.QUESTIONS))
def test_nothing_but_four_questions_can_be_put_to_a_reader(question: bytes) -> None:
    with pytest.raises(ValueError, match="never sent"):
        command(question)


@pytest.mark.parametrize("row", HEARD, ids=lambda row: row["id"])
def test_an_answer_means_what_the_vector_states_or_is_refused(row: dict[str, Any]) -> None:
    said = decoded("idcard_sam", raw(row))
    meaning = row["expected"].get("meaning")
    if meaning is None:  # the first bytes of a card, and a frame that lacks its last two
        assert said == []
    else:
        (notice,) = said
        assert isinstance(notice, Notice)
        fitting = [code for words, code in MEANINGS.items() if words in meaning]
        assert notice.code == fitting[-1]


def test_a_card_says_whose_it_is_and_nothing_of_it_shows_as_a_text() -> None:
    (read_card,) = decoded("idcard_sam", card(text()))
    assert read_card == CardRead(
        "cn-id", "999999185403120018", "试一二", "male", date(1854, 3, 12), "01", "不存在省不存在县第〇号",
        date(2010, 1, 1), date(2030, 1, 1),
    )  # fmt: skip
    for shown in (repr(read_card), in_words(read_card)):
        assert not [secret for secret in PERSON.values() if len(secret) > 2 and secret in shown]
    assert event_json(read_card) == {
        "event": "card_read", "system": "cn-id", "number": "999999185403120018", "name": "试一二",
        "sex": "male", "birth_date": "1854-03-12", "nation": "01", "address": "不存在省不存在县第〇号",
        "valid_from": "2010-01-01", "valid_to": "2030-01-01",
    }  # fmt: skip


def test_a_card_may_never_end_and_a_woman_s_says_so() -> None:
    (found,) = decoded("idcard_sam", card(text(sex="2", valid_to="长期", address="")))
    assert isinstance(found, CardRead)
    assert (found.sex, found.valid_to, found.address) == ("female", None, "")


def test_a_new_card_s_text_is_found_with_and_without_a_third_length() -> None:
    lengths = b"\x01\x00\x04\x00"
    with_length = answer(0x90, lengths + b"\x04\x00" + text() + bytes(2048))
    without = answer(0x90, lengths + text() + bytes(2050))
    bare = answer(0x90, lengths + b"\x00\x00" + text() + bytes(1024))
    assert len(with_length) == len(without) == 2321
    for block in (with_length, without, bare):
        assert decoded("idcard_sam", block) == decoded("idcard_sam", card(text()))


@pytest.mark.parametrize(
    ("other", "code"),
    [
        ({"number": "999999185403120010"}, "id.check_digit"),
        ({"number": "99999918540312001x"}, "idcard_sam.not_understood"),
        ({"number": "99999918540312001"}, "idcard_sam.not_understood"),
        ({"number": "999999185402300017"}, "idcard_sam.not_understood"),
        ({"number": ""}, "idcard_sam.not_understood"),
        ({"name": ""}, "idcard_sam.not_understood"),
        ({"name": "试\0二"}, "idcard_sam.not_understood"),
        ({"name": "\ud800"}, "idcard_sam.not_understood"),
        ({"sex": "0"}, "idcard_sam.not_understood"),
        ({"nation": "汉"}, "idcard_sam.not_understood"),
        ({"birth": "18540230"}, "idcard_sam.not_understood"),
        ({"valid_from": "2010"}, "idcard_sam.not_understood"),
        ({"valid_to": "20300132"}, "idcard_sam.not_understood"),
        ({"valid_to": ""}, "idcard_sam.not_understood"),
    ],
)
def test_a_card_that_says_something_else_is_refused_without_telling_whose(
    other: dict[str, str], code: str
) -> None:
    if other.get("name") == "\ud800":
        said = bytearray(text())
        said[0:2] = b"\x00\xd8"
        assert refusal(bytes(said)) == code
    else:
        assert refusal(text(**other)) == code


@pytest.mark.parametrize("data", [b"\x01\x00\x04\x00" + bytes(1279), b"\x00\xff\x04\x00" + bytes(1279)])
def test_lengths_that_do_not_fit_are_refused(data: bytes) -> None:
    (refused,) = decoded("idcard_sam", answer(0x90, data))
    assert isinstance(refused, Refusal)


@given(st.text("0123456789", min_size=17, max_size=17), st.integers(0, 16), st.integers(1, 9))
def test_one_wrong_digit_never_keeps_its_check_character(first: str, place: int, change: int) -> None:
    other = first[:place] + str((int(first[place]) + change) % 10) + first[place + 1 :]
    assert check_character(first) != check_character(other)


def test_one_bit_turned_over_gives_no_card_unless_it_stands_before_the_mark() -> None:
    whole = card(text())
    for place in range(24, len(whole) * 8, 7):
        damaged = bytearray(whole)
        damaged[place // 8] ^= 1 << place % 8
        assert decoded("idcard_sam", bytes(damaged)) == []


def test_a_message_like_start_inside_a_photo_is_photo() -> None:
    photo = (b"\xaa\xaa\xaa\x96\x69\x00\x04\x00\x00\x80\x84" * 100)[:1024]
    assert len(decoded("idcard_sam", card(text(), photo))) == 1


@pytest.mark.parametrize("lead", ["", "aa", "aa aa", "aa 00 aa aa", "aa aa 00 aa", "ff aa aa aa", "00 00 00"])
def test_a_message_is_found_by_its_mark(lead: str) -> None:
    framer = DRIVER.framer()
    sent = bytes.fromhex(lead) + answer(0x80)[3:]
    pieces = [piece for byte in sent for piece in framer.feed(bytes([byte]))]
    assert b"".join(piece.data for piece in pieces) == sent
    assert [type(piece) for piece in pieces][-1] is Frame


def frames() -> Iterator[bytes]:
    """Yield every message of the transcripts and of this file."""
    framer = DRIVER.framer()
    mine = [path for path in TRANSCRIPTS if path.stem.startswith("idcard_sam-")]
    heard = [turn.data for path in mine for turn in read(path).turns if isinstance(turn, Heard)]
    more = [answer(0x9F, b"\x12\x34\x56\x78"), answer(0x90, b"\x12" * 8), card(text(), b"\x5a" * 1024)]
    more += [answer(0x90, b"\x12" * 500), answer(0x77, b"\x12" * 90)]
    for piece in framer.feed(b"".join([*heard, *more])):
        if isinstance(piece, Frame):
            yield piece.data


def test_a_redacted_message_is_as_good_and_names_nobody() -> None:
    allowed = decoded("idcard_sam", idcard.redact(card(text())))
    for frame in frames():
        blank = idcard.redact(frame)
        assert len(blank) == len(frame)
        assert idcard.redact(blank) == blank
        before, after = decoded("idcard_sam", frame), decoded("idcard_sam", blank)
        if isinstance(before[0], CardRead):
            assert after == allowed != before
        elif isinstance(before[0], Refusal):
            assert isinstance(after[0], Refusal)
            assert after[0].code == before[0].code
        else:
            assert after == before
        for secret in (*PERSON.values(), "欧阳试三", "EXAMPLE"):
            assert len(secret) < 3 or secret.encode("utf-16-le") not in blank
        assert b"\x5a\x5a" not in blank
        assert b"\x12" not in blank


def test_two_different_people_leave_the_same_bytes() -> None:
    other = text(name="欧阳试三", sex="2", number="999999189812010029", valid_to="长期")
    assert idcard.redact(card(other, b"\xff" * 1024)) == idcard.redact(card(text()))


@pytest.mark.parametrize(
    ("heard", "unanswered"),
    [([], 1), ([answer(0x90)], UNANSWERED), ([answer(0x90), answer(0x80)], UNANSWERED)],
)
def test_a_silent_reader_is_said_to_be_silent(heard: list[bytes], unanswered: int) -> None:
    """At the first question at once, later after some; what comes in between does not put it off for ever."""
    dialogue, left, step, asked = DRIVER.talk({}), list(heard), None, 0
    with pytest.raises(NoAnswer):  # noqa: PT012
        while True:
            waits = isinstance(step, Listen) and step.within != BETWEEN
            asked += waits and not left
            step = dialogue.send(Frame(left.pop(0)) if waits and left else None)
    assert asked == unanswered


def test_the_card_of_a_transcript_is_read_in_full() -> None:
    [path] = [path for path in TRANSCRIPTS if path.stem == "idcard_sam-lies_there"]
    cards = [event for event in play(DRIVER, read(path)).events if isinstance(event, CardRead)]
    assert [one.name for one in cards] == ["试一二", "试一二", "欧阳试三"]
    assert json.dumps(event_json(cards[-1]), ensure_ascii=False).count("长期") == 0
    assert cards[-1].valid_from == date(2020, 2, 29)
