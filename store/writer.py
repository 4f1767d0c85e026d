"""The one thread that writes: takes all commands that wait into one commit, answers once it is on disk.

Its connection is the only one that ever writes or checkpoints: with two, SQLite before 3.51.3 can damage
a WAL file.
"""

import contextlib
import logging
import queue
import sqlite3
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from protocol.errors import DiskFull, StoreError
from store import signing
from store.facts import Fact
from store.faults import READ_FAILED, store_error
from store.intruders import Watch
from store.pen import Head, Pen
from store.room import Room
from store.transaction import Transaction

log = logging.getLogger(__name__)

T = TypeVar("T")
BUSY_MS = 5000
"""How long another program may hold the file before that is an error."""
FORGET_MS = 100
"""How long commands wait at most for readers to go when something is to be forgotten."""
GROUP = 256
"""Commands in one commit at most, so that the first of them never waits long."""
IDLE_S = 0.2
"""Silence after which the WAL may be folded into the file without anybody waiting for it."""
CHECKPOINT_IDLE = 250
"""Facts since the last checkpoint that make one worth its two syncs in an idle moment."""
CHECKPOINT_LATEST = 2000
"""Facts after which it is done between two commits even if nobody pauses, so that the WAL stays bounded."""


@dataclass(slots=True)
class Job(Generic[T]):
    """A command that waits, and what came of it; `settle` answers for good."""

    command: Callable[[Transaction], T]
    future: Future[T]
    result: T | None = None
    error: BaseException | None = None

    def run(self, transaction: Transaction) -> None:
        """Run the command and write its versions."""
        self.result = self.command(transaction)
        transaction.seal()

    def settle(self, error: BaseException | None = None) -> None:
        """Answer whoever waits: the command's own error, else *error*, else its result."""
        failed = self.error or error
        # A waiter may be gone with its event loop; that must not hurt the others of the group.
        with contextlib.suppress(RuntimeError):
            if failed is not None:
                self.future.set_exception(failed)
            else:
                self.future.set_result(self.result)  # type: ignore[arg-type]


class Writer:
    """Owns the writing connection from the moment it starts until it has stopped."""

    def __init__(self, pen: Pen, head: Head, on_commit: Callable[[Sequence[Fact]], None]) -> None:
        self._pen = pen
        self._connection = pen.connection
        self._room = pen.room or Room(Path())
        self._watch = Watch(pen.connection)
        self._head = head
        self._on_commit = on_commit
        self._waiting: queue.SimpleQueue[Job[object] | None] = queue.SimpleQueue()
        self._since_checkpoint = 0
        self._forgetful = False
        """Whether something was overwritten that may still stand in the WAL."""
        self._door = threading.Lock()
        self._closed = False
        self._patient = True
        """Whether a read that fails in this commit is tried once more."""
        self.doubted = False
        """Whether something could not be read; whoever looks after it takes that away."""
        self._begin()

    def _begin(self) -> None:
        """Start the thread; a simulation steps the same writer on its own loop instead."""
        self._thread = threading.Thread(target=self._run, name="journal-writer", daemon=True)
        self._thread.start()

    def submit(self, command: Callable[[Transaction], T]) -> Future[T]:
        """Queue *command*; the future is resolved after COMMIT. Once stopped: StoreError `store.closed`."""
        job: Job[T] = Job(command, Future())
        with self._door:
            if self._closed:
                raise StoreError("the journal is closed", code="store.closed")
            self._waiting.put(job)  # type: ignore[arg-type]
        return job.future

    def stop(self) -> None:
        """Finish what was queued, fold the WAL into the file, close the connection."""
        with self._door:
            if not self._closed:
                self._closed = True
                self._waiting.put(None)
        self._thread.join()

    def _run(self) -> None:
        while self._turn():
            pass
        self._end()

    def _turn(self) -> bool:
        """Commit what waits, or use the pause; return whether there will be more."""
        jobs, going = self._gather()
        if jobs:
            self._commit(jobs)
        elif self._forgetful:
            self._forget()
        if self._since_checkpoint >= (CHECKPOINT_LATEST if jobs else CHECKPOINT_IDLE):
            self._checkpoint("PASSIVE")
        return going

    def _end(self) -> None:
        self._checkpoint("TRUNCATE")
        self._connection.close()

    def _gather(self) -> tuple[list[Job[object]], bool]:
        """Return all commands that wait, after waiting for one; none in a pause with a checkpoint due."""
        jobs: list[Job[object]] = []
        try:
            due = self._forgetful or self._since_checkpoint >= CHECKPOINT_IDLE
            pause = IDLE_S if due else None
            job = self._waiting.get(timeout=pause)
            while job is not None:
                if job.future.set_running_or_notify_cancel():
                    jobs.append(job)
                if len(jobs) >= GROUP:
                    return jobs, True
                job = self._waiting.get_nowait()
        except queue.Empty:
            return jobs, True
        return jobs, False

    def _commit(self, jobs: list[Job[object]]) -> None:
        """Run all *jobs* in one transaction, then answer; if it cannot be made durable, none was done."""
        try:
            facts = self._with_room(jobs)
        except Exception as error:  # the thread must live on: the next command tries anew
            failed = self._error(error)
            log.error("commit failed", extra={"code": failed.code, "cause": str(failed)})
            self._rollback()
            self._room.failed(failed)
            for job in jobs:
                job.settle(failed)
            return
        if self._forgetful:
            self._forget()
        for job in jobs:
            job.settle()
        self._since_checkpoint += len(facts)
        self._tell(facts)

    def _error(self, error: Exception) -> StoreError:
        if isinstance(error, sqlite3.Error):
            failed = store_error(error, self._room.folder, looked=False)
            self.doubted = self.doubted or failed.code == READ_FAILED
            return failed
        return error if isinstance(error, StoreError) else StoreError(str(error))

    def _with_room(self, jobs: list[Job[object]]) -> list[Fact]:
        """Write; once more where a read failed; on a full disk as long as the reserve gives something."""
        before, self._patient = self._connection.total_changes, True
        while True:
            try:
                facts = self._write(jobs)
            except sqlite3.Error as error:
                failed = self._error(error)
                if not self._may_pass(failed):
                    raise
                self._rollback()
                if isinstance(failed, DiskFull) and not self._room.relieve():
                    raise
                self._patient = isinstance(failed, DiskFull)
            else:
                if self._connection.total_changes != before:
                    self._room.wrote()
                return facts

    def _may_pass(self, failed: BaseException) -> bool:
        """Say whether the whole transaction is to be done once more."""
        unread = isinstance(failed, StoreError) and failed.code == READ_FAILED
        return isinstance(failed, DiskFull) or (unread and self._patient)

    def _write(self, jobs: list[Job[object]]) -> list[Fact]:
        self._connection.execute("BEGIN IMMEDIATE")
        self._watch.must_be_alone()
        facts: list[Fact] = []
        head = self._head
        for job in jobs:
            head = self._one(job, head, facts)
        if facts:
            signing.write(self._connection, self._pen.vault.ring(self._connection), head[:2], facts)
        self._room.must_be_there()
        self._connection.execute("COMMIT")
        self._head = head
        return facts

    def _one(self, job: Job[object], head: Head, facts: list[Fact]) -> Head:
        """Run one command in its own savepoint; its error is its own, unless the transaction is lost."""
        transaction = Transaction(self._pen, head)
        job.error = None
        self._connection.execute("SAVEPOINT command")
        try:
            job.run(transaction)
        except BaseException as error:
            failed = self._error(error) if isinstance(error, sqlite3.Error) else error
            if not self._connection.in_transaction or self._may_pass(failed):
                raise
            self._connection.execute("ROLLBACK TO command")
            self._connection.execute("RELEASE command")
            job.error = failed
            return head
        self._connection.execute("RELEASE command")
        facts += transaction.facts
        self._forgetful = self._forgetful or transaction.forgetful
        return transaction.head

    def _rollback(self) -> None:
        if self._connection.in_transaction:
            try:
                self._connection.execute("ROLLBACK")
            except sqlite3.Error:
                log.exception("rollback failed")

    def _tell(self, facts: list[Fact]) -> None:
        if not facts:
            return
        try:
            self._on_commit(facts)
        except Exception:
            log.exception("telling of a commit failed; the facts are stored")

    def _forget(self) -> None:
        """Fold the WAL into the file and empty it; while somebody reads what is old, it is tried again."""
        self._connection.execute(f"PRAGMA busy_timeout = {FORGET_MS}")
        self._forgetful = not self._checkpoint("TRUNCATE")
        self._connection.execute(f"PRAGMA busy_timeout = {BUSY_MS}")

    def _checkpoint(self, mode: str) -> bool:
        """Return whether all of the WAL is in the file."""
        self._since_checkpoint = 0
        self._watch.before_checkpoint()
        try:
            busy, _, _ = self._connection.execute(f"PRAGMA wal_checkpoint({mode})").fetchone()
        except sqlite3.Error as error:
            failed = self._error(error)
            if isinstance(failed, DiskFull) and self._room.relieve():
                return self._checkpoint(mode)
            cause = {"code": failed.code, "cause": str(error)}
            log.warning("checkpoint failed, the WAL keeps everything", extra=cause)
            return False
        return not busy


WriterOf = Callable[[Pen, Head, Callable[[Sequence[Fact]], None]], Writer]
"""Makes the writer of an open file."""
