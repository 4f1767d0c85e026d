"""Bringing an old journal up to date without a moment in which it could be lost, or a name left lying about.

The copy made beforehand holds names in the open, so it goes as soon as the new file was compared with it.
That it is still there says that this is not finished.
"""

import os
import sqlite3
from pathlib import Path

import msgspec

from protocol.errors import JournalDamaged, StoreError
from store import vault
from store.durable import change_mode, sync
from store.residents import Resident
from store.vault import Vault

BLOCK = 1024 * 1024
_decode = msgspec.json.Decoder(Resident).decode
SAME_FACTS = """SELECT count(*) FROM main.facts AS f JOIN before.facts AS b ON b.seq = f.seq
                WHERE b.hash = f.hash AND b.prev = f.prev AND b.at = f.at AND b.body IS f.body"""
SAME_VERSIONS = """SELECT count(*) FROM main.versions AS v JOIN before.versions AS b ON b.seq = v.seq
                   WHERE b.document = v.document AND b.resident IS v.resident"""

ROWS = "SELECT count(*) FROM"
COUNTS = ("SELECT count(*) FROM main.facts", "SELECT count(*) FROM main.versions")
COUNTS_BEFORE = ("SELECT count(*) FROM before.facts", "SELECT count(*) FROM before.versions")


def copy_of(path: Path) -> Path:
    """Return where the copy of the journal at *path* lies while it is brought up to date."""
    return path.with_name(f"{path.name}.before-upgrade")


def keep(connection: sqlite3.Connection, path: Path) -> None:
    """Copy the journal beside itself (0600), verify and sync the copy. Raises JournalDamaged."""
    target = copy_of(path)
    if target.exists():  # of a start that was cut off before it changed anything
        wipe(target)
    os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600))
    copy = sqlite3.connect(target, isolation_level=None)
    try:
        connection.backup(copy)
        change_mode(copy, "DELETE")
        counted = [_counted(one) for one in (connection, copy)]
        sound = copy.execute("PRAGMA integrity_check(1)").fetchone() == ("ok",)
    finally:
        copy.close()
    if not sound or counted[0] != counted[1]:
        raise JournalDamaged(f"the copy made before the change is not the journal: {target}")
    sync(target)


def _counted(connection: sqlite3.Connection) -> list[tuple[str, int]]:
    """Return every table's name and how many rows it has."""
    names = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name").fetchall()
    return [(name, connection.execute(f'{ROWS} "{name}"').fetchone()[0]) for (name,) in names]


def seal_people(connection: sqlite3.Connection, key: Vault) -> None:
    """Seal every resident that stands in the open, and read each back. Raises StoreError, JournalDamaged."""
    found = connection.execute("SELECT document FROM residents ORDER BY id").fetchall()
    ring = key.begin(connection)
    if ring.fault is not None:
        raise StoreError(ring.detail, code=ring.fault)
    for (document,) in found:
        known = _decode(document)
        vault.keep(connection, ring, known)
        again = vault.resident(connection, ring, known.id)
        if again is None or msgspec.json.encode(again) != msgspec.json.encode(known):
            raise JournalDamaged(f"{known.id} would not be the same")
    numbers = connection.execute("SELECT value, system, resident FROM identifiers").fetchall()
    for value, system, resident in numbers:
        if vault.found_by(connection, ring, value, system) != [resident]:
            raise JournalDamaged(f"{resident} would not be found by a number")


def finish(connection: sqlite3.Connection, path: Path) -> None:
    """Write the whole file anew so that nothing of the old one is left in it, compare, let the copy go."""
    copy, done = copy_of(path), path.with_name(f"{path.name}.upgraded")
    if done.exists():  # it was compared, and the power went while it was overwritten
        wipe(done)
    if not copy.exists():
        return
    # Too much for a small box's memory; what goes through the disk holds no name any more.
    connection.execute("PRAGMA temp_store = FILE")
    connection.execute("VACUUM")
    connection.execute("PRAGMA temp_store = MEMORY")
    busy, _, _ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    if busy:
        raise StoreError("another program reads the journal while it is brought up to date")
    _compare(connection, copy)
    copy.replace(done)
    sync(path.parent)
    wipe(done)


def _compare(connection: sqlite3.Connection, copy: Path) -> None:
    connection.execute("ATTACH DATABASE ? AS before", (str(copy),))
    try:
        same = [connection.execute(sql).fetchone()[0] for sql in (SAME_FACTS, SAME_VERSIONS)]
        there, before = (
            [connection.execute(sql).fetchone()[0] for sql in counts] for counts in (COUNTS, COUNTS_BEFORE)
        )
        sound = connection.execute("PRAGMA main.integrity_check(1)").fetchone() == ("ok",)
    finally:
        connection.execute("DETACH DATABASE before")
    if not sound or not same == there == before:
        raise JournalDamaged(f"the new file is not what the old one was; the old one is kept: {copy}")


def wipe(path: Path) -> None:
    """Overwrite a file and remove it; a flash card may keep the old blocks all the same."""
    with path.open("r+b") as file:
        for _ in range(-(-path.stat().st_size // BLOCK)):
            file.write(bytes(BLOCK))
        file.flush()
        os.fsync(file.fileno())
    path.unlink()
    sync(path.parent)
