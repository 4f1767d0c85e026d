"""What commands took out while the service stood still: in a file until its next start.

Only the service writes the journal. A line is on disk before the command goes on; a start that is cut off
does not write it twice, for each has a mark of its own.
"""

import fcntl
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from store.durable import sync
from store.facts import Audited

NAME = "audit.pending"
MARK = "mark"
_decode = msgspec.json.Decoder(Audited).decode


def keep(state: Path, entry: Audited) -> None:
    """Note *entry* beside the journal, durably. Raises OSError."""
    entry = msgspec.structs.replace(entry, detail={**entry.detail, MARK: secrets.token_hex(6)})
    with _held(state / NAME, os.O_RDWR | os.O_CREAT) as file:
        folder = state.stat()
        if os.geteuid() == 0:
            os.fchown(file, folder.st_uid, folder.st_gid)
        # A line that a power cut left torn stays one of its own.
        torn = os.fstat(file).st_size and os.pread(file, 1, os.fstat(file).st_size - 1) != b"\n"
        os.lseek(file, 0, os.SEEK_END)
        os.write(file, (b"\n" if torn else b"") + msgspec.json.encode(entry) + b"\n")
        os.fsync(file)
        sync(state)


@contextmanager
def taken(state: Path) -> Iterator[list[Audited]]:
    """Lend what was noted, oldest first; it is forgotten when the block ends without an error.

    What cannot be read as an entry becomes one that says so. Raises BlockingIOError while a command writes.
    """
    path = state / NAME
    if not path.exists():
        yield []
        return
    with _held(path, os.O_RDWR, fcntl.LOCK_NB) as file:
        lines = os.pread(file, os.fstat(file).st_size, 0).splitlines()
        yield [_entry(line) for line in lines if line]
        path.unlink()
        sync(state)


def _entry(line: bytes) -> Audited:
    try:
        return _decode(line)
    except msgspec.MsgspecError:
        return Audited("command:unknown", "unreadable", NAME)


@contextmanager
def _held(path: Path, flags: int, way: int = 0) -> Iterator[int]:
    """Lend the file, nobody else writing it; the one that stands there once it is ours."""
    while True:
        file = os.open(path, flags | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | way)
            if os.fstat(file).st_nlink:
                yield file
                return
        finally:
            os.close(file)
