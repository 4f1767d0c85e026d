"""The vectors of scales with protocols of their own: each gives its stated values."""

from decimal import Decimal
from typing import Any

import pytest

from drivers.catalogue import Decoded, Refusal, every
from protocol import eufy, vitafit
from protocol.errors import NoAnswer
from protocol.readings import Measure, Notice, Progress, Reading
from protocol.transcript import parse
from tests.ble_rows import decoded, rows
from tests.play import play

DRIVERS = {
    "Eufy P2": "eufy_p2",
    "Sanitas": "sanitas_sbf70",
    "Koogeek": "koogeek_s1",
    "Vitafit": "vitafit_vt701",
    "Robi": "robi_s9",
    "Huawei": "huawei_scale",
}
ROWS = [(name, row) for begin, name in DRIVERS.items() for row in rows(begin) if row["kind"] != "poison"]


@pytest.mark.parametrize(
    ("name", "row"), ROWS, ids=lambda part: part if isinstance(part, str) else part["id"]
)
def test_a_frame_gives_the_stated_values(name: str, row: dict[str, Any]) -> None:
    expected = row["expected"]
    (said,) = decoded(name, bytes.fromhex(row["hex"]))
    assert weight_of(said) == Decimal(str(expected["kg"]))
    if isinstance(said, Progress):
        return
    assert isinstance(said, Reading)
    if expected.get("ohm"):
        assert Decimal(said.context["impedance_ohm"]) == Decimal(str(expected["ohm"]))
    if "fat_pct" in expected:
        assert said.values[Measure.BODY_FAT].value == Decimal(str(expected["fat_pct"]))
    if "time" in expected:
        assert said.device_time is not None
        assert said.device_time.isoformat() == expected["time"]
    for stated, told in (("heart_rate", "heart_rate"), ("user", "user")):
        if stated in expected:
            assert said.context[told] == str(expected[stated])


def weight_of(said: Decoded) -> Decimal:
    assert isinstance(said, Progress | Reading)
    (weight,) = [quantity.value for name, quantity in said.values.items() if name == Measure.BODY_WEIGHT]
    return weight


CHECKED = [(name, row) for name, row in ROWS if name not in {"sanitas_sbf70", "huawei_scale"}]


@pytest.mark.parametrize(
    ("name", "row"), CHECKED, ids=lambda part: part if isinstance(part, str) else part["id"]
)
def test_one_bit_turned_over_gives_no_result(name: str, row: dict[str, Any]) -> None:
    allowed = 15 * 8 if name == "robi_s9" else 0  # its check has five bits only
    wrong = 0
    for place in range(len(row["hex"]) * 4):
        damaged = bytearray.fromhex(row["hex"])
        damaged[place // 8] ^= 1 << place % 8
        wrong += any(isinstance(item, Reading) for item in decoded(name, bytes(damaged)))
    assert wrong <= allowed


@pytest.mark.parametrize("name", DRIVERS.values())
@pytest.mark.parametrize("hexed", ["00", "ffffffffff", "ac0203490000ca16", "100eff0102025801fd01fb0033a7"])
def test_another_family_is_refused(name: str, hexed: str) -> None:
    for said in decoded(name, bytes.fromhex(hexed)):
        assert isinstance(said, Refusal)


@pytest.mark.parametrize(
    ("name", "hexed"),
    [
        ("koogeek_s1", "55aa55aa0207010000030f01d6df"),
        ("vitafit_vt701", "5a0a26100000002121340" + "8aa"),
        ("eufy_p2", "cf0e00cf721abd1a0605620001000060"),
        ("sanitas_sbf70", "e75801085e"),
    ],
)
def test_a_weight_that_moves_is_no_result(name: str, hexed: str) -> None:
    (said,) = decoded(name, bytes.fromhex(hexed))
    assert isinstance(said, Progress)
    assert said.underway


def test_three_equal_weights_of_a_sanitas_are_one_result() -> None:
    frames = [bytes.fromhex(hexed) for hexed in ("e75801012b", "e75801085e", "e75801085e", "e75800085e")]
    said = decoded("sanitas_sbf70", *frames)
    assert [type(item) for item in said] == [Progress, Progress, Progress, Reading]
    assert isinstance(said[-1], Reading)
    assert said[-1].evidence == tuple(frames[1:])


def test_a_captured_composition_of_a_sanitas() -> None:
    """Public source no. 55002615497."""
    parts = (
        "e75903010100000000000000" + "65",
        "e7590302" + "6a21f4c6068701b500df02",
        "e7590303" + "09018d00e907170aa20108",
    )
    *_, said = decoded("sanitas_sbf70", *map(bytes.fromhex, parts))
    assert isinstance(said, Reading)
    assert said.values[Measure.BODY_WEIGHT].value == Decimal("83.55")
    assert said.values[Measure.BODY_FAT].value == Decimal("22.3")
    assert said.context["impedance_ohm"] == "437"


@pytest.mark.parametrize(
    "parts",
    [
        ("e75903026a21f4c6068701b500df02",),
        ("e7590301010000", "e759030309018d00e907170aa20108"),
        ("e7590901010000",),
        ("e7590201010000", "e75902026a21f4c6"),
        ("e7590201010000", "e7590202" + "00" * 22),
    ],
)
def test_parts_that_do_not_make_a_composition_are_refused(parts: tuple[str, ...]) -> None:
    assert isinstance(decoded("sanitas_sbf70", *map(bytes.fromhex, parts))[-1], Refusal)


def test_a_sealed_frame_as_long_as_a_record_is_none() -> None:
    (said,) = decoded("huawei_scale", bytes.fromhex("bd0d26" + "01" * 12))
    assert isinstance(said, Notice)


def test_a_bare_notice_is_what_a_huawei_scale_really_sends() -> None:
    (said,) = decoded("huawei_scale", bytes.fromhex("cd1220ddae5ad500d352ad002d9ab60055a313f1"))
    assert isinstance(said, Notice)
    assert said.evidence


def test_a_composition_that_follows_a_weight_is_one_result_with_it() -> None:
    """No transcript can show it: where the scale falls silent in between, the weight alone is a result."""
    weight = "FFE1< e7 58 01 06 87\nFFE1> e7 f1 58 01 06\n" * 3
    parts = """FFE1< e7 59 03 01 01 00 00 00 00 00 00 00 65
FFE1> e7 f1 59 03 01
FFE1< e7 59 03 02 6a 21 f4 c6 06 87 01 b5 00 df 02
FFE1> e7 f1 59 03 02
FFE1< e7 59 03 03 09 01 8d 00 e9 07 17 0a a2 01 08
FFE1> e7 f1 59 03 03
= body_composition body_weight 83.55 kg, body_fat 22.3 %; context clock_seconds=1780610246 \\
impedance_ohm=437 water_percent=52.1 muscle_percent=39.7
""".replace("\\\n", "")
    (reading,) = play(
        every()["sanitas_sbf70"], parse(f"# provenance: constructed\nFFE1+\nFFE1> e6 01\n{weight}{parts}")
    ).readings
    assert len(reading.evidence) == 4


@pytest.mark.parametrize("name", ["vitafit_vt701", "koogeek_s1"])
def test_an_impedance_told_later_belongs_to_the_weight(name: str) -> None:
    hello = "FFF1+\nFFF2> a5 05 26 33 00 10 aa\nFFF2> a5 04 26 44 66 aa\nFFF2> a5 05 26 17 01 35 aa\n"
    lines = {
        "vitafit_vt701": f"""{hello}FFF1< 5a 0a 26 10 02 00 00 21 21 34 0a aa
FFF2> a5 05 26 10 02 31 aa
FFF1< 5a 0b 26 11 00 00 00 00 00 01 89 b4 aa
FFF2> a5 05 26 11 00 32 aa
= body_size body_weight 85.00 kg; context impedance_ohm=393
""",
        "koogeek_s1": """FFF4+
FFF4< 55 aa 55 aa 03 07 01 00 00 03 0f 00 00 09
FFF4< 55 aa 55 aa 03 07 01 00 00 03 0f 01 d6 de
= body_size body_weight 78.3 kg; context impedance_ohm=470
""",
    }
    (reading,) = play(every()[name], parse(f"# provenance: constructed\n{lines[name]}")).readings
    assert len(reading.evidence) == 2


@pytest.mark.parametrize("body", ["", "33", "1001", "1701 00", "50"])
def test_nothing_else_can_be_said_to_a_vitafit(body: str) -> None:
    with pytest.raises(ValueError, match="never sent"):
        vitafit.command(bytes.fromhex(body))


def test_a_proof_is_given_only_for_a_whole_number_of_the_scale() -> None:
    first = bytes.fromhex("c10200184964512b7a2b4c6a78707271432f66fa")
    second = bytes.fromhex("c102011837474f613951513d3dbd")
    proof = eufy.Proof(bytes.fromhex("cfe6031d09f7"))
    assert not list(proof.answer(second))
    assert not list(proof.answer(first))
    assert not list(proof.answer(first[:-1] + b"\0"))
    assert [frame[:3] for frame in proof.answer(second)] == [
        b"\xc2\x03\x00",
        b"\xc2\x03\x01",
        b"\xc2\x03\x02",
    ]
    other = eufy.Proof(bytes.fromhex("000000000000"))
    assert not [*other.answer(first), *other.answer(second)]
    assert eufy.proved(bytes.fromhex("c30100010000")) is None


@pytest.mark.parametrize(
    ("name", "characteristic"),
    [
        ("eufy_p2", "FFF2"),
        ("eufy_c1", "FFF4"),
        ("sanitas_sbf70", "FFE1"),
        ("koogeek_s1", "FFF4"),
        ("vitafit_vt701", "FFF1"),
        ("robi_s9", "FFB3"),
        ("yunmai_scale", "FFE4"),
        ("mgb_scale", "FFB2"),
        ("es_cs20m", "2A10"),
    ],
)
def test_another_device_without_the_characteristic_is_left_alone(name: str, characteristic: str) -> None:
    with pytest.raises(NoAnswer, match=characteristic):
        play(every()[name], parse(f"# provenance: constructed\n{characteristic}+ -\n"))
