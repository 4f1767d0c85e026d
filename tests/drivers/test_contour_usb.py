"""Contour meters: the vectors, the forms in which messages come, and a simulated meter on either link."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.catalogue import Decoded, Driver, Hid, Refusal, Serial
from drivers.contour_usb import DRIVER
from drivers.dialogue import Order, Send
from protocol import contour
from protocol.errors import NoAnswer
from protocol.framing import Frame
from protocol.quantities import Quantity
from protocol.readings import DeviceClock, Identified, Measure, Notice, Reading
from protocol.transcript import reading_line
from tests.rig import Bench, Host, Journal
from tests.vector_rows import raw, rows
from tools.simulators import Measure as Pricked
from tools.simulators import Show, Store, Violation, simulator

HEADER, RECORD = (raw(row) for row in rows("contour_usb"))
SERIAL = DRIVER.under({"model": "serial"})


def frame(text: bytes, number: int = 3) -> bytes:
    body = b"%d" % number + text + b"\r\x17"
    return b"\x02" + body + b"%02X" % (sum(body) % 256) + b"\r\n"


def reports(data: bytes, head: bytes = b"ABC") -> bytes:
    parts = [data[at : at + 60] for at in range(0, len(data) + 1, 60)]
    return b"".join((head + bytes([len(part)]) + part).ljust(64, b"\xee") for part in parts)


def frames(*chunks: bytes, driver: Driver = DRIVER) -> list[bytes]:
    framer = driver.framer()
    pieces = [piece for chunk in chunks for piece in framer.feed(chunk)] + [*framer.finish()]
    assert b"".join(piece.data for piece in pieces) == b"".join(chunks)
    return [piece.data for piece in pieces if isinstance(piece, Frame)]


def decoded(data: bytes, driver: Driver = DRIVER) -> list[Decoded]:
    return list(driver.decode(Frame(one) for one in frames(data, driver=driver)))


def test_the_vectors_are_these_two() -> None:
    assert [row["direction"] for row in rows("contour_usb")] == ["device->host"] * 2


@pytest.mark.parametrize("form", [HEADER, reports(HEADER), reports(HEADER, b"\x02\0\0")])
def test_the_header_says_who_the_meter_is(form: bytes) -> None:
    expected: dict[str, Any] = rows("contour_usb")[0]["expected"]
    identity, clock = decoded(form)
    assert isinstance(identity, Identified)
    assert isinstance(clock, DeviceClock)
    assert identity.serial == "7390-2336773"
    assert identity.detail["product"] == expected["product"]
    assert identity.detail["digital_version"] == expected["dig_ver"]
    assert identity.detail["analog_version"] == expected["analog_ver"]
    assert identity.detail["unit"] in expected["unit_code_U"]
    for name, stated in (
        ("records", "records_total"),
        ("low_limit", "low_limit"),
        ("high_limit", "high_limit"),
    ):
        assert identity.detail[name] == str(expected[stated])
    assert clock.device_time.isoformat(" ").startswith(expected["device_time"])


@pytest.mark.parametrize("form", [RECORD, reports(RECORD), RECORD[2:-6], RECORD[2:-6] + b"\r\n"])
def test_a_record_says_its_value_in_its_own_unit(form: bytes) -> None:
    expected: dict[str, Any] = rows("contour_usb")[1]["expected"]
    (reading,) = decoded(form)
    assert isinstance(reading, Reading)
    (quantity,) = reading.values.values()
    assert (quantity.value, quantity.unit) == (expected["value"], expected["unit"])
    assert (reading.sequence, reading.context["marks"]) == (expected["seq"], expected["flags"])
    assert reading.context["reference_method"][0].upper() == expected["method"]
    assert reading.device_time is not None
    assert reading.device_time.isoformat(" ").startswith(expected["time"])
    assert reading.stored


@given(st.lists(st.sampled_from([HEADER, RECORD, b"\x05", b"\x04", b"x" * 60]), max_size=6), st.data())
def test_however_reports_arrive_the_messages_are_the_same(
    messages: list[bytes], chosen: st.DataObject
) -> None:
    data = b"".join(map(reports, messages))
    size = chosen.draw(st.integers(1, 200))
    chunks = [data[at : at + size] for at in range(0, len(data), size)]
    assert frames(*chunks) == frames(data)
    assert [one for message in frames(data) for one in contour.said(message)] == [
        one for message in messages for one in contour.said(message)
    ]


def test_a_report_that_is_none_and_what_it_interrupts_are_noise() -> None:
    begun, wrong = reports(HEADER)[:128], b"\xff" * 64
    assert frames(begun + wrong + reports(RECORD)) == [reports(RECORD)]
    assert frames(begun + reports(RECORD)) == [reports(RECORD)]
    assert frames(begun) == [begun]
    assert frames(reports(b"y" * 60)[:64] * 32) == []


BAD = [
    b"R|3|^^^Glucose|0|mg/dL^P||||201505261150",
    b"R|3|^^^Glucose|HI|mg/dL^P||||201505261150",
    b"R|3|^^^Glucose|93|mg^P||||201505261150",
    b"R|3|^^^Glucose|93|mg/dL^P||</>||201505261150",
    b"R|3|^^^Glucose|93|mg/dL^P||||20150526115",
    b"R|3|^^^Glucose|93|mg/dL^P||||201513261150",
    b"R|x|^^^Glucose|93|mg/dL^P||||201505261150",
    b"R|3|^^^Glucose|93|mg/dL^P",
    b"H|\\^&||x|Bayer7390|A=1|5||||||1|201909221304",
    b"H|\\^&||x|Bayer7390^1^7390-1^7403|A=1|5||||||1|",
    b"X|1",
]


@pytest.mark.parametrize("text", BAD)
def test_what_is_not_documented_is_refused(text: bytes) -> None:
    said = decoded(frame(text))
    assert isinstance(said[-1], Refusal)
    assert not any(isinstance(item, Reading) for item in said)


def test_a_wrong_sum_is_refused() -> None:
    damaged = RECORD.replace(b"93", b"94")
    assert [type(item) for item in decoded(damaged)] == [Refusal]
    assert [type(item) for item in decoded(reports(damaged))] == [Refusal]


def test_the_serial_model_s_first_result_is_an_average_and_the_usb_model_s_is_not() -> None:
    text = b"R|%d|^^^Glucose|93|mg/dL^P||<\\T|B||||201505261150"
    heard = frame(text % 1) + frame(text % 2, 4)
    average, reading = decoded(heard, SERIAL)
    assert isinstance(average, Notice)
    assert average.code == "contour_usb.average"
    assert isinstance(reading, Reading)
    assert reading.values == {Measure.GLUCOSE: Quantity(reading.values[Measure.GLUCOSE].value, "mg/dL", "<")}
    assert (reading.flags, reading.context["meal"]) == ({"temperature"}, "before")
    assert [type(item) for item in decoded(heard)] == [Reading, Reading]


def test_a_model_is_usb_or_serial() -> None:
    assert isinstance(DRIVER.link, Hid)
    assert isinstance(SERIAL.link, Serial)
    with pytest.raises(ValueError, match="neither"):
        DRIVER.under({"model": "bluetooth"})


def test_a_meter_that_does_not_answer_ends_the_conversation() -> None:
    dialogue = DRIVER.talk(DRIVER.settings)
    sent, step = [], next(dialogue)
    while len(sent) < 3:
        sent += [step.data] if isinstance(step, Send) else []
        step = dialogue.send(None)
    assert sent == [contour.report(b"\x04")] * 3
    with pytest.raises(NoAnswer):
        dialogue.send(None)


STORED = [
    {"glucose": f"{6 + number}.{number}", "at": f"2026-01-{number + 1:02d}T08:00"} for number in range(9)
]
LINKS = [("usb", DRIVER), ("serial", SERIAL)]


def bench(model: str, **options: str) -> Bench:
    meter = Bench(simulator("contour_usb"), {"model": model, **options})
    unit = options.get("unit", "mmol/L")
    stored = (
        STORED
        if unit == "mmol/L"
        else [{**one, "glucose": one["glucose"].replace(".", "")} for one in STORED]
    )
    meter.cue(Store((*stored, {**stored[0], "at": "2026-02-01T08:00", "control": "yes"})))
    return meter


def contact(meter: Bench, driver: Driver, model: str, seconds: float = 40.0) -> tuple[Journal, Host]:
    journal = Journal()
    host = Host(meter, driver, journal, {"model": model})
    meter.run(seconds=seconds)
    return journal, host


@pytest.mark.parametrize(("model", "driver"), LINKS)
@pytest.mark.parametrize("fault", ["none", "sum", "half"])
@pytest.mark.parametrize("order", ["newest", "oldest"])
@pytest.mark.parametrize("unit", ["mmol/L", "mg/dL"])
def test_a_memory_is_read_whole_over_either_link(
    model: str, driver: Driver, fault: str, order: str, unit: str
) -> None:
    meter = bench(model, fault=fault, order=order, unit=unit)
    journal, _ = contact(meter, driver, model)
    lines = sorted(reading_line(reading) for reading in journal.readings)
    assert len(set(lines)) == 10
    assert [line for line in lines if "failed" in line] == [line for line in lines if "control" in line]
    assert all(unit in line for line in lines)
    assert not any(isinstance(told, Violation) for told in meter.told)
    clock, *_ = [event for event in journal.events if isinstance(event, DeviceClock)]
    assert clock.device_time.isoformat() == "2026-03-01T12:00:00"


@pytest.mark.parametrize(("model", "driver"), LINKS)
@pytest.mark.parametrize("order", ["newest", "oldest"])
def test_a_memory_that_did_not_change_is_not_read_again_and_a_new_result_is(
    model: str, driver: Driver, order: str
) -> None:
    meter = bench(model, order=order)
    journal, _ = contact(meter, driver, model)
    whole = meter.said
    meter.run(seconds=61)
    assert meter.said - whole < whole
    again = meter.said
    meter.cue(Store(({"glucose": "5.0", "at": "2026-03-01T11:59"},)))
    meter.run(seconds=61)
    assert meter.said - again > whole
    assert len(journal.readings) == 11


@pytest.mark.parametrize(("model", "driver"), LINKS)
def test_a_result_measured_now_is_heard_at_once(model: str, driver: Driver) -> None:
    meter = bench(model)
    journal, _ = contact(meter, driver, model)
    meter.cue(Pricked({"glucose": "HI"}, {"meal": "after"}))
    meter.run(seconds=5)
    assert [told for told in meter.told if isinstance(told, Show)] == [Show({"glucose": ">33.3"})]
    reading = journal.readings[-1]
    assert reading_line(reading).startswith("glucose glucose >33.3 mmol/L; at 2026-03-01T12:00:00;")
    assert reading.context["meal"] == "after"


@pytest.mark.parametrize(("model", "driver"), LINKS)
def test_a_clock_is_set_only_on_order_and_read_again(model: str, driver: Driver) -> None:
    meter = bench(model)
    journal, host = contact(meter, driver, model)
    host.order(Order("set_clock", {"time": "2031-12-24T18:05:59"}))
    meter.run(seconds=20)
    clocks = [event.device_time for event in journal.events if isinstance(event, DeviceClock)]
    assert [clock.isoformat() for clock in (clocks[0], clocks[-1])] == [
        "2026-03-01T12:00:00",
        "2031-12-24T18:05:00",
    ]
    assert not any(isinstance(told, Violation) for told in meter.told)
    assert len(journal.readings) == 10
