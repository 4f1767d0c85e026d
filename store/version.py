"""Which SQLite is at work, whether it will do, and whether it has the fault that two writers meet."""

import sqlite3

from protocol.errors import StoreError

OLDEST = (3, 37, 0)
"""Before it there are no STRICT tables, and a value of the wrong kind would be stored."""
WAL_RACE_MENDED = (3, 51, 3)
WAL_RACE_MENDED_TOO = frozenset({(3, 44, 6), (3, 50, 7)})
"""Before it, but for these, two connections writing or checkpointing at once can damage a WAL file; the
journal has one."""


def sqlite() -> tuple[int, int, int]:
    """Return the version of the SQLite library."""
    return sqlite3.sqlite_version_info


def two_writers_are_safe() -> bool:
    """Return whether this SQLite would survive a second writing connection."""
    return sqlite() >= WAL_RACE_MENDED or sqlite() in WAL_RACE_MENDED_TOO


def must_be_suitable() -> None:
    """Raise StoreError `store.sqlite_unsuitable` where this SQLite cannot keep a journal's promises."""
    if sqlite() < OLDEST:
        wanted, found = (".".join(map(str, one)) for one in (OLDEST, sqlite()))
        raise StoreError(f"SQLite {found} is older than {wanted}", code="store.sqlite_unsuitable")
    if sqlite3.threadsafety == 0:
        raise StoreError("SQLite was built for one thread only", code="store.sqlite_unsuitable")
