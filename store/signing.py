"""The chain's end signed at each commit, and a signed end kept now and then: who wrote it, not only what.

A journal's chain begins with its first key (`chain.root`, signed and kept as end 0); a `KeyChanged` names
each further one, and the key before signs that fact.

Each signature covers the place and hash of the last fact and where the signed end kept before it lies, so one
that is taken away is missed. The key is made of the same secret as the one to names (`store/keyring.py`).
"""

import sqlite3
from collections.abc import Sequence
from struct import error, pack
from typing import NamedTuple

from store import chain, vault
from store.facts import Fact, KeyChanged
from store.keyring import Key
from store.vault import Ring

KEEP = 100
"""A signed end is kept once so many facts follow the one kept before: about 180 bytes for 100 facts."""
PURPOSE = b"checkup-gateway head 1\x00"
KEPT = "SELECT seq, hash, after, key, signature FROM heads"


class SignedHead(NamedTuple):
    """An end of the chain with its signature; `after` is the seq of the kept one before it, 0: none."""

    seq: int
    hash: bytes
    after: int
    key: str
    signature: bytes


def message(seq: int, digest: bytes, after: int) -> bytes:
    """Return the bytes a signature is made over."""
    return PURPOSE + pack(">Q32sQ", seq, digest, after)


def holds(public: bytes, head: SignedHead) -> bool:
    """Say whether *head* was signed with the key whose public half this is."""
    from store import cipher  # noqa: PLC0415

    try:
        signed = message(head.seq, head.hash, head.after)
    except error:  # a place or a hash that cannot be one
        return False
    return cipher.verified(public, signed, head.signature)


def write(connection: sqlite3.Connection, ring: Ring, end: tuple[int, bytes], facts: Sequence[Fact]) -> None:
    """Note the chain's new end after *facts*, the facts of this commit, and sign it with the key in force.

    A commit that changes the key is signed with the one before, which so vouches for the new one. Without the
    key the end is noted unsigned; the next commit with it covers everything before.
    """
    seq, digest = end
    kept: int = connection.execute("SELECT coalesce(max(seq), 0) FROM heads").fetchone()[0]
    changes = [fact.body for fact in facts if isinstance(fact.body, KeyChanged)]
    key = _signer(connection, ring, changes)
    if key is None:
        connection.execute("UPDATE head SET seq = ?, hash = ?, key = NULL, signature = NULL", (seq, digest))
        return
    from store import cipher  # noqa: PLC0415 - only now, on the writer's thread: a start does not wait for it

    signature = cipher.sign(key, message(seq, digest, kept))
    connection.execute(
        "UPDATE head SET seq = ?, hash = ?, key = ?, signature = ?", (seq, digest, key.id, signature)
    )
    if changes or seq - kept >= KEEP or seq == 0:
        connection.execute("INSERT INTO heads VALUES (?, ?, ?, ?, ?)", (seq, digest, kept, key.id, signature))


def _signer(connection: sqlite3.Connection, ring: Ring, changes: Sequence[KeyChanged]) -> Key | None:
    """Return the key to sign with, None where it is not at hand or no fact has named it yet."""
    if not changes:
        return ring.keys.get(ring.current) if vault.may_sign(connection, ring.current) else None
    before: tuple[str] | None = connection.execute(
        "SELECT id FROM keys WHERE signs IS NOT NULL ORDER BY turn DESC LIMIT 1 OFFSET ?", (len(changes),)
    ).fetchone()
    if before is not None and not changes[0].lost and before[0] in ring.keys:
        return ring.keys[before[0]]
    return ring.keys.get(ring.current)


def root(connection: sqlite3.Connection) -> bytes:
    """Return what the first fact must name as its predecessor."""
    row: tuple[bytes] | None = connection.execute("SELECT hash FROM heads WHERE seq = 0").fetchone()
    return row[0] if row else chain.GENESIS


def newest(connection: sqlite3.Connection) -> SignedHead | None:
    """Return the chain's end as the last commit signed it; None where it is unsigned."""
    row: tuple[int, bytes, str | None, bytes | None] | None = connection.execute(
        "SELECT seq, hash, key, signature FROM head"
    ).fetchone()
    if row is None or row[2] is None or row[3] is None:
        return None
    kept: tuple[int] = connection.execute(
        "SELECT coalesce(max(seq), 0) FROM heads WHERE seq < ?", (row[0],)
    ).fetchone()
    return SignedHead(row[0], row[1], kept[0], row[2], row[3])


def covering(connection: sqlite3.Connection, seq: int) -> SignedHead | None:
    """Return the first signed end at or after fact *seq*; None where nothing signed lies there yet."""
    row: tuple[int, bytes, int, str, bytes] | None = connection.execute(
        f"{KEPT} WHERE seq >= ? ORDER BY seq LIMIT 1", (seq,)
    ).fetchone()
    if row is not None:
        return SignedHead(*row)
    last = newest(connection)
    return last if last is not None and last.seq >= seq else None
