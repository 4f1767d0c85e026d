"""Every machine with a memory, cut off at every byte and contacted again: the same readings, none twice."""

from random import Random

import pytest

from drivers.catalogue import every
from protocol.readings import Reading
from protocol.transcript import reading_line
from tests.rig import Bench, Host, Journal
from tools.simulators import Store, Violation, names, simulator

RECORDS = 7
MOST_CUTS = 300
"""A longer memory is cut at so many places, evenly spread."""
CONTACT_S = 30.0


def machine(name: str) -> Bench:
    """Return the machine with some records in its memory."""
    simulated = simulator(name)
    bench = Bench(simulated)
    records = (
        {**simulated.person(Random(number)), "at": f"2026-01-{number + 1:02d}T08:00:{number:02d}"}
        for number in range(RECORDS)
    )
    bench.cue(Store(tuple(records)))
    return bench


def contact(bench: Bench, name: str, journal: Journal, cut: int | None = None) -> None:
    driver = every()[name]
    Host(bench, driver, journal, driver.settings, cut)
    bench.run(seconds=CONTACT_S)


def remembers(name: str) -> bool:
    bench, journal = machine(name), Journal()
    contact(bench, name, journal)
    return len(journal.readings) >= RECORDS


def lines(journal: Journal) -> list[str]:
    return sorted(reading_line(reading) for reading in journal.readings)


REMEMBERING = [name for name in names() if remembers(name)]


def test_machines_with_a_memory_are_found() -> None:
    assert "sinocare_sn" in REMEMBERING


@pytest.mark.parametrize("name", REMEMBERING)
def test_a_memory_cut_at_every_byte_and_read_again_is_whole_and_none_twice(name: str) -> None:
    whole, bench = Journal(), machine(name)
    contact(bench, name, whole)
    stated = lines(whole)
    assert len(set(stated)) == RECORDS
    for cut in range(1, bench.said, max(1, bench.said // MOST_CUTS)):
        journal, again = Journal(), machine(name)
        contact(again, name, journal, cut)
        assert set(lines(journal)) <= set(stated), f"cut after {cut} bytes"
        contact(again, name, journal)
        assert lines(journal) == stated, f"cut after {cut} bytes"
        assert not any(isinstance(told, Violation) for told in again.told)


@pytest.mark.parametrize("name", REMEMBERING)
def test_a_stored_reading_says_so_and_has_a_name(name: str) -> None:
    journal = Journal()
    contact(machine(name), name, journal)
    found: list[Reading] = journal.readings
    assert all(reading.stored and reading.record for reading in found)
