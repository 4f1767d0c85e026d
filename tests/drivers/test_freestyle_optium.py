"""FreeStyle Optium: the vectors, a memory under its check sum, and what can never be sent."""

from datetime import datetime
from typing import Any

import pytest

from drivers.catalogue import Refusal
from drivers.freestyle_optium import DRIVER
from protocol import freestyle
from protocol.readings import DeviceClock, Identified, Measure, Reading
from tests.silent import asked_in_silence
from tests.vector_rows import decoded, raw, rows

NAME = "freestyle_optium"
RECORDS = ("113  Mar  01 2026 08:30 G 0x00", "099  July 28 2025 07:01 G 0x00")


def memory(*records: str, announced: int = 2, off: int = 0) -> bytes:
    head = ("", "SIMX001-A0BC2", "0.22", "Mar  01 2026 12:00:31", f"{announced:03d}")
    text = "".join(f"{line}\r\n" for line in (*head, *records)).encode()
    return text + f"0x{sum(text) + off & 0xFFFF:04X}  END\r\n".encode()


def readings(data: bytes) -> list[Reading]:
    return [item for item in decoded(NAME, data) if isinstance(item, Reading)]


@pytest.mark.parametrize("row", rows(NAME, "device->host"), ids=lambda row: row["id"])
def test_a_clock_line_is_a_clock_or_refused(row: dict[str, Any]) -> None:
    (said,) = decoded(NAME, raw(row))
    if row["expected"].get("reject"):
        assert isinstance(said, Refusal)
    else:
        assert isinstance(said, DeviceClock)
        assert said.device_time.isoformat(" ") == row["expected"]["clock"]


def test_a_whole_memory_says_who_it_is_its_clock_and_its_records() -> None:
    identity, clock, newest, oldest = decoded(NAME, memory(*RECORDS))
    assert isinstance(identity, Identified)
    assert isinstance(clock, DeviceClock)
    assert clock.device_time == datetime(2026, 3, 1, 12, 0, 31)
    assert isinstance(newest, Reading)
    assert isinstance(oldest, Reading)
    assert (newest.device_time, oldest.device_time) == (
        datetime(2026, 3, 1, 8, 30),
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
    "data", [memory(*RECORDS, off=1), memory(*RECORDS, announced=3), memory(*RECORDS)[:-20]]
)
def test_a_memory_that_is_not_whole_gives_nothing(data: bytes) -> None:
    assert readings(data) == []
    assert any(isinstance(item, Refusal) for item in decoded(NAME, data))


def test_a_record_alone_is_read_as_documents_print_it() -> None:
    (reading,) = readings(RECORDS[0].encode())
    assert reading.values[Measure.GLUCOSE].value == 113
    assert reading.evidence == (RECORDS[0].encode(),)


@pytest.mark.parametrize("month", ["Jun ", "Jul ", "May ", "June", "July"])
def test_months_as_they_may_stand_in_a_record(month: str) -> None:
    assert readings(f"113  {month} 01 2026 08:30 G 0x00".encode())


@pytest.mark.parametrize(
    "record",
    [
        "113  Xxx  01 2026 08:30 G 0x00",
        "113  Feb  30 2026 08:30 G 0x00",
        "113  Mar  01 2026 24:00 G 0x00",
        "113  Mar  01 2026 08:30 X 0x00",
        "113  Mar  01 2026 08:30 G 0x0",
        "11   Mar  01 2026 08:30 G 0x00",
        "113  Mare 01 2026 08:30 G 0x00",
    ],
)
def test_a_record_no_sheet_knows_is_refused(record: str) -> None:
    assert [type(item) for item in decoded(NAME, record.encode())] == [Refusal]


def test_one_impossible_record_does_not_take_the_others_with_it() -> None:
    said = decoded(NAME, memory(RECORDS[0], "113  Feb  30 2026 08:30 G 0x00"))
    assert len([item for item in said if isinstance(item, Reading)]) == 1
    assert isinstance(said[-1], Refusal)


@pytest.mark.parametrize("name", ["tim,01,01,26,00,00", "coly", "", "xmem\r\n$tim,1"])
def test_nothing_but_two_questions_can_be_put(name: str) -> None:
    with pytest.raises(ValueError, match="never sent"):
        freestyle.question(name)


def test_a_meter_that_is_not_there_is_asked_three_times() -> None:
    assert asked_in_silence(DRIVER) == [b"$colq\r\n"] * 3
