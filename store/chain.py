"""The hash chain: what a fact's hash covers, and how a stored chain is checked.

A fact's hash covers the hash of its body, not the body itself, so that bodies can be pruned one day and the
chain still holds.
"""

from collections.abc import Iterable, Iterator
from hashlib import sha256
from struct import Struct
from typing import NamedTuple

GENESIS = bytes(32)
"""What the first fact of a journal from before there were signatures names as its predecessor."""

_LENGTH = Struct(">I").pack
_NUMBER = Struct(">IQI").pack
"""The number's length, the number, the length of what follows."""


class Link(NamedTuple):
    """The chained part of a stored fact; `body` is None where it was pruned."""

    seq: int
    id: str
    at: bytes
    body: bytes | None
    body_hash: bytes
    prev: bytes
    hash: bytes


class Problem(NamedTuple):
    """What does not hold, and at which fact."""

    seq: int
    what: str


def digest(prev: bytes, seq: int, fact: str, at: bytes, body_hash: bytes) -> bytes:
    """Return SHA-256 over (prev, seq, id, at, body hash), each part behind its length in 4 bytes, big-endian.

    `seq` is 8 bytes big-endian, `at` the stored JSON of the instant, so no two different facts encode alike.
    """
    name = fact.encode()
    number = _NUMBER(8, seq, len(name))
    parts = (_LENGTH(len(prev)), prev, number, name, _LENGTH(len(at)), at, _LENGTH(len(body_hash)), body_hash)
    return sha256(b"".join(parts)).digest()


def root(key: str, seals: bytes, signs: bytes) -> bytes:
    """Return what the first fact of any other journal names: its first key's name and public halves, hashed.

    So whoever knows a later link knows for certain which key may sign.
    """
    return sha256(b"checkup-gateway root 1\x00" + key.encode() + seals + signs).digest()


def problems(links: Iterable[Link], after: int = 0, prev: bytes = GENESIS) -> Iterator[Problem]:
    """Yield what is wrong with *links* in ascending seq, which must go on from fact *after* with hash *prev*.

    One damaged fact gives the problems of its own row and, where its successor no longer fits, of that one.
    """
    for link in links:
        if link.seq != after + 1:
            yield Problem(after + 1, f"facts {after + 1} to {link.seq - 1} are missing")
        if link.prev != prev:
            yield Problem(link.seq, "does not continue the fact before it")
        if link.body is not None and sha256(link.body).digest() != link.body_hash:
            yield Problem(link.seq, "its body was changed")
        if digest(link.prev, link.seq, link.id, link.at, link.body_hash) != link.hash:
            yield Problem(link.seq, "its hash does not fit what it holds")
        after, prev = link.seq, link.hash
