"""A damaged journal's files: where they lie once a new one took their place, and how that is finished.

Light, for every start asks it; making the new journal is `store/recovery.py`.
"""

import os
import secrets
import sqlite3
from pathlib import Path

import msgspec

from store import migrations
from store.durable import sync

MARK_LETTERS = "abcdefghijkmnpqrstuvwxyz23456789"
MARK_LENGTH = 6
SIDES = ("", "-wal", "-shm")


class Recovery(msgspec.Struct, frozen=True):
    """What was taken over, and what was lost; `file` is where the damaged journal lies now."""

    file: Path
    kept: int
    lost: list[tuple[int, int]]
    people: int
    """How many residents can no longer be named, for what was sealed of them is damaged."""


def new_mark() -> str:
    """Return what makes the ids of one journal file its own."""
    return "".join(secrets.choice(MARK_LETTERS) for _ in range(MARK_LENGTH))


def finish(path: Path) -> None:
    """End a recovery that was cut off: a new journal that is complete takes its place, another one goes."""
    done, begun = beside(path, "recovered"), beside(path, "recovering")
    for side in SIDES:
        begun.with_name(begun.name + side).unlink(missing_ok=True)
    if not done.exists():
        return
    aside = free(path) if path.exists() else None
    for side in SIDES:
        old = path.with_name(path.name + side)
        if aside is not None and old.exists() and side != "-shm":
            target = aside.with_name(aside.name + side)
            target.unlink(missing_ok=True)
            os.link(old, target)
    sync(path.parent)
    for side in SIDES[1:]:  # before the new file has the name: a WAL that is not its own would damage it
        path.with_name(path.name + side).unlink(missing_ok=True)
    unsound(path).unlink(missing_ok=True)
    done.replace(path)
    sync(path.parent)


def unsound(path: Path) -> Path:
    """Return the file that stands beside a journal found damaged while it was in use."""
    return beside(path, "unsound")


def is_damage(error: Exception, path: Path) -> bool:
    """Say whether *error* is about what is in the file at *path*, and the file is one we can make anew."""
    if isinstance(error, sqlite3.DatabaseError):
        code: int = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if code not in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}:
            return False
    return migrations.schema_of(path) in {None, migrations.SCHEMA}


def beside(path: Path, word: str) -> Path:
    """Return the name of a file that belongs to the journal at *path*."""
    return path.with_name(f"{path.name}.{word}")


def damaged_files(folder: Path) -> list[Path]:
    """Return the damaged journals that lie moved aside in *folder*, the latest last."""
    found = [
        one for one in folder.glob("journal.db.damaged-*") if one.suffix.removeprefix(".damaged-").isdigit()
    ]
    return sorted(found, key=lambda one: int(one.suffix.removeprefix(".damaged-")))


def free(path: Path) -> Path:
    """Return the name the damaged file gets; the one it has already, where that was as far as it came."""
    known = damaged_files(path.parent)
    if known and known[-1].samefile(path):
        return known[-1]
    last = int(known[-1].suffix.removeprefix(".damaged-")) if known else 0
    return beside(path, f"damaged-{last + 1}")
