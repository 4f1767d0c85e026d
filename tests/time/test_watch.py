"""A step of our clock reaches the journal and the measurements, told or found."""

import asyncio
import gzip
import os
import select
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from gateway import receiving, times_later, times_watch
from store.facts import ClockSet, DeviceEvent, Fact, Instant, Measurement
from store.journal import Journal, Transaction
from tools.faults.clockwork import SHANGHAI, START, Box, Kernel

OLD = Path(__file__).parents[1] / "store" / "old" / "schema-3.db.gz"
MINUTE = timedelta(minutes=1)


@asynccontextmanager
async def watched(box: Box) -> AsyncIterator[asyncio.Event]:
    stirred = asyncio.Event()
    watching = asyncio.create_task(times_watch.watch(box.journal, box.clock, SHANGHAI, stirred))
    try:
        yield stirred
    finally:
        watching.cancel()
        with suppress(asyncio.CancelledError):
            await watching
        box.close()


async def version(box: Box, key: str, wanted: int) -> Measurement:
    async with asyncio.timeout(20):
        while box.measurement(key).version != wanted:  # noqa: ASYNC110 - nothing tells but the journal
            await asyncio.sleep(0.01)
    return box.measurement(key)


def facts(journal: Journal) -> list[Fact]:
    found = [
        journal.submit(lambda tx, seq=seq: tx.fact(seq)).result()
        for seq in range(1, journal.queries.counts().facts + 1)
    ]
    return [fact for fact in found if fact is not None]


def turns(journal: Journal) -> list[ClockSet]:
    return [fact.body for fact in facts(journal) if isinstance(fact.body, ClockSet)]


async def test_what_is_told_is_kept_and_put_right(tmp_path: Path) -> None:
    kernel = Kernel()
    kernel.set(datetime(1970, 1, 1, tzinfo=UTC))
    box = Box(tmp_path, kernel)
    async with watched(box) as stirred:
        await box.sit_down()
        before = await box.hears("a")
        assert (before.status, before.effective.time) == ("preliminary", None)
        kernel.go(MINUTE)
        kernel.set(kernel.truth, kept=True)
        stirred.set()
        after = await version(box, before.id, 2)
        assert (after.status, after.effective.time) == ("final", START)
        [step] = turns(box.journal)
        assert step.before.utc == datetime(1970, 1, 1, 0, 1, tzinfo=UTC)
        assert (step.after.utc, step.after.synchronised) == (START + MINUTE, True)
        assert step.before.boottime_ns == step.after.boottime_ns


async def test_a_reading_right_after_a_step_stands_behind_it(tmp_path: Path) -> None:
    kernel = Kernel()
    box = Box(tmp_path, kernel)
    await box.sit_down()
    kernel.set(kernel.truth - timedelta(days=400))
    found = await box.hears("a")
    bodies = [type(fact.body).__name__ for fact in facts(box.journal)]
    assert bodies.index("ClockSet") == bodies.index("Received") - 1
    assert found.received.utc == START - timedelta(days=400)
    box.close()


async def test_a_clock_that_runs_says_nothing(tmp_path: Path) -> None:
    kernel = Kernel()
    box = Box(tmp_path, kernel)
    async with watched(box) as stirred:
        for _ in range(5):
            kernel.go(timedelta(hours=7))
            stirred.set()
            await box.hears(f"m{_}")
        assert turns(box.journal) == []


async def test_small_steps_add_up_to_one(tmp_path: Path) -> None:
    kernel = Kernel()
    box = Box(tmp_path, kernel)
    await box.starts()
    for _ in range(12):
        kernel.set(kernel.wall() + timedelta(seconds=0.03))
        await box.starts()
    assert [told.after.utc - START for told in turns(box.journal)] == [
        timedelta(seconds=0.12),
        timedelta(seconds=0.24),
        timedelta(seconds=0.36),
    ]
    box.close()


def fails(tx: Transaction, told: DeviceEvent) -> None:
    with tx.nested():
        tx.append(told)
        raise ZeroDivisionError


async def test_a_step_told_by_what_was_undone_is_told_by_what_stays(tmp_path: Path) -> None:
    kernel, told = Kernel(), DeviceEvent(device="meter", code="link.opened", detail={})
    box = Box(tmp_path, kernel)
    await box.starts()
    kernel.set(kernel.wall() + MINUTE)
    with pytest.raises(ZeroDivisionError):
        await box.journal.run(lambda tx: fails(tx, told))
    assert turns(box.journal) == []

    def command(tx: Transaction) -> None:
        with suppress(ZeroDivisionError):
            fails(tx, told)
        tx.append(told)

    await box.journal.run(command)
    await box.starts()
    [step] = turns(box.journal)
    assert step.after.utc - step.before.utc == MINUTE
    assert [type(fact.body).__name__ for fact in facts(box.journal)[-3:-1]] == ["ClockSet", "DeviceEvent"]
    assert box.journal.queries.check().problems == []
    box.close()


async def test_what_was_sent_is_sent_again_with_its_better_time(tmp_path: Path) -> None:
    kernel = Kernel()
    kernel.set(kernel.truth + timedelta(hours=2))
    box = Box(tmp_path, kernel)
    await box.sit_down()
    found = await box.hears("a")
    await box.journal.run(lambda tx: tx.delivered("fhir", found.id, 1, {}))
    assert box.journal.queries.due("fhir", 10) == []
    kernel.set(kernel.truth, kept=True)
    await box.look()
    [again] = box.journal.queries.due("fhir", 10)
    assert (again.measurement.version, again.measurement.status) == (2, "corrected")
    assert again.measurement.effective.time == START
    [finding] = [one for one in again.measurement.findings if one.rule == "time_corrected"]
    assert (START + timedelta(hours=2)).astimezone(UTC).isoformat() in finding.detail
    first = box.journal.queries.versions(found.id)[0]
    assert (START + timedelta(hours=2)).astimezone(UTC).strftime("%Y-%m-%dT%H").encode() in first
    box.close()


async def test_a_journal_of_an_earlier_release_is_put_right_too(tmp_path: Path) -> None:
    path = tmp_path / "state" / "journal.db"
    path.parent.mkdir()
    path.write_bytes(gzip.decompress(OLD.read_bytes()))
    late = Instant(datetime(2026, 8, 1, tzinfo=UTC), 10**15, "8a1f2c5e-0000-4000-8000-000000000001", True)
    journal = Journal.open(path, gateway="gw-1", now=lambda: late, forwarders=("fhir",))
    assert journal.submit(lambda tx: tx.clocks.unsure(0, 1000)).result()
    journal.submit(lambda tx: tx.look()).result()
    await times_later.settle(journal, SHANGHAI)
    assert journal.submit(lambda tx: tx.clocks.unsure(0, 1000)).result() == []
    late_enough = datetime(2026, 7, 1, tzinfo=UTC)
    live = [one for one in map(journal.queries.measurement, keys(journal)) if one and not one.stored]
    judged = [one for one in live if one.status in {"final", "corrected"}]
    assert judged
    assert all(one.effective.time and one.effective.time > late_enough for one in judged)
    journal.close()


def keys(journal: Journal) -> list[str]:
    from store.facts import Received

    return [fact.body.measurement for fact in facts(journal) if isinstance(fact.body, Received)]


def test_the_kernels_alarm_is_silent_until_the_clock_is_set() -> None:
    descriptor = times_watch.alarm()
    assert descriptor is not None
    assert select.select([descriptor], [], [], 0)[0] == []
    assert times_watch.arm(descriptor)
    os.close(descriptor)


async def test_one_that_cannot_be_put_right_holds_no_other_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kernel = Kernel()
    kernel.set(datetime(1970, 1, 1, tzinfo=UTC))
    box = Box(tmp_path, kernel)
    await box.sit_down()
    first, second = await box.hears("a"), await box.hears("b")
    kernel.set(kernel.truth, kept=True)
    real = receiving.judge

    def faulty(tx: Transaction, key: str, **about: Any) -> None:
        real(tx, key, **about)
        if key == first.id:
            raise ZeroDivisionError

    monkeypatch.setattr(receiving, "judge", faulty)
    await box.look()
    assert box.measurement(first.id) == first
    assert box.measurement(second.id).status == "final"
    assert box.journal.queries.check().problems == []
    box.close()
