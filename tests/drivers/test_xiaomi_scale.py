"""Xiaomi scales: the vectors, an S400 with its key, and what belongs to one weighing."""

from decimal import Decimal
from typing import Any

import pytest

from drivers.catalogue import Refusal, every
from drivers.dialogue import Listen
from drivers.xiaomi_scale import DRIVER
from protocol import aes
from protocol.errors import ConfigError
from protocol.framing import Frame
from protocol.readings import Measure, Notice, Progress, Reading
from protocol.transcript import parse, reading_line
from tests.ble_rows import decoded, rows
from tests.play import play

PLAIN = [row for row in rows("Xiaomi Mi") if row["kind"] != "poison"]
SEALED = [row for row in rows("Xiaomi S400") if row["kind"] != "poison"]
UNITS = {"kg": "kg", "lb": "[lb_av]"}


@pytest.mark.parametrize("row", PLAIN, ids=lambda row: row["id"])
def test_an_advertisement_gives_the_stated_values(row: dict[str, Any]) -> None:
    data, expected = bytes.fromhex(row["hex"]), row["expected"]
    (said,) = decoded("xiaomi_scale", data, source="ADV")
    if expected.get("stable") == 0:
        assert isinstance(said, Progress)
        assert not said.underway
        return
    assert isinstance(said, Reading)
    weight = said.values[Measure.BODY_WEIGHT]
    assert weight.value == Decimal(str(expected["weight"]))
    assert weight.unit == UNITS[expected.get("unit", "kg")]
    if "impedance" in expected:
        stated = expected["impedance"]
        assert said.context.get("impedance_ohm") == (None if stated is None else str(stated))


@pytest.mark.parametrize("row", SEALED, ids=lambda row: row["id"])
def test_an_s400_gives_the_stated_values_with_its_key_and_none_without(row: dict[str, Any]) -> None:
    data, expected = bytes.fromhex(row["hex"]), row["expected"]
    (said,) = decoded("xiaomi_scale", data, source="ADV")
    assert isinstance(said, Refusal)
    assert said.code == "xiaomi_scale.no_key"
    driver = DRIVER.under({"mac": expected["mac"], "bindkey": expected["bindkey"]})
    (said,) = driver.decode([Frame(data, "ADV")])
    if expected["weight"]:
        assert isinstance(said, Reading)
        assert said.values[Measure.BODY_WEIGHT].value == Decimal(str(expected["weight"]))
    else:
        assert isinstance(said, Notice)
        assert said.detail["impedance_2_ohm"] == str(expected["impedance_second"])


def test_one_bit_of_an_s400_turned_over_gives_nothing() -> None:
    row = SEALED[0]
    driver = DRIVER.under({"mac": row["expected"]["mac"], "bindkey": row["expected"]["bindkey"]})
    for place in range(len(row["hex"]) * 4):
        damaged = bytearray.fromhex(row["hex"])
        damaged[place // 8] ^= 1 << place % 8
        assert not [item for item in driver.decode([Frame(bytes(damaged))]) if isinstance(item, Reading)]


@pytest.mark.parametrize(
    ("settings", "lines"),
    [
        (
            "",
            """
ADV< 02 24 e6 07 02 0e 10 29 3a 00 00 9a 38
ADV< 02 26 e6 07 02 0e 10 29 3a f7 01 9a 38
= body_size body_weight 72.450 kg; at 2022-02-14T16:41:58; record body_weight 2022-02-14T16:41:58 72.450 kg; \
context impedance_ohm=503
ADV< 02 a6 e6 07 02 0e 10 29 3a f7 01 9a 38
""",
        ),
        (
            "mac=8C:D0:B2:F6:BE:EF bindkey=0728974d657a4b60964c1b1677f35f7c",
            """
ADV< 48 59 d5 3b 0c 23 ee 41 2a 38 74 d1 bd 77 f5 5a 84 00 00 00 7c ae 29 5d
ADV< 48 59 d5 3b 0d 8a 1a 75 a2 bd ba ee e2 92 17 18 3b 00 00 00 ca c8 56 32
ADV< 48 59 d5 3b 0e f3 fd 79 dc b2 3e 20 24 02 36 56 03 00 00 00 63 b1 b8 d4
= body_size body_weight 69.9 kg; record user 1 1744250700; context user=1 clock_seconds=1744250700 \
heart_rate=92 impedance_ohm=543.2 impedance_2_ohm=497.6
ADV< 48 59 d5 3b 0f 55 2f 61 cd fa 91 e2 2d 03 c5 26 3a 00 00 00 a1 de ee 6e
""",
        ),
    ],
    ids=["body composition", "s400"],
)
def test_what_is_told_later_of_one_weighing_is_one_reading_with_all_evidence(
    settings: str, lines: str
) -> None:
    """No transcript can show it: where the scale falls silent in between, the weight alone is a result."""
    head = "# provenance: constructed\n" + (f"# settings: {settings}\n" if settings else "")
    (reading,) = play(DRIVER, parse(head + lines)).readings
    assert len(reading.evidence) == lines.partition("=")[0].count("ADV<")


def test_the_next_person_is_not_taken_for_the_one_before() -> None:
    lines = """
ADV< 02 24 e6 07 02 0e 10 29 3a 00 00 9a 38
ADV< 02 26 e6 07 02 0e 10 2a 3a f7 01 9a 30
= body_size body_weight 72.450 kg; at 2022-02-14T16:41:58; record body_weight 2022-02-14T16:41:58 72.450 kg
= body_size body_weight 62.210 kg; at 2022-02-14T16:42:58; record body_weight 2022-02-14T16:42:58 62.210 kg; \
context impedance_ohm=503
"""
    assert len(play(DRIVER, parse("# provenance: constructed\n" + lines)).readings) == 2


def test_a_weighing_that_the_journal_holds_is_not_told_again() -> None:
    name = "body_weight 2022-02-14T16:41:58 131.70 [lb_av]"
    lines = "# provenance: constructed\nADV< a3 72 33 e6 07 02 0e 10 29 3a\n"
    assert play(DRIVER, parse(lines), known={name}).readings == []


@pytest.mark.parametrize(
    "hexed",
    [
        "",
        "22",
        "2220",
        "222044b2070d010a1a15",
        "222044b2070101191a15",
        "332044b20701010a1a15",
        "0366e607020e10293af7019a38",
        "4059d53b2d33",
        "4859d53b2d3314943c58b133638c7457a4000000c3e670",
        "6859d53b2d3314943c58b133638c7457a4000000c3e670dc",
        "4849d53b2d3314943c58b133638c7457a4000000c3e670dc",
        "48595b052d3314943c58b133638c7457a4000000c3e670dc",
        "4859d53b2d331494",
    ],
)
def test_what_no_source_knows_is_refused(hexed: str) -> None:
    for said in DRIVER.decode([Frame(bytes.fromhex(hexed), "ADV")]):
        assert isinstance(said, Refusal)


@pytest.mark.parametrize("wrong", [{"mac": "84:46"}, {"bindkey": "00" * 16}, {"mac": "x", "bindkey": "y"}])
def test_half_a_key_is_named(wrong: dict[str, str]) -> None:
    settings = {**DRIVER.settings, **wrong}
    with pytest.raises(ValueError, match="bindkey"):
        DRIVER.under(settings)
    with pytest.raises(ConfigError):
        next(DRIVER.talk(settings))


def test_nothing_is_ever_sent() -> None:
    assert isinstance(next(every()["xiaomi_scale"].talk(DRIVER.settings)), Listen)


def test_every_reading_of_the_vectors_can_be_written_as_a_line() -> None:
    for row in PLAIN:
        for said in decoded("xiaomi_scale", bytes.fromhex(row["hex"]), source="ADV"):
            assert not isinstance(said, Reading) or "body_weight" in reading_line(said)


def test_the_cipher_is_that_of_its_standard() -> None:
    """FIPS 197, appendix C.1; RFC 3610, packet vector 1."""
    key, plain = bytes(range(16)), bytes.fromhex("00112233445566778899aabbccddeeff")
    sealed = bytes.fromhex("69c4e0d86a7b0430d8cdb78070b4c55a")
    assert aes.encrypt(key, plain) == sealed
    assert aes.decrypt(key, sealed) == plain
    opened = aes.ccm_open(
        bytes(range(0xC0, 0xD0)),
        bytes.fromhex("00000003020100a0a1a2a3a4a5"),
        bytes.fromhex("588c979a61c663d2f066d0c2c0f989806d5f6b61dac384"),
        bytes.fromhex("17e8d12cfdf926e0"),
        bytes(range(8)),
    )
    assert opened == bytes(range(8, 31))


def test_chained_blocks_open_to_what_was_sealed() -> None:
    key, first = bytes(range(16)), b"0" * 16
    for size in (0, 1, 15, 16, 31):
        sealed = aes.cbc_seal(key, first, bytes(size))
        assert aes.cbc_open(key, first, sealed) == bytes(size)
    assert aes.cbc_open(key, first, b"") is None
    assert aes.cbc_open(key, first, bytes(17)) is None
    assert aes.cbc_open(key, first, bytes(16)) is None
