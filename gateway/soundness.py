"""Whether the journal's file is whole: looked at after a power cut, and whenever it could not be read.

SQLite calls a file damaged also where the disk failed to give it once. So nothing is called damaged, and
nothing moved aside, before the disk gave all of it and it was looked at again.
"""

import asyncio
import logging
from pathlib import Path

from protocol.errors import StoreError
from store import aside
from store.faults import READ_FAILED
from store.journal import Journal

log = logging.getLogger(__name__)

RECOVERED = "store.recovered"
UNSOUND = "store.unsound"
LOOK_S = 30.0
"""How often it is asked whether a read of the file failed."""
AGAIN_S = 600.0
"""How often a file in which something was found is looked at again."""


class Soundness:
    """What is known of the journal's file; readings go on whatever that is."""

    def __init__(self, journal: Journal, folder: Path) -> None:
        self._journal = journal
        self._folder = folder
        self._found: str | None = None

    async def run(self) -> None:
        """Read the file if the last one to write it was cut off, and again whenever a read of it failed.

        The next start mends damage that is found.
        """
        if self._journal.unclean:
            await self.look()
        while True:
            await asyncio.sleep(LOOK_S if self._found is None else AGAIN_S)
            if self._journal.doubted() or self._found == READ_FAILED:
                await self.look()

    async def look(self) -> None:
        """Read the file once."""
        try:
            whole = await asyncio.to_thread(self._journal.queries.sound)
        except StoreError as error:
            log.error("the journal's file cannot be read through", extra={"code": error.code})
            self._found = READ_FAILED
            return
        if not whole:
            log.error("the journal's file is damaged; a restart makes it anew", extra={"code": UNSOUND})
        self._found = None if whole else UNSOUND

    def fault(self) -> str | None:
        """Return, as a code, what a technician should know: damage found, or a damaged file moved aside.

        `store.read_failed` goes away by itself once the disk gives all of the file again.
        """
        return self._found or (RECOVERED if aside.damaged_files(self._folder) else None)
