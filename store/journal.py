"""The journal's front door: opens the file, proves that it can keep its promises, starts the one writer."""

import asyncio
import fcntl
import os
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from protocol.errors import JournalDamaged, JournalHeld, StoreError
from store import aside, backup, chain, intruders, keyring, outbox, signing, version
from store.aside import Recovery
from store.durable import change_mode, sync
from store.facts import Fact, Instant
from store.faults import may_pass, must_be_readable, os_error, store_error
from store.integrity import tail_problems
from store.migrations import migrate
from store.pen import Head, Pen
from store.queries import Queries
from store.room import Room
from store.transaction import Transaction
from store.vault import Vault
from store.writer import BUSY_MS, Writer, WriterOf

__all__ = ["Journal", "Transaction"]

T = TypeVar("T")
WAL_BYTES = 16 * 1024 * 1024
"""To what size a WAL that grew is cut when it starts over."""
PAGE_BYTES = 1024
"""A measurement changes twenty pages a little; small ones spare the card (28 kB written for it, not 70)."""


def _nobody(facts: Sequence[Fact]) -> None:
    """Tell nobody of a commit."""


class Journal:
    """One gateway's open journal: commands write, `queries` read; usable from any thread."""

    queries: Queries
    """The read side; its connections cannot write and never checkpoint."""
    unclean = False
    """Whether the last one to write it was cut off: then it is worth looking at all of the file."""
    recovery: Recovery | None
    """What was lost, where this start found the file damaged and made it anew."""

    def __init__(self, writer: Writer, queries: Queries, lock: int, lost: Recovery | None = None) -> None:
        self._writer = writer
        self._lock = lock
        self.queries = queries
        self.recovery = lost

    @classmethod
    def open(
        cls,
        path: Path,
        *,
        gateway: str,
        now: Callable[[], Instant],
        forwarders: Sequence[str] = (),
        on_commit: Callable[[Sequence[Fact]], None] = _nobody,
        key_file: Path | None = None,
        writer: WriterOf = Writer,
        room: Room | None = None,
        recover: bool = False,
    ) -> "Journal":
        """Open the journal at *path*, making it and its folder (0700, files 0600) where there is none.

        *forwarders* are owed every final version, those from before they were named too. *on_commit* runs on
        the writer's thread after each COMMIT, with the facts. *key_file* holds the key to people's names; by
        default it lies in a folder beside the journal's. Without the right one the journal opens and takes
        measurements, `queries.names_fault` says what is wrong, and no name can be read or written.
        *writer* takes the open file over; only a simulation gives another. *room* is told of each write, and
        asked for room where there is none.
        With *recover* a damaged file is moved aside and all that can be proven taken over into a new one
        (`store.recovery`); `recovery` then says what was lost.
        The check at start is bounded: settings read back, schema, chain's end; `store.integrity.check` reads
        everything.

        Raises JournalHeld where another process writes it, SchemaTooNew, JournalDamaged where it is not what
        was written or the file system cannot give WAL with full sync, else StoreError: `vault.key_…` where a
        journal without names yet cannot be given a key.
        """
        version.must_be_suitable()
        lock = hold(path)
        names = Vault(key_file or keyring.default_file(path))
        with _held_if_opened(lock, path):
            backup.finish(path)
            aside.finish(path)
            intruders.refuse_writers(path)
            _write_again(path)
            place = room or Room(path.parent)

            def begun(connection: sqlite3.Connection) -> Pen:
                return Pen(connection, gateway, "", now, tuple(forwarders), names, place)

            pen, head, lost, unclean = _taken_up(path, begun, recover=recover)
        made = cls(writer(pen, head, on_commit), Queries(path, names), lock, lost)
        made.unclean = unclean
        return made

    def submit(self, command: Callable[[Transaction], T]) -> Future[T]:
        """Have the writer run *command*; the future is resolved after COMMIT, with its result or its error.

        Its error undoes only what it wrote. If the commit itself fails the future has StoreError (DiskFull
        where it is that) and nothing was done; the next command tries anew. Raises StoreError `store.closed`
        after `close`.
        """
        return self._writer.submit(command)

    async def run(self, command: Callable[[Transaction], T]) -> T:
        """Do the same for an event loop. Cancelling may come too late to undo the command."""
        return await asyncio.wrap_future(self.submit(command))

    def doubted(self) -> bool:
        """Say whether something of the file could not be read since this, or `queries.sound`, was asked."""
        found = self.queries.doubted or self._writer.doubted
        self.queries.doubted = self._writer.doubted = False
        return found

    def close(self) -> None:
        """Finish what was submitted and let go of the file; may be called twice."""
        if self._lock < 0:
            return
        self.queries.close()
        self._writer.stop()
        os.close(self._lock)
        self._lock = -1


@contextmanager
def _held_if_opened(lock: int, path: Path) -> Iterator[None]:
    """Let go of *lock* where what is done inside fails; what the disk said is told as a StoreError."""
    try:
        yield
    except BaseException as error:
        os.close(lock)
        if isinstance(error, sqlite3.Error):
            raise store_error(error, path.parent) from error
        if isinstance(error, OSError):
            raise os_error(error, path) from error
        raise


def _begun(path: Path, pen: Callable[[sqlite3.Connection], Pen]) -> tuple[Pen, Head]:
    """Open the file and make it ready; where that fails it is closed again."""
    connection = _connect(path)
    try:
        return _ready(connection, path, pen(connection))
    except BaseException:
        connection.close()
        raise


def _taken_up(
    path: Path, begun: Callable[[sqlite3.Connection], Pen], *, recover: bool
) -> tuple[Pen, Head, Recovery | None, bool]:
    """Begin on what lies there, with *recover* on what can be proven of it where it is damaged.

    Also returned: what a recovery lost, and whether a WAL was left that the check at start has not read.
    """
    try:
        if recover and _is_unsound(path):
            raise JournalDamaged("it was found damaged while it was in use")
        unclean = _was_left(path)
        return *_begun_surely(path, begun), None, unclean
    except (sqlite3.DatabaseError, JournalDamaged) as error:
        if not recover or not aside.is_damage(error, path):
            raise
    from store import recovery  # noqa: PLC0415 - hardly ever needed

    must_be_readable(path)
    lost = recovery.recover(path, begun)
    return *_begun(path, begun), lost, False


def _begun_surely(path: Path, pen: Callable[[sqlite3.Connection], Pen]) -> tuple[Pen, Head]:
    """Do it once more where the file seems damaged: one read that the disk failed looks the same."""
    try:
        return _begun(path, pen)
    except (sqlite3.DatabaseError, JournalDamaged) as error:
        if not (may_pass(error) or aside.is_damage(error, path)):
            raise
        return _begun(path, pen)


def _is_unsound(path: Path) -> bool:
    """Say whether it was found damaged while it was in use, and still is: memory may have been at fault."""
    if not aside.unsound(path).exists():
        return False
    queries = Queries(path)
    try:
        return not queries.sound()
    finally:
        queries.close()


def _was_left(path: Path) -> bool:
    """Say whether a WAL with something in it lies there, as a power cut leaves it."""
    wal = path.with_name(f"{path.name}-wal")
    return wal.exists() and wal.stat().st_size > 0


def _write_again(path: Path) -> None:
    """Make a WAL that was left durable, by writing what is read of it once more.

    Where a sync failed, the kernel may hold what the disk never got, and call it clean: a process killed
    then leaves a WAL that ends there after a power cut, with all that was built upon it.
    """
    if not _was_left(path):
        return
    descriptor = os.open(path.with_name(f"{path.name}-wal"), os.O_RDWR | os.O_CLOEXEC)
    try:
        at = 0
        while chunk := os.pread(descriptor, WAL_BYTES, at):
            at += os.pwrite(descriptor, chunk, at)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    sync(path.parent)


def hold(path: Path) -> int:
    """Make the folder, and hold the side file that keeps a second writer out; returns its descriptor."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _keep_to_itself(path.parent)
        lock = os.open(path.with_name(f"{path.name}.lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise os_error(error, path) from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(lock)
        raise JournalHeld(str(path)) from error
    return lock


def _keep_to_itself(folder: Path) -> None:
    """Take from others what they may do in a folder of ours."""
    found = folder.stat()
    if found.st_mode & 0o077 and found.st_uid == os.geteuid():
        folder.chmod(0o700)


def _connect(path: Path) -> sqlite3.Connection:
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        path.chmod(0o600)
        for folder in (path.parent, path.parent.parent):
            sync(folder)  # SQLite does it for its own side files only
    except OSError as error:
        raise os_error(error, path) from error
    return sqlite3.connect(path, isolation_level=None, check_same_thread=False, cached_statements=256)


def _ready(connection: sqlite3.Connection, path: Path, pen: Pen) -> tuple[Pen, Head]:
    """Set the connection up, read the settings back, bring the schema up to date, check the chain's end."""
    connection.execute(f"PRAGMA busy_timeout = {BUSY_MS}")
    connection.execute(f"PRAGMA page_size = {PAGE_BYTES}")
    change_mode(connection, "WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA wal_autocheckpoint = 0")
    connection.execute("PRAGMA temp_store = MEMORY")
    connection.execute("PRAGMA secure_delete = ON")
    connection.execute(f"PRAGMA journal_size_limit = {WAL_BYTES}")
    mode: str = connection.execute("PRAGMA journal_mode").fetchone()[0]
    level: int = connection.execute("PRAGMA synchronous").fetchone()[0]
    if (mode, level) != ("wal", 2):
        raise StoreError(
            f"no durable writing here: journal_mode {mode}, synchronous {level}", code=JournalDamaged.code
        )
    migrate(connection, path, pen.vault)
    mark = aside.new_mark()
    connection.execute("BEGIN IMMEDIATE")
    begun = "INSERT OR IGNORE INTO head(one, mark, seq, hash) VALUES (1, ?, 0, ?)"
    connection.execute(begun, (mark, chain.GENESIS))
    wrong = tail_problems(connection)
    if wrong:
        raise JournalDamaged("; ".join(f"fact {problem.seq}: {problem.what}" for problem in wrong))
    outbox.register(connection, pen.forwarders)
    row: tuple[str, int, bytes] = connection.execute("SELECT mark, seq, hash FROM head").fetchone()
    pen = pen._replace(mark=row[0])
    opening = Transaction(pen, Head.of(connection, row[1], row[2]))
    opening.begin_key()
    if opening.head.hash != row[2]:
        signing.write(connection, pen.vault.ring(connection), opening.head[:2], opening.facts)
    connection.execute("COMMIT")
    return pen, opening.head
