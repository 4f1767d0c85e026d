"""What a measurement rests on, with all that somebody without the journal needs to check it.

The check, in a few lines of any language: SHA-256 of `body` is `body_hash`; `links` lead from `prev` to the
signed end, each `hash` being SHA-256 over (hash before, seq, id, at, body hash), each part behind its length
in 4 bytes (`store/chain.py`); Ed25519 holds for `signature.message` under `signature.public`.
"""

import sqlite3
from hashlib import sha256
from typing import TypedDict

import msgspec

from protocol.errors import JournalDamaged
from store import rows, signing, vault
from store.facts import Received
from store.vault import Ring


class Linked(TypedDict):
    """One fact of the chain without its body; hashes in hex, `at` as it is stored."""

    seq: int
    id: str
    at: str
    body_hash: str
    hash: str


class Signature(TypedDict):
    """The first signed end at or after the fact; everything in hex but the key's name and seqs.

    `message` is what was signed: the words `checkup-gateway head 1`, a zero byte, the end's seq in 8 bytes
    big-endian, its hash, and in 8 bytes the seq of the signed end kept before it.
    """

    key: str
    public: str
    seq: int
    hash: str
    after: int
    message: str
    signature: str


class Evidence(TypedDict):
    """What a measurement rests on; `frames` and `sha256` are None or empty for one that was typed in.

    `sha256` covers the frames given. Where one may name a person these are the frames as they came; if the
    key to them is not at hand or was destroyed, what stands open in the fact. `sealed` is what stands sealed
    there: the hash that was sent out covers the open frames and then this. `body` is the fact's as it is
    stored, None and without frames where retention let it go. `links` go from this fact to the signed end, or
    without a signature to the last fact.
    """

    measurement: str
    device: str | None
    driver: str | None
    frames: list[str]
    sha256: str | None
    sealed: str | None
    seq: int
    fact: str
    received: str
    hash: str
    prev: str
    body: str | None
    links: list[Linked]
    signature: Signature | None


def of(connection: sqlite3.Connection, ring: Ring, key: str) -> Evidence | None:
    """Return a measurement's evidence. Raises JournalDamaged where its fact is missing."""
    measurement = rows.measurement(connection, key)
    if measurement is None:
        return None
    row: tuple[str, bytes, bytes | None, bytes, bytes] | None = connection.execute(
        "SELECT id, at, body, prev, hash FROM facts WHERE seq = ?", (measurement.received_seq,)
    ).fetchone()
    if row is None:
        raise JournalDamaged(f"fact {measurement.received_seq} is missing")
    fact, at, body, prev, digest = row
    frames, sealed = _frames(connection, ring, fact, body)
    came = sha256(bytes.fromhex("".join(frames))).hexdigest()
    signature = _signature(connection, measurement.received_seq)
    return Evidence(
        measurement=key,
        device=measurement.device,
        driver=measurement.driver,
        frames=frames,
        sha256=measurement.evidence_sha256 if sealed is None else came,
        sealed=sealed,
        seq=measurement.received_seq,
        fact=fact,
        received=rows.decode_instant(at).utc.isoformat(),
        hash=digest.hex(),
        prev=prev.hex(),
        body=body.decode() if body is not None else None,
        links=_links(connection, measurement.received_seq, signature),
        signature=signature,
    )


def _frames(
    connection: sqlite3.Connection, ring: Ring, fact: str, body: bytes | None
) -> tuple[list[str], str | None]:
    """Return a measurement's frames as they came, if that can be read, and what is sealed of them."""
    said = rows.decode_body(body) if body is not None else None
    if not isinstance(said, Received):
        return [], None
    secret = vault.open_fact(connection, ring, fact, said.sealed) if said.sealed is not None else None
    if secret is None:
        return said.evidence, said.sealed
    return msgspec.json.decode(secret, type=list[str]), said.sealed


def _signature(connection: sqlite3.Connection, seq: int) -> Signature | None:
    head = signing.covering(connection, seq)
    if head is None:
        return None
    row: tuple[bytes | None] | None = connection.execute(
        "SELECT signs FROM keys WHERE id = ?", (head.key,)
    ).fetchone()
    if row is None or row[0] is None:
        return None
    return Signature(
        key=head.key,
        public=row[0].hex(),
        seq=head.seq,
        hash=head.hash.hex(),
        after=head.after,
        message=signing.message(head.seq, head.hash, head.after).hex(),
        signature=head.signature.hex(),
    )


def _links(connection: sqlite3.Connection, seq: int, signature: Signature | None) -> list[Linked]:
    last = signature["seq"] if signature is not None else seq + signing.KEEP
    found = connection.execute(
        "SELECT seq, id, at, body_hash, hash FROM facts WHERE seq BETWEEN ? AND ? ORDER BY seq", (seq, last)
    )
    return [
        Linked(seq=one, id=name, at=at.decode(), body_hash=body_hash.hex(), hash=digest.hex())
        for one, name, at, body_hash, digest in found
    ]
