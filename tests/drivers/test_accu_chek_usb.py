"""Accu-Chek over USB: every message a host sends, to the byte; entries, and lengths that do not fit."""

from struct import pack

import pytest

from drivers.accu_chek_usb import DRIVER
from drivers.catalogue import Refusal
from drivers.dialogue import Listen, Order
from protocol import phd20601
from protocol.framing import Frame
from protocol.readings import DeviceClock, Identified, Measure, Notice, Reading
from tests.rig import Bench, Host, Journal
from tests.vector_rows import decoded
from tools.simulators import Store, simulator

NAME = "accu_chek_usb"
MORNING = bytes.fromhex("2026030108300000 0071 0000")
WORKED_OUT = {
    "accept": "e300002c 0003 5079 0026 80000002 8000 80000000 00000000 80000000 0008 1234567887654321"
    + "00" * 10,
    "config": "e7000016 0014 0007 0201 000e 0000 00000000 0d1c 0004 4000 0000",
    "attributes": "e700000e 000c 0008 0103 0006 0000 0000 0000",
    "segments": "e7000014 0012 0008 0107 0000 0100 0c0d 0006 0001 0002 0000",
    "transfer": "e7000010 000e 0008 0107 0008 0100 0c1c 0002 0000",
    "data": "e700001e 001c 0009 0201 0016 0100 ffffffff 0d21 000c 0000 00000014 00000001 0080",
    "release": "e4000002 0000",
}
"""By hand from the offsets in the known client."""


def report(*entries: bytes, status: int = 0xC000, count: int | None = None) -> bytes:
    told = b"".join(entries)
    number = len(entries) if count is None else count
    body = pack(">HIHH", 0x0100, 0xFFFFFFFF, 0x0D21, 14 + len(told))
    body += pack(">HIIHH", 0, 20, number, status, len(told)) + told
    data = pack(">HHH", 9, 0x0101, len(body)) + body
    return pack(">HHH", 0xE700, len(data) + 2, len(data)) + data


def about(*attributes: tuple[int, bytes], count: int | None = None) -> bytes:
    told = b"".join(pack(">HH", number, len(value)) + value for number, value in attributes)
    body = pack(">HHH", 0, len(attributes) if count is None else count, len(told)) + told
    data = pack(">HHH", 3, 0x0203, len(body)) + body
    return pack(">HHH", 0xE700, len(data) + 2, len(data)) + data


def test_all_that_a_host_says_is_built_to_the_byte() -> None:
    built = {
        "accept": phd20601.ACCEPT,
        "config": phd20601.confirm_config(7),
        "attributes": phd20601.ask_attributes(8),
        "segments": phd20601.ask_segments(8, 0x100),
        "transfer": phd20601.ask_transfer(8, 0x100),
        "data": phd20601.confirm_data(report(MORNING)),
        "release": phd20601.RELEASE,
    }
    assert {name: said.hex() for name, said in built.items()} == {
        name: said.replace(" ", "") for name, said in WORKED_OUT.items()
    }


def test_an_entry_says_its_value_and_time() -> None:
    (reading,) = decoded(NAME, report(MORNING))
    assert isinstance(reading, Reading)
    assert str(reading.values[Measure.GLUCOSE].value) == "113"
    assert reading.device_time is not None
    assert reading.device_time.isoformat() == "2026-03-01T08:30:00"
    assert reading.evidence == (MORNING,)


@pytest.mark.parametrize(
    ("word", "shown"),
    [(20, "20"), (600, "600"), (19, "<20"), (601, ">600"), (0x07FE, ">600"), (0x0802, "<20")],
)
def test_the_ends_of_the_range_and_what_stands_for_beyond(word: int, shown: str) -> None:
    (reading,) = decoded(NAME, report(MORNING[:8] + pack(">HH", word, 0)))
    assert isinstance(reading, Reading)
    quantity = reading.values[Measure.GLUCOSE]
    assert f"{quantity.comparator or ''}{quantity.value}" == shown


@pytest.mark.parametrize("word", [0, 0x07FF, 0x0800, 0x0801, 0x0FFF, 0xF3E8, 0x1064])
def test_what_is_no_whole_number_of_mg_dl_is_refused(word: int) -> None:
    said = decoded(NAME, report(MORNING[:8] + pack(">HH", word, 0), MORNING))
    assert [type(item) for item in said] == [Reading, Refusal]


@pytest.mark.parametrize(
    "said",
    [
        report(MORNING, count=2),
        report(MORNING, count=0x15555556),
        report(MORNING[:11]),
        report(b"\xff" * 8 + MORNING[8:]),
        about((2439, b"\x20\x26")),
        about((2349, b""), count=9),
        phd20601.ACCEPT,
        phd20601.ask_attributes(8),
        phd20601.ask_transfer(8, 0x100),
        phd20601.confirm_config(7),
    ],
)
def test_what_does_not_fit_or_is_the_hosts_own_is_refused(said: bytes) -> None:
    assert [type(item) for item in decoded(NAME, said)] == [Refusal]


@pytest.mark.parametrize("place", [0, 1])
def test_the_serial_number_is_found_wherever_it_stands(place: int) -> None:
    entries = [pack(">HHH", 3, 0, 4) + b"v1.2"]
    entries.insert(place, pack(">HHH", 1, 0, 5) + b"12345")
    told = b"".join(entries)
    identity, clock = decoded(
        NAME,
        about((2349, pack(">HH", 2, len(told)) + told), (2439, bytes.fromhex("2026030112003000"))),
    )
    assert identity == Identified("12345")
    assert isinstance(clock, DeviceClock)
    assert clock.device_time.isoformat() == "2026-03-01T12:00:30"


def test_an_abort_is_told() -> None:
    (said,) = decoded(NAME, bytes.fromhex("e60000020000"))
    assert isinstance(said, Notice)
    assert said.fault


def test_a_message_longer_than_any_is_not_waited_for() -> None:
    framer = phd20601.framer()
    pieces = [*framer.feed(b"\xe7\x00\xff\xff" + report(MORNING)), *framer.finish()]
    assert Frame(report(MORNING)) in pieces


@pytest.mark.parametrize("order", ["newest", "oldest"])
def test_a_memory_in_many_reports_is_told_oldest_first(order: str) -> None:
    bench, journal = Bench(simulator(NAME), {"order": order}), Journal()
    stored = [f"2026-01-{day:02d}T{hour:02d}:00:00" for day in range(1, 11) for hour in range(5, 10)]
    bench.cue(Store(tuple({"glucose": "100", "at": at} for at in stored)))
    Host(bench, DRIVER, journal, {})
    bench.run(seconds=60.0)
    assert [one.device_time and one.device_time.isoformat() for one in journal.readings] == stored
    assert bench.told == []


def test_it_says_nothing_before_a_meter_does() -> None:
    dialogue = DRIVER.talk({})
    assert next(dialogue) == Listen()
    assert dialogue.send(Order("read_records")) == Listen()
