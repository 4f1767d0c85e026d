"""Analysers: captured messages; and any message over a bad line, by the sender's rules, is told once."""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from drivers.astm import DRIVER
from drivers.catalogue import Decoded, Refusal
from drivers.dialogue import Answer, Listen, Observe, Report, Send, Step
from protocol.astm import ACK, ENQ, EOT, NAK
from protocol.framing import Frame, Noise
from protocol.quantities import Quantity
from protocol.readings import DeviceClock, Identified, Measure, Notice, Reading
from protocol.transcript import reading_line
from tests.rig import Bench, Host, Journal
from tests.vector_rows import raw, rows
from tools.simulators import Attached, Show, Store, simulator
from tools.simulators import Measure as Found

E1381, E1394 = rows("astm_e1381"), rows("astm_e1394")


def named(row: dict[str, Any]) -> str:
    return str(row["id"])


def decoded(data: bytes) -> list[Decoded | Noise]:
    """Return what *data* says, and the noise in it that speaks against it."""
    framer = DRIVER.framer()
    pieces = [*framer.feed(data), *framer.finish()]
    noise = [piece for piece in pieces if isinstance(piece, Noise) and piece.reason]
    return [*noise, *DRIVER.decode(piece for piece in pieces if isinstance(piece, Frame))]


def notices(said: Sequence[object], code: str) -> list[Notice]:
    return [item for item in said if isinstance(item, Notice) and item.code == code]


def cut(notice: Notice) -> list[str | list[str]]:
    fields = notice.detail["fields"].split("|")
    return [one.split("^") if "^" in one else one for one in fields]


@pytest.mark.parametrize("row", E1381, ids=named)
def test_frames_of_python_astm_s_tests(row: dict[str, Any]) -> None:
    expected, said = row["expected"], decoded(raw(row))
    if "reject" in expected:
        assert said
        assert all(isinstance(item, Refusal | Noise) for item in said)
    else:
        told = notices(said, "astm.record")
        assert len(told) == len(said)
        assert [cut(one) for one in told] == expected.get("records", expected.get("joined_records"))
        assert "seq" not in expected or told[0].detail["frame_number"] == str(expected["seq"])


@pytest.mark.parametrize("row", [row for row in E1394 if "fields" in row["expected"]], ids=named)
def test_single_frames_of_captured_files(row: dict[str, Any]) -> None:
    expected, said = row["expected"], decoded(raw(row))
    assert not any(isinstance(item, Refusal | Noise | Reading) for item in said)
    if expected["record_type"] == "R":
        (told,) = notices(said, "astm.result")
        assert [told.detail[name] for name in ("sequence", "test_id", "value", "unit")] == expected["fields"][
            1:5
        ]
    else:
        (told,) = notices(said, "astm.record")
        assert told.detail["fields"].split("|")[: len(expected["fields"])] == expected["fields"]
        assert told.detail["frame_number"] == str(expected["seq"])


@pytest.mark.parametrize("row", [row for row in E1394 if "fields" not in row["expected"]], ids=named)
def test_whole_captured_messages(row: dict[str, Any]) -> None:
    expected, said = row["expected"], decoded(raw(row))
    assert not any(isinstance(item, Refusal | Noise | Reading) for item in said)
    results = notices(said, "astm.result")
    told = [[one.detail.get(name, "") for name in ("test", "value", "unit")] for one in results]
    assert len(results) == raw(row).count(b"\rR|")
    assert told == expected.get("results", told)
    assert all(wanted in told for wanted in expected.get("sample_results", []))
    for name, stated in (("patient_id", "patient"), ("time", "result_time")):
        if stated in expected:
            assert {one.detail[name] for one in results} == {expected[stated]}
    assert all(one.evidence.startswith(b"H|") and one.detail["value"].encode() in one.evidence
               for one in results if "value" in one.detail)  # fmt: skip


def test_every_vector_is_told_by_one_of_these() -> None:
    assert {row["direction"] for row in E1381} == {"frame", "frames"}
    assert {row["direction"] for row in E1394} == {"device->host"}


def test_an_analyser_says_who_it_is_and_what_its_clock_says() -> None:
    said = decoded(raw(E1394[0]))
    (identity,) = [item for item in said if isinstance(item, Identified)]
    (clock,) = [item for item in said if isinstance(item, DeviceClock)]
    assert identity == Identified("Afinion 2 Analyzer^^AF20052397", {"instrument": "Afinion 2 Analyzer"})
    assert clock.device_time.isoformat() == "2024-12-06T14:12:35"


def frame(number: int, text: bytes, end: bytes = b"\x03") -> bytes:
    body = b"%d" % number + text + end
    return b"\x02" + body + b"%02X" % (sum(body) % 256) + b"\r\n"


@pytest.mark.parametrize(
    ("value", "unit", "flag", "quantity"),
    [
        ("5.60", "mmol/L", "N", "5.60 mmol/L"),
        (" 101", "mg/dl", "", "101 mg/dL"),
        ("33.3", "mmol/L", ">", ">33.3 mmol/L"),
        ("<1.1", "mmol/l", "", "<1.1 mmol/L"),
        ("0", "mmol/L", "", None),
        ("HI", "mmol/L", "", None),
        ("5.6", "g/L", "", None),
        ("", "mmol/L", "", None),
        ("５", "mmol/L", "", None),
    ],
)
def test_glucose_is_a_reading_only_as_a_number_in_a_known_unit(
    value: str, unit: str, flag: str, quantity: str | None
) -> None:
    text = f"R|1|^^^Glucose|{value}|{unit}||{flag}\r".encode()
    (said,) = decoded(frame(1, text))
    if quantity is None:
        assert isinstance(said, Notice)
        assert (said.code, said.fault, said.evidence) == ("astm.glucose_unclear", True, text)
    else:
        assert isinstance(said, Reading)
        assert reading_line(said).startswith(f"glucose glucose {quantity};")


@pytest.mark.parametrize(
    "text", [b"R|1|^^^Glucose|5.6|mmol/L||<||F||||20261301090000\r", b"H\r", b"H|||\r", b"HH\\^&\r"]
)
def test_what_the_form_of_a_record_forbids_is_refused(text: bytes) -> None:
    *_, said = decoded(frame(1, text))
    assert isinstance(said, Refusal) or (isinstance(said, Notice) and said.code == "astm.record")
    assert not isinstance(said, Reading)


def test_a_reading_s_evidence_is_every_frame_it_rests_on() -> None:
    heard = [
        frame(1, b"H|\\^&|||Analyser\rP|1||PID-1\r", b"\x17"),
        frame(2, b"O|1|S-1\rP|2||PID-2\r", b"\x17"),
        frame(3, b"R|1|^^^Glucose|5.", b"\x17"),
        frame(4, b"6|mmol/L\rL|1\r"),
    ]
    (reading,) = [item for item in decoded(b"".join(heard)) if isinstance(item, Reading)]
    assert reading.evidence == tuple(one[:-1] for one in heard)
    assert reading.values == {Measure.GLUCOSE: Quantity(reading.values[Measure.GLUCOSE].value, "mmol/L")}
    assert (reading.context["patient_id"], reading.stored, reading.record) == ("PID-2", True, None)


@pytest.mark.parametrize(
    ("stated", "kinds"), [("20241206", []), ("202412061412", [DeviceClock]), ("20241306141235", [Refusal])]
)
def test_a_header_s_time_is_a_clock_only_as_a_whole_moment(stated: str, kinds: list[type]) -> None:
    said = decoded(frame(1, f"H|\\^&||||||||||P|1|{stated}\r".encode()))
    assert [type(item) for item in said if not isinstance(item, Notice)] == kinds


def test_ids_that_an_instrument_fills_in_are_none() -> None:
    message = frame(1, b"H|\\^&\rP|1|0000|----|A-1\rR|1|^^^Glucose|5.6|mmol/L\rP|2|000\rR|1|^^^K|1|x\r")
    said = decoded(message)
    (reading,) = [item for item in said if isinstance(item, Reading)]
    (other,) = notices(said, "astm.result")
    assert reading.context["patient_id"] == "A-1"
    assert "patient_id" not in other.detail


def test_a_capture_cut_in_the_middle_of_a_record_says_so() -> None:
    assert isinstance(decoded(frame(4, b"R|1|^^^Glucose|5.", b"\x17"))[-1], Refusal)


# The sender's rules of the sheet, against the driver's own conversation.

TRIES, ANSWER_S = 6, 15.0
BROKEN = re.compile(rb"\x02(?=([0-7][^\x02]*?[\x03\x17])([0-9A-F]{2})[\r\n])", re.DOTALL)


class Gateway:
    """The driver in time of its own: what is said to it, how long nothing is, and what it answers."""

    def __init__(self, chunk: int) -> None:
        self.dialogue, self.framer, self.chunk = DRIVER.talk(DRIVER.settings), DRIVER.framer(), chunk
        self.told: list[Reading | Notice] = []
        self.answers: list[bytes] = []
        self.now = self.sent_at = 0.0
        self.go(None)

    def go(self, answer: Answer) -> None:
        step: Step = self.dialogue.send(answer)
        while not isinstance(step, Listen):
            match step:
                case Send(data):
                    self.answers.append(data)
                    self.sent_at = self.now
                case Report(reading):
                    self.told.append(reading)
                case Observe(Notice() as notice):
                    self.told.append(notice)
            step = self.dialogue.send(None)
        alone = float("inf") if step.timeout is None else self.now + step.timeout
        self.patience = alone if step.within is None else min(alone, self.sent_at + step.within)

    def hear(self, data: bytes) -> list[bytes]:
        self.answers = []
        for at in range(0, len(data), self.chunk):
            self.take(self.framer.feed(data[at : at + self.chunk]))
        return self.answers

    def silence(self, seconds: float) -> list[bytes]:
        self.answers = []
        self.take(self.framer.finish())
        until = self.now + seconds
        while self.patience <= until:
            self.now = self.patience
            self.go(None)
        self.now = until
        return self.answers

    def take(self, pieces: Iterator[Frame | Noise]) -> None:
        for piece in pieces:
            if isinstance(piece, Frame):
                self.go(piece)


Fault = Callable[[bytes], bytes]


@dataclass
class Sender:
    """An instrument by the sheet's rules; each thing it says meets the next fault of the line."""

    gateway: Gateway
    faults: list[Fault]
    deaf: list[bool]
    said: list[bytes] = field(default_factory=list)

    def deliver(self, frames: Sequence[bytes]) -> None:
        for _ in range(40):
            if self.say(ENQ) != ACK:
                self.gateway.silence(10.0)
            elif all(self.taken(one) for one in frames):
                self.gateway.hear(EOT)
                return
            else:
                self.gateway.hear(EOT)
        raise AssertionError("never delivered")

    def taken(self, one: bytes) -> bool:
        """Say a frame until it is taken; False where nobody answers or all tries were in vain."""
        for _ in range(TRIES):
            answer = self.say(one)
            if answer == ACK:
                return True
            if answer is None:
                return False
        return False

    def say(self, data: bytes) -> bytes | None:
        fault = self.faults.pop(0) if self.faults else (lambda heard: heard)
        answers = self.gateway.hear(fault(data)) or self.gateway.silence(ANSWER_S)
        if self.deaf and self.deaf.pop(0):
            self.gateway.silence(ANSWER_S)
            return None
        return answers[0] if answers else None


def damaged(place: int, flip: int) -> Fault:
    """Return a fault that changes one byte of a frame in a way that its sum shows."""

    def fault(data: bytes) -> bytes:
        if len(data) == 1:
            return b""
        changed = bytearray(data)
        changed[place % len(data)] ^= flip
        whole = [
            found[1] for found in BROKEN.finditer(changed) if b"%02X" % (sum(found[1]) % 256) == found[2]
        ]
        assume(not whole or place % len(data) == len(data) - 1)
        return bytes(changed)

    return fault


FAULTS = st.one_of(
    st.just(lambda data: data),
    st.just(lambda data: b""),
    st.just(lambda data: data * 2),
    st.builds(lambda part: lambda data: data[: part % len(data)], st.integers(0, 200)),
    st.builds(damaged, st.integers(0, 200), st.integers(1, 255)),
)
WORDS = st.text(
    st.characters(codec="latin-1", exclude_characters="|\\^&", exclude_categories=["Cc"]), max_size=12
)
RESULTS = st.lists(
    st.tuples(st.sampled_from(["HbA1c", "Alb", "Glucose"]), st.integers(1, 999), WORDS),
    min_size=1,
    max_size=5,
)


def message(results: list[tuple[str, int, str]]) -> bytes:
    lines = ["H|\\^&|||Analyser^1.0^A17|||||||P|1|20260301093000", "P|1||PID-7", "O|1|S-12"]
    for number, (test, value, comment) in enumerate(results, 1):
        lines.append(f"R|{number}|^^^{test}|{value}|mg/dL||||F||||202603010928{number:02d}")
        lines.append(f"C|{number}|I|{comment}x|G")
    return "".join(f"{line}\r" for line in [*lines, "L|1|N"]).encode()


def as_told(told: list[Reading | Notice]) -> list[tuple[str, str]]:
    """Return test and value of each result and the text of each comment, as the driver told them."""
    said = []
    for item in told:
        if isinstance(item, Reading):
            said.append(("Glucose", str(item.values[Measure.GLUCOSE].value)))
        elif item.code == "astm.result":
            said.append((item.detail["test"], item.detail["value"]))
        elif item.code == "astm.record" and item.detail["record"] == "C":
            said.append(("C", item.detail["fields"].split("|")[3]))
    return said


@settings(max_examples=400, deadline=None)
@given(
    results=RESULTS,
    size=st.integers(1, 240),
    chunk=st.integers(1, 64),
    faults=st.lists(FAULTS, max_size=25),
    deaf=st.lists(st.booleans(), max_size=6),
)
def test_any_message_in_frames_of_any_size_over_a_bad_line_gives_each_result_once(
    results: list[tuple[str, int, str]], size: int, chunk: int, faults: list[Fault], deaf: list[bool]
) -> None:
    text = message(results)
    parts = [text[at : at + size] for at in range(0, len(text), size)]
    ends = [b"\x17"] * (len(parts) - 1) + [b"\x03"]
    frames = [
        frame(count % 8, part, end) for count, (part, end) in enumerate(zip(parts, ends, strict=True), 1)
    ]
    gateway = Gateway(chunk)
    Sender(gateway, faults, deaf).deliver(frames)
    wanted = [pair for test, value, comment in results for pair in ((test, str(value)), ("C", f"{comment}x"))]
    assert as_told(gateway.told) == wanted
    assert NAK not in gateway.hear(ENQ)


def test_nothing_is_acknowledged_before_it_is_told() -> None:
    """A journal that cannot take a result stops the conversation before the instrument hears an ACK."""
    dialogue = DRIVER.talk(DRIVER.settings)
    next(dialogue)
    assert dialogue.send(Frame(ENQ)) == Send(ACK)
    dialogue.send(None)
    step = dialogue.send(Frame(frame(1, b"R|1|^^^HbA1c|5.9|%\rR|2|^^^Glucose|5.6|mmol/L\r")))
    order = [step]
    while not isinstance(step := dialogue.send(None), Listen):
        order.append(step)
    assert [type(one) for one in order] == [Observe, Report, Send]
    assert order[-1] == Send(ACK)


@pytest.mark.parametrize("size", ["240", "50", "whole"])
@pytest.mark.parametrize("end", ["crlf", "cr", "lf"])
@pytest.mark.parametrize("fault", ["none", "sum", "half", "repeated"])
def test_a_simulated_analyser_is_heard_whole_whatever_the_line_does(size: str, end: str, fault: str) -> None:
    bench = Bench(simulator("astm"), {"frame": size, "end": end, "fault": fault})
    bench.cue(
        Store(({"glucose": "5.6", "at": "2026-02-28T23:59:59"}, {"glucose": "7.1", "at": "2026-03-01T11:00"}))
    )
    journal = Journal()
    Host(bench, DRIVER, journal, DRIVER.settings)
    bench.run(seconds=90)
    bench.cue(Found({"glucose": "12.3"}, {"id": "PID-9", "hba1c": "6.1"}))
    bench.run(seconds=90)
    told = [(reading.context.get("patient_id"), as_told([reading])[0][1]) for reading in journal.readings]
    assert told == [(None, "5.6"), (None, "7.1"), ("PID-9", "12.3")]
    (other,) = notices(journal.events, "astm.result")
    assert [other.detail[name] for name in ("test", "value", "unit", "patient_id")] == [
        "HbA1c",
        "6.1",
        "%",
        "PID-9",
    ]
    assert bench.told == [Show({"glucose": value}) for value in ("5.6", "7.1", "12.3")]


def test_an_analyser_whose_host_goes_sends_again_what_was_not_taken() -> None:
    """Between two contacts of one conversation nothing may come twice; the sender's last answer was lost."""
    bench = Bench(simulator("astm"))
    bench.cue(Found({"glucose": "5.6"}, {"hba1c": "6.1"}))
    journal = Journal()
    Host(bench, DRIVER, journal, DRIVER.settings)
    bench.run(until=lambda: bool(journal.readings))
    assert journal.readings
    bench.cue(Attached())
    bench.run(seconds=200)
    assert [as_told([reading]) for reading in journal.readings] == [[("Glucose", "5.6")]]
    assert len(notices(journal.events, "astm.result")) == 1
