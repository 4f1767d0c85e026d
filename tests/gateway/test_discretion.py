"""What machines and other systems say of a person is never written in the open."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from drivers.catalogue import Driver, every
from gateway import discretion
from gateway.clock import Clock
from gateway.receiving import Contact, receive
from protocol.framing import Frame
from protocol.quantities import Quantity
from protocol.readings import PERSONAL, Kind, Measure, Notice, Reading
from store.facts import DeviceEvent
from store.journal import Journal
from store.queries import Queries
from store.residents import Identifier, Resident
from tests.play import TRANSCRIPTS, driver_of, play, read, whole

ZONE = ZoneInfo("Asia/Shanghai")
CLOCK = Clock()
NAMED = [path for path in TRANSCRIPTS if "patient_id=" in path.read_text(encoding="utf-8")]


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    opened = Journal.open(tmp_path / "state/journal.db", gateway="g-1", now=CLOCK.now)
    yield opened
    opened.close()


def received(journal: Journal, driver: Driver, reading: Reading) -> str:
    at = Contact("machine", driver, None, CLOCK.now(), None, ZONE)
    return journal.submit(lambda tx: receive(tx, reading, at)).result(10)


def noted(journal: Journal, driver: Driver, detail: Mapping[str, str]) -> None:
    event, secret = discretion.event(driver, DeviceEvent("machine", "code", dict(detail)))
    journal.submit(lambda tx: tx.append(event, secret)).result(10)


def lies_open(folder: Path, text: str) -> list[str]:
    """Return the files in which *text* stands, as it is or as hex."""
    forms = (text.encode(), text.encode().hex().encode(), text.encode().hex().upper().encode())
    files = [path for path in folder.rglob("*") if path.is_file()]
    return [path.name for path in files if any(form in path.read_bytes() for form in forms)]


@pytest.mark.parametrize("path", NAMED, ids=lambda path: path.stem)
def test_what_was_typed_at_a_machine_is_sealed_and_its_values_stay_provable(
    journal: Journal, tmp_path: Path, path: Path
) -> None:
    driver = driver_of(path)
    played = play(driver, read(path), whole)
    for reading in played.readings:
        key = received(journal, driver, reading)
        evidence = journal.queries.evidence(key)
        assert evidence is not None
        assert evidence["frames"] == [frame.hex() for frame in reading.evidence]
        typed = [text for name, text in reading.context.items() if name in PERSONAL]
        assert [where for text in typed for where in lies_open(tmp_path / "state", text)] == []
    for event in played.events:
        if isinstance(event, Notice) and event.evidence:
            noted(journal, driver, {**event.detail, "frame": event.evidence.hex()})
            typed = [text for name, text in event.detail.items() if name in PERSONAL]
            assert [where for text in typed for where in lies_open(tmp_path / "state", text)] == []
            told = journal.queries.device_events("machine", 1)[0].detail
            assert told == {**event.detail, "frame": event.evidence.hex()}
    assert journal.queries.check().problems == []


def test_transcripts_with_people_in_them_are_there() -> None:
    assert len(NAMED) >= 8


def omron(typed: str) -> Reading:
    driver = driver_of(Path("omron_hbp-format_5.txt"))
    line = f"2026,03,01,09,30,{typed:20},0,128,082,072,0\r\n"
    (reading,) = driver.decode([Frame(line.encode())])
    assert isinstance(reading, Reading)
    return reading


def test_a_line_without_a_person_stands_open(journal: Journal) -> None:
    driver = driver_of(Path("omron_hbp-format_5.txt"))
    evidence = journal.queries.evidence(received(journal, driver, omron("")))
    assert evidence is not None
    assert (evidence["sealed"], len(evidence["frames"])) == (None, 1)


def test_without_the_key_the_values_can_still_be_read_from_the_blanked_line(
    journal: Journal, tmp_path: Path
) -> None:
    driver, said = driver_of(Path("omron_hbp-format_5.txt")), omron("110101185403120017")
    key = received(journal, driver, said)
    stolen = Queries(tmp_path / "state/journal.db")
    evidence = stolen.evidence(key)
    assert evidence is not None
    (again,) = driver.decode([Frame(bytes.fromhex(one)) for one in evidence["frames"]])
    assert isinstance(again, Reading)
    assert (again.values, again.device_time, again.context) == (said.values, said.device_time, {})
    assert b"110101185403120017" not in bytes.fromhex(evidence["frames"][0])
    stolen.close()


def test_a_machine_that_may_name_people_has_all_its_frames_sealed(journal: Journal, tmp_path: Path) -> None:
    """What a line of an undocumented machine says, nobody knows."""
    driver = every()["line"]
    assert driver.names_people
    quantity = Quantity(Decimal("62.5"), "kg")
    said = Reading(Kind.BODY_SIZE, {Measure.BODY_WEIGHT: quantity}, (b"62.5 Zhang San",), context={})
    key = received(journal, driver, said)
    assert lies_open(tmp_path / "state", "Zhang San") == []
    evidence = journal.queries.evidence(key)
    assert evidence is not None
    assert evidence["frames"] == [b"62.5 Zhang San".hex()]
    noted(journal, driver, {"offset_s": "3", "frame": b"H|Zhang San".hex()})
    assert lies_open(tmp_path / "state", "Zhang San") == []
    stolen = Queries(tmp_path / "state/journal.db")
    assert stolen.device_events("machine")[0].detail == {"offset_s": "3"}
    stolen.close()


def _path(name: str) -> Path:
    return next(path for path in TRANSCRIPTS if path.stem == name)


PERSON = Resident(
    "r-1",
    [Identifier("cn-id", "11010118540312001X"), Identifier("card", "A/17 b")],
    "张三",
    "male",
    "1854-03-12",
)


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ("Patient?identifier=urn:x|11010118540312001X not found", "Patient?identifier=urn:x|… not found"),
        ("identifier=11010118540312001x", "identifier=…"),
        ("identifier=A%2F17%20b and A/17 b", "identifier=… and …"),
        ("张三 (%E5%BC%A0%E4%B8%89), born 1854-03-12 or 18540312", "… (…), born … or …"),
        ("systolic 120 is too high", "systolic 120 is too high"),
        ("", ""),
    ],
)
def test_what_another_system_answers_is_kept_without_the_person(said: str, kept: str) -> None:
    assert discretion.unnamed(said, PERSON) == kept
    assert discretion.unnamed(said, Resident("r-2")) == said


DYING = """
import ctypes, os, resource, signal
from gateway import discretion
most = resource.getrlimit(resource.RLIMIT_CORE)[1]
resource.setrlimit(resource.RLIMIT_CORE, (most, most))
discretion.no_dumps()
PR_GET_DUMPABLE = 3
dumpable = ctypes.CDLL(None).prctl(PR_GET_DUMPABLE, 0, 0, 0, 0)
print(dumpable, *resource.getrlimit(resource.RLIMIT_CORE), flush=True)
os.kill(os.getpid(), signal.SIGABRT)
"""


def test_a_process_that_holds_names_leaves_no_core_dump(tmp_path: Path) -> None:
    environ = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    with subprocess.Popen(
        [sys.executable, "-c", DYING], cwd=tmp_path, env=environ, stdout=subprocess.PIPE
    ) as dying:
        said, _ = dying.communicate(timeout=60)
    assert said.split() == [b"0", b"0", b"0"]
    assert dying.returncode == -signal.SIGABRT
    assert list(tmp_path.iterdir()) == []
