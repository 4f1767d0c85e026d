"""FreeStyle Lite: a memory under its check sum, an empty one, and the one command there is."""

from datetime import datetime

import pytest

from drivers.catalogue import Refusal
from drivers.freestyle_lite import DRIVER
from protocol.readings import DeviceClock, Identified, Measure, Reading
from tests.silent import asked_in_silence
from tests.vector_rows import decoded

NAME = "freestyle_lite"
RECORDS = ("234  Jan  17 2010 00:39 00 0x00", "099  July 28 2025 07:01 00 0x00")
"""The first stands in a source's comment."""
HEAD = "\r\nDBMN169-C4824\r\n1.43       -P\r\nJan  21 2010 20:40:00\r\n"


def memory(*records: str, announced: int = 2, off: int = 0) -> bytes:
    lines = "".join(f"{one}\r\n" for one in records)
    text = f"{HEAD}{announced:03d}\r\n\n{lines}".encode()
    return text + f"0x{sum(text) + off & 0xFFFF:04X}  END\r\n".encode()


def readings(data: bytes) -> list[Reading]:
    return [item for item in decoded(NAME, data) if isinstance(item, Reading)]


@pytest.mark.parametrize("around", [(b"", b""), (b"\x02", b"\x03"), (b"\x03\x03", b"")])
def test_a_whole_memory_says_who_it_is_its_clock_and_its_records(around: tuple[bytes, bytes]) -> None:
    identity, clock, first, second = decoded(NAME, around[0] + memory(*RECORDS) + around[1])[:4]
    assert identity == Identified("DBMN169-C4824", {"version": "1.43       -P"})
    assert isinstance(clock, DeviceClock)
    assert clock.device_time == datetime(2010, 1, 21, 20, 40)
    assert isinstance(first, Reading)
    assert isinstance(second, Reading)
    assert [str(one.values[Measure.GLUCOSE].value) for one in (first, second)] == ["234", "99"]
    assert (first.device_time, second.device_time) == (
        datetime(2010, 1, 17, 0, 39),
        datetime(2025, 7, 28, 7, 1),
    )


def test_one_bit_turned_over_in_a_memory_never_gives_another_value() -> None:
    whole = memory(*RECORDS)
    values = [reading.values for reading in readings(whole)]
    for place in range(len(whole) * 8):
        damaged = bytearray(whole)
        damaged[place // 8] ^= 1 << place % 8
        assert [one.values for one in readings(bytes(damaged)) if one.values not in values] == []


@pytest.mark.parametrize(
    "data",
    [
        memory(*RECORDS, off=1),
        memory(*RECORDS, announced=3),
        memory(*RECORDS)[:-14],
        memory(*RECORDS)[:-40] + memory(*RECORDS)[:-14],
        f"{HEAD}CMD Fail!\r\n".encode(),
    ],
)
def test_a_memory_that_is_not_whole_gives_nothing(data: bytes) -> None:
    assert readings(data) == []
    assert any(isinstance(item, Refusal) for item in decoded(NAME, data))


def test_a_memory_cut_off_does_not_take_the_next_one_with_it() -> None:
    assert len(readings(memory(*RECORDS)[:-40] + b"\r\n" + memory(*RECORDS))) == 2


@pytest.mark.parametrize("end", ["Log Empty END", "Log Empty END\r\n", "Log Empty\r\nEND\r\n"])
def test_an_empty_memory_says_who_it_is(end: str) -> None:
    assert [type(item) for item in decoded(NAME, (HEAD + end).encode())] == [Identified]


@pytest.mark.parametrize("status", ["0x01", "0x03"])
def test_a_control_solution_is_nobody_s_result(status: str) -> None:
    (reading,) = readings(RECORDS[0].replace("0x00", status).encode())
    assert (reading.failed, reading.values) == ("control_solution", {})


@pytest.mark.parametrize(
    "record",
    [
        "234  Xxx  17 2010 00:39 00 0x00",
        "234  Feb  30 2010 00:39 00 0x00",
        "234  Jan  17 2010 24:39 00 0x00",
        "234  Jan  17 2010 00:39 G 0x00",
        "23   Jan  17 2010 00:39 00 0x00",
        "234  Jan  17 2010 00:39 00 0x0",
    ],
)
def test_a_record_no_source_knows_is_refused(record: str) -> None:
    assert [type(item) for item in decoded(NAME, record.encode())] == [Refusal]


def test_a_meter_that_is_not_there_is_asked_three_times() -> None:
    assert asked_in_silence(DRIVER) == [b"mem"] * 3
