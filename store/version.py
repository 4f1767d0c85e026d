"""Which SQLite is at work, and whether it has the fault that two writers meet in WAL mode."""

import sqlite3

WAL_RACE_MENDED = (3, 51, 3)
"""Before it, two connections writing or checkpointing at once can damage a WAL file; the journal has one."""


def sqlite() -> tuple[int, int, int]:
    """Return the version of the SQLite library."""
    return sqlite3.sqlite_version_info


def two_writers_are_safe() -> bool:
    """Return whether this SQLite would survive a second writing connection."""
    return sqlite() >= WAL_RACE_MENDED
