"""Places in the journal as others keep them: which fact somebody has come to, and that it was this one.

A restore gives places a second time (`store/restore.py`). So a cursor names the fact by its hash too: whoever
comes with one that this journal does not have goes on where the restored copy ended, and misses nothing.
"""

import re
import sqlite3
from collections.abc import Iterator
from typing import NamedTuple

from protocol.errors import RequestRefused
from store import rows
from store.facts import Audited

MEASUREMENTS, ENTRIES = "v", "a"
"""The first letter says what is counted."""
RESTORED = "restored"
DIGITS = 8
"""Of a fact's hash in hex: enough to tell one journal's two facts of the same place apart."""
_FORM = re.compile(r"([a-z])(?:1-(\d{1,18})|2-(\d{1,18})-([0-9a-f]{8}))", re.ASCII)


class Cursor(NamedTuple):
    """Up to the fact at `seq`; `hashed` is None in the form that earlier releases gave."""

    seq: int
    hashed: str | None


def read(text: str | None, what: str) -> Cursor:
    """Return what a cursor of ours says, the beginning for none. Raises RequestRefused `request.cursor`."""
    if text is None:
        return Cursor(0, None)
    found = _FORM.fullmatch(text)
    if found is None or found[1] != what:
        raise RequestRefused(text, code="request.cursor")
    return Cursor(int(found[2] or found[3]), found[4])


def written(connection: sqlite3.Connection, seq: int, what: str) -> str:
    """Return the cursor of the fact at *seq*; of a place without one, in the earlier form."""
    hashed = _hashed(connection, seq)
    return f"{what}1-{seq}" if hashed is None else f"{what}2-{seq}-{hashed}"


def begun(connection: sqlite3.Connection, text: str | None, what: str) -> int:
    """Return the seq after which whoever comes with this cursor goes on.

    That is the cursor's own unless this journal was put back from a copy since. Then it is where the copy
    ended, or the beginning where that cannot be said. Raises RequestRefused `request.cursor`.
    """
    cursor = read(text, what)
    here = _hashed(connection, cursor.seq)
    if cursor.seq == 0 or (here is not None and here == cursor.hashed):
        return cursor.seq
    ends = [end for end in _ends(connection) if end < cursor.seq]
    if ends:
        return min(ends)
    (top,) = connection.execute("SELECT coalesce(max(seq), 0) FROM facts").fetchone()
    unsaid = here is None or cursor.hashed is None  # a fact lost with a damaged file, or a cursor of old
    return cursor.seq if unsaid and cursor.seq <= top else 0


def _hashed(connection: sqlite3.Connection, seq: int) -> str | None:
    row: tuple[bytes] | None = connection.execute("SELECT hash FROM facts WHERE seq = ?", (seq,)).fetchone()
    return row[0].hex()[:DIGITS] if row else None


def _ends(connection: sqlite3.Connection) -> Iterator[int]:
    """Yield, for each time this journal was put back, the last fact that was also in what stood there."""
    for (seq,) in connection.execute("SELECT seq FROM audits WHERE what = ?", (RESTORED,)).fetchall():
        fact = rows.fact(connection, seq)
        said = fact.body.detail if fact is not None and isinstance(fact.body, Audited) else {}
        stood = int(said.get("stood", "0"))
        yield int(said.get("lost_after" if stood else "copy", "0"))
