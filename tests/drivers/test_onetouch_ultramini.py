"""OneTouch UltraMini: the vectors, one bit turned over, two epochs, and what can never be sent."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from drivers.catalogue import Refusal
from drivers.onetouch_ultramini import DRIVER
from protocol import lifescan
from protocol.checks import crc16_ccitt
from protocol.readings import DeviceClock, Measure, Reading
from tests.silent import asked_in_silence
from tests.vector_rows import decoded, raw, rows

NAME = "onetouch_ultramini"
SINCE_2000 = (datetime(2026, 3, 1, 8, 30) - datetime(2000, 1, 1)) // timedelta(seconds=1)
SINCE_1970 = (datetime(2026, 3, 1, 8, 30) - datetime(1970, 1, 1)) // timedelta(seconds=1)


def said(content: bytes) -> bytes:
    body = bytes([2, len(content) + 6, 2]) + content + b"\x03"
    return body + crc16_ccitt(body).to_bytes(2, "little")


def record(seconds: int, value: int) -> bytes:
    return said(b"\x05\x06" + seconds.to_bytes(4, "little") + value.to_bytes(4, "little"))


@pytest.mark.parametrize("row", rows(NAME, "checksum"), ids=lambda row: row["id"])
def test_the_check_code_is_the_stated_one(row: dict[str, Any]) -> None:
    assert f"{crc16_ccitt(raw(row)):04X}" == row["expected"]["crc16_ccitt_ffff"]


@pytest.mark.parametrize("row", rows(NAME, "host->device"), ids=lambda row: row["id"])
def test_what_a_host_sends_is_built_to_the_byte(row: dict[str, Any]) -> None:
    data = raw(row)
    assert lifescan.packet(data[2], data[3:-3]) == data


@pytest.mark.parametrize("message", ["051a", "051a00", "05", "052001", "051f0000ff", "05080200"])
def test_erasing_and_what_no_sheet_knows_cannot_be_built(message: str) -> None:
    with pytest.raises(ValueError, match="never sent"):
        lifescan.packet(0, bytes.fromhex(message))


def test_one_bit_turned_over_gives_nothing() -> None:
    whole = record(SINCE_1970, 113)
    for place in range(len(whole) * 8):
        damaged = bytearray(whole)
        damaged[place // 8] ^= 1 << place % 8
        assert not decoded(NAME, bytes(damaged))


def test_a_clock_of_the_other_epoch_is_refused_and_its_record_has_no_time() -> None:
    (clock,) = decoded(NAME, said(b"\x05\x06" + SINCE_1970.to_bytes(4, "little")))
    assert isinstance(clock, DeviceClock)
    assert clock.device_time == datetime(2026, 3, 1, 8, 30)
    (refused,) = decoded(NAME, said(b"\x05\x06" + SINCE_2000.to_bytes(4, "little")))
    assert isinstance(refused, Refusal)
    (reading,) = decoded(NAME, record(SINCE_2000, 113))
    assert isinstance(reading, Reading)
    assert reading.device_time is None
    assert reading.flags == {"clock_lost"}
    assert reading.values[Measure.GLUCOSE].value == 113


@pytest.mark.parametrize("moment", [datetime(1999, 12, 31, 23, 59, 59), datetime(2106, 2, 7, 6, 28, 16)])
def test_a_clock_the_meter_cannot_hold_is_not_built(moment: datetime) -> None:
    with pytest.raises(ValueError, match="not within"):
        lifescan.set_seconds(moment)


def test_a_meter_that_is_not_there_hears_three_resets_and_no_more() -> None:
    assert asked_in_silence(DRIVER) == [bytes.fromhex("02 06 08 03 c2 62")] * 3
