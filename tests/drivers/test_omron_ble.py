"""Omron memories: the vectors, which records are read, and that nothing but reading can be asked."""

from collections.abc import Container
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import pytest

from drivers.catalogue import Refusal, every
from drivers.dialogue import Answer, Known, Listen, Observe, Read, Report, Subscribe, Write
from drivers.omron_ble import DRIVER
from protocol import omron_ble as wlp
from protocol.errors import ConfigError, MalformedValue, NoAnswer
from protocol.framing import Frame
from protocol.omron_records import MODELS, alone, clock, record
from protocol.readings import DeviceClock, Measure, Notice, Reading
from tests.ble_rows import decoded, rows

KEY = bytes(range(16)).hex()
RECORDS = rows("Omron EEPROM record", "Omron HBF")
FRAMES = rows("Omron WLP")
NAMES = {
    "sys": Measure.SYSTOLIC,
    "dia": Measure.DIASTOLIC,
    "pulse": Measure.PULSE_RATE,
    "kg": Measure.BODY_WEIGHT,
    "fat_pct": Measure.BODY_FAT,
    "bmi": Measure.BMI,
}
BODY = {"muscle_pct": "skeletal_muscle_percent", "bmr_kcal": "bmr_kcal"}
LITTLE, BIG = bytes.fromhex("6558541a331ade1800004c00ba00"), bytes.fromhex("5b781a4819d71b42000014006996")
CLOCKS = {
    "c8a80000000000001a06120e3509ee00": "2026-06-18T14:53:09",
    "c6a40100000000001a070f113b13fa00": "2026-07-15T17:59:19",
    "a0c0061a120f131437c8": "2026-06-15T18:20:19",
    "08c8051a100d190ef033": "2026-05-13T16:14:25",
    "50c0000300000000051a0a0e0806a758": "2026-05-14T10:06:08",
}
"""Clock blocks read from monitors, with the time each then had: v156 and hass-omron's test_eeprom_time."""


def xor(data: bytes) -> int:
    check = 0
    for byte in data:
        check ^= byte
    return check


def answer(kind: bytes, address: int, data: bytes) -> bytes:
    frame = bytes([len(data) + 8]) + kind + address.to_bytes(2, "big") + bytes([len(data)]) + data + b"\0"
    return frame + bytes([xor(frame)])


@dataclass
class Monitor:
    """Plays a monitor to the dialogue; whatever is written to it and is no reading question is a failure."""

    memory: dict[int, bytes]
    known: Container[str] = frozenset()
    coming: list[Frame] = field(default_factory=list)
    readings: list[Reading] = field(default_factory=list)
    reads: int = 0

    def talk(self, model: str) -> None:
        dialogue = DRIVER.talk({"model": model, "key": KEY})
        heard: Answer = None
        try:
            while True:
                heard = self.do(dialogue.send(heard))
        except StopIteration:
            assert not self.coming

    def do(self, step: object) -> Answer:
        match step:
            case Subscribe():
                return True
            case Write(wlp.UNLOCK, data):
                assert data == b"\x01" + bytes(range(16))
                self.coming.append(Frame(b"\x81\x00", wlp.UNLOCK))
            case Write(wlp.WRITE, data):
                self.answer(data)
            case Listen(orders=False):
                return self.coming.pop(0) if self.coming else None
            case Report(reading):
                self.readings.append(reading)
            case Known(name):
                return name in self.known
            case Listen() | Read() | Observe():
                pass
            case _:
                raise AssertionError(f"not for this monitor: {step}")
        return None

    def answer(self, question: bytes) -> None:
        assert not xor(question)
        frame = answer(wlp.STARTED, 0, b"") if question == wlp.START else answer(wlp.ENDED, 0, b"")
        if question not in {wlp.START, wlp.END}:
            assert question[:3] == b"\x08\x01\x00"
            address, count = int.from_bytes(question[3:5], "big"), question[5]
            frame = answer(wlp.READ, address, self.memory.get(address, b"\xff" * count)[:count])
            self.reads += 1
        for at in range(0, len(frame), 16):
            self.coming.append(Frame(frame[at : at + 16], wlp.NOTIFY[at // 16]))


def big(day: int) -> bytes:
    stamp = 6 << 10 | day << 5 | 8
    return bytes([80, 100, 26, 70]) + stamp.to_bytes(2, "big") + b"\x01\x40" + bytes(6)


def days(monitor: Monitor) -> list[int]:
    return [reading.device_time.day for reading in monitor.readings if reading.device_time]


@pytest.mark.parametrize("row", RECORDS, ids=lambda row: row["id"])
def test_a_bare_record_gives_the_stated_values(row: dict[str, Any]) -> None:
    (said,) = decoded("omron_ble", bytes.fromhex(row["hex"]))
    expected = row["expected"]
    assert isinstance(said, Reading)
    stated = {NAMES[name]: float(expected[name]) for name in expected if name in NAMES}
    assert {measure: float(quantity.value) for measure, quantity in said.values.items()} == stated
    assert {said.context[BODY[name]] for name in expected if name in BODY} == {
        str(expected[name]) for name in expected if name in BODY
    }
    assert said.device_time is not None
    assert expected.get("time", said.device_time.isoformat()) == said.device_time.isoformat()
    assert said.stored


@pytest.mark.parametrize("hexed", CLOCKS)
def test_a_clock_block_of_each_family(hexed: str) -> None:
    (said,) = decoded("omron_ble", bytes.fromhex(hexed))
    assert said == DeviceClock(datetime.fromisoformat(CLOCKS[hexed]), bytes.fromhex(hexed))
    damaged = bytearray.fromhex(hexed)
    damaged[3] ^= 1
    with pytest.raises(MalformedValue):
        clock(bytes(damaged))


@pytest.mark.parametrize("row", FRAMES, ids=lambda row: row["id"])
def test_what_a_host_sends_is_built_to_the_byte_and_is_no_word_of_a_monitor(row: dict[str, Any]) -> None:
    data, expected = bytes.fromhex(row["hex"]), row["expected"]
    built = {"0000": wlp.START, "0f00": wlp.END}
    if expected["type"] == "0100":
        assert wlp.read_memory(expected["addr"], expected["n"]) == data
    else:
        assert built[expected["type"]] == data
    (said,) = decoded("omron_ble", data)
    assert isinstance(said, Refusal)


@pytest.mark.parametrize(
    ("hexed", "status"), [("088f000000000087", None), ("088f000000000582", "5"), ("0880000000100098", None)]
)
def test_the_answers_of_a_session(hexed: str, status: str | None) -> None:
    (said,) = decoded("omron_ble", bytes.fromhex(hexed))
    assert isinstance(said, Notice)
    assert said.detail.get("status") == status


def test_an_answer_with_a_wrong_check_or_one_piece_missing_is_refused() -> None:
    frame = answer(wlp.READ, 0x02AC, BIG)
    assert [type(item) for item in decoded("omron_ble", frame)] == [Notice]
    damaged = frame[:8] + bytes([frame[8] ^ 4]) + frame[9:]
    for values in ((damaged,), (damaged[:16],), (frame[:16],)):
        assert [type(item) for item in decoded("omron_ble", *values)] == [Refusal]


def test_pieces_over_the_channels_are_one_answer_and_padding_is_no_part_of_it() -> None:
    frame = answer(wlp.READ, 0x02AC, BIG)
    shaped = every()["omron_ble"].under({"model": "HEM-7600T", "key": ""})
    pieces = [Frame(frame[:16], wlp.NOTIFY[0]), Frame(frame[16:] + b"\x55\x55", wlp.NOTIFY[1])]
    (said,) = shaped.decode(pieces)
    assert isinstance(said, Reading)
    assert said.values[Measure.SYSTOLIC].value == 145


def test_a_memory_that_says_less_than_it_announces_was_erased() -> None:
    frame = bytes([0x10, 0x81, 0, 2, 0xC0, 0x20]) + bytes(9)
    parsed = wlp.parse((frame + bytes([xor(frame)]),))
    assert parsed.data == b"\xff" * 32


@pytest.mark.parametrize("data", [LITTLE, BIG])
def test_a_record_is_refused_in_the_other_layout(data: bytes) -> None:
    reading = alone(data)
    layout = "big" if data is BIG else "little"
    assert record(data, layout, None, (data,)) == reading
    with pytest.raises(MalformedValue):
        record(data, "little" if data is BIG else "big", None, (data,))


def test_a_record_that_both_layouts_allow_is_refused_until_the_model_is_named() -> None:
    both = bytes([100, 110, 40, 50, 0x15, 0x15, 0x41, 0x01]) + bytes(6)
    (said,) = decoded("omron_ble", both)
    assert isinstance(said, Refusal)
    assert said.code == "omron_ble.model_unknown"
    named = every()["omron_ble"].under({"model": "HEM-7322T", "key": ""})
    assert [type(item) for item in named.decode([Frame(both)])] == [Reading]


@pytest.mark.parametrize(
    "change", [{0: 0xE2}, {1: 126}, {1: 0}, {2: 29}, {4: 0x1F}, {5: 0x3C}, {3: 0x1A, 5: 0}], ids=str
)
def test_what_no_record_can_hold_is_refused(change: dict[int, int]) -> None:
    data = bytearray(LITTLE)
    for at, byte in change.items():
        data[at] = byte
    with pytest.raises(MalformedValue):
        record(bytes(data), "little", None, (bytes(data),))


def test_movement_and_an_irregular_pulse_are_flags_and_a_second_of_63_is_59() -> None:
    data = bytearray(BIG)
    data[4] |= 0xC0
    data[7] |= 0x3F
    reading = record(bytes(data), "big", 2, (bytes(data),))
    assert reading.flags == {"body_movement", "irregular_pulse"}
    assert reading.device_time is not None
    assert reading.device_time.second == 59
    assert reading.context == {"user": "2"}


def test_a_failed_measurement_of_a_heart_guide_gives_no_value() -> None:
    data = bytearray(LITTLE[:10] + b"\x2a\0" + bytes(12))
    assert alone(bytes(data)).sequence == 42
    data[17] = 5
    failed = alone(bytes(data))
    assert (failed.failed, failed.values) == ("device_error:5", {})


@pytest.mark.parametrize(
    ("cursor", "written", "known", "told"),
    [
        (2, {0: 1, 1: 2}, [], [1, 2]),
        (2, {0: 1, 1: 2}, [1], [2]),
        (2, {0: 1, 1: 2}, [1, 2], []),
        (1, {99: 1, 0: 2}, [], [1, 2]),
        (3, {2: 5, 3: 2, 4: 3, 1: 4}, [], [2, 3, 4, 5]),
        (3, {2: 5, 3: 2, 4: 3, 1: 4}, [2, 3, 4], [5]),
        (3, {3: 6, 2: 5}, [5], [6]),
        (0xEE, {7: 1, 50: 2}, [], [1, 2]),
    ],
)
def test_new_records_are_told_oldest_first_wherever_the_ring_stands(
    cursor: int, written: dict[int, int], known: list[int], told: list[int]
) -> None:
    memory = {0x02AC + 14 * slot: big(day) for slot, day in written.items()}
    memory[0x0260] = bytes([0, cursor]) + bytes(6)
    names = {f"user 1 2026-06-{day:02}T08:05:00 125/80 70" for day in known}
    monitor = Monitor(memory, names)
    monitor.talk("HEM-7600T")
    assert days(monitor) == told


def test_a_monitor_with_nothing_new_is_asked_little() -> None:
    memory = {0x02AC + 14 * slot: big(slot + 1) for slot in range(20)} | {0x0260: b"\0\x14" + bytes(6)}
    monitor = Monitor(memory, {"user 1 2026-06-20T08:05:00 125/80 70"})
    monitor.talk("HEM-7600T")
    assert monitor.readings == []
    assert monitor.reads == 4


@pytest.mark.parametrize("model", MODELS)
def test_every_slot_of_every_model_is_reached_and_none_beyond(model: str) -> None:
    kept = MODELS[model]
    monitor = Monitor({})
    monitor.talk(model)
    asked = sum(2 for _ in kept.users) if kept.cursor is not None else kept.slots
    assert monitor.reads >= asked
    last = max(kept.users) + kept.slots * kept.size
    assert last <= 0x4000
    assert all(b - a >= kept.slots * kept.size for a, b in zip(kept.users, kept.users[1:], strict=False))


@pytest.mark.parametrize(("address", "count"), [(0x4000, 1), (0, 0), (0, 0x39), (-1, 4)])
def test_no_other_reading_can_be_built(address: int, count: int) -> None:
    with pytest.raises(ValueError, match="no such read"):
        wlp.read_memory(address, count)


def test_nothing_in_the_protocol_writes_the_memory() -> None:
    built = [wlp.START, wlp.END, wlp.ENTER_KEY_MODE, wlp.unlock(bytes(16)), wlp.give_key(bytes(16))]
    built += [wlp.read_memory(address, 16) for address in range(0, 0x4000, 16)]
    assert not [frame for frame in built if frame[1:3] == b"\x01\xc0" and frame[0] == len(frame)]
    with pytest.raises(ValueError, match="16 bytes"):
        wlp.unlock(bytes(8))


def written_until_silent() -> list[bytes]:
    """Return what is written to a monitor that was unlocked and then never answers."""
    dialogue = DRIVER.talk({"model": "HEM-7600T", "key": KEY})
    written: list[bytes] = []
    heard: Answer = None
    try:
        while True:
            step = dialogue.send(heard)
            heard = True if isinstance(step, Subscribe) else None
            if isinstance(step, Write):
                written.append(step.data)
            if isinstance(step, Listen) and len(written) == 1:
                heard = Frame(b"\x81\x00", wlp.UNLOCK)
    except NoAnswer:
        return written


def test_a_monitor_that_stops_answering_is_named_silent_after_five_tries() -> None:
    assert written_until_silent()[1:] == [wlp.START] * 5


@pytest.mark.parametrize("key", ["00", "xy", KEY + "00"])
def test_a_key_is_sixteen_bytes(key: str) -> None:
    with pytest.raises(ConfigError):
        DRIVER.talk({"model": "", "key": key}).send(None)


def test_a_model_that_is_not_in_the_table_is_refused() -> None:
    with pytest.raises(ValueError, match="HEM-7600T"):
        DRIVER.under({"model": "HEM-1", "key": ""})
