"""Journals to measure with: opened as the service opens them, filled with exams of people nobody can be."""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

from drivers import catalogue
from drivers.catalogue import Driver
from gateway import exams
from gateway.clock import Clock
from gateway.receiving import Contact, receive
from gateway.service import ExamRequest
from protocol.framing import Frame
from protocol.quantities import Quantity, tenths
from protocol.readings import Kind, Measure, Reading
from store.journal import Journal, Transaction
from store.residents import Identifier
from store.writer import Writer, WriterOf
from tools.people import person

ZONE = ZoneInfo("Asia/Shanghai")
GATEWAY = "bench-1"
AN_EXAM = 3
"""Measurements of one exam here: blood pressure, glucose, height and weight."""
FIRST_DAY = datetime(2026, 3, 2, 8, 0)  # noqa: DTZ001 - the machine's own naive time


def opened(folder: Path, writer: WriterOf = Writer) -> Journal:
    """Open the journal in *folder* as a gateway with a central record does."""
    path = folder / "journal.db"
    return Journal.open(path, gateway=GATEWAY, now=Clock().now, forwarders=("fhir",), writer=writer)


def omron_line(number: int) -> bytes:
    """Return the line of measurement *number* as an HBP-9030 sends it; no two alike."""
    at = FIRST_DAY + timedelta(minutes=number)
    numbers = f"{100 + number % 60:03d},{60 + number % 31:03d},{55 + number % 41:03d}"
    return f"{at:%Y,%m,%d,%H,%M},{'':20},0,{numbers},0\r\n".encode("ascii")


def pressure(number: int) -> Reading:
    """Return what the driver makes of that line."""
    driver = catalogue.every()["omron_hbp"]
    (reading,) = driver.decode([Frame(omron_line(number))])
    assert isinstance(reading, Reading)
    return reading


def contact(driver: Driver, clock: Clock) -> Contact:
    """Return a contact with the one device of *driver*."""
    return Contact(driver.name.replace("_", "-"), driver, None, clock.now(), None, ZONE)


def open_exam(number: int) -> Callable[[Transaction], str]:
    """Return the command that opens the exam of person *number*."""
    who = person(number)
    request = ExamRequest((Identifier("cn-id", who.cn_id),), who.name, "bench")
    return lambda tx: exams.open_exam(tx, request)


def fill(journal: Journal, count: int, first: int = 0) -> None:
    """Write *count* exams, each opened, measured at three machines and closed; returns after COMMIT."""
    clock = Clock()
    for future in [journal.submit(_visit(number, clock)) for number in range(first, first + count)]:
        future.result()


def deliver(journal: Journal) -> None:
    """Have the central record take all that waits; returns after COMMIT."""
    while due := journal.queries.due("fhir", 250):
        taken = [(one.measurement.id, one.measurement.version) for one in due]
        journal.submit(_delivered(taken)).result()


def _delivered(taken: Sequence[tuple[str, int]]) -> Callable[[Transaction], None]:
    def deliver_all(tx: Transaction) -> None:
        for key, version in taken:
            tx.delivered("fhir", key, version, {"Observation": f"Observation/{key}"})

    return deliver_all


def _visit(number: int, clock: Clock) -> Callable[[Transaction], None]:
    def visit(tx: Transaction) -> None:
        exam = open_exam(number)(tx)
        for name, reading in _readings(number):
            receive(tx, reading, contact(catalogue.every()[name], clock))
        exams.close_exam(tx, exam, "bench")

    return visit


def _readings(number: int) -> list[tuple[str, Reading]]:
    glucose = {Measure.GLUCOSE: tenths(40 + number % 90, "mmol/L")}
    size = {
        Measure.BODY_HEIGHT: tenths(1500 + number % 300, "cm"),
        Measure.BODY_WEIGHT: Quantity(Decimal(5000 + number % 4000).scaleb(-2), "kg"),
    }
    return [
        ("omron_hbp", pressure(number)),
        ("sinocare_sn", Reading(Kind.GLUCOSE, glucose, (b"glucose",))),
        ("gtech_gl", Reading(Kind.BODY_SIZE, size, (b"size",))),
    ]
