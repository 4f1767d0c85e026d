"""Putting a copy in the journal's place: compared with what stands there, which is moved aside.

What the other side already holds is carried over, so that nothing is sent twice under another number; and the
journal gets a new mark, so that no id it gave after the copy was made is ever given again. The new file is
whole before the old one is touched; cut off anywhere, the next start (`backup.finish`) or the same command
ends it.
"""

import contextlib
import os
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import msgspec

from protocol.errors import RequestRefused, StoreError
from store import backup
from store.aside import new_mark
from store.durable import sync
from store.facts import Audited, Instant
from store.faults import os_error, store_error
from store.journal import Journal, hold
from store.transaction import Transaction

AGAIN = "put back from a copy: the other side holds a later version"
"""Why a delivery is parked that would undo what was delivered later."""


class Settled(msgspec.Struct, frozen=True):
    """What one forwarder's other side holds of one measurement."""

    forwarder: str
    measurement: str
    version: int
    receipt: dict[str, str]


class Comparison(msgspec.Struct, frozen=True):
    """What stands in the journal's place, beside the copy that is to take it.

    `common` is the last fact both have: what stands there after it would be lost. `readable` is False where
    what stands there cannot be read, and then nothing else is known of it.
    """

    copy: int
    """The copy's last fact."""
    stands: int = 0
    """The last fact of what stands there; 0 where nothing does."""
    common: int = 0
    measurements: int = 0
    """Those that stand there only."""
    sent: int = 0
    """How many of them the other side holds: it keeps them."""
    readable: bool = True
    head: str = ""
    """The hash of what stands there, in hex."""
    settled: list[Settled] = []

    @property
    def lost(self) -> int:
        """Return how many facts would be lost."""
        return self.stands - self.common


def compared(file: Path, path: Path) -> Comparison:
    """Compare the copy *file* with the journal at *path*.

    Raises RequestRefused `restore.another_journal` where they have not even their beginning in common.
    """
    with reading(file) as copy:
        (last,) = copy.execute("SELECT seq FROM head").fetchone()
        if not path.exists():
            return Comparison(copy=last)
        try:
            with reading(path) as stands:
                found = _compared(copy, stands, last)
        except StoreError:
            return Comparison(copy=last, readable=False)
    if found.stands and last and not found.common:
        raise RequestRefused(f"{file} is of another journal than {path}", code="restore.another_journal")
    return found


def _compared(copy: sqlite3.Connection, stands: sqlite3.Connection, last: int) -> Comparison:
    seq, digest = stands.execute("SELECT seq, hash FROM head").fetchone()
    common = _common(copy, stands, min(seq, last))
    only = "FROM measurements AS m WHERE m.received_seq > ?"
    held = "AND EXISTS (SELECT 1 FROM outbox WHERE measurement = m.id AND delivered_version IS NOT NULL)"
    return Comparison(
        copy=last,
        stands=seq,
        common=common,
        measurements=stands.execute(f"SELECT count(*) {only}", (common,)).fetchone()[0],
        sent=stands.execute(f"SELECT count(*) {only} {held}", (common,)).fetchone()[0],
        head=digest.hex(),
        settled=_settled(stands),
    )


def _common(one: sqlite3.Connection, other: sqlite3.Connection, top: int) -> int:
    """Return the last fact that both have; each hash covers all before it, so halving finds it."""
    low, high = 0, top
    while low < high:
        middle = (low + high + 1) // 2
        hashes = [
            journal.execute("SELECT hash FROM facts WHERE seq = ?", (middle,)).fetchone()
            for journal in (one, other)
        ]
        if hashes[0] is not None and hashes[0] == hashes[1]:
            low = middle
        else:
            high = middle - 1
    return low


def _settled(stands: sqlite3.Connection) -> list[Settled]:
    rows = stands.execute(
        """SELECT forwarder, measurement, delivered_version, receipt FROM outbox
           WHERE delivered_version IS NOT NULL ORDER BY seq"""
    )
    decode = msgspec.json.Decoder(dict[str, str]).decode
    return [
        Settled(forwarder, key, version, decode(receipt) if receipt else {})
        for forwarder, key, version, receipt in rows
    ]


@contextlib.contextmanager
def reading(path: Path) -> Iterator[sqlite3.Connection]:
    """Lend a connection that sees one moment of a journal. Raises StoreError."""
    try:
        with contextlib.closing(
            sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None)
        ) as connection:
            connection.execute("BEGIN")
            yield connection
    except sqlite3.Error as error:
        raise store_error(error, path.absolute().parent) from error


def restore(
    file: Path,
    path: Path,
    found: Comparison,
    told: Audited,
    *,
    gateway: str,
    now: Callable[[], Instant],
    forwarders: Sequence[str],
    key_file: Path,
) -> Path | None:
    """Put the checked copy *file* in the place of *path*; return where what stood there is now.

    *found* is their comparison; *told* becomes a fact. Raises JournalHeld while a service runs, StoreError.
    """
    lock = hold(path)
    try:
        part = path.with_name(f"{path.name}.restoring")
        _sweep(part)
        with reading(file) as copy:
            backup.read_back(copy, part)
        _mark(part)
        made = Journal.open(part, gateway=gateway, now=now, forwarders=forwarders, key_file=key_file)
        try:
            made.submit(lambda tx: _carried(tx, found.settled, told)).result()
        finally:
            made.close()
        _whole(part, backup.ready_file(path))
        return _swapped(path)
    except OSError as error:
        raise os_error(error, path) from error
    finally:
        os.close(lock)


def _sweep(part: Path) -> None:
    """Remove what a restore that was cut off left of its work."""
    for name in ("", "-wal", "-shm", "-journal", ".lock"):
        part.with_name(part.name + name).unlink(missing_ok=True)


def _mark(part: Path) -> None:
    """Give the journal a mark of its own from here on: the old one gave ids after the copy was made."""
    with contextlib.closing(sqlite3.connect(part)) as connection, connection:
        connection.execute("UPDATE head SET mark = ?", (new_mark(),))


def _carried(tx: Transaction, settled: Sequence[Settled], told: Audited) -> None:
    """Write down the restoring, and what the other side holds by now of what is in the copy."""
    tx.append(told)
    for one in settled:
        known = tx.delivery(one.forwarder, one.measurement)
        if known is None or known[2] == one.version:
            continue
        state, version, _ = known
        tx.delivered(one.forwarder, one.measurement, one.version, one.receipt)
        if state == "waiting" and version < one.version:
            tx.parked(one.forwarder, one.measurement, version, AGAIN)


def _whole(part: Path, ready: Path) -> None:
    """Let the finished file wait under the name that `finish` knows."""
    if part.with_name(f"{part.name}-wal").exists():
        raise StoreError(f"{part} is still open")
    part.with_name(f"{part.name}.lock").unlink(missing_ok=True)
    part.replace(ready)
    sync(ready.parent)


def _swapped(path: Path) -> Path | None:
    """Move aside what stands there, with its WAL, and put the waiting file in its place."""
    aside = None
    if path.exists():
        aside = _free(path)
        wal = path.with_name(f"{path.name}-wal")
        if wal.exists():  # under both names until the journal has gone from the one
            os.link(wal, aside.with_name(f"{aside.name}-wal"))
        path.rename(aside)
        sync(path.parent)
    backup.finish(path)
    return aside


def _free(path: Path) -> Path:
    number = 1
    while (aside := path.with_name(f"{path.name}.aside-{number}")).exists():
        number += 1
    return aside


def words(found: Comparison) -> Mapping[str, str]:
    """Return what the fact of the restoring says of what stood there."""
    return {
        "copy": str(found.copy),
        "stood": str(found.stands),
        "lost_after": str(found.common),
        "head": found.head,
    }
