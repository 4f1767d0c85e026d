"""Who a resident key stands for. Names and numbers live only here, never in a fact."""

import secrets
import sqlite3
from collections.abc import Iterable, Sequence
from typing import Literal

import msgspec

from protocol.errors import RequestRefused

Sex = Literal["male", "female"]


class Identifier(msgspec.Struct, frozen=True):
    """A number somebody gave a resident: `system` is the contract's word (`cn-id`, `health-record`, …)."""

    system: str
    value: str


class Resident(msgspec.Struct, frozen=True):
    """A resident as the clinic named them; `id` is ours and says nothing about the person."""

    id: str
    identifiers: Sequence[Identifier]
    name: str | None = None
    sex: Sex | None = None
    birth_date: str | None = None


_decode = msgspec.json.Decoder(Resident).decode


def resident_for(
    connection: sqlite3.Connection,
    identifiers: Iterable[Identifier],
    name: str | None,
    sex: Sex | None,
    birth_date: str | None,
) -> Resident:
    """Return the resident who has any of *identifiers*, else a new one; nobody is ever found by name.

    A number or a detail that was not known is added, one that is known is never overwritten. Raises
    RequestRefused `resident.ambiguous` where the numbers belong to two people, or to one who has another
    number of that system.
    """
    given = list(dict.fromkeys(identifiers))
    known = _known(connection, given)
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
        _write(connection, told)
    return told


def _known(connection: sqlite3.Connection, identifiers: Sequence[Identifier]) -> Resident | None:
    keys = {key for one in identifiers for key in keys_of(connection, one.value, one.system)}
    if len(keys) > 1:
        raise RequestRefused("these numbers belong to different residents", code="resident.ambiguous")
    if not keys:
        return None
    row: tuple[bytes] = connection.execute(
        "SELECT document FROM residents WHERE id = ?", (keys.pop(),)
    ).fetchone()
    return _decode(row[0])


def keys_of(connection: sqlite3.Connection, value: str, system: str | None = None) -> list[str]:
    """Return the keys of the residents who have this number, in *system* or in any."""
    rows = connection.execute(
        "SELECT resident FROM identifiers WHERE value = ?1 AND (?2 IS NULL OR system = ?2)",
        (value, system),
    )
    return [row[0] for row in rows]


def _write(connection: sqlite3.Connection, resident: Resident) -> None:
    connection.execute(
        "INSERT INTO residents VALUES (?, ?) ON CONFLICT (id) DO UPDATE SET document = excluded.document",
        (resident.id, msgspec.json.encode(resident)),
    )
    connection.executemany(
        "INSERT OR IGNORE INTO identifiers(value, system, resident) VALUES (?, ?, ?)",
        [(one.value, one.system, resident.id) for one in resident.identifiers],
    )
