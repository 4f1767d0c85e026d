"""Faults planted in a life of the service, to see that the harness finds them; product code knows none."""

import asyncio
import os
import sqlite3
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any
from unittest.mock import patch

from msgspec.structs import replace

import gateway.clock
import gateway.delivery
import gateway.fhir.bundle
import gateway.keeping
import gateway.supervisor
import store.outbox
import store.writer
from gateway.forwarders import Accepted
from gateway.forwarders.central import Central
from store.facts import Instant
from tools.faults.oracle import MEDIUM

CHECKPOINT_EVERY = 12
"""Facts: many checkpoints in a short life. The one thing changed in a life without a planted fault."""
PAUSE_S = 0.05
FULL = "PRAGMA synchronous = FULL"
Fault = Callable[[ExitStack], None]
FAULTS: dict[str, Fault] = {}
IN_TIME, LATER = "in_time", "forty_days_later"
"""Not faults: a clock that is synchronised, and one that is and shows a time forty days on."""


def _fault(make: Fault) -> Fault:
    FAULTS[make.__name__] = make
    return make


@contextmanager
def faulty(name: str) -> Iterator[None]:
    """Make this process faulty in the way *name* says, in none where it is empty, until the block ends."""
    with ExitStack() as planted:
        planted.enter_context(patch.object(store.writer, "CHECKPOINT_IDLE", CHECKPOINT_EVERY))
        planted.enter_context(patch.object(store.writer, "IDLE_S", PAUSE_S))
        for one in filter(None, name.split("+")):
            {**FAULTS, **CLOCKS}[one](planted)
        yield


def _clock(ahead: timedelta) -> Fault:
    """Let the clock be synchronised, and *ahead* of ours; retention does not wait for its daily look."""

    def plant(planted: ExitStack) -> None:
        honest = gateway.clock.Clock.now

        def now(self: Any) -> Instant:
            found = honest(self)
            return replace(found, utc=found.utc + ahead, synchronised=True)

        planted.enter_context(patch.object(gateway.clock.Clock, "now", now))
        for name in ("FIRST_S", "BREATH_S"):
            planted.enter_context(patch.object(gateway.keeping, name, 0.01))

    return plant


CLOCKS: dict[str, Fault] = {IN_TIME: _clock(timedelta()), LATER: _clock(timedelta(days=40))}


def _lying(planted: ExitStack, lies: dict[str, str]) -> None:
    """Let SQLite be told something else than the store says, and the store hear what it wants to hear."""

    class Liar(sqlite3.Connection):
        def execute(self, sql: str, parameters: Any = (), /) -> sqlite3.Cursor:
            return super().execute(lies.get(sql, sql), parameters)

    honest = sqlite3.connect

    def connect(*arguments: Any, **named: Any) -> sqlite3.Connection:
        made: sqlite3.Connection = honest(*arguments, **{"factory": Liar, **named})
        return made

    planted.enter_context(patch.object(sqlite3, "connect", connect))


@_fault
def synchronous_normal(planted: ExitStack) -> None:
    """A commit does not wait for the disk."""
    _lying(planted, {FULL: "PRAGMA synchronous = NORMAL", "PRAGMA synchronous": "SELECT 2"})


@_fault
def synchronous_off(planted: ExitStack) -> None:
    """Nothing waits for the disk."""
    _lying(planted, {FULL: "PRAGMA synchronous = OFF", "PRAGMA synchronous": "SELECT 2"})


@_fault
def journal_mode_delete(planted: ExitStack) -> None:
    """SQLite's default journal, as sqlite-utils opens a file."""
    wal = {"PRAGMA journal_mode = WAL": "PRAGMA journal_mode = DELETE", "PRAGMA journal_mode": "SELECT 'wal'"}
    _lying(planted, wal)


@_fault
def folder_not_synced(planted: ExitStack) -> None:
    """New files are synced, their names are not."""
    honest = os.fsync

    def fsync(descriptor: int) -> None:
        if not Path(f"/proc/self/fd/{descriptor}").resolve().is_dir():
            honest(descriptor)

    planted.enter_context(patch.object(os, "fsync", fsync))


@_fault
def backup_not_synced(planted: ExitStack) -> None:
    """A copy is reported good while it is still in memory."""
    sync, connect = os.fsync, sqlite3.connect

    def fsync(descriptor: int) -> None:
        if MEDIUM not in str(Path(f"/proc/self/fd/{descriptor}").resolve()):
            sync(descriptor)

    def connected(path: Any, *arguments: Any, **named: Any) -> sqlite3.Connection:
        made: sqlite3.Connection = connect(path, *arguments, **named)
        if MEDIUM in str(path):
            made.execute("PRAGMA synchronous = OFF")
        return made

    planted.enter_context(patch.object(os, "fsync", fsync))
    planted.enter_context(patch.object(sqlite3, "connect", connected))


@_fault
def acknowledged_first(planted: ExitStack) -> None:
    """A machine hears that its result is kept while that is still on its way to the disk."""
    honest = gateway.supervisor.Station.report

    async def report(self: Any, reading: Any) -> None:
        asyncio.get_running_loop().call_later(0.05, lambda: asyncio.ensure_future(honest(self, reading)))

    planted.enter_context(patch.object(gateway.supervisor.Station, "report", report))


@_fault
def sent_first(planted: ExitStack) -> None:
    """A version is noted as delivered before the centre has answered."""
    honest = gateway.delivery.Delivery._once

    async def once(self: Any) -> bool:
        batch = await self._ready()
        await self._outbox.record([(item, Accepted({})) for item in batch])
        with patch.object(self, "_ready", _given(batch)):
            return await honest(self)

    planted.enter_context(patch.object(gateway.delivery.Delivery, "_once", once))


def _given(batch: Sequence[Any]) -> Callable[[], Awaitable[Sequence[Any]]]:
    async def ready() -> Sequence[Any]:
        return batch

    return ready


@_fault
def no_key_at_centre(planted: ExitStack) -> None:
    """What is sent again is a new record at the centre."""
    honest = gateway.fhir.bundle.create
    find = Central.find

    def create(resource: Any, if_none_exist: Any, known_as: str) -> Any:
        return honest(resource, None, known_as)

    async def found(self: Any, resource_type: str, system: str, values: Any) -> Any:
        return {} if resource_type == "Observation" else await find(self, resource_type, system, values)

    planted.enter_context(patch.object(gateway.fhir.bundle, "create", create))
    planted.enter_context(patch.object(Central, "find", found))


@_fault
def outbox_apart(planted: ExitStack) -> None:
    """What is to be delivered is queued by a later transaction than the one that made it final."""
    honest = store.outbox.queue
    late: list[tuple[Any, ...]] = []

    def queue(connection: Any, *rest: Any) -> None:
        late.append(rest)

    write = store.writer.Writer._write

    def written(self: Any, jobs: Any) -> Any:
        with patch.object(store.outbox, "queue", queue):
            facts = write(self, jobs)
        self._connection.execute("BEGIN IMMEDIATE")
        while late:
            honest(self._connection, *late.pop(0))
        self._connection.execute("COMMIT")
        return facts

    planted.enter_context(patch.object(store.writer.Writer, "_write", written))
