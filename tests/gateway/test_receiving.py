"""From a reading to a measurement, in a real journal: one person, one record, no loss."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from drivers import catalogue
from gateway import exams, receiving, verification
from gateway.clock import Clock
from gateway.receiving import Contact, receive
from gateway.service import ExamRequest
from protocol.errors import RequestRefused
from protocol.quantities import Quantity
from protocol.readings import Kind, Measure, Reading
from store.facts import Measurement
from store.journal import Journal, Transaction
from store.residents import Identifier

ZONE = ZoneInfo("Asia/Shanghai")
CLOCK = Clock()


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    opened = Journal.open(tmp_path / "journal.db", gateway="g-1", now=CLOCK.now, forwarders=("fhir",))
    yield opened
    opened.close()


def contact(driver: str, *, serial: str | None = None, offset: float | None = None) -> Contact:
    return Contact(driver.replace("_", "-"), catalogue.every()[driver], serial, CLOCK.now(), offset, ZONE)


def reading(kind: Kind, **values: str) -> Reading:
    units = {"systolic": "mm[Hg]", "diastolic": "mm[Hg]", "body_height": "cm", "body_weight": "kg"}
    quantities = {
        Measure(name): Quantity(Decimal(value), units.get(name, "mmol/L")) for name, value in values.items()
    }
    return Reading(kind, quantities, (b"frame",))


PRESSURE = reading(Kind.BLOOD_PRESSURE, systolic="128", diastolic="82")


def hear(journal: Journal, said: Reading, driver: str = "pm6750", **about: object) -> Measurement:
    at = contact(driver, **about)  # type: ignore[arg-type]
    key = journal.submit(lambda tx: receive(tx, said, at)).result(10)
    found = journal.queries.measurement(key)
    assert found is not None
    return found


def opened(journal: Journal, value: str) -> str:
    request = ExamRequest([Identifier("card", value)], None, "li")
    return journal.submit(lambda tx: exams.open_exam(tx, request)).result(10)


def rebound(journal: Journal, measurement: str, exam: str | None, reason: str = "wrong person") -> str:
    def command(tx: Transaction) -> str:
        return exams.bind(tx, measurement, exam, operator="li", reason=reason, zone=ZONE)

    return journal.submit(command).result(10)


def test_a_live_reading_of_the_open_exam_is_final_in_one_version(journal: Journal) -> None:
    exam = opened(journal, "A")
    found = hear(journal, PRESSURE)
    assert (found.status, found.exam, found.version) == ("final", exam, 1)
    assert found.effective.time == found.received.utc


def test_without_an_exam_it_lies_in_the_tray(journal: Journal) -> None:
    found = hear(journal, PRESSURE)
    assert (found.status, found.exam, found.bind_reason) == ("preliminary", None, "tray.no_exam")
    assert [one.id for one in journal.queries.tray()] == [found.id]


def test_equal_values_of_two_people_are_two_measurements(journal: Journal) -> None:
    first_exam = opened(journal, "A")
    first = hear(journal, PRESSURE)
    journal.submit(lambda tx: exams.close_exam(tx, first_exam, "li")).result(10)
    second_exam = opened(journal, "B")
    second = hear(journal, PRESSURE)
    assert first.id != second.id
    assert (first.exam, second.exam) == (first_exam, second_exam)
    assert second.status == "final"


def test_a_hundred_readings_at_once_stay_a_hundred(journal: Journal) -> None:
    at = contact("pm6750")
    waiting = [journal.submit(lambda tx: receive(tx, PRESSURE, at)) for _ in range(100)]
    assert len({one.result(10) for one in waiting}) == 100


def test_a_stored_record_read_again_is_the_same_measurement_and_never_binds_itself(journal: Journal) -> None:
    opened(journal, "A")
    said = replace(
        reading(Kind.GLUCOSE, glucose="5.6"),
        stored=True,
        record="glucose 2026-07-11T08:00:00 5.6",
        device_time=datetime(2026, 7, 11, 8, 0),
    )
    first = hear(journal, said, "sinocare_sn", serial="0102", offset=420.0)
    again = hear(journal, said, "sinocare_sn", serial="0102", offset=420.0)
    assert first.id == again.id
    assert again.version == 1
    assert (first.status, first.bind_reason) == ("preliminary", "tray.stored")
    assert first.effective.quality in {"device_corrected", "gateway_unsynchronised"}


def test_a_stored_record_from_a_time_when_the_clock_was_lost_has_no_time(journal: Journal) -> None:
    said = replace(
        reading(Kind.GLUCOSE, glucose="5.6"),
        stored=True,
        record="glucose 2026-07-11T08:00:00 5.6",
        device_time=datetime(2026, 7, 11, 8, 0),
        flags=frozenset({"clock_lost"}),
    )
    kept = hear(journal, said, "sinocare_sn", serial="0102", offset=0.0)
    assert (kept.effective.time, kept.effective.quality) == (None, "unknown")
    assert kept.device_time == datetime(2026, 7, 11, 8, 0)
    assert "time_unknown" in {finding.rule for finding in kept.findings}


def test_the_same_line_with_the_same_machine_time_waits_for_a_person(journal: Journal) -> None:
    exam = opened(journal, "A")
    said = replace(PRESSURE, device_time=datetime(2026, 7, 11, 9, 5))
    first, second = hear(journal, said, "omron_hbp"), hear(journal, said, "omron_hbp")
    assert (first.status, second.status) == ("final", "preliminary")
    assert [(one.rule, one.detail) for one in second.findings if one.severity == "blocking"] == [
        ("repeated_report", first.id)
    ]
    assert rebound(journal, second.id, exam, "measured twice, both right") == second.id
    confirmed = journal.queries.measurement(second.id)
    assert confirmed is not None
    assert confirmed.status == "final"
    assert "confirmed by li" in str(confirmed.findings)


def test_a_fault_in_a_rule_loses_a_verdict_and_never_the_reading(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened(journal, "A")

    def broken(case: verification.Case) -> list[object]:
        raise ZeroDivisionError

    monkeypatch.setattr(receiving.verification, "findings", broken)
    found = hear(journal, PRESSURE)
    assert (found.status, found.exam) == ("preliminary", None)
    assert found.values["systolic"].value == "128"


def test_height_and_weight_of_two_machines_give_one_body_mass_index(journal: Journal) -> None:
    opened(journal, "A")
    height = hear(journal, reading(Kind.BODY_SIZE, body_height="158.5"), "gtech_gl")
    weight = hear(journal, reading(Kind.BODY_SIZE, body_weight="60.54"), "scale_st_gs")
    assert height.derived == {}
    assert weight.derived["bmi"].value == "24.1"
    assert set(weight.derived_from) == {height.id, weight.id}


def test_a_final_measurement_given_to_another_person_is_withdrawn_and_issued_anew(journal: Journal) -> None:
    opened(journal, "A")
    wrong = hear(journal, PRESSURE)
    right_exam = opened(journal, "B")
    new = rebound(journal, wrong.id, right_exam)
    old, issued = journal.queries.measurement(wrong.id), journal.queries.measurement(new)
    assert old is not None
    assert issued is not None
    assert (old.status, old.replaced_by) == ("entered-in-error", new)
    assert (issued.status, issued.exam, issued.replaces) == ("final", right_exam, wrong.id)
    assert issued.received == wrong.received
    assert issued.effective.time == wrong.effective.time
    assert issued.evidence_sha256 == wrong.evidence_sha256


def test_sent_back_to_the_tray_it_is_nobodys(journal: Journal) -> None:
    opened(journal, "A")
    wrong = hear(journal, PRESSURE)
    new = journal.queries.measurement(rebound(journal, wrong.id, None))
    assert new is not None
    assert (new.status, new.exam, new.resident) == ("preliminary", None, None)


def test_binding_needs_a_reason_and_something_to_bind(journal: Journal) -> None:
    exam = opened(journal, "A")
    found = hear(journal, PRESSURE)
    for measurement, target, reason, code in [
        (found.id, exam, " ", "bind.reason"),
        ("nothing", exam, "so", "measurement.unknown"),
        (found.id, "e-none", "so", "exam.unknown"),
    ]:
        with pytest.raises(RequestRefused) as refused:
            rebound(journal, measurement, target, reason)
        assert refused.value.code == code


def test_a_failed_measurement_is_kept_and_never_forwarded(journal: Journal) -> None:
    exam = opened(journal, "A")
    found = hear(journal, Reading(Kind.BLOOD_PRESSURE, {}, (b"frame",), failed="cuff_loose"))
    assert (found.status, found.failed, found.exam) == ("preliminary", "cuff_loose", exam)
    assert journal.queries.due("fhir", 10) == []
