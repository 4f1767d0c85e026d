"""CareSens: packets to the byte, results without a check sum, and what can never be sent."""

from binascii import crc_hqx
from datetime import datetime, timedelta

import pytest

from drivers.caresens import DRIVER
from drivers.catalogue import Refusal
from protocol import isens
from protocol.checks import crc16_ccitt
from protocol.readings import DeviceClock, Identified, Measure, Notice, Reading
from tests.rig import Bench, Host, Journal
from tests.silent import asked_in_silence
from tests.vector_rows import decoded
from tools.simulators import Store, simulator

NAME = "caresens"
MORNING = bytes([26, 3, 1, 8, 30, 0, 0x20, 0, 113])


def packet(name: bytes, data: bytes = b"", crc: bytes = b"") -> bytes:
    body = b"\x02iSPc" + bytes([7 + len(data)]) + name + data
    return body + (crc or crc_hqx(body + b"\x03", 0xFFFF).to_bytes(2)) + b"\x03"


def record(flags: int, value: int) -> bytes:
    return MORNING[:6] + bytes([flags]) + value.to_bytes(2)


def readings(data: bytes) -> list[Reading]:
    return [item for item in decoded(NAME, data) if isinstance(item, Reading)]


def test_the_crc_is_the_one_of_the_sources_own_example() -> None:
    assert crc16_ccitt(b"\x02\x06\x06\x03") == 0x41CD


@pytest.mark.parametrize("name", [b"NCOT", b"RSNB", b"RTIM"])
def test_a_question_is_built_to_the_byte(name: bytes) -> None:
    assert isens.question(name) == packet(name)


def test_results_and_the_clock_are_asked_and_set_to_the_byte() -> None:
    assert isens.ask_results(28, 27) == packet(b"GLUE", b"\x00\x1c\x1b")
    moment = datetime(2026, 3, 1, 12, 2, 3)
    assert isens.set_clock(moment) == packet(b"WTIM", bytes([26, 3, 1, 12, 2, 3]))


@pytest.mark.parametrize("name", [b"WTIM", b"GLUE", b"ERAS", b""])
def test_no_other_question_can_be_put(name: bytes) -> None:
    with pytest.raises(ValueError, match="never sent"):
        isens.question(name)


@pytest.mark.parametrize(("first", "count"), [(0, 1), (1, 0), (1, 28), (0x10000, 1)])
def test_records_that_cannot_be_are_not_asked_for(first: int, count: int) -> None:
    with pytest.raises(ValueError, match="records from"):
        isens.ask_results(first, count)


@pytest.mark.parametrize("data", [MORNING, packet(b"GLUE", MORNING), packet(b"GLUE", MORNING, b"\xff\xff")])
def test_a_result_is_read_whatever_stands_for_its_crc(data: bytes) -> None:
    (reading,) = readings(data)
    assert reading.values[Measure.GLUCOSE].value == 113
    assert reading.device_time == datetime(2026, 3, 1, 8, 30)
    assert reading.evidence == (MORNING,)


def test_all_else_needs_its_crc() -> None:
    clock = packet(b"RTIM", bytes([26, 3, 1, 12, 0, 30]))
    assert [type(item) for item in decoded(NAME, clock)] == [DeviceClock]
    for place in range(len(clock) * 8):
        damaged = bytearray(clock)
        damaged[place // 8] ^= 1 << place % 8
        assert decoded(NAME, bytes(damaged)) == []


def test_the_last_byte_is_no_part_of_the_serial_number() -> None:
    assert decoded(NAME, packet(b"RSNB", b" CS00012345 \x07")) == [Identified("CS00012345")]


@pytest.mark.parametrize("error", [b"TOUT", b"HEAD", b"SIZE", b"ECRC", b"CMND"])
def test_an_error_is_told(error: bytes) -> None:
    (said,) = decoded(NAME, packet(error))
    assert isinstance(said, Notice)
    assert said.code == "caresens.refused"


@pytest.mark.parametrize(
    ("flags", "value", "shown"),
    [
        (0x20, 20, "20"),
        (0x20, 600, "600"),
        (0x00, 601, ">600"),
        (0x00, 19, "<20"),
        (0x08, 300, ">600"),
        (0x04, 300, "<20"),
    ],
)
def test_a_value_or_which_side_it_is_beyond(flags: int, value: int, shown: str) -> None:
    (reading,) = readings(record(flags, value))
    quantity = reading.values[Measure.GLUCOSE]
    assert f"{quantity.comparator or ''}{quantity.value}" == shown


def test_a_control_solution_after_a_meal_is_nobody_s_result() -> None:
    (reading,) = readings(record(0x03, 105))
    assert (reading.failed, reading.values) == ("control_solution", {})


@pytest.mark.parametrize("flags", [0x40, 0x41, 0x48])
def test_a_ketone_is_no_glucose(flags: int) -> None:
    (said,) = decoded(NAME, record(flags, 12))
    assert isinstance(said, Notice)
    assert said.evidence == record(flags, 12)


@pytest.mark.parametrize(
    "data",
    [
        record(0x0C, 100),
        MORNING[:1] + b"\x0d" + MORNING[2:],
        packet(b"GLUE", b"\x00\x01\x01"),
        packet(b"NCOT"),
        packet(b"RSNB", b"\x00"),
        packet(b"RSNB", b"\x01\x02\x03"),
        packet(b"XXXX", b"\x00"),
    ],
)
def test_what_no_source_knows_is_refused(data: bytes) -> None:
    assert [type(item) for item in decoded(NAME, data)] == [Refusal]


@pytest.mark.parametrize("order", ["newest", "oldest"])
def test_a_new_result_in_a_full_memory_is_told_whichever_comes_first(order: str) -> None:
    bench, journal = Bench(simulator(NAME), {"order": order}), Journal()
    times = [datetime(2026, 1, 1) + number * timedelta(hours=2) for number in range(500)]
    bench.cue(Store(tuple({"glucose": "100", "at": at.isoformat()} for at in times)))
    Host(bench, DRIVER, journal, {})
    bench.run(seconds=30.0)
    assert [reading.device_time for reading in journal.readings] == times
    bench.cue(Store(({"glucose": "HI", "at": "2026-02-20T08:00:00"},)))
    bench.run(until=lambda: len(journal.readings) > len(times), seconds=120.0)
    assert journal.readings[-1].values[Measure.GLUCOSE].comparator == ">"
    assert bench.told == []


def test_a_meter_that_is_not_there_is_probed_and_asked_three_times() -> None:
    assert asked_in_silence(DRIVER) == [b"\x80"] + [packet(b"RSNB")] * 3
