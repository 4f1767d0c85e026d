"""What makes a file durable: its bytes and its name synced, and the way in which SQLite writes it."""

import os
import sqlite3
from pathlib import Path


def sync(path: Path) -> None:
    """Make a file's bytes, or the names in a folder, durable. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def change_mode(connection: sqlite3.Connection, mode: str) -> None:
    """Change how the file is written: `WAL` or `DELETE`. Raises sqlite3.Error where that could not be done.

    SQLite names the new mode first and commits the change to the file after it; whoever does not read on is
    not told that this failed, and the connection calls the mode by its new name while it writes in the old.
    """
    connection.execute(f"PRAGMA journal_mode = {mode}").fetchall()
