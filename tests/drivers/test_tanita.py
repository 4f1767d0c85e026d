"""Tanita: which scale wrote a line, its vectors, and what a BC-418 is told."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import pytest

from drivers.catalogue import Refusal, Serial
from drivers.dialogue import Listen, Order, Send
from drivers.tanita import DRIVER
from protocol import tanita
from protocol.errors import NoAnswer
from protocol.framing import Frame
from protocol.readings import Measure, Reading
from tests.rig import Bench, Host, Journal
from tests.vector_rows import decoded, raw, rows
from tools.simulators import Measure as Found
from tools.simulators import Show, ShowFailure, simulator

HEARD, DIALOGUE = rows("tanita", "device->host"), rows("tanita", "dialogue")
TBF310 = "0,2,170,110.6,431,28.4,31.4,79.2,58.0,27,32.3,9771"
TBF410 = "0,1,70.0,163.8,475,16.0,26.2,137.6,100.8,35,23.5,7298"
VALUES = {
    "height_cm": Measure.BODY_HEIGHT,
    "weight_kg": Measure.BODY_WEIGHT,
    "weight_lb": Measure.BODY_WEIGHT,
    "bmi": Measure.BMI,
    "fat_pct": Measure.BODY_FAT,
}
CONTEXT = {
    "height_in": "body_height_in",
    "z_whole": "impedance_ohm",
    "z_right_leg": "right_leg_impedance_ohm",
    "z_left_leg": "left_leg_impedance_ohm",
    "z_right_arm": "right_arm_impedance_ohm",
    "z_left_arm": "left_arm_impedance_ohm",
    "ffm_kg": "fat_free_mass_kg",
    "ffm_lb": "fat_free_mass_lb",
    "tbw_kg": "body_water_kg",
    "tbw_lb": "body_water_lb",
    "bmr_kJ": "bmr_kj",
}
SEGMENT = {
    "fat_pct": "fat_percent",
    "fat_mass_kg": "fat_mass_kg",
    "ffm_kg": "fat_free_mass_kg",
    "muscle_kg": "muscle_mass_kg",
}
WORDS = {"0": "standard", "2": "athlete", "1": "male"}
PERSON = {"sex": "male", "age": "37", "height_cm": "170", "clothes_kg": "1.0"}


def said(line: str | bytes, model: str = "") -> list[Any]:
    data = line.encode("latin-1") if isinstance(line, str) else line
    framer = tanita.framer()
    shaped = DRIVER.under({"model": model})
    return list(shaped.decode(piece for piece in framer.feed(data) if isinstance(piece, Frame)))


def refusals(line: str | bytes, model: str = "") -> list[str]:
    return [item.code if isinstance(item, Refusal) else type(item).__name__ for item in said(line, model)]


@pytest.mark.parametrize("row", HEARD, ids=lambda row: row["id"])
def test_a_line_gives_the_stated_values(row: Mapping[str, Any]) -> None:
    expected = row["expected"]
    (reading,) = decoded("tanita", raw(row))
    assert isinstance(reading, Reading)
    for name, value in expected.items():
        if name in VALUES:
            quantity = reading.values[VALUES[name]]
            assert quantity.value == Decimal(str(value))
            assert quantity.unit == {"weight_lb": "[lb_av]", "weight_kg": "kg"}.get(name, quantity.unit)
        elif name in {"gender", "body_type"}:
            word = reading.context["sex" if name == "gender" else name]
            assert word == WORDS.get(str(value), str(value))
        elif name == "time":
            assert reading.device_time is not None
            assert reading.device_time.isoformat(" ", "minutes") == value
        elif name == "trunk":
            for key, number in value.items():
                context = reading.context[f"trunk_{SEGMENT[key]}"]
                assert Decimal(context) == Decimal(str(number))
        elif name == "visceral_rating":
            assert reading.context["visceral_fat_rating"] == str(value)
        elif name != "model":
            assert Decimal(reading.context[CONTEXT.get(name, name)]) == Decimal(str(value))


@pytest.mark.parametrize("row", DIALOGUE, ids=lambda row: row["id"])
def test_a_command_is_built_to_the_byte_and_its_echo_understood(row: Mapping[str, Any]) -> None:
    stated = row["expected"]
    assert tanita.command(stated["host_sends"].strip()) == stated["host_sends"].encode()
    assert decoded("tanita", stated["device_echoes"].encode()) == []


def test_the_commands_of_a_person_are_those_of_the_sheet() -> None:
    assert tanita.person_commands(PERSON) == ("U0", "D0001.0", "D11", "D20", "D300170", "D437")
    girl = {"sex": "female", "age": "7", "height_cm": "98", "clothes_kg": "0", "body_type": "athlete"}
    assert tanita.person_commands(girl) == ("U0", "D0000.0", "D12", "D22", "D300098", "D407")


@pytest.mark.parametrize("text", ["", "U1", "D13", "D21", "D0010.0", "D3170", "D4100", "G2", "R", "G1\r\nG1"])
def test_no_other_command_can_be_built(text: str) -> None:
    with pytest.raises(ValueError, match="never sent"):
        tanita.command(text)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("sex", ""),
        ("sex", "m"),
        ("age", "6"),
        ("age", "100"),
        ("age", "3O"),
        ("height_cm", "89"),
        ("height_cm", "250"),
        ("height_cm", "170.5"),
        ("height_cm", ""),
        ("clothes_kg", "10"),
        ("clothes_kg", "-1"),
        ("clothes_kg", ""),
        ("body_type", "thin"),
    ],
)
def test_a_person_it_cannot_be_told_about_is_told_to_nobody(name: str, value: str) -> None:
    with pytest.raises(ValueError, match=name):
        tanita.person_commands({**PERSON, name: value})
    dialogue = DRIVER.talk({"model": "bc418"})
    assert dialogue.send(None) == Listen(orders=True)
    step = dialogue.send(Order("start_body_composition", {**PERSON, name: value}))
    assert not isinstance(step, Send)
    assert dialogue.send(None) == Listen(orders=True)


def test_a_bc418_that_echoes_nothing_is_silent() -> None:
    dialogue = DRIVER.talk({"model": "bc418"})
    dialogue.send(None)
    assert dialogue.send(Order("start_body_composition", PERSON)) == Send(b"\x1f\r\n")
    assert dialogue.send(None) == Listen(5.0)
    assert dialogue.send(None) == Send(b"U0\r\n")
    assert dialogue.send(None) == Listen(within=10.0)
    with pytest.raises(NoAnswer):
        dialogue.send(None)


@pytest.mark.parametrize("model", ["", "tbf310", "tbf410", "mc780"])
def test_only_a_bc418_is_ever_spoken_to(model: str) -> None:
    assert DRIVER.under({"model": model}).orders == ()
    assert DRIVER.talk({"model": model}).send(None) == Listen()


def test_each_model_has_its_line_and_another_name_is_no_model() -> None:
    assert DRIVER.under({"model": "bc418"}).link == Serial(baudrate=4800)
    assert DRIVER.under({"model": "mc780"}).link == Serial()
    assert DRIVER.under({"model": "tbf410"}).link == Serial(baudrate=2400)
    with pytest.raises(ValueError, match="model"):
        DRIVER.under({"model": "TBF-310"})


def test_the_bmi_tells_the_units_and_where_it_does_not_nothing_is_guessed() -> None:
    assert refusals(TBF310 + "\r\n") == ["Reading"]
    assert refusals(TBF310 + "\r\n", "tbf410") == ["tanita.wrong_model"]
    assert refusals(TBF410 + "\r\n", "tbf310") == ["tanita.wrong_model"]
    for bmi in ("0.0", "7.0", "99.9"):
        line = TBF310.replace("32.3", bmi) + "\r\n"
        assert refusals(line) == ["tanita.model_unknown"]
        assert refusals(line, "tbf310") == ["Reading"]
    assert refusals(TBF310.replace("170", "0") + "\r\n") == ["tanita.model_unknown"]


def test_a_dated_tbf_line_keeps_its_date_as_text() -> None:
    (reading,) = said(f'"04/05/15","15:52",{TBF310}\r\n')
    assert reading.device_time is None
    assert (reading.context["scale_date"], reading.context["scale_time"]) == ("04/05/15", "15:52")
    assert refusals(f"4 May,15:52,{TBF310}\r\n") == ["device.malformed"]


def test_a_parity_bit_that_is_none_refuses_the_line() -> None:
    line = (TBF310 + "\r\n").encode()
    assert refusals(bytes(byte | 0x80 for byte in line)) == ["Reading"]
    for place in range(len(TBF310)):
        damaged = bytearray(line)
        damaged[place] ^= 0x80
        assert refusals(bytes(damaged)) == ["device.malformed"]


@pytest.mark.parametrize(
    "line",
    [
        TBF310.replace("0,2", "1,2", 1),
        TBF310.replace("0,2", "0,3", 1),
        TBF310.replace("110.6", "000.0"),
        TBF310.replace("110.6", "-10.6"),
        TBF310.replace("110.6", "110,6"),
        TBF310.replace("27", "127"),
        TBF310.replace("28.4", ""),
        TBF310.replace("28.4", "2x.4"),
        "D11",
        "U0,",
        "{0,16,~0,3,~1,3,~2,3,MO,SC,Wk,206.2",
        "{0,16,~0,1,~1,1,~2,1,MO,SC,Wp,206.2",
        "{0,16,~0,1,~1,1,~2,1,MO,SC,Wk",
        "{0,16,~0,1,~1,1,~2,1,MO,SC,Wk,62.1,Wk,62.2",
        "{0,16,~0,1,~1,1,~2,1,Wk,62.1",
        "{0,16,~0,1,~1,1,~2,1,MO,SC,Wk,62.1,Da,31/02/2026,TI,09:05",
    ],
)
def test_a_line_of_another_form_is_refused(line: str) -> None:
    assert set(refusals(line + "\r\n")) <= {"device.malformed", "tanita.unit"}
    assert len(refusals(line + "\r\n")) == 1


def test_a_nought_is_no_value() -> None:
    (reading,) = said(TBF310.replace("28.4", "0.0") + "\r\n")
    assert Measure.BODY_FAT not in reading.values
    assert reading.context["no_value"] == "body_fat"
    assert reading.kind == "body_size"


def test_one_figure_changed_breaks_the_sum_of_a_named_line() -> None:
    line = b'{0,16,~0,1,~1,1,~2,1,MO,"WB",Wk,62.1,CS,'
    whole = line + b"%02X\r\n" % (sum(line[:-3]) & 0xFF)
    assert refusals(whole) == ["Reading"]
    assert refusals(whole.replace(b"62.1", b"62.2")) == ["device.malformed"]
    assert refusals(whole.replace(b"CS", b"cs")) == ["Reading"]


@pytest.mark.parametrize("model", ["tbf310", "tbf410", "bc418", "mc780"])
def test_what_a_simulated_scale_shows_is_what_is_read(model: str) -> None:
    bench, journal, settings = Bench(simulator("tanita"), {"model": model}), Journal(), {"model": model}
    bench.cue(Found({"body_weight": "78.3", "body_height": "170"}))
    host = Host(bench, DRIVER, journal, settings)
    if model == "bc418":
        host.order(Order("start_body_composition", PERSON))
    bench.run(until=lambda: bool(journal.readings))
    (shown,) = bench.told
    assert isinstance(shown, Show)
    (reading,) = journal.readings
    assert {name.value: str(quantity.value) for name, quantity in reading.values.items()} == shown.values


def test_a_simulated_bc418_that_nobody_steps_on_gives_a_failed_measurement() -> None:
    bench, journal = Bench(simulator("tanita"), {"model": "bc418"}), Journal()
    host = Host(bench, DRIVER, journal, {"model": "bc418"})
    host.order(Order("start_body_composition", PERSON))
    bench.run(until=lambda: bool(journal.readings))
    assert [reading.failed for reading in journal.readings] == ["no_result"]
    assert bench.told == [ShowFailure("nobody")]
