"""The memory of a Visomat: whole dumps and single records, every way they can be wrong, and what is news."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import pytest

from drivers.visomat import DRIVER
from protocol import visomat
from protocol.framing import Frame, Noise
from protocol.readings import Reading
from protocol.transcript import parse
from tests.play import TRANSCRIPTS, play, read
from tests.vector_rows import decoded, raw, rows

RECORD = "15110321300134097083"


def told(item: object) -> Mapping[str, object]:
    """Return what a reading says, in the words of the vectors."""
    assert isinstance(item, Reading)
    numbers = {name: int(quantity.value) for name, quantity in item.values.items()}
    return {
        "sys": numbers["systolic"],
        "dia": numbers["diastolic"],
        "pulse": numbers["pulse_rate"],
        "flag": "1" if "irregular_pulse" in item.flags else "0",
        "at": item.device_time,
    }


def stated(record: Mapping[str, Any]) -> Mapping[str, object]:
    day, time = record["date"], record["time"]
    at = datetime(2000 + int(day[:2]), int(day[2:4]), int(day[4:]), int(time[:2]), int(time[2:]))
    rest = {name: record[name] for name in ("sys", "dia", "pulse", "flag")}
    return {**rest, "at": at if at.year < 2040 else None}


@pytest.mark.parametrize("row", rows("visomat", "device->host"), ids=lambda row: row["id"])
def test_a_dump_gives_every_record_of_every_bank(row: dict[str, Any]) -> None:
    said = decoded("visomat", raw(row))
    banks = row["expected"]["banks"]
    assert [told(item) for item in said] == [stated(record) for bank in banks for record in bank["records"]]
    counts = [item.context["bank"] for item in said if isinstance(item, Reading)]
    assert counts == [bank["bank"] for bank in banks for _ in bank["records"]]


@pytest.mark.parametrize("row", rows("visomat", "record"), ids=lambda row: row["id"])
def test_a_bare_record_gives_its_values(row: dict[str, Any]) -> None:
    (said,) = decoded("visomat", raw(row))
    assert told(said) == stated(row["expected"])


@pytest.mark.parametrize("row", rows("visomat", "host->device"), ids=lambda row: row["id"])
def test_the_questions_are_those_of_the_sheet(row: dict[str, Any]) -> None:
    assert raw(row) == visomat.DUMP


@pytest.mark.parametrize("day", ["440601", "151331", "150230", "000000"])
def test_a_date_that_cannot_be_leaves_the_value_and_no_time(day: str) -> None:
    (said,) = decoded("visomat", f"\x02M101{day}{RECORD[6:]}\x03".encode())
    assert isinstance(said, Reading)
    assert said.device_time is None
    assert said.flags == {"clock_lost"}
    assert said.context["stated_time"] == day + "2130"
    assert str(said.values["systolic"].value) == "134"


@pytest.mark.parametrize(
    "text",
    [
        f"M101{RECORD[:-1]}",
        f"M101{RECORD}0",
        f"M102{RECORD}",
        f"M1001M201{RECORD}M",
        f"M1001{RECORD}",
        f"M100M201{RECORD}",
        f"M1X1{RECORD}",
        f"M101{RECORD[:-1]}x",
        f"M101{RECORD[:10]}7{RECORD[11:]}",
        f"M101{RECORD[:11]}000{RECORD[14:]}",
        f"M101{RECORD[:-3]}000",
        "X",
        "",
    ],
)
def test_a_dump_of_another_form_gives_no_value(text: str) -> None:
    (said,) = decoded("visomat", f"\x02{text}\x03".encode())
    assert getattr(said, "code", "") == "device.malformed"


@pytest.mark.parametrize("text", [RECORD[1:], RECORD + "0", RECORD + RECORD, RECORD + "\r\n", "M" + RECORD])
def test_only_a_record_that_comes_alone_is_taken_without_marks(text: str) -> None:
    for step in (1, 7, 100):
        framer = visomat.AnswerFramer()
        pieces = [
            piece for at in range(0, len(text), step) for piece in framer.feed(text[at : at + step].encode())
        ]
        pieces += framer.finish()
        assert all(isinstance(piece, Noise) for piece in pieces)
        assert b"".join(piece.data for piece in pieces) == text.encode()


def test_after_a_silence_a_record_may_come_alone_again() -> None:
    framer = visomat.AnswerFramer()
    assert [*framer.feed(b"?"), *framer.finish()] == [Noise(b"?", "no frame start")]
    assert [*framer.feed(RECORD.encode()), *framer.finish()] == [Frame(RECORD.encode())]


def test_records_the_journal_knows_are_left_out() -> None:
    path = next(path for path in TRANSCRIPTS if path.stem == "visomat-memory")
    every = [str(reading.record) for reading in play(DRIVER, read(path)).readings]
    assert len(set(every)) == len(every) == 13
    lines = path.read_text(encoding="utf-8").splitlines()
    news = parse("\n".join(line for line in lines if not line.startswith("=") or every[4] in line))
    told = play(DRIVER, news, known={*every} - {every[4]}).readings
    assert [reading.record for reading in told] == [every[4]]
