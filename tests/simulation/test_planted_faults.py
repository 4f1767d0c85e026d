"""The simulation is worth something: each of these faults, planted in the product, breaks a life."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path

import pytest

from gateway import receiving
from gateway.binding import Decision
from gateway.delivery import JournalOutbox
from gateway.supervisor import Station
from store import outbox, queries, transaction
from store.transaction import Transaction
from tools.life.box import Box
from tools.life.world import Broken
from tools.life.year import Life, live

SEEDS = range(1, 9)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
SHORT = Life(clinic_days=8, exams=5)


def acknowledged_before_it_is_stored(patch):
    late = set()

    def at_once(way):
        async def not_awaited(self, said):
            task = asyncio.ensure_future(way(self, said))
            late.add(task)
            task.add_done_callback(lambda one: one.cancelled() or one.exception())

        return not_awaited

    patch.setattr(Station, "report", at_once(Station.report))
    patch.setattr(Station, "observe", at_once(Station.observe))


def marked_as_sent_before_the_answer(patch):
    due = JournalOutbox.due

    async def first(self, limit):
        batch = await due(self, limit)
        for one in batch:
            key, version = one.measurement.id, one.measurement.version
            await self._journal.run(lambda tx, k=key, v=version: tx.delivered("fhir", k, v, {}))
        return batch

    patch.setattr(JournalOutbox, "due", first)


def bound_to_whoever_came_last(patch):
    def guess(case):
        return Decision(case.open_exams[-1] if case.open_exams else None, "bind.one_open_exam")

    patch.setattr(receiving.binding, "decide", guess)


def records_are_not_recognised(patch):
    patch.setattr(Transaction, "by_record", lambda *_: None)
    patch.setattr(Transaction, "next_measurement_id", lambda self, *_: self.next_id)


def queue_followed_by_the_wall_clock(patch):
    due, reached = outbox.due, {}

    def later(connection, ring, forwarder, limit):
        found = due(connection, ring, forwarder, limit)
        times = [one.measurement.recorded.utc for one in found]
        since = reached.setdefault(forwarder, min(times, default=EPOCH))
        reached[forwarder] = max([since, *times[:1]])
        return [one for one, recorded in zip(found, times, strict=True) if recorded >= since]

    patch.setattr(queries.outbox, "due", later)


def withdrawals_are_not_sent(patch):
    queue = outbox.queue

    def but_withdrawals(connection, forwarders, measurement, seq):
        if measurement.status != "entered-in-error":
            queue(connection, forwarders, measurement, seq)

    patch.setattr(transaction.outbox, "queue", but_withdrawals)


def refused_ones_are_dropped(patch):
    parked = Transaction.parked

    def dropped(self, forwarder, measurement, version, reason):
        parked(self, forwarder, measurement, version, reason)
        self.delivered(forwarder, measurement, version, {})

    patch.setattr(Transaction, "parked", dropped)


def an_old_answer_settles_a_new_version(patch):
    delivered = outbox.delivered

    def settled(connection, forwarder, measurement, version, receipt):
        newest = outbox.known(connection, forwarder, measurement)[1]
        delivered(connection, forwarder, measurement, newest, receipt)

    patch.setattr(transaction.outbox, "delivered", settled)


def the_disk_forgets_what_was_synced(patch):
    buried = Box.buried

    async def forgotten(self):
        died = self.gateway is not None and self._writer.dead
        await buried(self)
        if died:
            for end in ("wal", "shm"):
                (self._folder / "state" / f"journal.db-{end}").unlink(missing_ok=True)

    patch.setattr(Box, "buried", forgotten)


FAULTS = (
    acknowledged_before_it_is_stored,
    marked_as_sent_before_the_answer,
    bound_to_whoever_came_last,
    records_are_not_recognised,
    queue_followed_by_the_wall_clock,
    withdrawals_are_not_sent,
    refused_ones_are_dropped,
    an_old_answer_settles_a_new_version,
    the_disk_forgets_what_was_synced,
)


@pytest.mark.parametrize("plant", FAULTS, ids=lambda plant: plant.__name__)
def test_a_planted_fault_breaks_a_life(tmp_path: Path, monkeypatch, plant) -> None:
    plant(monkeypatch)
    for seed in SEEDS:
        folder = tmp_path / str(seed)
        folder.mkdir()
        try:
            live(seed, folder, SHORT)
        except Broken:
            return
    pytest.fail(f"{plant.__name__} was lived through {len(SEEDS)} times and nobody noticed")
