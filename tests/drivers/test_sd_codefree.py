"""SD CodeFree: the one packet known, damaged records, and that nothing but reading can be sent."""

from functools import reduce
from itertools import product
from operator import xor
from typing import Any

import pytest

from drivers.catalogue import Refusal
from drivers.dialogue import Listen
from drivers.sd_codefree import DRIVER
from protocol import sd_biosensor
from protocol.readings import Measure, Notice, Reading
from tests.vector_rows import decoded, raw, rows

NAME = "sd_codefree"


def said(message: bytes) -> bytes:
    return bytes([0x53, 0x20, len(message) + 2]) + message + bytes([reduce(xor, message), 0xAA])


def record(*changes: tuple[int, int]) -> bytes:
    message = bytearray([0, 0, 26, 3, 1, 8, 30, 0, 113, 0x10, 1, 2, 3, 4, 5, 6, 7])
    for place, value in changes:
        message[place] = value
    return said(bytes(message))


@pytest.mark.parametrize("row", rows(NAME), ids=lambda row: row["id"])
def test_the_challenge_says_that_the_meter_was_switched_on(row: dict[str, Any]) -> None:
    (notice,) = decoded(NAME, raw(row))
    assert isinstance(notice, Notice)
    assert notice.code == "sd_codefree.switched_on"


def test_a_record_is_a_result() -> None:
    (reading,) = decoded(NAME, record())
    assert isinstance(reading, Reading)
    assert reading.values[Measure.GLUCOSE].value == 113
    assert reading.context == {"meal": "before"}


@pytest.mark.parametrize("change", [(3, 0), (3, 13), (4, 32), (5, 24), (6, 60), (8, 0), (9, 0x30), (9, 0xFF)])
def test_a_record_no_sheet_knows_is_refused(change: tuple[int, int]) -> None:
    assert [type(item) for item in decoded(NAME, record(change))] == [Refusal]


def test_one_bit_turned_over_gives_no_value() -> None:
    whole = record()
    for place in range(len(whole) * 8):
        damaged = bytearray(whole)
        damaged[place // 8] ^= 1 << place % 8
        assert not any(isinstance(item, Reading) for item in decoded(NAME, bytes(damaged)))


def test_nothing_but_reading_can_be_sent() -> None:
    sendable = []
    for message in product(range(256), repeat=2):
        try:
            sendable.append(sd_biosensor.packet(bytes(message)))
        except ValueError:
            continue
    assert sendable == [bytes.fromhex("53100410 4050aa"), bytes.fromhex("53100410 6070aa")]
    with pytest.raises(ValueError, match="never sent"):
        sd_biosensor.packet(b"ADATE202603010900")


def test_the_meter_speaks_first() -> None:
    dialogue = DRIVER.talk(DRIVER.settings)
    assert dialogue.send(None) == Listen()
    assert dialogue.send(None) == Listen()
