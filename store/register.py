"""Finding a resident by their numbers, or making one; nobody is ever found by name."""

import secrets
import sqlite3
from collections.abc import Iterable, Sequence

from protocol.errors import JournalDamaged, RequestRefused
from store import vault
from store.residents import Identifier, Resident, Sex, Unnamed
from store.vault import Ring


def resident_for(
    connection: sqlite3.Connection,
    ring: Ring,
    identifiers: Iterable[Identifier],
    *,
    name: str | None,
    sex: Sex | None,
    birth_date: str | None,
) -> Resident:
    """Return the resident who has any of *identifiers*, else a new one; nobody is ever found by name.

    A number or a detail that was not known is added, one that is known is never overwritten. Raises
    RequestRefused `resident.ambiguous` where the numbers belong to two people, or to one who has another
    number of that system, and `vault.key_…` where something must be written and the key is not at hand.
    """
    given = list(dict.fromkeys(identifiers))
    known = _known(connection, ring, given)
    if known is None:
        known = Resident(id=f"r-{secrets.token_hex(8)}", identifiers=[])
    systems = {one.system: one.value for one in known.identifiers}
    if any(systems.setdefault(one.system, one.value) != one.value for one in given):
        raise RequestRefused("another number of the same system is known", code="resident.ambiguous")
    told = Resident(
        id=known.id,
        identifiers=[Identifier(system, value) for system, value in systems.items()],
        name=known.name or name,
        sex=known.sex or sex,
        birth_date=known.birth_date or birth_date,
    )
    if told != known:
        vault.keep(connection, ring, told)
    return told


def _known(connection: sqlite3.Connection, ring: Ring, identifiers: Sequence[Identifier]) -> Resident | None:
    keys = {key for one in identifiers for key in vault.found_by(connection, ring, one.value, one.system)}
    if len(keys) > 1:
        raise RequestRefused("these numbers belong to different residents", code="resident.ambiguous")
    if not keys:
        return None
    found = vault.resident(connection, ring, key := keys.pop())
    if found is None or isinstance(found, Unnamed):
        raise JournalDamaged(f"{key} is found by a number and cannot be opened")
    return found
