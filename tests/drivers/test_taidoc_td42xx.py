"""TaiDoc TD-42xx: the vectors, damaged packets, halves that stand alone, and what can never be sent."""

from datetime import datetime
from decimal import Decimal
from typing import Any

import pytest

from drivers.catalogue import Refusal
from drivers.taidoc_td42xx import DRIVER
from protocol import taidoc
from protocol.readings import DeviceClock, Measure, Notice, Reading
from tests.silent import asked_in_silence
from tests.vector_rows import decoded, raw, rows

NAME = "taidoc_td42xx"


def said(command: int, *data: int) -> bytes:
    body = bytes([0x51, command, *data, 0xA5])
    return body + bytes([sum(body) & 0xFF])


TIME, VALUE = said(0x25, 0x21, 0x24, 0x0E, 0x15), said(0x26, 0x71, 0x00, 0x00, 0x40)


@pytest.mark.parametrize("row", rows(NAME, "device->host"), ids=lambda row: row["id"])
def test_a_date_field_alone_is_a_clock(row: dict[str, Any]) -> None:
    (clock,) = decoded(NAME, raw(row))
    assert isinstance(clock, DeviceClock)
    assert clock.device_time.isoformat(" ").startswith(row["expected"]["datetime_field"])


@pytest.mark.parametrize("row", rows(NAME, "host->device"), ids=lambda row: row["id"])
def test_what_a_host_sends_is_built_to_the_byte(row: dict[str, Any]) -> None:
    data = raw(row)
    assert taidoc.question(data[1], data[2:6]) == data


@pytest.mark.parametrize("command", set(range(256)) - {*range(0x22, 0x29), 0x2B, 0x33})
def test_erasing_and_what_no_sheet_knows_cannot_be_built(command: int) -> None:
    with pytest.raises(ValueError, match="never sent"):
        taidoc.question(command)


def test_a_time_and_the_value_behind_it_are_one_result() -> None:
    (reading,) = decoded(NAME, TIME + VALUE)
    assert isinstance(reading, Reading)
    assert reading.evidence == (TIME, VALUE)
    assert reading.device_time == datetime(2018, 1, 1, 21, 14)
    assert reading.values[Measure.GLUCOSE].value == Decimal(113)
    assert reading.context == {"meal": "before"}


def test_a_value_alone_has_neither_time_nor_name() -> None:
    (reading,) = decoded(NAME, TIME + said(0x2B, 1, 0, 0, 0) + VALUE)
    assert isinstance(reading, Reading)
    assert (reading.device_time, reading.record) == (None, None)


def test_a_value_behind_an_impossible_time_is_no_result() -> None:
    assert [type(item) for item in decoded(NAME, said(0x25, 0, 0, 0, 0) + VALUE)] == [Refusal, Refusal]


@pytest.mark.parametrize("flags", [0xC0, 0xC1, 0xC0 | 0x0A << 2])
def test_a_control_solution_has_no_value(flags: int) -> None:
    (reading,) = decoded(NAME, TIME + said(0x26, 0x71, 0, 0, flags))
    assert isinstance(reading, Reading)
    assert (reading.failed, dict(reading.values)) == ("control_solution", {})


@pytest.mark.parametrize("kind", [6, 7, 8, 9, 0x0B, 0x0C, 0x0D])
@pytest.mark.parametrize("mark", [0, 0x40, 0x80, 0xC0])
def test_another_kind_of_test_is_evidence_and_no_glucose(kind: int, mark: int) -> None:
    (notice,) = decoded(NAME, TIME + said(0x26, 15, 0, 0, mark | kind << 2))
    assert isinstance(notice, Notice)
    assert notice.evidence.startswith(TIME)
    assert notice.detail["raw"] == "15"


def test_one_bit_turned_over_never_gives_another_value() -> None:
    for place in range(64):
        damaged = bytearray(VALUE)
        damaged[place // 8] ^= 1 << place % 8
        assert not [item for item in decoded(NAME, TIME + bytes(damaged)) if isinstance(item, Reading)]


@pytest.mark.parametrize(
    "data", [said(0x52, 0, 0, 0, 0), bytes.fromhex("512200000000a316"), said(0x24, 0xAB, 0, 0, 0)]
)
def test_what_no_meter_says_is_refused(data: bytes) -> None:
    assert [type(item) for item in decoded(NAME, data)] == [Refusal]


def test_a_meter_that_is_not_there_is_asked_three_times() -> None:
    assert asked_in_silence(DRIVER) == [bytes.fromhex("512200000000a316")] * 3
