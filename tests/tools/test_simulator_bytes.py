"""The simulated machines say, byte for byte, what the documents print, and report what no gateway may do."""

import os
from collections import deque
from collections.abc import Mapping
from datetime import datetime
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.catalogue import every
from protocol import transcript
from tests.rig import Bench, Journal, obtained, way
from tools.simulate import recited
from tools.simulators import (
    Attached,
    Await,
    Cue,
    Device,
    Fail,
    Heard,
    Measure,
    Pause,
    Refuse,
    Say,
    Setup,
    Show,
    Store,
    Violation,
    names,
    simulator,
)
from tools.terminal import Terminal, garbled

ID = "12345678901234567890"
MEASURING = [name for name in names() if every()[name].kinds]
"""A card reader finds no values but a person: `test_card_simulator.py`."""


def machine(name: str, now: datetime = datetime(2026, 7, 11, 9, 5), **options: str) -> Device:
    chosen = {option: choices[0] for option, choices in simulator(name).options.items()} | options
    return simulator(name).device(Setup(chosen, lambda: now, Random(1)))


def acts(device: Device, *cues: Cue) -> list[object]:
    """Give the device *cues*, each when it asks for one, let time pass in between; return what it did."""
    waiting, done, answer = list(cues), [], None
    for _ in range(1000):
        act = device.send(answer)
        answer = None
        if isinstance(act, Await):
            if not waiting and act.timeout is None:
                break
            answer = waiting.pop(0) if waiting else None
            if answer is None and not any(isinstance(one, Say) for one in done[-1:]):
                continue
        elif not isinstance(act, Pause):
            done.append(act)
    return done


def said(device: Device, *cues: Cue) -> bytes:
    return b"".join(act.data for act in acts(device, *cues) if isinstance(act, Say))


PRESSURE = {"systolic": "120", "diastolic": "80", "pulse_rate": "72", "mean_pressure": "93"}


def test_omron_format_5_is_the_documented_line() -> None:
    line = said(machine("omron_hbp"), Measure(PRESSURE, {"id": ID}))
    assert line == b"2026,07,11,09,05,12345678901234567890,0,120,080,072,0\r\n"
    assert said(machine("omron_hbp"), Measure(PRESSURE)) == line.replace(ID.encode(), b" " * 20)


def test_omron_error_is_the_documented_line() -> None:
    line = said(machine("omron_hbp"), Fail("7"))
    assert line == b"2026,07,11,09,05," + b" " * 20 + b",7,   ,   ,   ,0\r\n"


def test_omron_bp_line_is_the_documented_line() -> None:
    found = {"systolic": "140", "mean_pressure": "98", "diastolic": "77", "pulse_rate": "68"}
    at = datetime(2023, 4, 27, 15, 6)
    assert said(machine("omron_hbp", at, format="bp"), Measure(found)) == (
        b"bp,99999999999999999999,2023/04/27,15:06,140,098,077,068,3\r\n"
    )


def test_sinocare_result_is_the_vendor_s_example() -> None:
    at = datetime(2014, 4, 22, 16, 55, 1)
    heard = said(machine("sinocare_sn", at), Measure({"glucose": "26.8"}))
    assert heard.endswith(bytes.fromhex("534e100004040e0416103701010c0000e10076"))
    assert bytes.fromhex("534e06000402010 10e".replace(" ", "")) in said(
        machine("sinocare_sn", at), Measure({"glucose": "HI"})
    )


def test_scale_line_is_the_documented_line() -> None:
    heard = said(machine("scale_st_gs", places="2"), Measure({"body_weight": "12.34"}))
    assert heard.count(b"ST,GS,+  12.34kg\r\n") >= 3
    assert heard.startswith(b"US,GS,+   ")


def test_gtech_printed_text_is_the_documented_text() -> None:
    found = Measure({"body_height": "188.6", "body_weight": "90.05"})
    assert said(machine("gtech_gl", dialect="printer"), found) == (
        b"\0\r\nGENDER   ---- FEMALE\r\nWEIGHT   ---- 90.05 kg\r\nSTANDARD ---- 74.69 kg\r\n"
        b"HEIGHT   ---- 188.6 cm\r\nB  M  I  ----  25.3   \r\nFATNESS  ---- 120.5 % \r\n"
        b"MARKS    ---- FATTY\r\n\x1bT\0"
    )


START, STOP = bytes.fromhex("55aa040201f8"), bytes.fromhex("55aa040200f9")
FIRST_PRESSURE_150 = bytes.fromhex("55aa040a4ba6")


def test_pm6750_says_nothing_until_told_and_then_measures() -> None:
    assert said(machine("pm6750"), Attached(), Measure(PRESSURE)) == b""
    heard = said(machine("pm6750"), Measure(PRESSURE), Heard(FIRST_PRESSURE_150 + START))
    assert heard.startswith(bytes.fromhex("55aa080304"))
    assert heard.endswith(bytes.fromhex("55aa08030000785d50cf"))
    assert bytes.fromhex("55aa0803044b000000a5") in heard


def test_pm6750_stops_when_told_and_shows_no_value() -> None:
    board = machine("pm6750")
    done = acts(board, Measure(PRESSURE), Heard(FIRST_PRESSURE_150), Heard(START), Heard(STOP))
    assert bytes.fromhex("55aa08030800000000ec") in [act.data for act in done if isinstance(act, Say)]
    assert not any(isinstance(act, Show) for act in done)


def test_pm6750_ignores_a_command_with_a_wrong_sum_and_finds_the_next() -> None:
    broken = bytes.fromhex("55aa040201f9")
    assert said(machine("pm6750"), Heard(broken)) == b""
    assert said(machine("pm6750"), Heard(broken + FIRST_PRESSURE_150 + START[:3]), Heard(START[3:]))


@pytest.mark.parametrize(
    ("name", "command", "what"),
    [
        ("pm6750", "55aa040b01ef", "static pressure test"),
        ("pm6750", "55aa041001ea", "leak test"),
        ("pm6750", "55aa040201f8", "start without a first pressure"),
        ("sinocare_sn", "534e06000208000010", "erase"),
        ("sinocare_sn", "534e0600020b000013", "power off"),
    ],
)
def test_what_no_gateway_may_send_is_told(name: str, command: str, what: str) -> None:
    assert Violation(what) in acts(machine(name), Heard(bytes.fromhex(command)))


def test_sinocare_answers_the_documented_question_for_its_memory() -> None:
    question = Heard(bytes.fromhex("534e0600020500000d"))
    assert said(machine("sinocare_sn"), question) == bytes.fromhex("534e07000405000000 10".replace(" ", ""))
    stored = Store(tuple({"glucose": "5.6", "at": f"2026-01-0{n}T08:00:09"} for n in range(1, 8)))
    heard = said(machine("sinocare_sn"), stored, question)
    assert heard.count(bytes.fromhex("00 38 09")) == 7
    first = bytes.fromhex("0201 05") + bytes.fromhex("1a01010800003809")
    assert first in heard
    assert bytes.fromhex("0202 02") + bytes.fromhex("1a01060800003809") in heard


def test_sinocare_obeys_a_clock_setting() -> None:
    meter = machine("sinocare_sn", datetime(2026, 7, 11, 9, 5, 30))
    set_clock = Heard(bytes.fromhex("534e090002060b03180e1a5f"))
    assert bytes.fromhex("0b03180e1a00") in said(meter, set_clock, Heard(bytes.fromhex("534e0600020700000f")))


@pytest.mark.parametrize("name", MEASURING)
def test_nonsense_is_refused_and_the_machine_goes_on(name: str) -> None:
    bench, journal = Bench(simulator(name)), Journal()
    for nonsense in (
        Measure({}),
        Measure({"systolic": "x", "glucose": "NaN", "body_weight": "Infinity", "body_height": "-1"}),
        Fail("nonsense"),
        Heard(bytes(range(256))),
    ):
        bench.cue(nonsense)
    assert obtained(bench, name, journal) == way(name)
    assert [told for told in bench.told if isinstance(told, Refuse)]


@pytest.mark.parametrize("name", names())
@given(heard=st.lists(st.binary(max_size=30), max_size=5))
def test_no_bytes_from_the_host_break_a_machine(name: str, heard: list[bytes]) -> None:
    acts(machine(name), *map(Heard, heard))


@pytest.mark.parametrize("name", MEASURING)
@given(seed=st.integers(0, 10_000))
def test_people_are_plausible(name: str, seed: int) -> None:
    values: Mapping[str, str] = simulator(name).person(Random(seed))
    limits = {
        "systolic": (85, 170), "mean_pressure": (60, 130), "diastolic": (50, 105), "pulse_rate": (45, 110),
        "glucose": (3, 15), "body_weight": (35, 120), "body_height": (140, 190),
        "body_temperature": (35, 40), "spo2": (90, 100), "body_fat": (5, 50), "bmi": (14, 45),
    }  # fmt: skip
    assert values
    for measure, value in values.items():
        low, high = limits[measure]
        factor = 18 if measure == "glucose" and float(value) > high else 1  # a meter that counts in mg/dL
        assert low <= float(value) / factor <= high


def test_a_transcript_is_served_from_the_beginning_to_each_host() -> None:
    turns = transcript.parse('# provenance: constructed\n> 01 02\n< "ok"\n. 0.5\n< "later"\n').turns
    asked = (Attached(), Heard(b"\x01"), Heard(b"\x02"))
    assert said(recited(turns), *asked) == b"oklater"
    assert said(recited(turns), Attached(), Heard(b"\x01"), *asked, *asked) == b"oklater" * 2
    done = acts(recited(turns), Attached(), Heard(b"\x03\x02"))
    assert [type(act) for act in done] == [Violation, Say, Say]


@given(st.binary(max_size=40))
def test_at_the_right_baud_rate_every_byte_arrives(data: bytes) -> None:
    assert garbled(data, bit=1.0) == data


def test_at_a_wrong_baud_rate_no_line_arrives() -> None:
    line = b"2026,07,11,09,05,12345678901234567890,0,120,080,072,0\r\n"
    assert b"120" not in garbled(line)
    assert garbled(line)


def test_an_analyser_takes_no_old_answer_for_the_one_to_its_frame():
    """A host that came and went while it paused is no reason to ask twice, nor is a late answer one."""
    device, said, answer = machine("astm"), [], None
    come: deque[Cue] = deque([Measure({"glucose": "5.6"})])
    while True:
        act, answer = device.send(answer), None
        match act:
            case Await(seconds):
                if not come and seconds != 0:
                    break
                answer = come.popleft() if come else None
            case Say(data):
                said.append(data)
                come += [Heard(b"\x15")] if len(said) == 1 else []
            case Pause():
                come += [Attached(), Attached(), Heard(b"\x06"), Attached()]
    assert said == [b"\x05", b"\x05"]


def test_what_a_host_did_not_read_is_gone_with_it(tmp_path):
    terminal = Terminal(tmp_path / "port")
    terminal.plug()
    first = os.open(terminal.path, os.O_RDWR | os.O_NOCTTY)
    assert terminal.write(b"unread")
    os.close(first)
    terminal.forget_unread()
    second = os.open(terminal.path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
    with pytest.raises(BlockingIOError):
        os.read(second, 100)
    os.close(second)
    terminal.unplug()
