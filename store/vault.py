"""People's names and numbers under lock: what the database keeps of them, and the key that is kept elsewhere.

Each resident has a data key of their own, wrapped by the key in the key file. Destroying the data key makes
the person unknown for ever, in this file, without touching a fact. A data key's row never changes its size,
so that SQLite overwrites it where it lies. The cipher is loaded only when something is sealed or opened.
"""

import contextlib
import sqlite3
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec

from protocol.errors import JournalDamaged, RequestRefused, StoreError
from store import keyring
from store.keyring import Key
from store.residents import Hidden, Resident, Unnamed

ERASED = "0" * 16
"""Stands where the key's name stood once a data key was destroyed."""
PADDING = 64
"""A sealed person's size says no more than how often this many bytes fit."""
FACT = "fact:"
"""Begins the owner of a data key that is not a resident's, before the fact's id."""
PEOPLE = """SELECT p.id, k.key, k.wrapped, p.sealed FROM persons AS p
            LEFT JOIN data_keys AS k ON k.owner = p.id"""

PersonRow = tuple[str, str, bytes, bytes]
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Resident).decode


@dataclass(frozen=True, slots=True)
class Ring:
    """The keys at hand, and how they fit the journal; `fault` is the code of what is wrong, if anything."""

    keys: Mapping[str, Key]
    current: str
    """The key that everything new is sealed with, whether it is at hand or not."""
    public: bytes
    first: str | None = None
    """The key that the key file names first: another than the current one is to take its place."""
    fault: str | None = None
    detail: str = ""

    @property
    def due(self) -> bool:
        """Say whether the key file asks for another key."""
        return self.fault is None and self.first not in {None, self.current}

    def key(self) -> Key:
        """Return the current key. Raises RequestRefused with the fault's code where it is not at hand."""
        if self.fault is not None:
            raise RequestRefused(self.detail, code=self.fault)
        return self.keys[self.current]

    def digests(self, value: str) -> list[bytes]:
        """Return what a number is looked up by, under every key at hand, the current one's first."""
        found = {name: key.digest(value) for name, key in self.keys.items()}
        current = found.pop(self.current, None)
        return [*([current] if current is not None else []), *found.values()]


class Vault:
    """One journal's key file and what it opens; usable from any thread.

    As long as the right key is missing it is looked for anew each time, so that a key put back works at once;
    once it was read the file may go.
    """

    def __init__(self, key_file: Path | None) -> None:
        """None: nothing can be opened."""
        self._file = key_file
        self._ring: Ring | None = None

    def ring(self, connection: sqlite3.Connection) -> Ring:
        """Return the keys as they fit the journal behind *connection*."""
        found = self._ring
        if found is None or found.fault is not None:
            found = self._ring = self._read(connection)
        return found

    def look_again(self, connection: sqlite3.Connection) -> Ring:
        """Read the key file anew and return what is at hand now: a key once read stays so until the end."""
        self._ring = self._read(connection)
        return self._ring

    def at_hand(self) -> list[Key]:
        """Return the keys in the key file, none where it cannot be read."""
        try:
            return [Key.of(secret) for secret in keyring.read(self._file)] if self._file is not None else []
        except StoreError:
            return []

    def begin(self, connection: sqlite3.Connection) -> Ring:
        """Give a journal that seals nothing yet its first key, making the key file where there is none.

        Runs inside a transaction. A journal that has a key keeps it, at hand or not: over names that are
        sealed no new key is ever made by itself. Raises StoreError `vault.key_…`.
        """
        if _current(connection) is None:
            if self._file is None:
                raise StoreError("no key file is named", code="vault.key_missing")
            try:
                first = keyring.read(self._file)[0]
            except StoreError as missing:
                if missing.code != "vault.key_missing":
                    raise
                first = keyring.make(self._file)
            keyring.secure(self._file)
            _appoint(connection, Key.of(first))
        return self.look_again(connection)

    def appoint(self, connection: sqlite3.Connection, *, over_lost: bool) -> Ring:
        """Make the key that the key file names first the current one; nothing changes where it is already.

        Where the current key is not at hand that is a person's decision, *over_lost*: what was sealed with it
        stays hidden until it is found again. Raises RequestRefused `vault.key_…`.
        """
        ring = self.look_again(connection)
        if ring.first is None:
            raise RequestRefused(ring.detail, code=ring.fault or "vault.key_missing")
        if ring.fault is not None and not over_lost:
            raise RequestRefused(ring.detail, code=ring.fault)
        if ring.first != ring.current:
            assert self._file is not None
            keyring.secure(self._file)
            _appoint(connection, ring.keys[ring.first])
            ring = self.look_again(connection)
        return ring

    def introduce(self, connection: sqlite3.Connection) -> tuple[bytes, bytes]:
        """Let the current key sign from now on; return its public halves: the sealing and the checking one.

        The caller writes the fact that names them. Raises RequestRefused `vault.key_…` without the key.
        """
        from store import cipher  # noqa: PLC0415

        key = self.ring(connection).key()
        checking = cipher.checking_half(key)
        connection.execute("UPDATE keys SET signs = ? WHERE id = ?", (checking, key.id))
        return cipher.public_half(key), checking

    def _read(self, connection: sqlite3.Connection) -> Ring:
        current, public = _current(connection) or ("", b"")
        known = self._ring.keys if self._ring else {}
        found, fault, detail = list[Key](), "vault.key_missing", "no key file is named"
        if self._file is not None:
            try:
                found = [Key.of(secret) for secret in keyring.read(self._file)]
                fault, detail = "vault.key_foreign", f"{self._file}: key {current} is not in it"
            except StoreError as missing:
                fault, detail = missing.code, missing.detail
        at_hand = {**known, **{key.id: key for key in found}}
        first = found[0].id if found else None
        return Ring(at_hand, current, public, first, None if current in at_hand else fault, detail)


def _current(connection: sqlite3.Connection) -> tuple[str, bytes] | None:
    row: tuple[str, bytes] | None = connection.execute(
        "SELECT id, public FROM keys ORDER BY turn DESC LIMIT 1"
    ).fetchone()
    return row


def _appoint(connection: sqlite3.Connection, key: Key) -> None:
    from store import cipher  # noqa: PLC0415

    connection.execute(
        """INSERT OR REPLACE INTO keys(turn, id, public)
           VALUES ((SELECT ifnull(max(turn), 0) + 1 FROM keys), ?, ?)""",
        (key.id, cipher.public_half(key)),
    )


def may_sign(connection: sqlite3.Connection, key: str) -> bool:
    """Say whether a fact has named this key's half to check signatures with."""
    found = connection.execute("SELECT 1 FROM keys WHERE id = ? AND signs IS NOT NULL", (key,)).fetchone()
    return found is not None


def document(ring: Ring, row: PersonRow) -> bytes:
    """Return a resident as JSON; an `Unnamed` one where the name was erased or cannot be shown now."""
    found = _opened(ring, row)
    return found if isinstance(found, bytes) else _encode(Unnamed(row[0], hidden=found))


def person(ring: Ring, row: PersonRow) -> Resident:
    """Return the same as a value."""
    found = _opened(ring, row)
    return _decode(found) if isinstance(found, bytes) else Unnamed(row[0], hidden=found)


def _opened(ring: Ring, row: PersonRow) -> bytes | Hidden:
    from store import cipher  # noqa: PLC0415

    owner, name, wrapped, sealed = row
    if name == ERASED:
        return "erased"
    key = ring.keys.get(name)
    if key is None:
        return "key_missing"
    try:
        return cipher.unseal(cipher.unwrap(key, wrapped, owner), sealed, owner).rstrip(b" ")
    except JournalDamaged:
        return "damaged"


def resident(connection: sqlite3.Connection, ring: Ring, key: str) -> Resident | None:
    """Return who a resident key stands for."""
    row: PersonRow | None = connection.execute(f"{PEOPLE} WHERE p.id = ?", (key,)).fetchone()
    return person(ring, row) if row else None


def keep(connection: sqlite3.Connection, ring: Ring, known: Resident) -> None:
    """Write who a resident is, and what they are found by. Raises RequestRefused without the current key."""
    from store import cipher  # noqa: PLC0415

    key, owner = ring.key(), known.id
    held = _held(connection, owner)
    data_key = _data_key(ring, owner, held) if held else keyring.new()
    if data_key is None:
        raise RequestRefused(owner, code="vault.key_missing")
    if held is None:
        _hold(connection, owner, key.id, cipher.wrap(key, data_key, owner))
    written = _encode(known)
    written = written.ljust(-(-len(written) // PADDING) * PADDING)
    connection.execute(
        "INSERT INTO persons VALUES (?, ?) ON CONFLICT (id) DO UPDATE SET sealed = excluded.sealed",
        (owner, cipher.seal(data_key, written, owner)),
    )
    file_under(connection, key, known)


def file_under(connection: sqlite3.Connection, key: Key, known: Resident) -> None:
    """Write what a resident is found by, as far as nobody is found by it."""
    connection.executemany(
        "INSERT OR IGNORE INTO lookups(digest, system, resident) VALUES (?, ?, ?)",
        [(key.digest(one.value), one.system, known.id) for one in known.identifiers],
    )


def _held(connection: sqlite3.Connection, owner: str) -> tuple[str, bytes] | None:
    row: tuple[str, bytes] | None = connection.execute(
        "SELECT key, wrapped FROM data_keys WHERE owner = ?", (owner,)
    ).fetchone()
    return row


def _data_key(ring: Ring, owner: str, held: tuple[str, bytes]) -> bytes | None:
    """Return a data key; None where it was destroyed or its key is not at hand."""
    from store import cipher  # noqa: PLC0415

    key = ring.keys.get(held[0])
    return cipher.unwrap(key, held[1], owner) if key else None


def _hold(connection: sqlite3.Connection, owner: str, name: str, wrapped: bytes) -> None:
    connection.execute(
        """INSERT INTO data_keys(owner, key, wrapped) VALUES (?, ?, ?)
           ON CONFLICT (owner) DO UPDATE SET key = excluded.key, wrapped = excluded.wrapped""",
        (owner, name, wrapped),
    )


def found_by(connection: sqlite3.Connection, ring: Ring, value: str, system: str | None = None) -> list[str]:
    """Return the keys of the residents who have this number, in *system* or in any."""
    keys: dict[str, None] = {}
    for digest in ring.digests(value):
        rows = connection.execute(
            "SELECT resident FROM lookups WHERE digest = ?1 AND (?2 IS NULL OR system = ?2)", (digest, system)
        )
        keys |= dict.fromkeys(row[0] for row in rows)
    return list(keys)


def seal_fact(connection: sqlite3.Connection, ring: Ring, fact: str, secret: bytes) -> str:
    """Return *secret* sealed, in hex, to stand in the fact with id *fact*; a key's public half is enough."""
    from store import cipher  # noqa: PLC0415

    owner, data_key = FACT + fact, keyring.new()
    _hold(connection, owner, ring.current, cipher.wrap_for(ring.public, data_key, owner))
    return cipher.seal(data_key, secret, owner).hex()


def open_fact(connection: sqlite3.Connection, ring: Ring, fact: str, sealed: str) -> bytes | None:
    """Return what was sealed in a fact; None where its key is not at hand or was destroyed."""
    from store import cipher  # noqa: PLC0415

    owner = FACT + fact
    held = _held(connection, owner)
    data_key = _data_key(ring, owner, held) if held else None
    return cipher.unseal(data_key, bytes.fromhex(sealed), owner) if data_key else None


def destroy(connection: sqlite3.Connection, owners: Iterable[str]) -> None:
    """Overwrite data keys where they lie: what they sealed can never be opened again."""
    for owner in owners:
        connection.execute(
            "UPDATE data_keys SET key = ?, wrapped = zeroblob(length(wrapped)) WHERE owner = ?",
            (ERASED, owner),
        )


def forget(connection: sqlite3.Connection, resident_key: str) -> None:
    """Destroy one resident's data key, and what they were found by."""
    destroy(connection, [resident_key])
    connection.execute("UPDATE persons SET sealed = zeroblob(length(sealed)) WHERE id = ?", (resident_key,))
    connection.execute("DELETE FROM lookups WHERE resident = ?", (resident_key,))


def is_held(connection: sqlite3.Connection, owner: str) -> bool:
    """Say whether there is a data key for *owner*, destroyed or not."""
    return _held(connection, owner) is not None


def is_erased(connection: sqlite3.Connection, owner: str) -> bool:
    """Say whether a data key was destroyed."""
    return (
        connection.execute("SELECT 1 FROM data_keys WHERE owner = ? AND key = ?", (owner, ERASED)).fetchone()
        is not None
    )


def renew(connection: sqlite3.Connection, ring: Ring, after: int, limit: int) -> int | None:
    """Seal with the current key up to *limit* people and facts that another key at hand sealed.

    They are taken in order from row *after* on; returns the last one's row, None once there are no more. A
    person gets a new data key; a fact is chained, so its own is wrapped anew. What is damaged is left as it
    is. Cut off at any moment, a call from row 0 finds what is left. Raises RequestRefused without the key.
    """
    ring.key()
    due: list[tuple[int, str, str, bytes]] = connection.execute(
        """SELECT n, owner, key, wrapped FROM data_keys
           WHERE n > ? AND key IN (SELECT value FROM json_each(?)) ORDER BY n LIMIT ?""",
        (after, _others(ring), limit),
    ).fetchall()
    for _, owner, name, wrapped in due:
        with contextlib.suppress(JournalDamaged):
            _renew(connection, ring, owner, ring.keys[name], wrapped)
    return due[-1][0] if due else None


def left(connection: sqlite3.Connection, ring: Ring) -> int:
    """Return how many people and facts are sealed with another key at hand than the current one."""
    found: tuple[int] = connection.execute(
        "SELECT count(*) FROM data_keys WHERE key IN (SELECT value FROM json_each(?))", (_others(ring),)
    ).fetchone()
    return found[0]


def _others(ring: Ring) -> str:
    return _encode([name for name in ring.keys if name != ring.current]).decode()


def _renew(connection: sqlite3.Connection, ring: Ring, owner: str, old: Key, wrapped: bytes) -> None:
    from store import cipher  # noqa: PLC0415

    current, data_key = ring.keys[ring.current], cipher.unwrap(old, wrapped, owner)
    if owner.startswith(FACT):
        _hold(connection, owner, current.id, cipher.wrap_for(ring.public, data_key, owner))
        return
    (sealed,) = connection.execute("SELECT sealed FROM persons WHERE id = ?", (owner,)).fetchone()
    written, fresh = cipher.unseal(data_key, sealed, owner), keyring.new()
    connection.execute(
        "UPDATE persons SET sealed = ? WHERE id = ?", (cipher.seal(fresh, written, owner), owner)
    )
    _hold(connection, owner, current.id, cipher.wrap(current, fresh, owner))
    connection.execute("DELETE FROM lookups WHERE resident = ?", (owner,))
    file_under(connection, current, _decode(written))
