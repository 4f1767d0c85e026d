"""Text lines to the letter: what each form gives, and every way a line is refused."""

import pytest

from drivers.catalogue import Refusal
from protocol.readings import Progress, Reading
from protocol.transcript import event_line, reading_line
from tests.drivers.test_vectors import decoded

FORMAT_5 = "2026,07,11,09,05,12345678901234567890,0,120,080,072,0"
BP = "bp,99999999999999999999,2023/04/27,15:06,140,098,077,068,3"


def said(protocol: str, line: str) -> list[str]:
    words = []
    for item in decoded(protocol, line.encode("latin-1")):
        match item:
            case Reading():
                words.append(reading_line(item))
            case Refusal(code=code):
                words.append(f"refused {code}")
            case _:
                words.append(event_line(item))
    return words


@pytest.mark.parametrize(
    "line",
    [
        FORMAT_5.replace("2026,", "2026;"),
        FORMAT_5.replace("890,", "89,"),
        FORMAT_5.replace("890,", "8901,"),
        FORMAT_5.replace("890,", "8é0,"),
        FORMAT_5.replace("120", "+20"),
        FORMAT_5.replace("120", " 20"),
        FORMAT_5.replace("120", "12 "),
        FORMAT_5.replace("120", "120junk"),
        FORMAT_5.replace("120", "   "),
        FORMAT_5.replace("120,080,072", "   ,   ,   "),
        FORMAT_5.replace("0,120,080,072", "7,120,   ,072"),
        FORMAT_5.replace("0,120,080,072", "7,1 0,   ,   "),
        FORMAT_5.replace("07,11", "02,30"),
        FORMAT_5.replace("07,11", "13,11"),
        FORMAT_5.replace("09,05", "24,00"),
        FORMAT_5.replace("09,05", "09,60"),
        FORMAT_5.replace("120", "059"),
        FORMAT_5.replace("120", "261"),
        FORMAT_5.replace("080", "029"),
        FORMAT_5.replace("080", "216"),
        FORMAT_5.replace("072", "039"),
        FORMAT_5.replace("072", "181"),
        FORMAT_5[:-1] + "2",
        FORMAT_5[:-2],
        FORMAT_5 + ",9",
        FORMAT_5[1:],
        " " + FORMAT_5,
        FORMAT_5 + " ",
        BP.replace("bp,", "BP,"),
        BP.replace("/", "-"),
        BP.replace("15:06", "25:06"),
        BP.replace("098", "98"),
        BP.replace("140", "000"),
        BP.replace(",3", ""),
        BP + ",1",
        "120,080,072",
    ],
)
def test_an_omron_line_that_is_not_to_the_letter_is_refused(line: str) -> None:
    assert said("omron_hbp", line + "\r\n") == ["refused device.malformed"]


def test_the_omron_lines_these_were_made_from_are_good() -> None:
    format_5, bp_line = said("omron_hbp", f"{FORMAT_5}\r\n{BP}\r")
    assert format_5.startswith("blood_pressure systolic 120 mm[Hg], diastolic 80 mm[Hg], pulse_rate 72 /min;")
    assert bp_line.startswith("blood_pressure systolic 140 mm[Hg], mean_pressure 98 mm[Hg], diastolic 77 mm")


@pytest.mark.parametrize("typed", [" " * 20, "9" * 20, "0" * 20, "5".ljust(20)])
def test_what_the_omron_fills_in_itself_is_nobodys_number(typed: str) -> None:
    (line,) = said("omron_hbp", FORMAT_5.replace("12345678901234567890", typed) + "\r\n")
    assert "patient_id" not in line


@pytest.mark.parametrize(
    ("line", "gives"),
    [
        ("ST,GS,+  12.34kg", "body_size body_weight 12.34 kg; context load=gross"),
        ("ST,GS+  12.34,kg", "body_size body_weight 12.34 kg; context load=gross"),
        ("ST,NT,+  12.34kg", "body_size body_weight 12.34 kg; context load=net"),
        ("ST,+00012.34  kg", "body_size body_weight 12.34 kg"),
        ("ST, GS+ 5.12KG", "body_size body_weight 5.12 kg; context load=gross"),
        ("01ST,GS,     0.0,kg", "body_size body_weight 0.0 kg; context address=01 load=gross"),
        ("ST,GS,-   0.02kg", "body_size body_weight -0.02 kg; context load=gross"),
        ("ST,GS,+ 137.2 lb", "body_size body_weight 137.2 [lb_av]; context load=gross"),
        ("ST,GS,+  99.9kg", "body_size body_weight 99.9 kg; context load=gross"),
        (
            "011ST,1,    61.5,PT   20.8,     0,kg,01/02/19 11:12:13",
            "body_size body_weight 61.5 kg; at 2019-02-01T11:12:13; context address=01 tare=20.8",
        ),
        ("ST,1,    61.5,     0.0,     0,kg", "body_size body_weight 61.5 kg; context tare=0.0"),
        ("137.2 lb", "body_size body_weight 137.2 [lb_av]; context 'stability=not stated'"),
        ("US,GS,+  0.860kg", "progress body_size unstable body_weight 0.860 kg"),
        ("OL,GS,+999999.9kg", "body_size failed overload"),
        ("OL,", "body_size failed overload"),
        ("UL,GS,-    0.0kg", "body_size failed underload"),
        ("ST,+999999.9  kg", "body_size failed overload"),
    ],
)
def test_each_documented_line_of_a_scale(line: str, gives: str) -> None:
    assert said("scale_st_gs", line + "\r\n") == [gives]


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("ST,GS,+   860g", "scale_st_gs.unit"),
        ("ST,GS,+  12.34", "device.malformed"),
        ("ST,GS,+  12.34k", "scale_st_gs.unit"),
        ("ST,GS,+  1 2.34kg", "device.malformed"),
        ("ST,GS,+  12,34kg", "device.malformed"),
        ("ST,GS,+- 12.34kg", "device.malformed"),
        ("GS,ST,+  12.34kg", "device.malformed"),
        ("ST,GS,+  12.34kg 5", "device.malformed"),
        ("QT,+00000012PC", "device.malformed"),
        ("T,GS,+  12.34kg", "device.malformed"),
        ("12.34kg", "device.malformed"),
        ("ST,1, 61.5,PT 0.0, 0,kg,31/02/19 11:12:13", "device.malformed"),
    ],
)
def test_each_other_line_of_a_scale_is_refused(line: str, code: str) -> None:
    assert said("scale_st_gs", line + "\r\n") == [f"refused {code}"]


PRINTED = (
    "\0\r\nGENDER   ---- MALE\r\nWEIGHT   ---- 70.05 kg\r\nHEIGHT   ---- 170.6 cm\r\n"
    "B  M  I  ----  24.1\r\n\x1bT\0"
)


@pytest.mark.parametrize(
    "message",
    [
        "\x02158.5,60.54,M,123.5\x03",
        "\x02158.5,60.54,M,123.5,24.1,9\x03",
        "\x02158.5,60.54,X,123.5,24.1\x03",
        "\x02158,60.54,M,123.5,24.1\x03",
        "\x02158.5,60.54kg,M,123.5,24.1\x03",
        "\x02000.0,60.54,M,123.5,24.1\x03",
        "\x02-58.5,60.54,M,123.5,24.1\x03",
        "\x02158.5,\xb20.54,M,123.5,24.1\x03",
        PRINTED.replace("70.05 kg", "70.05 lb"),
        PRINTED.replace("70.05 kg", "70.05"),
        PRINTED.replace("70.05 kg", "ERROR kg"),
        PRINTED.replace("WEIGHT", "WIGHT "),
        PRINTED.replace("HEIGHT", "WEIGHT"),
    ],
)
def test_a_gtech_message_that_is_not_to_the_letter_is_refused(message: str) -> None:
    assert said("gtech_gl", message) == ["refused device.malformed"]


def test_both_gtech_dialects_are_told_apart_in_one_stream() -> None:
    line = "body_size body_height 158.5 cm, body_weight 60.54 kg, bmi 24.1 kg/m2"
    printed = "body_size body_height 170.6 cm, body_weight 70.05 kg, bmi 24.1 kg/m2; context sex=male"
    stream = PRINTED + "\x02158.5,60.54,F,123.5,24.1\x03" + PRINTED
    assert said("gtech_gl", stream) == [
        printed,
        f"{line}; context obesity_percent=123.5 sex=female",
        printed,
    ]


def test_an_unstable_weight_is_progress_and_never_a_reading() -> None:
    (item,) = decoded("scale_st_gs", b"US,GS,+  62.30kg\r\n")
    assert isinstance(item, Progress)
