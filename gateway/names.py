"""Residents' names under lock, as a running service keeps them: erasing one, changing the key to all."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from pathlib import Path

from protocol.errors import RequestRefused, StoreError
from store.journal import Journal, Transaction

log = logging.getLogger(__name__)

BATCH = 20
"""People and frames sealed anew in one commit, so that readings never wait long."""
FOUND = "found in the key file"


class Names:
    """What a person may have done to names; for one journal.

    `credential`: the key file is systemd's copy of a credential, which only a restart brings up to date.
    """

    def __init__(self, journal: Journal, key_file: Path, *, credential: bool) -> None:
        self.key_file = key_file
        self.credential = credential
        self._journal = journal
        self._one = asyncio.Lock()

    def fault(self) -> str | None:
        """Return, as a code, why no name can be shown or written now."""
        return self._journal.queries.names_fault()

    async def begin(self) -> None:
        """Say what is wrong with the key; go on where a change of it was cut off."""
        try:
            ring = await self._journal.run(Transaction.look_for_key)
            if ring.fault is not None:
                log.error("names cannot be shown", extra={"code": ring.fault})
            elif ring.due or await self._journal.run(lambda tx: tx.left_to_renew() > 0):
                await self.renew("", FOUND)
        except (RequestRefused, StoreError) as failed:
            log.error("the key was not changed", extra={"code": failed.code})

    async def erase(self, resident: str, operator: str, reason: str) -> tuple[str, int]:
        """Make a resident unknown for ever; return their key and the fact's place.

        *resident* is our key or one of their numbers. Codes `resident.…`, `operator.missing`.
        """

        def command(tx: Transaction) -> tuple[str, int]:
            key = _one(tx, resident)
            return key, tx.erase(key, operator, reason).seq

        return await self._journal.run(command)

    async def renew(
        self, operator: str, reason: str, *, wanted: str | None = None, over_lost: bool = False
    ) -> tuple[str, int]:
        """Seal everything with the key that the key file names first, readings going on meanwhile.

        Return the key's name and how much an earlier key at hand still seals, which is what cannot be opened.
        *wanted* is the key that must be the first. Codes `vault.key_…`.
        """

        def change(tx: Transaction) -> str:
            first = tx.look_for_key().first
            if wanted is not None and first != wanted:
                raise RequestRefused(f"the first key here is {first}", code="vault.key_not_seen")
            return tx.change_key(operator, reason, over_lost=over_lost)

        async with self._one:
            key = await self._journal.run(change)
            reached: int | None = 0
            while reached is not None:
                reached = await self._journal.run(_batch(reached))
            left = await self._journal.run(Transaction.left_to_renew)
        log.info("names lie under the current key", extra={"count": left})
        return key, left


def _batch(after: int) -> Callable[[Transaction], int | None]:
    return lambda tx: tx.renew(after, BATCH)


def _one(tx: Transaction, resident: str) -> str:
    """Return the key of the one resident meant. Codes `resident.unknown`, `resident.ambiguous`."""
    if tx.resident(resident) is not None:
        return resident
    found: Sequence[str] = tx.residents_with(resident)
    if not found:
        raise RequestRefused("no such resident", code="resident.unknown")
    if len(found) > 1:
        raise RequestRefused("several residents have this number", code="resident.ambiguous")
    return found[0]
