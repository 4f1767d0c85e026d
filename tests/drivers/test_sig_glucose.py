"""The standard glucose service: its vectors, what is nobody's blood sugar, and a memory read in portions."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.catalogue import Driver, Gatt, Refusal
from drivers.sig_glucose import DRIVER
from protocol.errors import MalformedValue, NoAnswer
from protocol.gatt import record_access
from protocol.readings import Measure, Notice, Reading
from protocol.transcript import Gives, Transcript, parse
from tests.ble_rows import decoded, rows
from tests.play import TRANSCRIPTS, play, read

ROWS = rows("SIG GLS")
MEASUREMENTS = [row for row in ROWS if row["characteristic"] == "2A18"]
CONTROLS = [row for row in ROWS if row["characteristic"] == "2A52"]
BEGIN = (
    "# provenance: constructed\n2A29? -\n2A24? -\n2A25? -\n2A26? -\n2A19? -\n2A2B? -\n2A08? -\n"
    "2A18+\n2A34+ -\n2A52+\n. 1\n"
)
FIRST = "2A18< 06 01 00 e9 07 01 01 08 00 00 3a c0 11\n"
DONE = "2A52< 06 00 01 01\n"


def told(sent: str, source: str = "2A18") -> Any:
    [item] = decoded("sig_glucose", bytes.fromhex(sent), source=source)
    return item


def record(number: int) -> bytes:
    """Return the measurement of this number: on the day and with the tenths that it names."""
    return bytes(
        [
            0x06,
            number & 0xFF,
            number >> 8,
            0xE9,
            7,
            1 + number // 28,
            1 + number % 28,
            8,
            0,
            0,
            50,
            0xC0,
            0x11,
        ]
    )


def name(number: int) -> str:
    [reading] = decoded("sig_glucose", record(number), source="2A18")
    assert isinstance(reading, Reading)
    return str(reading.record)


def heard(*numbers: int) -> str:
    return "".join(f"2A18< {record(number).hex(' ')}\n" for number in numbers) + DONE


def gives(*numbers: int) -> str:
    return "".join(
        f"= glucose glucose 5.0 mmol/L; at 2025-{1 + n // 28:02}-{1 + n % 28:02}T08:00:00; sequence {n}; "
        f"stored; record {name(n)}; context sample_type=capillary_whole_blood sample_location=finger\n"
        for n in numbers
    )


@pytest.mark.parametrize("row", MEASUREMENTS, ids=lambda row: row["id"])
def test_a_measurement_gives_the_stated_values(row: dict[str, Any]) -> None:
    reading, expected = told(row["hex"]), row["expected"]
    assert isinstance(reading, Reading)
    assert reading.sequence == expected["seq"]
    number = expected.get("mmol_L", expected.get("mg_dL"))
    if number in {None, "NaN"}:
        assert reading.failed == {32: "above_range", 64: "below_range"}.get(
            expected.get("status"), "no_result"
        )
    elif expected["type"] == 10:
        assert reading.failed == "control_solution"
        assert Decimal(reading.context["control_value"].split()[0]) == Decimal(str(number))
    else:
        quantity = reading.values[Measure.GLUCOSE]
        assert quantity.value == Decimal(str(number))
        assert quantity.unit == ("mmol/L" if "mmol_L" in expected else "mg/dL")
    if "base_time" in expected and not expected.get("offset_min"):
        assert reading.device_time is not None
        assert reading.device_time.isoformat() == expected["base_time"]
    if "offset_min" in expected:
        assert reading.context["time_offset_min"] == str(expected["offset_min"])


def test_a_context_alone_is_told_with_its_numbers() -> None:
    assert [told(row["hex"], "2A34") for row in ROWS if row["characteristic"] == "2A34"] == [
        Notice("sig_glucose.context", {"sequence": "1", "meal_code": "2"}),
        Notice("sig_glucose.context", {"sequence": "1", "meal_code": "6", "extended_flags": "00"}),
    ]


@pytest.mark.parametrize("row", CONTROLS, ids=lambda row: row["id"])
def test_the_control_point_is_told_as_stated(row: dict[str, Any]) -> None:
    notice, expected = told(row["hex"], "2A52"), row["expected"]
    operators = {0: "null", 1: "all", 3: "from", 4: "between", 5: "first", 6: "last"}
    if "operator" in expected:
        assert notice.code == "record_access.asked"
        assert notice.detail["operator"] == operators[expected["operator"]]
    if "seq" in expected:
        assert str(expected["seq"]) in notice.detail["sequence"].split()
    if "rsp" in expected:
        results = {1: "success", 6: "no_records", 8: "not_completed"}
        assert notice.code == "record_access.answered"
        assert notice.detail["result"] == results[expected["rsp"]]


def test_the_requests_are_those_of_the_profile() -> None:
    official = {row["id"]: row["hex"] for row in CONTROLS}
    assert record_access.COUNT_ALL.hex() == official["v041"]
    assert record_access.REPORT_ALL.hex() == official["v043"]
    assert record_access.REPORT_LAST.hex() == official["v052"]
    assert record_access.report_from(0xF8).hex() == official["v045"]
    assert record_access.report_one(0xF7).hex() == official["v050"]


@given(st.integers(0, 0xFFFF))
def test_nothing_that_erases_can_be_built(number: int) -> None:
    built = [
        record_access.REPORT_ALL,
        record_access.REPORT_FIRST,
        record_access.REPORT_LAST,
        record_access.COUNT_ALL,
        record_access.report_from(number),
        record_access.report_one(number),
    ]
    assert {request[0] for request in built} == {1, 4}


@pytest.mark.parametrize("sent", ["01", "0601", "0900", "0109", "010303f800", "0104", "010401f700"])
def test_what_is_no_operation_is_refused(sent: str) -> None:
    assert isinstance(told(sent, "2A52"), Refusal)


@pytest.mark.parametrize(
    "sent",
    [
        "060000de0701030b211b24c0",
        "060000de0702300b211b24c011",
        "060000de0700000b211b2401",
        "060000de0701030b211bff7711",
        "070000 0f270c1f173b00 ff7f 24c0 11",
        "0600",
    ],
)
def test_a_short_or_impossible_measurement_is_refused(sent: str) -> None:
    assert isinstance(told(sent), Refusal)


def test_a_filler_is_no_result_and_a_low_value_is_questionable() -> None:
    filler = told("030100e407030e171700000 0ffff11".replace(" ", ""))
    assert (filler.code, filler.evidence[:3]) == ("glucose_meter.other_kind", bytes.fromhex("030100"))
    low = told("030200e407030a0d310000000db011")
    assert (str(low.values[Measure.GLUCOSE].value), low.flags) == ("13", {"questionable"})


@pytest.mark.parametrize(
    ("sent", "shown"),
    [
        ("0e0700e9070b0c0820004dc1112000", ">33.3"),
        ("0e0700e9070b0c08200 00bc0114000".replace(" ", ""), "<1.1"),
        ("0e0700e9070b0c0820000bc0116000", "1.1"),
    ],
)
def test_beyond_the_range_is_a_comparator(sent: str, shown: str) -> None:
    quantity = told(sent).values[Measure.GLUCOSE]
    assert f"{quantity.comparator or ''}{quantity.value}" == shown


def test_a_measurement_without_its_context_says_so_and_so_does_the_next() -> None:
    first, second = decoded(
        "sig_glucose",
        bytes.fromhex("160000e9070b0c081e003ac011"),
        bytes.fromhex("060100e9070b0c081e003bc011"),
        source="2A18",
    )
    assert isinstance(first, Reading)
    assert isinstance(second, Reading)
    assert [*first.flags, *second.flags] == ["context_missing"]


def test_the_feature_is_told() -> None:
    assert told("0106", "2A51") == Notice(
        "gatt.told", {"features": "0601 battery_low clock_lost multiple_bonds"}
    )


def played(driver: Driver, conversation: str, *known: int) -> list[int | None]:
    stated = parse(BEGIN + conversation)
    return [one.sequence for one in play(driver, stated, known={name(number) for number in known}).readings]


def test_a_known_newest_record_ends_the_download() -> None:
    said = f"2A52> 01 06\n{heard(200)}2A52> 01 05\n{heard(1)}. 120\n"
    assert played(DRIVER, said, 200) == []


def test_the_newest_sixteen_are_enough_where_one_of_them_is_known() -> None:
    said = (
        f"2A52> 01 06\n{heard(200)}2A52> 01 05\n{heard(1)}"
        f"2A52> 01 03 01 b9 00\n{heard(185, 198, 199, 200)}{gives(199, 200)}. 120\n"
    )
    assert played(DRIVER, said, 185, 198) == [199, 200]


def test_the_portions_grow_until_one_reaches_back() -> None:
    said = (
        f"2A52> 01 06\n{heard(200)}2A52> 01 05\n{heard(1)}"
        f"2A52> 01 03 01 b9 00\n{heard(190, 200)}"
        f"2A52> 01 03 01 89 00\n{heard(150, 160, 190, 200)}{gives(160, 190, 200)}. 120\n"
    )
    assert played(DRIVER, said, 150) == [160, 190, 200]


def test_a_memory_that_was_renumbered_is_read_whole() -> None:
    said = (
        f"2A52> 01 06\n{heard(20)}2A52> 01 05\n{heard(1)}2A52> 01 03 01 05 00\n2A52< 06 00 01 06\n"
        f"2A52> 04 01\n2A52< 05 00 02 00\n2A52> 01 01\n{heard(1, 20)}{gives(1, 20)}. 120\n"
    )
    assert played(DRIVER, said, 150) == [1, 20]


def test_a_portion_cut_short_tells_nothing_because_older_ones_may_be_missing() -> None:
    cut = "".join(heard(185, 198).splitlines(keepends=True)[:-1])
    said = f"2A52> 01 06\n{heard(200)}2A52> 01 05\n{heard(1)}2A52> 01 03 01 b9 00\n{cut}. 30\n"
    assert played(DRIVER, said, 185) == []


def test_a_meter_that_says_nothing_is_no_answer() -> None:
    with pytest.raises(NoAnswer):
        played(DRIVER, "2A52> 01 06\n. 30\n")
    with pytest.raises(NoAnswer):
        play(DRIVER, parse(BEGIN.replace("2A18+\n2A34+ -\n2A52+\n. 1\n", "2A18+ -\n")))


def test_the_time_of_a_context_shows_in_no_name() -> None:
    """The same record, told with another offset of the clock, has the same name."""
    before = told("030100e9070b0c081e00000064b011")
    after = told("030100e9070b0c081e003c0064b011")
    assert before.device_time != after.device_time
    assert before.record == after.record


def test_known_records_of_a_meter_that_counts_backwards_are_not_told_again() -> None:
    stated = read(next(path for path in TRANSCRIPTS if path.stem == "sig_glucose-reversed"))
    first = play(DRIVER, stated).readings
    left = Transcript("constructed", tuple(turn for turn in stated.turns if not _gives(turn, "90 mg/dL")))
    known = {str(reading.record) for reading in first if "90 mg/dL" in str(reading.record)}
    assert [reading.record for reading in play(DRIVER, left, known=known).readings] == [
        reading.record for reading in first[1:]
    ]


def _gives(turn: object, text: str) -> bool:
    return isinstance(turn, Gives) and text in turn.reading


def test_answers_are_read_or_refused() -> None:
    assert record_access.answer(b"\x05\x00\x02\x01") == record_access.Answer(4, "success", 258)
    assert record_access.answer(b"\x08\x00\x02\x01") == record_access.Answer(7, "success", 258)
    assert record_access.answer(b"\x06\x00\x01\x63") == record_access.Answer(1, "result 99")
    assert record_access.answer(b"\x01\x01") is None
    with pytest.raises(MalformedValue):
        record_access.answer(b"\x05\x00\x02")


def test_the_pairing_can_be_another() -> None:
    link = DRIVER.under({**DRIVER.settings, "pairing": "none"}).link
    assert isinstance(link, Gatt)
    assert link.pairing == "none"
