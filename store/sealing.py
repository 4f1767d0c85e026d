"""What lies under lock, held against the facts: nobody missing, nobody too many, nothing put in place.

Without the key this says who must be there and who was erased; with it, that everything opens and is found.
"""

import sqlite3
from collections.abc import Iterator

import msgspec

from protocol.errors import JournalDamaged
from store import rows, vault
from store.chain import Problem
from store.facts import DeviceEvent, Received
from store.proof import Proof
from store.residents import Resident, Unnamed
from store.vault import ERASED, FACT, Ring

_NEEDED = """SELECT resident FROM exams UNION SELECT resident FROM outbox
             UNION SELECT resident FROM versions WHERE resident IS NOT NULL EXCEPT SELECT id FROM persons"""
_KEYLESS = """SELECT owner FROM data_keys WHERE owner NOT LIKE 'fact:%'
              AND owner NOT IN (SELECT id FROM persons)"""
_OWNERLESS = "SELECT id FROM persons WHERE id NOT IN (SELECT owner FROM data_keys)"
_FOREIGN = "SELECT DISTINCT resident FROM lookups WHERE resident NOT IN (SELECT id FROM persons)"
_UNKNOWN = "SELECT owner FROM data_keys WHERE key <> ? AND key NOT IN (SELECT id FROM keys)"


def problems(
    stored: sqlite3.Connection, mirror: sqlite3.Connection, seen: Proof, ring: Ring | None
) -> Iterator[Problem]:
    """Yield what of keys and persons is not what it was; *mirror* has the tables `sealed` and `erased`."""
    yield from _key_problems(stored, seen)
    for (who,) in stored.execute(_NEEDED):
        yield Problem(0, f"persons {who}: is missing")
    for sql, what in ((_KEYLESS, "data_keys {}: is nobody's"), (_OWNERLESS, "persons {}: has no data key")):
        for (who,) in stored.execute(sql):
            yield Problem(0, what.format(who))
    for (who,) in stored.execute(_FOREIGN):
        yield Problem(0, f"lookups of {who}: there is no such person")
    for (who,) in stored.execute(_UNKNOWN, (ERASED,)):
        yield Problem(0, f"data_keys {who}: is under a key that there never was")
    yield from _frames(stored, mirror, seen)
    yield from _erased(stored, mirror, seen)
    if ring is not None and ring.keys:
        yield from _people(stored, ring, seen.people)
        yield from _sealed_facts(stored, mirror, ring, seen.people)
        yield from _unsigned(seen, ring)


def _unsigned(seen: Proof, ring: Ring) -> Iterator[Problem]:
    """Yield the facts that nobody signed for although the key is at hand.

    The key may have been away when they were written; the next fact's signature covers them too. Whoever
    took a signature away would leave the same, so it is not passed over.
    """
    if seen.signers and ring.fault is None and seen.signed < seen.last[0]:
        what = f"facts {seen.signed + 1} to {seen.last[0]} bear no signature, and none followed with the key"
        yield Problem(seen.last[0], what)


def _key_problems(stored: sqlite3.Connection, seen: Proof) -> Iterator[Problem]:
    """Yield what the table of keys says that the chain does not."""
    found = stored.execute("SELECT id, public, signs FROM keys ORDER BY turn").fetchall()
    due = {signer.key: (signer.key, signer.seals, signer.public) for _, signer in seen.signers}
    for row in found:
        if row[2] is not None and row != due.get(row[0], row if not seen.signers else None):
            yield Problem(0, f"keys {row[0]}: is not what the facts say")
        elif row[2] is None and seen.rooted:
            yield Problem(0, f"keys {row[0]}: no fact names it")
    there = {row[0] for row in found}
    for key in due.keys() - there:
        yield Problem(0, f"keys {key}: is missing")
    if seen.signers and found and found[-1][0] != seen.signers[-1][1].key:
        due_key = seen.signers[-1][1].key
        yield Problem(0, f"keys {found[-1][0]}: stands as the key in force, which is {due_key}")


def _frames(stored: sqlite3.Connection, mirror: sqlite3.Connection, seen: Proof) -> Iterator[Problem]:
    """Yield the sealed facts without their key, and keys to facts that seal nothing."""
    held = {one for (one,) in stored.execute("SELECT owner FROM data_keys WHERE owner LIKE 'fact:%'")}
    due = {one for (one,) in mirror.execute("SELECT owner FROM sealed")}
    for owner in sorted(due - held):
        yield Problem(_seq(owner), f"data_keys {owner}: is missing")
    for owner in sorted(held - due):
        if _seq(owner) not in seen.bare:
            yield Problem(_seq(owner), f"data_keys {owner}: the fact seals nothing")


def _seq(owner: str) -> int:
    digits = owner.rpartition("-")[2]
    return int(digits) if digits.isascii() and digits.isdigit() and len(digits) < 19 else 0


def _erased(stored: sqlite3.Connection, mirror: sqlite3.Connection, seen: Proof) -> Iterator[Problem]:
    """Yield keys that were destroyed without a fact, and people who are back although they were erased."""
    due = {one for (one,) in mirror.execute("SELECT owner FROM erased")}
    gone = stored.execute("SELECT owner, wrapped FROM data_keys WHERE key = ?", (ERASED,)).fetchall()
    for owner, wrapped in gone:
        if any(wrapped):
            yield Problem(0, f"data_keys {owner}: was destroyed and holds something")
        if owner not in due | seen.people and (seen.rooted or not owner.startswith(FACT)):
            yield Problem(0, f"data_keys {owner}: was destroyed, and no fact says so")
    for owner in sorted(due - {owner for owner, _ in gone}):
        yield Problem(0, f"data_keys {owner}: was erased and is there again")
    for (who,) in stored.execute(
        """SELECT p.id FROM persons AS p JOIN data_keys AS k ON k.owner = p.id
           WHERE k.key = ? AND (p.sealed <> zeroblob(length(p.sealed))
             OR EXISTS (SELECT 1 FROM lookups WHERE resident = p.id))""",
        (ERASED,),
    ):
        yield Problem(0, f"persons {who}: was erased and something of them is there")


def _people(stored: sqlite3.Connection, ring: Ring, lost: set[str]) -> Iterator[Problem]:
    """Yield who cannot be opened, or is not found by their numbers or by others."""
    for row in stored.execute(f"{vault.PEOPLE} WHERE k.key IS NOT NULL ORDER BY p.id").fetchall():
        who = vault.person(ring, row)
        if isinstance(who, Unnamed):
            if who.hidden == "damaged" and row[0] not in lost:
                yield Problem(0, f"persons {row[0]}: who this is was sealed and cannot be opened")
            continue
        yield from _found(stored, ring, who)


def _found(stored: sqlite3.Connection, ring: Ring, who: Resident) -> Iterator[Problem]:
    """Yield what is wrong with the numbers *who* is found by: while keys change, under any key in force."""
    due = [
        (one.system, {(key.digest(one.value), one.system) for key in ring.keys.values()})
        for one in who.identifiers
    ]
    there = set(stored.execute("SELECT digest, system FROM lookups WHERE resident = ?", (who.id,)))
    for _, system in sorted(there.difference(*(forms for _, forms in due))):
        yield Problem(0, f"lookups {system} of {who.id}: is not a number of theirs")
    for system, forms in due:
        taken = "SELECT 1 FROM lookups WHERE digest = ? AND system = ?"
        if not any(stored.execute(taken, form).fetchone() for form in forms):
            yield Problem(0, f"lookups {system} of {who.id}: is missing")


def _sealed_facts(
    stored: sqlite3.Connection, mirror: sqlite3.Connection, ring: Ring, lost: set[str]
) -> Iterator[Problem]:
    for (owner,) in mirror.execute("SELECT owner FROM sealed ORDER BY owner").fetchall():
        try:
            fact = rows.fact(stored, _seq(owner))
            if fact is not None and isinstance(fact.body, Received | DeviceEvent) and fact.body.sealed:
                vault.open_fact(stored, ring, fact.id, fact.body.sealed)
        except (JournalDamaged, ValueError, msgspec.MsgspecError):
            if owner not in lost:
                yield Problem(_seq(owner), f"data_keys {owner}: what was sealed cannot be opened")
