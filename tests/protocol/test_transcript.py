"""The text form of a conversation: what is written is read back, and a faulty line is named."""

from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.quantities import Quantity, tenths
from protocol.readings import DeviceClock, Identified, Kind, Measure, Notice, Progress, Reading
from protocol.transcript import (
    Gives,
    Heard,
    Lets,
    Ordered,
    Sent,
    Silence,
    Transcript,
    TranscriptError,
    Turn,
    event_line,
    parse,
    reading_line,
    render,
)

LINE = st.text("abc =;,", min_size=1).map(str.strip).filter(bool)
WORD = st.text("abc_", min_size=1)
PAIRS = st.dictionaries(WORD, st.text("ab =\"'\\;", max_size=6), max_size=3)
TURN: st.SearchStrategy[Turn] = st.one_of(
    st.binary(min_size=1).map(Sent),
    st.binary(min_size=1).map(Heard),
    st.text('aZ09 ,."\\\r\n\t\0~', min_size=1).map(lambda text: Heard(text.encode("ascii"))),
    st.sampled_from([0.5, 1.0, 90.0, 0.05]).map(Silence),
    st.builds(Ordered, WORD, PAIRS),
    LINE.map(Gives),
    LINE.map(Lets),
)


@given(st.lists(TURN, max_size=8), PAIRS)
def test_what_is_written_is_read_back(turns: list[Turn], settings: dict[str, str]) -> None:
    transcript = Transcript("constructed: for this test", tuple(turns), settings)
    assert parse(render(transcript)) == transcript


def test_text_and_hex_mean_the_same_bytes() -> None:
    text = r"""# provenance: constructed
# a remark: of no consequence
< "ST,GS,+  12.34kg\r\n"

< 53 54 2C 47 53 2c 2b 20 20 31 32 2e 33 34 6b 67 0d 0a
> "\x02\\\"\0\t"
"""
    assert parse(text).turns == (
        Heard(b"ST,GS,+  12.34kg\r\n"),
        Heard(b"ST,GS,+  12.34kg\r\n"),
        Sent(b'\x02\\"\0\t'),
    )


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("< 5", "line 2"),
        ("<", "no bytes"),
        ('< "open', "quotation mark"),
        ('< "\\q"', "escape"),
        ('< "é"', "ASCII"),
        (". soon", "line 2"),
        ("* what", r"no turn begins"),
        ("! start patient", "name=value"),
    ],
)
def test_a_faulty_line_is_named(line: str, fault: str) -> None:
    with pytest.raises(TranscriptError, match=fault):
        parse(f"# provenance: constructed\n{line}\n")


def test_a_transcript_must_say_where_it_comes_from() -> None:
    with pytest.raises(TranscriptError, match="provenance"):
        parse("< 00\n")


def test_a_reading_is_stated_in_full() -> None:
    moment = datetime(2014, 4, 22, 16, 55, 1)
    reading = Reading(
        Kind.GLUCOSE,
        {Measure.GLUCOSE: tenths(260, "mmol/L")},
        (b"frame",),
        device_time=moment,
        sequence=7,
        context={"meal": "before breakfast"},
        flags=frozenset({"control", "battery"}),
        stored=True,
        record="glucose 7",
    )
    assert reading_line(reading) == (
        "glucose glucose 26.0 mmol/L; at 2014-04-22T16:55:01; sequence 7; stored; record glucose 7; "
        "flag battery; flag control; context 'meal=before breakfast'"
    )
    assert reading_line(Reading(Kind.GLUCOSE, {}, (b"x",), failed="device_error:01")) == (
        "glucose failed device_error:01"
    )


def test_an_event_is_stated_in_one_line() -> None:
    cuff = {"cuff_pressure": Quantity(tenths(1500, "mm[Hg]").value, "mm[Hg]")}
    assert event_line(Notice("link.quiet", {"why": "x"})) == "notice link.quiet"
    assert event_line(Identified("0a0b")) == "identified 0a0b"
    assert event_line(DeviceClock(datetime(2014, 4, 22, 16, 55), b"x")) == "clock 2014-04-22T16:55:00"
    assert event_line(Progress(Kind.BLOOD_PRESSURE, cuff, "measuring")) == (
        "progress blood_pressure measuring cuff_pressure 150.0 mm[Hg]"
    )
