"""`devices learn`: a stanza that loads and reads what the display showed, or the reason why there is none."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from drivers.catalogue import Driver
from drivers.line import DRIVER
from gateway.config import load
from protocol.errors import RequestRefused
from protocol.framing import Frame
from protocol.readings import Reading
from protocol.transcript import reading_line
from tools.learn import learn

STREAM = b"US,GS,+  41.10kg\r\nST,GS,+  62.30kg\r\nST,GS,+  62.30kg\r\nST,GS,-   0.02kg\r\n"
GTECH = b"\x02158.5,60.54,M,123.5,24.1\x03"
WOMAN = b"\x02161.0,55.00,F,111.0,21.2\x03"
FORMAT_5 = b"2026,07,11,09,05,12345678901234567890,0,120,080,072,0\r\n"
PRINTED = b"ACME SCALES\r\n11/07/26 09:05\r\nGEWICHT   62,3 kg\r\nGROESSE  170,5 cm\r\n"


def run(path: Path, data: bytes, *arguments: str) -> Result:
    recording = path / "recording"
    recording.write_bytes(data)
    shown = [
        word for one in arguments for word in (("--shown", one) if "=" in one and one[0] != "-" else (one,))
    ]
    return CliRunner().invoke(learn, [str(recording), *shown])


def learned(path: Path, data: bytes, *arguments: str) -> tuple[Driver, dict[str, object]]:
    """Return the driver that the printed stanza, loaded as the service would, makes, and its settings."""
    done = run(path, data, *arguments, "--port", "/dev/ttyS0")
    assert done.exit_code == 0, done.output
    config = path / "gateway.toml"
    config.write_text(done.stdout, encoding="utf-8")
    [device] = load(config, {}).devices
    assert (device.driver, device.port) == ("line", "/dev/ttyS0")
    return DRIVER.under({**DRIVER.settings, **device.settings}), dict(device.settings)


def readings(driver: Driver, data: bytes) -> list[str]:
    framer = driver.framer()
    pieces = [*framer.feed(data), *framer.finish()]
    said = driver.decode(piece for piece in pieces if isinstance(piece, Frame))
    return [reading_line(one).partition(";")[0] for one in said if isinstance(one, Reading)]


def test_a_stream_is_learned_with_its_mark_for_a_stable_value(tmp_path: Path) -> None:
    driver, settings = learned(tmp_path, STREAM, "weight=62.3")
    assert settings == {"layout": "{stable},GS,{weight}kg", "stable": "ST", "unit_weight": "kg", "repeat": 2}
    assert readings(driver, STREAM) == ["body_size body_weight 62.30 kg"] * 2
    assert readings(driver, b"ST,GS,+ 108.85kg\r\nUS,GS,+ 108.85kg\r\n") == [
        "body_size body_weight 108.85 kg"
    ]


def test_a_message_between_marks_is_learned_from_one_person_and_read_from_another(tmp_path: Path) -> None:
    shown = ("height=158.5cm", "weight=60.54kg", "bmi=24.1")
    driver, settings = learned(tmp_path, GTECH, *shown)
    assert (settings["start"], settings["end"], settings["repeat"]) == (r"\x02", r"\x03", 1)
    assert readings(driver, WOMAN) == ["body_size body_height 161.0 cm, body_weight 55.00 kg, bmi 21.2 kg/m2"]
    assert learned(tmp_path, GTECH + WOMAN, *shown)[1] == settings


def test_lines_with_labels_are_learned_and_the_others_passed_over(tmp_path: Path) -> None:
    driver, settings = learned(tmp_path, PRINTED, "weight=62.3", "height=170.5")
    assert settings["decimal_comma"] is True
    assert settings["ignore_others"] is True
    assert (settings["layout"], settings["layout_2"]) == ("GEWICHT{weight} kg", "GROESSE{height} cm")
    assert readings(driver, PRINTED) == ["body_size body_weight 62.3 kg", "body_size body_height 170.5 cm"]


def test_a_blood_pressure_is_learned(tmp_path: Path) -> None:
    driver, _ = learned(tmp_path, FORMAT_5, "systolic=120mmHg", "diastolic=80", "pulse=72")
    assert readings(driver, FORMAT_5.replace(b"120,080,072", b"135,091,066")) == [
        "blood_pressure systolic 135 mm[Hg], diastolic 91 mm[Hg], pulse_rate 66 /min"
    ]


@pytest.mark.parametrize(
    ("data", "shown", "layout"),
    [
        (b"2026/07/11 09:05:33;0056;x\r\n", "glucose=5.6mmol/L", "{%Y/%m/%d %H:%M:%S};{glucose:.1};x"),
        (b"11/07/26 09:05 T1:36.5\r\n", "temperature=36.5", "{_} {_} T1:{temperature}"),
        (b"A0623\r\n", "weight=62.3kg", "A{weight:.1}"),
        (b"{W} \\62.3\r\n", "weight=62.3kg", r"\{W\} \\{weight}"),
        (b"62.3k1\r\n62.3k1\r\n", "weight=62.3kg", "{weight}k1"),
        ("体重62.3公斤\r\n".encode("gbk"), "weight=62.3kg", "体重{weight}公斤"),
        (b"SPO2 98 PR 72\r\n", "spo2=98%", "SPO2{spo2} PR {_}"),
        (b"1.75 kg\r\n", "weight=1.75", "{weight} kg"),
    ],
)
def test_the_layout_of_one_line(tmp_path: Path, data: bytes, shown: str, layout: str) -> None:
    driver, settings = learned(tmp_path, data, shown)
    assert settings["layout"] == layout
    assert len(readings(driver, data)) == data.count(b"\n")


def test_columns_without_anything_between_them_are_learned_by_their_width(tmp_path: Path) -> None:
    data = b"OK062.3KG\r\nNO041.1KG\r\n"
    driver, settings = learned(tmp_path, data, "weight=62.3")
    assert settings["layout"] == "{stable:2}{weight:5}KG"
    assert readings(driver, data) == ["body_size body_weight 62.3 kg"]


@pytest.mark.parametrize("end", ["^", r"\x5e"])
def test_another_end_of_a_line_can_be_said(tmp_path: Path, end: str) -> None:
    driver, settings = learned(tmp_path, b"W062.3H170.5 ^" * 2, "weight=62.3kg", "height=170.5", "--end", end)
    assert settings["repeat"] == 2
    assert readings(driver, b"W108.4H181.0 ^") == ["body_size body_weight 108.4 kg, body_height 181.0 cm"]


def test_a_transcript_is_read_as_the_machine_spoke(tmp_path: Path) -> None:
    spoken = (
        '# provenance: captured\n> 41\n< "ST,GS,+  62.3"\n< "0kg\\r\\n"\n. 1\n< "ST,GS,+  62.30kg\\r\\n"\n'
    )
    assert learned(tmp_path, spoken.encode(), "weight=62.3")[1]["layout"] == "ST,GS,{weight}kg"


def test_what_it_reads_from_each_line_is_shown(tmp_path: Path) -> None:
    done = run(tmp_path, STREAM, "weight=62.3")
    assert "#   2 x ST,GS,+  62.30kg\n#       body_size body_weight 62.30 kg\n" in done.stdout
    assert "progress body_size unstable body_weight 41.10 kg" in done.stdout
    assert "# taken as the mark of a stable value: ST" in done.stdout
    told = json.loads(run(tmp_path, STREAM, "weight=62.3", "--json").stdout)
    assert told["settings"]["stable"] == "ST"
    assert [line["times"] for line in told["lines"]] == [1, 2, 1]
    assert told["lines"][1] == {
        "text": "ST,GS,+  62.30kg",
        "times": 2,
        "gives": ["body_size body_weight 62.30 kg"],
    }


@pytest.mark.parametrize(
    ("data", "shown", "reason"),
    [
        (STREAM, ["weight=62.4"], "no line shows weight 62.4"),
        (STREAM.replace(b"kg", b""), ["weight=62.3"], "say the unit: --shown weight=62.3kg or weight=62.3lb"),
        (STREAM.replace(b"kg", b"g"), ["weight=62.3g"], "weight in g: only kg or lb"),
        (b"170 170\r\n", ["height=170cm"], "could be several numbers"),
        (b"72 72\r\n", ["height=72cm", "waist=72cm"], "could be several numbers"),
        (b"70 in\r\n", ["height=70in"], "height in in cannot be read"),
        (b"120 80\r\n", ["systolic=120mmHg"], "systolic and diastolic go together"),
        (b"\xff\x00\x81\x13\r\n", ["weight=62.3kg"], "no line of text in it"),
        (b"", ["weight=62.3kg"], "no line of text in it"),
        (b"\x0262.3", ["weight=62.3kg"], "no line"),
        (
            b"A1.1\r\nB,2.2\r\nC;3.3\r\nD/4.4\r\n",
            ["height=1.1", "bmi=2.2", "waist=3.3", "fat=4.4"],
            "three forms",
        ),
    ],
)
def test_where_a_recording_does_not_tell_the_reason_is_said(
    tmp_path: Path, data: bytes, shown: list[str], reason: str
) -> None:
    done = run(tmp_path, data, *shown)
    assert isinstance(done.exception, RequestRefused)
    assert done.exception.code == "learn.unclear"
    assert reason in done.exception.detail
    assert done.stdout == ""


def test_hex_is_read_where_it_is_said_to_be_hex(tmp_path: Path) -> None:
    assert learned(tmp_path, STREAM.hex(" ").encode(), "weight=62.3", "--hex")[1]["stable"] == "ST"


@pytest.mark.parametrize(
    "arguments",
    [
        ["wieght=1"],
        ["--shown", "weight"],
        ["weight=x"],
        ["weight=1kg", "--start", "A"],
        ["weight=1kg", "--end", "{"],
        ["weight=1kg", "--hex"],
    ],
)
def test_a_wrong_word_on_the_command_line_is_told(tmp_path: Path, arguments: list[str]) -> None:
    assert run(tmp_path, STREAM, *arguments).exit_code == 2
