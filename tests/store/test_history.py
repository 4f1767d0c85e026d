"""Each device's days, added up as facts are written; a journal of the first release brought up to date."""

import gzip
from datetime import timedelta
from pathlib import Path

from journal_making import BOOT, START, heard, opened, pressure

from store.facts import DeviceEvent, Instant, Received
from store.history import Day
from store.journal import Journal

OLD = Path(__file__).parent / "old"


def event(device: str, code: str, **detail: str) -> DeviceEvent:
    return DeviceEvent(device=device, code=code, detail=detail)


def reading(tx, seconds: int, failed: str | None = None, **context: str) -> None:
    """Append a live reading that began *seconds* before it came."""
    now = tx.now()
    began = Instant(now.utc, now.boottime_ns - seconds * 10**9, BOOT, False)
    tx.append(
        Received(
            measurement=tx.next_measurement_id("bp", None, "pm6750", None),
            device="bp",
            driver="pm6750",
            serial=None,
            reading="blood_pressure",
            values={} if failed else pressure(),
            evidence=["00"],
            device_time=None,
            sequence=None,
            context=context,
            flags=[],
            failed=failed,
            stored=False,
            record=None,
            began=began,
            clock_offset_s=None,
        )
    )


def test_a_day_holds_attempts_results_failures_and_how_long_they_took(tmp_path):
    journal = opened(tmp_path)

    def live(tx):
        for body in (event("bp", "link.opened"), event("bp", "order.given", order="start")):
            tx.append(body)
        for seconds in (30, 30, 45):
            reading(tx, seconds, battery="60 %")
        reading(tx, 20, "movement")
        reading(tx, 20, "device_error:7")
        tx.append(event("bp", "link.lost"))
        tx.append(event("bp", "clock.read", offset_s="-90"))
        tx.append(event("bp", "device.identified", serial="SIM7", firmware="2.1"))

    journal.submit(live).result()
    (day,) = journal.queries.device_days("bp")
    assert day == Day(
        day=START.date().isoformat(),
        contacts=1,
        orders=1,
        results=3,
        failed={"movement": 1, "device_error": 1},
        faults={"link.lost": 1},
        seconds={"30": 2, "45": 1},
        offset_s=-90.0,
        offset_unsure=True,
        battery="60 %",
        serial="SIM7",
        firmware="2.1",
    )
    journal.close()


def test_a_result_without_a_measure_of_ours_is_no_fault(tmp_path):
    journal = opened(tmp_path)
    journal.submit(
        lambda tx: tx.append(event("poct", "astm.other_result", test="HbA1c", frame="00"))
    ).result()
    (day,) = journal.queries.device_days("poct")
    assert day == Day(day=START.date().isoformat())
    journal.close()


def test_the_passport_is_what_was_written_last(tmp_path):
    journal = opened(tmp_path)
    assert journal.queries.passport("bp") == {}
    for due in ("2026-01-01", "2027-01-01"):
        journal.submit(
            lambda tx, d=due: tx.append(event("bp", "device.passport", calibration_due=d))
        ).result()
    assert journal.queries.passport("bp") == {"calibration_due": "2027-01-01"}
    assert journal.queries.device_days("bp") == []
    journal.close()


def brought_up(tmp_path: Path) -> Journal:
    path = tmp_path / "state/journal.db"
    path.parent.mkdir()
    path.write_bytes(gzip.decompress((OLD / "schema-1.db.gz").read_bytes()))
    later = Instant(START + timedelta(days=1), 10**15, BOOT, False)
    return Journal.open(path, gateway="gw-1", now=lambda: later, forwarders=("fhir",))


def test_a_journal_of_the_first_release_gets_its_history_and_loses_nothing(tmp_path):
    journal = brought_up(tmp_path)
    report = journal.queries.check()
    assert (report.facts - 68, report.problems) == (2, [])  # the clock was set, the key named
    assert journal.queries.counts().measurements == {"blood_pressure": 12, "body_size": 4, "glucose": 4}
    (bp,), (meter,) = journal.queries.device_days("bp"), journal.queries.device_days("meter")
    assert (bp.contacts, bp.results, bp.faults) == (4, 12, {"link.lost": 4})
    assert (meter.results, meter.stored, meter.serial, meter.offset_s) == (0, 4, "SIM1", 12.0)
    journal.submit(heard).result()
    assert journal.queries.check().problems == []
    journal.close()


def test_a_clock_nobody_keeps_takes_a_device_neither_back_nor_years_ahead(tmp_path):
    shown = iter(
        [(START, True), (START - timedelta(days=20000), False), (START + timedelta(days=900), False)]
    )
    moment = {"at": Instant(START, 0, "boot-0", True)}
    journal = Journal.open(tmp_path / "journal.db", gateway="gw-1", now=lambda: moment["at"])
    for number, (utc, synchronised) in enumerate(shown):
        moment["at"] = Instant(utc, 10**9, f"boot-{number}", synchronised)
        journal.submit(lambda tx: tx.append(event("bp", "link.opened"))).result()
    assert journal.queries.device_days("bp") == [Day(day=START.date().isoformat(), contacts=3)]
    journal.close()


def test_a_clock_that_jumps_within_a_day_is_counted_where_ours_is_kept(tmp_path):
    now = Instant(START, 0, "boot-0", True)
    journal = Journal.open(tmp_path / "journal.db", gateway="gw-1", now=lambda: now)
    for offset_s in ("5", "-8e8", "7"):
        body = event("bp", "clock.read", offset_s=offset_s)
        journal.submit(lambda tx, body=body: tx.append(body)).result()
    (day,) = journal.queries.device_days("bp")
    assert (day.jumps, day.offset_s, day.offset_unsure) == (2, 7.0, False)
    journal.close()
