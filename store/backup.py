"""Copies of the journal beside a writing service: named only once they were read back from the medium.

A copy is made under a name that begins with a dot, flushed, dropped from the kernel's memory, read and
checked whole, compared with the moment it was taken at, and only then gets its own name. So whatever is
called a copy is one, wherever the power went; a bad one never takes the place of a good one.

`python -m store.backup` makes the copies of the schedule: in a process of its own, the least important one of
the box, so that no reading waits for it and a medium that hangs hangs nobody else.
"""

import contextlib
import errno
import os
import re
import sqlite3
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import msgspec

from protocol.errors import DiskFull, GatewayError, JournalDamaged, StoreError
from store import integrity
from store.durable import change_mode, sync
from store.faults import os_error, store_error
from store.integrity import Report

MADE = "%Y%m%dT%H%M%SZ"
NAME = re.compile(r"(?P<gateway>.+)-copy(?P<number>\d{6})-fact(?P<seq>\d+)-(?P<made>\d{8}T\d{6}Z)\.db")
LEAST_IMPORTANT = 19
MARGIN = 1.1
"""How much more room than the journal's size a copy is given."""
HEAD = "SELECT mark, seq, hash FROM head"


class Copy(NamedTuple):
    """One copy on the medium: the how manyth of its gateway, how far it reaches, when the box said it was."""

    path: Path
    number: int
    seq: int
    made: datetime


class Medium(NamedTuple):
    """Where copies go: a folder on another disk than the journal's, and how many are kept there."""

    folder: Path
    gateway: str
    keep: int


class Told(msgspec.Struct, frozen=True, omit_defaults=True):
    """What came of one look at the medium: the copy made, if one was due, or what is wrong."""

    copy: str = ""
    code: str = ""
    detail: str = ""


def part_of(target: Path) -> Path:
    """Return where a copy lies as long as it is not known to be good."""
    return target.with_name(f".{target.name}.part")


def copied(connection: sqlite3.Connection, target: Path) -> Report:
    """Copy the moment that *connection*'s transaction sees to the new file *target* (0600); return its check.

    *target* is there afterwards even if the check found problems, for these are the journal's own: a copy of
    a damaged journal is worth having. Raises StoreError where *target* exists or cannot be written,
    JournalDamaged where what was read back is not what was copied; then nothing is left of it.
    """
    if target.exists():
        raise os_error(FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST)), target)
    part = part_of(target)
    report = read_back(connection, part)
    try:
        _named(part, target)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise os_error(error, target) from error
    return report


def read_back(connection: sqlite3.Connection, part: Path) -> Report:
    """Write *part*, make it durable, and check what the medium gives back; removed if that fails."""
    try:
        os.close(os.open(part, os.O_CREAT | os.O_TRUNC | os.O_WRONLY | os.O_CLOEXEC, 0o600))
    except OSError as error:
        raise os_error(error, part) from error
    try:
        return _checked(connection, part)
    except BaseException as error:
        part.unlink(missing_ok=True)
        if isinstance(error, sqlite3.Error):
            raise store_error(error, part.absolute().parent) from error
        if isinstance(error, OSError):
            raise os_error(error, part) from error
        raise


def _checked(connection: sqlite3.Connection, part: Path) -> Report:
    head = connection.execute(HEAD).fetchone()  # with it the transaction begins to see its moment
    with contextlib.closing(sqlite3.connect(part, isolation_level=None)) as copy:
        copy.execute("PRAGMA synchronous = OFF")  # it is made durable as a whole
        connection.backup(copy)
        # One file that needs no companion: the copy may travel on a stick.
        change_mode(copy, "DELETE")
    descriptor = os.open(part, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(descriptor)
    with contextlib.closing(sqlite3.connect(f"file:{part}?mode=ro", uri=True, isolation_level=None)) as copy:
        report = integrity.check(copy)
        same = copy.execute(HEAD).fetchone() == head
    if not same:
        raise JournalDamaged(f"{part} is not what was copied")
    return report


def _named(part: Path, target: Path) -> None:
    """Give a finished copy its name, durably; never over anything. Raises OSError."""
    try:
        os.link(part, target)
    except FileExistsError:
        raise
    except OSError:  # a file system of sticks, which knows no second name
        os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600))
        part.replace(target)
    part.unlink(missing_ok=True)
    sync(target.absolute().parent)


def ready_file(path: Path) -> Path:
    """Return where the new journal waits once it is whole."""
    return path.with_name(f"{path.name}.restored")


def finish(path: Path) -> None:
    """End a restoring that was cut off: a whole new file waits, and nothing stands in its place any more.

    Where the old journal still stands there, what waits is void. Raises StoreError.
    """
    ready = ready_file(path)
    if not ready.exists():
        return
    try:
        if path.exists():
            ready.unlink()
            return
        for name in ("-wal", "-shm"):  # of what was moved aside
            path.with_name(f"{path.name}{name}").unlink(missing_ok=True)
        ready.rename(path)
        sync(path.parent)
    except OSError as error:
        raise os_error(error, path) from error


def copies(folder: Path, gateway: str) -> list[Copy]:
    """Return the copies of this gateway in *folder*, oldest first. Raises OSError.

    They are counted, not dated: neither a wrong clock nor a journal that was put back changes their order.
    """
    found = (NAME.fullmatch(path.name) for path in folder.iterdir())
    return sorted(
        (
            Copy(
                folder / name.group(),
                int(name["number"]),
                int(name["seq"]),
                datetime.strptime(name["made"], MADE).replace(tzinfo=UTC),
            )
            for name in found
            if name and name["gateway"] == gateway
        ),
        key=lambda copy: copy.number,
    )


def due(latest: Copy | None, seq: int, now: datetime, every: timedelta) -> bool:
    """Say whether another copy is due: a wrong clock can make that too often, never too seldom for long.

    Nothing is due while nothing was written since; a copy that seems to come from the future counts for old.
    """
    return latest is None or (latest.seq != seq and not timedelta() <= now - latest.made < every)


def put(source: Path, medium: Medium, now: datetime, every: timedelta) -> Copy | None:
    """Put a copy of the journal *source* on the medium if one is due; the oldest beyond `keep` go.

    Raises StoreError `backup.…` with what keeps it from being made; earlier copies are then as they were, but
    for those that had to give room: the newest of them always stays.
    """
    try:
        _must_be_another_disk(source, medium.folder)
        there = copies(medium.folder, medium.gateway)
        with _reading(source) as connection:
            _, seq, _ = connection.execute(HEAD).fetchone()
            if not due(there[-1] if there else None, seq, now, every):
                return None
            number = there[-1].number + 1 if there else 1
            name = f"{medium.gateway}-copy{number:06}-fact{seq}-{now:{MADE}}.db"
            _give_room(connection, medium, there)
            made = Copy(medium.folder / name, number, seq, now)
            _put(connection, made)
    except OSError as error:
        raise StoreError(f"{medium.folder}: {error.strerror}", code="backup.failed") from error
    except sqlite3.Error as error:
        raise store_error(error, source.parent) from error
    for old in copies(medium.folder, medium.gateway)[: -medium.keep]:
        old.path.unlink(missing_ok=True)
    return made


def _put(connection: sqlite3.Connection, made: Copy) -> None:
    part = part_of(made.path)
    try:
        report = read_back(connection, part)
        if report.problems:
            part.unlink()
            first = report.problems[0]
            raise StoreError(f"fact {first.seq}: {first.what}", code="backup.not_sound")
        _named(part, made.path)
    except DiskFull as full:
        raise StoreError(full.detail, code="backup.no_room") from full
    except JournalDamaged as bad:
        raise StoreError(bad.detail, code="backup.not_sound") from bad
    except StoreError as error:
        code = error.code if error.code.startswith("backup.") else "backup.failed"
        raise StoreError(error.detail, code=code) from error


def _must_be_another_disk(source: Path, folder: Path) -> None:
    """Refuse a medium that is not there: its empty mount point lies on the journal's own disk."""
    if not folder.is_dir():
        raise StoreError(f"{folder} is not there", code="backup.medium_missing")
    if folder.stat().st_dev == source.parent.stat().st_dev:
        raise StoreError(f"{folder} lies on the journal's own disk", code="backup.medium_missing")


def _give_room(connection: sqlite3.Connection, medium: Medium, there: list[Copy]) -> None:
    """Remove what was left of copies cut off, and old copies as far as the new one needs their room."""
    for part in medium.folder.glob(f".{medium.gateway}-copy*.part*"):
        part.unlink()
    pages, size = (connection.execute(f"PRAGMA {what}").fetchone()[0] for what in ("page_count", "page_size"))
    for old in there[:-1]:
        disk = os.statvfs(medium.folder)
        if disk.f_bavail * disk.f_frsize >= pages * size * MARGIN:
            return
        old.path.unlink()


@contextlib.contextmanager
def _reading(source: Path) -> Iterator[sqlite3.Connection]:
    """Lend a connection that sees one moment of the journal and cannot write."""
    uri = f"{source.absolute().as_uri()}?mode=ro"
    with contextlib.closing(sqlite3.connect(uri, uri=True, isolation_level=None)) as connection:
        connection.execute("PRAGMA busy_timeout = 5000")
        connection.execute("BEGIN")
        yield connection


def main(source: str, folder: str, gateway: str, keep: str, every_h: str) -> None:
    """Put a copy on the medium if one is due, and print what came of it as one line of JSON."""
    with contextlib.suppress(OSError):
        os.nice(LEAST_IMPORTANT)
    medium = Medium(Path(folder), gateway, int(keep))
    try:
        made = put(Path(source), medium, datetime.now(UTC), timedelta(hours=float(every_h)))
        told = Told(copy=made.path.name if made else "")
    except GatewayError as error:
        told = Told(code=error.code, detail=error.detail)
    sys.stdout.write(msgspec.json.encode(told).decode() + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
