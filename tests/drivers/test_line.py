"""A machine described by its configuration: what a layout reads, and every word about a mistake in one."""

from decimal import Decimal
from re import _parser as sre

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.catalogue import Refusal
from drivers.line import DRIVER
from protocol.described import NAMES, reader
from protocol.framing import Frame, Noise
from protocol.lines import EndedFramer, layout
from protocol.readings import Kind, Reading

KNOWN = frozenset(NAMES)
WEIGHT = {"unit_weight": "kg"}


def numbers(text: str, line: str, *, comma: bool = False) -> dict[str, str] | None:
    fields = layout(text, KNOWN, comma=comma).read(line)
    return fields and {name: str(number) for name, number in fields.numbers.items()}


@pytest.mark.parametrize(
    ("text", "line", "gives"),
    [
        ("{weight} kg", "62.3kg", {"weight": "62.3"}),
        ("{weight} kg", "  +  62.30   kg  ", {"weight": "62.30"}),
        ("{weight} kg", "-0.2 kg", {"weight": "-0.2"}),
        ("{weight} kg", "62.3 lb", None),
        ("{weight} kg", "6 2.3 kg", None),
        ("{weight} kg", "62. kg", None),
        ("{weight} kg", ".3 kg", None),
        ("{weight} kg", "62,3 kg", None),
        ("{weight} kg", "162.3.1 kg", None),
        ("{weight} kg", "1234567 kg", None),
        ("{weight} kg", "\u0666\u0662 kg", None),
        ("{weight} kg", "x62.3 kg", None),
        ("{weight} kg", "62.3 kg x", None),
        ("W{weight:5}H{height:5}", "W 62.3H170.5", {"weight": "62.3", "height": "170.5"}),
        ("W{weight:5}H{height:5}", "W6 2.3H170.5", None),
        ("W{weight:5}H{height:5}", "W     H170.5", None),
        ("{weight:5.1}{height:4.1}", "006231705", {"weight": "62.3", "height": "170.5"}),
        ("{glucose:.1};", "56;", {"glucose": "5.6"}),
        ("{glucose:.1};", "5.6;", None),
        (
            "{systolic} {diastolic} {pulse}",
            "120 80   72",
            {"systolic": "120", "diastolic": "80", "pulse": "72"},
        ),
        ("{systolic} {diastolic}", "12080", None),
        ("{_},{weight},{_}", "a,62.3,b,c", {"weight": "62.3"}),
        ("{_},{weight},{_}", "a,b,62.3,c", None),
        ("{_:3}{weight}", "ab,62.3", {"weight": "62.3"}),
        (r"\x41\{{weight}\}\\", "A{62.3}\\", {"weight": "62.3"}),
        (r"{height}\r\n{weight}", "170\r\n62.3", {"height": "170", "weight": "62.3"}),
        ("体重{weight}公斤", "体重62.3公斤", {"weight": "62.3"}),
    ],
)
def test_a_layout_reads_what_it_says_and_nothing_else(text: str, line: str, gives: dict[str, str]) -> None:
    assert numbers(text, line) == gives


def test_with_a_decimal_comma_a_point_is_none() -> None:
    assert numbers("{weight};", "62,3;", comma=True) == {"weight": "62.3"}
    assert numbers("{weight};", "62.3;", comma=True) is None


@pytest.mark.parametrize(
    ("form", "stated", "moment"),
    [
        ("%Y-%m-%d %H:%M:%S", "2026-07-11 09:05:33", "2026-07-11T09:05:33"),
        ("%d/%m/%y,%H:%M", "1/7/26,9:05", "2026-07-01T09:05:00"),
        ("%y%m%d%H%M", "2607110905", "2026-07-11T09:05:00"),
        ("%y%m%d%H%M", "267110905", None),
    ],
)
def test_a_time_is_read_in_the_form_that_is_stated(form: str, stated: str, moment: str | None) -> None:
    fields = layout(f"{{{form}}};{{weight}}", KNOWN).read(f"{stated};62.3")
    assert (fields and fields.time and fields.time.isoformat()) == moment


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"repeat": 3}, "layout: say how a line looks"),
        ({"layout": "kg", **WEIGHT}, "layout: no value in it"),
        ({"layout": "{wieght}", **WEIGHT}, "layout: {wieght}: no such field; there are: bmi, diastolic"),
        ({"layout": "{weight}"}, "unit_weight: say kg or lb; it is never guessed"),
        ({"layout": "{weight}", "unit_weight": "jin"}, "unit_weight: kg or lb"),
        ({"layout": "{glucose}"}, "unit_glucose: say mmol/L or mg/dL"),
        ({"layout": "{systolic},{diastolic}"}, "unit_pressure: say mmHg or kPa"),
        ({"layout": "{systolic}", "unit_pressure": "mmHg"}, "layout: systolic and diastolic go together"),
        ({"layout": "{pulse}"}, "layout: pulse stands beside"),
        ({"layout": "{weight},{weight}", **WEIGHT}, "layout: {weight} stands twice"),
        ({"layout": "{weight}{height}", **WEIGHT}, "layout: {weight}: where does it end"),
        ({"layout": "{_}{weight}", **WEIGHT}, "layout: {_}: where does it end"),
        ({"layout": "{weight}.", **WEIGHT}, "layout: {weight}: what stands behind it could belong to it"),
        ({"layout": "{weight}0", **WEIGHT}, "layout: {weight}: what stands behind it could belong to it"),
        ({"layout": "GS {weight:5}", **WEIGHT}, "layout: {weight:5}: no blank in front of it"),
        ({"layout": "{weight:x}", **WEIGHT}, "layout: {weight:x} is not a field"),
        ({"layout": "{weight", **WEIGHT}, "layout: a brace or a backslash stands alone"),
        ({"layout": r"\q{weight}", **WEIGHT}, r"layout: no escape \q"),
        ({"layout": "{id:3.1},{weight}", **WEIGHT}, "layout: {id} is no number"),
        ({"layout": "{%Y-%m-%d},{weight}", **WEIGHT}, "layout: a time needs"),
        ({"layout": "{%Y-%B},{weight}", **WEIGHT}, "%B stands twice or is none of"),
        ({"layout": "{%Y%Y},{weight}", **WEIGHT}, "%Y stands twice or is none of"),
        ({"layout": "{%Y%},{weight}", **WEIGHT}, "% stands twice or is none of"),
        ({"layout": "x" * 401, **WEIGHT}, "layout: longer than 400 characters"),
        ({"layout": "{weight}", "layout_3": "{w}", **WEIGHT}, "layout_3: {w}: no such field"),
        (
            {"layout": "{weight}", "stable": "ST", **WEIGHT},
            "stable: the mark and {stable} in a layout go together",
        ),
        ({"layout": "{stable},{weight}", **WEIGHT}, "stable: the mark and {stable} in a layout go together"),
        ({"layout": "{weight}", "repeat": 0, **WEIGHT}, "repeat: 1 to 20"),
        ({"layout": "{weight}", "minimum_kg": -1, **WEIGHT}, "minimum_kg: 0 or more"),
        ({"layout": "{weight}", "encoding": "utf-9", **WEIGHT}, "encoding: ascii, gbk, utf-8"),
        ({"layout": "{weight}", "start": r"\x02", **WEIGHT}, "end: a start mark needs an end mark"),
        ({"layout": "{weight}", "end": r"\x0", **WEIGHT}, r"end: no escape \x"),
        ({"layout": "{weight}", "end": "{weight}", **WEIGHT}, "end: a field has no place here"),
        ({"layout": "{weight}", "end": "\u4e00", **WEIGHT}, "end: "),
        (
            {"layout": "{weight}", "end": r"kg\r", **WEIGHT},
            "start, end: an end mark may not be empty or part",
        ),
        ({"layout": "{weight}", "start": "A", "end": "AB", **WEIGHT}, "start, end: a mark may not be part"),
    ],
)
def test_each_mistake_is_told_with_its_setting_and_in_words(settings: dict[str, str], words: str) -> None:
    with pytest.raises(ValueError) as wrong:
        DRIVER.under({**DRIVER.settings, **settings})
    assert words in str(wrong.value)


def test_untouched_settings_are_no_mistake_and_read_nothing() -> None:
    assert DRIVER.under(DRIVER.settings) is DRIVER
    (said,) = DRIVER.decode([Frame(b"62.3 kg\r")])
    assert isinstance(said, Refusal)
    assert said.code == "line.not_configured"


def test_the_kinds_are_those_of_the_layouts() -> None:
    settings = {**DRIVER.settings, "layout": "{weight} {height}", "layout_2": "{spo2} {pulse}", **WEIGHT}
    assert DRIVER.under(settings).kinds == (Kind.BODY_SIZE, Kind.OXIMETRY)


def test_letters_of_another_encoding_are_refused_and_of_the_right_one_read() -> None:
    line = Frame("体重62.3公斤\r".encode("gbk"))
    settings = {**DRIVER.settings, "layout": "体重{weight}公斤", "repeat": 1, **WEIGHT}
    (refused,) = DRIVER.under(settings).decode([line])
    (reading,) = DRIVER.under({**settings, "encoding": "gbk"}).decode([line])
    assert isinstance(refused, Refusal)
    assert isinstance(reading, Reading)
    assert [quantity.value for quantity in reading.values.values()] == [Decimal("62.3")]


@pytest.mark.parametrize(
    "text",
    [
        "{_} {_} {_} {_} {_} {weight}",
        "{_},{_},{_},{_},{weight} kg",
        "{weight} {height} {bmi} {waist} {fat}",
        "{id} {weight} x",
        "{weight}                                        x",
        "{%Y/%m/%d %H:%M},{%S}{stable:2}{weight:5.1}{_:3}{height}",
    ],
)
def test_no_layout_can_be_tried_in_two_ways(text: str) -> None:
    """What takes more or less takes all it can for good, so that no line costs more than one pass."""
    kept, left = {"POSSESSIVE_REPEAT"}, list(sre.parse(layout(text, KNOWN).pattern.pattern))
    while left:
        operation, argument = left.pop()
        if str(operation).endswith("REPEAT"):
            low, high, inside = argument
            assert low == high or str(operation) in kept
            left.extend(inside)
        elif str(operation) == "SUBPATTERN":
            left.extend(argument[-1])
        else:
            assert str(operation) in {"LITERAL", "NOT_LITERAL", "IN", "ANY"}


@given(st.lists(st.sampled_from([b"62.3", b"k", b"g", b"\r", b"\n", b"^", b"x" * 90, b"\0 "]), max_size=30))
def test_where_lines_end_does_not_depend_on_how_they_arrive(pieces: list[bytes]) -> None:
    whole, single = EndedFramer((b"kg", b"^", b"\r", b"\n")), EndedFramer((b"kg", b"^", b"\r", b"\n"))
    data = b"".join(pieces)
    at_once = [*whole.feed(data), *whole.finish()]
    bytewise = [piece for byte in data for piece in single.feed(bytes([byte]))] + [*single.finish()]
    assert at_once == bytewise
    assert b"".join(piece.data for piece in at_once) == data
    assert all(isinstance(piece, Noise) or len(piece.data) <= 257 for piece in at_once)


def test_a_reader_knows_nothing_of_a_machine_that_is_not_told() -> None:
    assert reader({}) is None
