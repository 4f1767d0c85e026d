"""What a failed call of SQLite or of the kernel means: one of our errors, whose code has words for a person.

SQLite says "I/O error" for a disk that was made read-only, for one that is full where its shared memory was
to grow, and for one too many open files. So the folder is asked: a file without a name is written there, and
what the kernel answers to that is the cause.
"""

import errno
import os
import sqlite3
import subprocess
from pathlib import Path

from protocol.errors import DiskFull, JournalDamaged, StoreError

READ_FAILED = "store.read_failed"
PROBE_BYTES = 4096
LITTLE = 64 * 1024
"""Bytes free below which SQLite may fail to make its shared memory grow although a probe finds room."""
FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
TOO_MANY_FILES = frozenset({errno.EMFILE, errno.ENFILE})
UNNAMED_FILES_UNKNOWN = frozenset({errno.EOPNOTSUPP, errno.EISDIR, errno.ENOENT})
"""How a file system that knows no files without a name refuses one."""


def os_error(error: OSError, where: Path) -> StoreError:
    """Return what the kernel's error means for a journal at *where*."""
    detail = f"{where}: {error.strerror}"
    if error.errno in FULL:
        return DiskFull(detail)
    if error.errno == errno.EROFS:
        return StoreError(detail, code="store.read_only")
    if error.errno in TOO_MANY_FILES:
        return StoreError(detail, code="store.too_many_files")
    if error.errno == errno.EIO:
        return StoreError(detail, code="store.disk_failed")
    return StoreError(detail)


def store_error(error: sqlite3.Error, folder: Path | None = None, *, looked: bool = True) -> StoreError:
    """Return what SQLite's error means for a journal in *folder*; its own name for it is in the detail.

    SQLite says that a file is damaged also where the disk failed to give it once. As long as nobody has
    *looked* again that is `store.read_failed`.
    """
    code: int = getattr(error, "sqlite_errorcode", 0) & 0xFF
    detail = f"{getattr(error, 'sqlite_errorname', type(error).__name__)}: {error}"
    if code == sqlite3.SQLITE_FULL:
        return DiskFull(detail)
    if code in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}:
        return JournalDamaged(detail) if looked else StoreError(detail, code=READ_FAILED)
    if code == sqlite3.SQLITE_READONLY:
        return StoreError(detail, code="store.read_only")
    if code in {sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN}:
        cause = probed(folder) if folder is not None else None
        if cause is not None:
            cause.args = (cause.detail,) = (f"{detail}; {cause.detail}",)
            return cause
        if code == sqlite3.SQLITE_IOERR:
            return StoreError(detail, code="store.disk_failed")
    return StoreError(detail)


def must_be_readable(path: Path) -> None:
    """Have the journal's file and its WAL read. Raises StoreError `store.read_failed` where the disk fails.

    By a process of its own: whoever closes a file gives up all locks its process has on it, SQLite's too.
    """
    there = [one for one in (path, path.with_name(f"{path.name}-wal")) if one.exists()]
    command = ["/bin/cat", *map(str, there)]
    done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, check=False)  # noqa: S603
    if done.returncode:
        raise StoreError(done.stderr.decode(errors="replace").strip(), code=READ_FAILED)


def may_pass(error: Exception) -> bool:
    """Say whether an error of SQLite's may be of one call that the disk failed once."""
    code: int = getattr(error, "sqlite_errorcode", 0) & 0xFF
    return code in {sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}


def probed(folder: Path) -> StoreError | None:
    """Return what keeps files in *folder* from being written now; None where nothing does."""
    try:
        descriptor = os.open(folder, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            os.write(descriptor, bytes(PROBE_BYTES))
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        if error.errno not in UNNAMED_FILES_UNKNOWN:
            return os_error(error, folder)
    return _by_figures(folder)


def _by_figures(folder: Path) -> StoreError | None:
    """Judge by what the file system says of itself."""
    try:
        room = os.statvfs(folder)
    except OSError as error:
        return os_error(error, folder)
    if room.f_flag & os.ST_RDONLY:
        return os_error(OSError(errno.EROFS, os.strerror(errno.EROFS)), folder)
    if room.f_bavail * room.f_frsize < LITTLE:
        return os_error(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), folder)
    return None
