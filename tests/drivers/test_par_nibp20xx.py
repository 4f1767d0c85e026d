"""A text protocol of which only the first pressure is certain: framing, meaning, and what may be a value."""

from typing import Any

import pytest

from drivers.catalogue import Refusal
from drivers.dialogue import Answer, Listen, Order, Send
from drivers.par_nibp20xx import DRIVER
from protocol import par
from protocol.errors import NoAnswer
from protocol.framing import Frame, Noise
from protocol.readings import Progress, Reading
from tests.vector_rows import decoded, raw, rows

BODY = "S1;A0;C00;M00;P128082097;R066;T0000;;"


def framed(text: str) -> bytes:
    body = text.encode("latin-1")
    return b"\x02" + body + b"%02X" % (sum(body) & 0xFF) + b"\x03"


@pytest.mark.parametrize("row", rows("par_nibp20xx", "host->module"), ids=lambda row: row["id"])
def test_what_a_host_sends_is_built_to_the_byte(row: dict[str, Any]) -> None:
    assert par.command(raw(row)[1:3].decode("ascii")) == raw(row)


@pytest.mark.parametrize("body", ["02", "04", "17", "", "1", "018"])
def test_nothing_else_can_be_built(body: str) -> None:
    with pytest.raises(ValueError, match="never sent"):
        par.command(body)


@pytest.mark.parametrize("row", rows("par_nibp20xx", "module->host"), ids=lambda row: row["id"])
def test_the_published_sample_has_a_wrong_check_and_is_refused(row: dict[str, Any]) -> None:
    assert decoded("par_nibp20xx", raw(row)) == []


def test_by_default_only_the_systolic_pressure_and_the_pulse_are_values() -> None:
    (said,) = decoded("par_nibp20xx", framed(BODY))
    assert isinstance(said, Reading)
    assert {name: str(quantity.value) for name, quantity in said.values.items()} == {
        "systolic": "128",
        "pulse_rate": "66",
    }
    assert said.context["second_pressure"] == "082"


@pytest.mark.parametrize(
    "text",
    [
        BODY.replace("S1", "SX"),
        BODY.replace("M00", "M0"),
        BODY.replace("P128082097", "P12808209"),
        BODY.replace("P128", "P-28"),
        BODY.replace("R066;", ""),
        BODY + ";",
        "01;;",
        ";;",
    ],
)
def test_another_text_with_a_right_check_is_refused(text: str) -> None:
    (said,) = decoded("par_nibp20xx", framed(text))
    assert isinstance(said, Refusal)


def test_one_bit_turned_over_never_gives_a_reading() -> None:
    for place in range(len(framed(BODY)) * 8):
        damaged = bytearray(framed(BODY))
        damaged[place // 8] ^= 1 << place % 8
        assert not any(isinstance(said, Reading) for said in decoded("par_nibp20xx", bytes(damaged)))


@pytest.mark.parametrize("step", [1, 3, 1000])
def test_digits_between_answers_are_progress_and_nothing_is_lost(step: int) -> None:
    data = b"120\r\n\x02S1;" + framed(BODY) + b"\r9?" + b"\x02" + b"x" * 300 + framed(BODY) + b"\x02S"
    framer = par.AnswerFramer()
    pieces = [piece for at in range(0, len(data), step) for piece in framer.feed(data[at : at + step])]
    pieces += framer.finish()
    assert b"".join(piece.data for piece in pieces) == data
    frames = [piece for piece in pieces if isinstance(piece, Frame)]
    assert [frame.data for frame in frames] == [b"1", b"2", b"0", framed(BODY), b"9", framed(BODY)]
    reasons = {piece.reason for piece in pieces if isinstance(piece, Noise)}
    assert reasons == {"", "no frame start", "no frame end", "frame too long", "incomplete"}
    assert [type(said) for said in DRIVER.decode(frames[:1])] == [Progress]


def test_the_meaning_of_the_pressures_must_be_one_of_three() -> None:
    with pytest.raises(ValueError, match="pressures"):
        DRIVER.under({"pressures": "mean"})


def sent_until_silent(*answers: Answer) -> list[bytes]:
    """Return what is sent while the module gives *answers*, and then nothing until the driver gives up."""
    dialogue, left = DRIVER.talk(DRIVER.settings), list(answers)
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


def test_a_module_that_does_not_answer_is_silent_and_never_started() -> None:
    status, order = Frame(framed(BODY)), Order("start_blood_pressure")
    assert sent_until_silent() == [par.command("18")]
    assert sent_until_silent(status, order) == [par.command("18")] * 2
    assert sent_until_silent(status, order, status)[2:] == [par.command("01")]
