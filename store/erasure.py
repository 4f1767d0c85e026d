"""Making one resident unknown for ever: their data key is destroyed, every measurement and fact stays.

What a machine said of them goes too, as far as it named somebody: the sealed frames of their measurements,
and every other sealed frame that holds one of their numbers or their name.
"""

import sqlite3
from collections.abc import Iterable, Iterator

from protocol.errors import JournalDamaged, RequestRefused
from store import outbox, rows, vault
from store.facts import DeviceEvent, Received
from store.residents import Resident, Unnamed
from store.vault import FACT, Ring


def must_be_possible(
    connection: sqlite3.Connection, ring: Ring, resident: str, operator: str, reason: str
) -> None:
    """Refuse what must not be done, or not without saying who and why.

    Codes `operator.missing`, `resident.reason`, `resident.unknown`, `resident.erased`, `resident.exam_open`,
    `resident.reason_names`: the reason is chained for ever, so it must not name who is to be unknown.
    """
    if not operator.strip():
        raise RequestRefused("say who", code="operator.missing")
    if not reason.strip():
        raise RequestRefused("say why", code="resident.reason")
    known = vault.resident(connection, ring, resident)
    if known is None:
        raise RequestRefused(resident, code="resident.unknown")
    if vault.is_erased(connection, resident):
        raise RequestRefused(resident, code="resident.erased")
    if any(exam.resident == resident for exam in rows.open_exams(connection)):
        raise RequestRefused(resident, code="resident.exam_open")
    if any(named in reason for named in _names(known)):
        raise RequestRefused(resident, code="resident.reason_names")


def sealed_of(connection: sqlite3.Connection, ring: Ring, resident: str) -> list[str]:
    """Return the ids of the facts whose sealed frames name *resident*; without the key, of their own ones."""
    known = vault.resident(connection, ring, resident)
    named = _names(known) if known is not None else []
    owners = {*_of_measurements(connection, resident), *_naming(connection, ring, named)}
    held = (owner for owner in owners if vault.is_held(connection, owner))
    return sorted(owner.removeprefix(FACT) for owner in held)


def erase(connection: sqlite3.Connection, resident: str, frames: Iterable[str]) -> None:
    """Destroy what says who *resident* is, and what opens the facts *frames*; the fact of it is written."""
    vault.destroy(connection, (FACT + one for one in frames))
    vault.forget(connection, resident)
    outbox.hold_back(connection, resident)


def _names(known: Resident) -> list[str]:
    if isinstance(known, Unnamed):
        return []
    return [one for one in (*(each.value for each in known.identifiers), known.name) if one]


def _of_measurements(connection: sqlite3.Connection, resident: str) -> Iterator[str]:
    """Yield whose sealed frames belong to this resident's measurements, withdrawn ones left out."""
    found = connection.execute(
        """SELECT f.id FROM measurements AS m JOIN facts AS f ON f.seq = m.received_seq
           WHERE m.resident = ? AND m.status <> 'entered-in-error'""",
        (resident,),
    )
    for (fact,) in found.fetchall():
        yield FACT + fact


def _naming(connection: sqlite3.Connection, ring: Ring, named: list[str]) -> Iterator[str]:
    """Yield whose sealed words, of whatever measurement or device, hold one of these names or numbers."""
    if not named:
        return
    patterns = [
        part
        for one in named
        for encoding in ("utf-8", "gb18030")
        for part in (one.encode(encoding), one.encode(encoding).hex().encode())
    ]
    owners = connection.execute("SELECT owner FROM data_keys WHERE owner LIKE ?", (f"{FACT}%",)).fetchall()
    for (owner,) in owners:
        secret = _secret(connection, ring, owner.removeprefix(FACT))
        if secret is not None and any(pattern in secret for pattern in patterns):
            yield owner


def _secret(connection: sqlite3.Connection, ring: Ring, fact: str) -> bytes | None:
    seq = int(fact.rpartition("-")[2])
    found = rows.fact(connection, seq)
    if found is None or not isinstance(found.body, Received | DeviceEvent) or found.body.sealed is None:
        return None
    try:
        return vault.open_fact(connection, ring, fact, found.body.sealed)
    except JournalDamaged:
        return None
