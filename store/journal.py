"""The journal's front door: opens the file, proves that it can keep its promises, starts the one writer."""

import asyncio
import fcntl
import os
import secrets
import sqlite3
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import TypeVar

from protocol.errors import JournalDamaged, JournalHeld, StoreError
from store import chain, keyring, outbox
from store.facts import Fact, Instant
from store.integrity import tail_problems
from store.migrations import migrate
from store.queries import Queries
from store.transaction import Head, Pen, Transaction
from store.vault import Vault
from store.writer import BUSY_MS, Writer, store_error

__all__ = ["Journal", "Transaction"]

T = TypeVar("T")
WAL_BYTES = 16 * 1024 * 1024
"""To what size a WAL that grew is cut when it starts over."""
PAGE_BYTES = 1024
"""A measurement changes twenty pages a little; small ones spare the card (28 kB written for it, not 70)."""
MARK_LETTERS = "abcdefghijkmnpqrstuvwxyz23456789"
MARK_LENGTH = 6


def _nobody(facts: Sequence[Fact]) -> None:
    """Tell nobody of a commit."""


class Journal:
    """One gateway's open journal: commands write, `queries` read; usable from any thread."""

    queries: Queries
    """The read side; its connections cannot write and never checkpoint."""

    def __init__(self, writer: Writer, queries: Queries, lock: int) -> None:
        self._writer = writer
        self._lock = lock
        self.queries = queries

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
    ) -> "Journal":
        """Open the journal at *path*, making it and its folder (0700, files 0600) where there is none.

        *forwarders* are owed every final version, those from before they were named too. *on_commit* runs on
        the writer's thread after each COMMIT, with the facts. *key_file* holds the key to people's names; by
        default it lies in a folder beside the journal's. Without the right one the journal opens and takes
        measurements, `queries.names_fault` says what is wrong, and no name can be read or written.
        The check at start is bounded: settings read back, schema, chain's end; `store.integrity.check` reads
        everything.

        Raises JournalHeld where another process writes it, SchemaTooNew, JournalDamaged where it is not what
        was written or the file system cannot give WAL with full sync, else StoreError: `vault.key_…` where a
        journal without names yet cannot be given a key.
        """
        lock = _hold(path)
        names = Vault(key_file or keyring.default_file(path))
        try:
            connection = _connect(path)
            try:
                pen = Pen(connection, gateway, "", now, tuple(forwarders), names)
                pen, head = _ready(connection, path, pen)
            except BaseException:
                connection.close()
                raise
        except sqlite3.Error as error:
            os.close(lock)
            raise store_error(error) from error
        except BaseException:
            os.close(lock)
            raise
        return cls(Writer(pen, head, on_commit), Queries(path, names), lock)

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

    def close(self) -> None:
        """Finish what was submitted and let go of the file; may be called twice."""
        if self._lock < 0:
            return
        self.queries.close()
        self._writer.stop()
        os.close(self._lock)
        self._lock = -1


def _hold(path: Path) -> int:
    """Make the folder, and hold the side file that keeps a second writer out; returns its descriptor."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _keep_to_itself(path.parent)
        lock = os.open(path.with_name(f"{path.name}.lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StoreError(f"{path}: {error.strerror}") from error
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
            _sync_folder(folder)
    except OSError as error:
        raise StoreError(f"{path}: {error.strerror}") from error
    return sqlite3.connect(path, isolation_level=None, check_same_thread=False, cached_statements=256)


def _sync_folder(folder: Path) -> None:
    """Make a new file's name durable; SQLite does it for its own side files only."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _ready(connection: sqlite3.Connection, path: Path, pen: Pen) -> tuple[Pen, Head]:
    """Set the connection up, read the settings back, bring the schema up to date, check the chain's end."""
    connection.execute(f"PRAGMA busy_timeout = {BUSY_MS}")
    connection.execute(f"PRAGMA page_size = {PAGE_BYTES}")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA wal_autocheckpoint = 0")
    connection.execute("PRAGMA temp_store = MEMORY")
    connection.execute("PRAGMA secure_delete = ON")
    connection.execute(f"PRAGMA journal_size_limit = {WAL_BYTES}")
    mode: str = connection.execute("PRAGMA journal_mode").fetchone()[0]
    level: int = connection.execute("PRAGMA synchronous").fetchone()[0]
    if (mode, level) != ("wal", 2):
        raise JournalDamaged(f"no durable writing here: journal_mode {mode}, synchronous {level}")
    migrate(connection, path, pen.vault)
    mark = "".join(secrets.choice(MARK_LETTERS) for _ in range(MARK_LENGTH))
    connection.execute("BEGIN IMMEDIATE")
    connection.execute("INSERT OR IGNORE INTO head VALUES (1, ?, 0, ?)", (mark, chain.GENESIS))
    wrong = tail_problems(connection)
    if wrong:
        raise JournalDamaged("; ".join(f"fact {problem.seq}: {problem.what}" for problem in wrong))
    outbox.register(connection, pen.forwarders)
    pen.vault.begin(connection)
    connection.execute("COMMIT")
    row: tuple[str, int, bytes] = connection.execute("SELECT mark, seq, hash FROM head").fetchone()
    return pen._replace(mark=row[0]), Head(row[1], row[2])
