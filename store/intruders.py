"""Other programs at the journal: SQLite before 3.51.3 can be damaged when two write or checkpoint at once.

A second gateway is kept out by the lock file. A program that knows nothing of that (the sqlite3 shell, a tool
that copies the WAL away) is looked for at the start among those that hold the file open for writing, and is
noticed later by what it leaves behind: a changed data version, or a WAL that began anew without us.
"""

import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from struct import unpack_from

from protocol.errors import JournalHeld, StoreError

PROC = Path("/proc")
WAL_HEADER = 16
"""Up to the end of the checkpoint sequence number, which counts how often the WAL began anew."""


def refuse_writers(path: Path) -> None:
    """Raise JournalHeld naming the program where another one holds the journal open for writing.

    What this user may not look at stays unseen: it is noticed when it writes. Without a WAL nobody has the
    journal open: whoever leaves last takes it away.
    """
    if not path.with_name(f"{path.name}-wal").exists():
        return
    for pid, name in _writers(path):
        raise JournalHeld(f"{path}: open for writing in {name} (process {pid})")


def _writers(path: Path) -> Iterator[tuple[int, str]]:
    try:
        wanted = path.stat()
    except OSError:
        return
    for process in PROC.glob("[0-9]*"):
        if process.name != str(os.getpid()) and _writes(process, wanted):
            yield int(process.name), _name(process)


def _writes(process: Path, wanted: os.stat_result) -> bool:
    try:
        for descriptor in (process / "fd").iterdir():
            found = descriptor.stat()
            if (found.st_dev, found.st_ino) == (wanted.st_dev, wanted.st_ino):
                told = (process / "fdinfo" / descriptor.name).read_text().partition("flags:")[2]
                if int(told.split()[0], 8) & os.O_ACCMODE != os.O_RDONLY:
                    return True
    except (OSError, IndexError, ValueError):
        pass  # it ended meanwhile, or is another user's
    return False


def _name(process: Path) -> str:
    try:
        return (process / "comm").read_text().strip()
    except OSError:
        return "a program"


class Watch:
    """Notices on one writing connection that somebody else writes or checkpoints."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        file: str = connection.execute("PRAGMA database_list").fetchone()[2]
        self._wal = Path(f"{file}-wal")
        self._version = self._data_version()
        self._turn: int | None = None
        self._ours = 0
        """Checkpoints of ours since the WAL last told its turn: each lets it begin anew once."""
        self._found: StoreError | None = None

    def _data_version(self) -> int:
        found: int = self._connection.execute("PRAGMA data_version").fetchone()[0]
        return found

    def must_be_alone(self) -> None:
        """Raise StoreError `store.second_writer` or `store.side_car`; asked inside each transaction."""
        if self._found is None and self._data_version() != self._version:
            self._found = StoreError("another program wrote to the journal", code="store.second_writer")
        if self._found is not None:
            raise self._found

    def before_checkpoint(self) -> None:
        """Look whether the WAL began anew more often than our own checkpoints allow."""
        turn = self._wal_turn()
        if turn is not None and self._turn is not None and turn > self._turn + self._ours:
            self._found = StoreError("another program checkpoints the journal", code="store.side_car")
        if turn is not None:
            self._turn, self._ours = turn, 0
        self._ours += 1

    def _wal_turn(self) -> int | None:
        try:
            with self._wal.open("rb") as file:
                header = file.read(WAL_HEADER)
        except OSError:
            return None
        return int(unpack_from(">I", header, 12)[0]) if len(header) == WAL_HEADER else None
