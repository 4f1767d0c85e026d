"""The chain's end, and what every command of one journal writes with."""

import sqlite3
from collections.abc import Callable, Sequence
from typing import NamedTuple

from store import clocks
from store.facts import Instant
from store.room import Room
from store.vault import Vault


class Head(NamedTuple):
    """The chain's end; undone with the facts after it."""

    seq: int
    hash: bytes
    at: Instant | None = None
    """When its fact was written; None where there is none."""
    course: Instant | None = None
    """Where the course began that our clock was on; None in an empty journal."""

    @classmethod
    def of(cls, connection: sqlite3.Connection, seq: int, digest: bytes) -> "Head":
        """Return the end of what stands in a file."""
        return cls(seq, digest, clocks.written_at(connection, seq), clocks.course(connection))


class Pen(NamedTuple):
    """What every command of one journal writes with; `mark` is this journal file's own, born with it."""

    connection: sqlite3.Connection
    gateway: str
    mark: str
    now: Callable[[], Instant]
    forwarders: Sequence[str]
    vault: Vault
    room: Room | None = None
