"""DBA-310: what a result must hold together, and what the machine may be told."""

import pytest

from drivers.catalogue import Refusal
from drivers.dba310 import DRIVER, person_commands
from drivers.dialogue import Order
from protocol.errors import NoAnswer
from protocol.readings import Identified, Progress, Reading
from tests.rig import Bench, Host, Journal
from tests.vector_rows import decoded
from tools.simulators import Fail, Measure, Show, ShowFailure, simulator

RESULT = "id=;\ndate=2026-07-11 09:05;\ngen=0;\nage=47;\nhei=170.5;\nwei=62.3;\nbmi=21.4;\npbf=18.3;\nover\n"
PERSON = {"sex": "male", "age": "47", "height_cm": "170.5"}


def codes(text: str) -> list[str]:
    said = decoded("dba310", text.encode("latin-1"))
    return [one.code if isinstance(one, Refusal) else type(one).__name__ for one in said]


def test_each_answer_is_understood() -> None:
    said = decoded("dba310", b"dhy,dba310,18880001\nstp=3\nmeasing\nok\nerr=3\nerr=0\n")
    identity, progress, measuring, failed = said
    assert identity == Identified("18880001", {"model": "dba310"})
    assert isinstance(progress, Progress)
    assert isinstance(measuring, Progress)
    assert isinstance(failed, Reading)
    assert failed.failed == "device_error:3"


def test_a_result_counts_only_whole() -> None:
    (reading,) = decoded("dba310", RESULT.encode())
    assert isinstance(reading, Reading)
    assert len(reading.evidence) == 9
    assert reading.record == "2026-07-11 09:05 62.3 18.3   "
    for cut in range(1, RESULT.count("\n")):
        part = "\n".join(RESULT.split("\n")[:cut]) + "\n"
        assert codes(part) == ["device.malformed"]
        assert codes(part + "stp=1\n") == ["device.malformed"]
    assert codes("id=;\nwei=62.3;\nnonsense\nover\n") == ["device.malformed"] * 2


def test_the_same_result_told_again_has_the_same_name_and_another_another() -> None:
    first, again, other = decoded("dba310", (RESULT * 2 + RESULT.replace("18.3", "18.4")).encode())
    assert first.record == again.record
    assert first.record != other.record
    (nameless,) = decoded("dba310", RESULT.replace("date=2026-07-11 09:05;\n", "").encode())
    assert nameless.record is None


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        ("wei=62.3", "wei=124.6", "dba310.unit"),
        ("wei=62.3", "wei=137.3", "dba310.unit"),
        ("bmi=21.4", "bmi=22.0", "dba310.unit"),
        ("hei=170.5", "hei=67.1", "dba310.unit"),
        ("hei=170.5", "hei=", "dba310.unit"),
        ("bmi=21.4", "bmx=21.4", "dba310.unit"),
        ("wei=62.3", "wei=0.0", "device.malformed"),
        ("wei=62.3", "wei=-62.3", "device.malformed"),
    ],
)
def test_a_weight_whose_unit_the_machine_s_own_bmi_does_not_prove_is_refused(
    old: str, new: str, code: str
) -> None:
    assert codes(RESULT.replace(old, new)) == [code]


@pytest.mark.parametrize("line", ["dhy,dba311,18880001", "stp=5", "stp=", "err=x", "wei=abc", "OK", "over"])
def test_any_other_line_is_refused(line: str) -> None:
    assert codes(f"{line}\n") == ["device.malformed"]


def test_a_person_is_told_in_the_form_of_the_sheet() -> None:
    assert person_commands(PERSON) == (b"*hei=170.5\n", b"*age=47\n", b"*gen=1\n")
    child = {**PERSON, "id": "1888", "height_cm": "98"}
    assert person_commands(child)[:2] == (b"*id=1888\n", b"*hei=098.0\n")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("sex", ""),
        ("age", "100"),
        ("age", "-1"),
        ("height_cm", "1705"),
        ("height_cm", ""),
        ("id", "18\n*mea"),
    ],
)
def test_a_person_that_cannot_be_told_is_not_told(name: str, value: str) -> None:
    with pytest.raises(ValueError, match=name):
        person_commands({**PERSON, name: value})


def test_a_result_of_the_simulated_machine_is_read_once_and_a_failure_is_one() -> None:
    bench, journal = Bench(simulator("dba310")), Journal()
    Host(bench, DRIVER, journal, {})
    bench.run(seconds=5)
    bench.cue(Measure({"body_weight": "62.3", "body_height": "170.5"}))
    bench.run(seconds=20)
    bench.cue(Fail("impedance"))
    bench.run(seconds=20)
    reading, failed = journal.readings
    shown = {name.value: str(one.value) for name, one in reading.values.items()}
    assert bench.told == [Show(shown), ShowFailure("impedance")]
    assert failed.failed == "device_error:3"


def test_an_order_tells_the_person_and_starts() -> None:
    bench, journal = Bench(simulator("dba310")), Journal()
    host = Host(bench, DRIVER, journal, {})
    bench.run(seconds=3)
    host.order(Order("start_body_composition", {**PERSON, "id": "1888", "sex": "female"}))
    bench.run(seconds=3)
    bench.cue(Measure({"body_weight": "62.3", "body_height": "170.5"}))
    bench.run(seconds=20)
    (reading,) = journal.readings
    assert reading.context["sex"] == "female"
    assert reading.context["patient_id"] == "1888"


def test_a_machine_that_does_not_say_who_it_is_is_silent() -> None:
    dialogue = DRIVER.talk({})
    dialogue.send(None)
    dialogue.send(None)
    with pytest.raises(NoAnswer):
        dialogue.send(None)
