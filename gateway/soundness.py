"""Whether the journal's file is whole: looked at after a power cut, and what a start had to make anew."""

import asyncio
import logging
from pathlib import Path

from protocol.errors import GatewayError
from store import aside
from store.journal import Journal

log = logging.getLogger(__name__)

RECOVERED = "store.recovered"
UNSOUND = "store.unsound"


class Soundness:
    """What is known of the journal's file; readings go on whatever that is."""

    def __init__(self, journal: Journal, folder: Path) -> None:
        self._journal = journal
        self._folder = folder
        self._whole = True

    async def run(self) -> None:
        """Read the file once if the last one to write it was cut off; the next start mends what is found."""
        if not self._journal.unclean:
            return
        try:
            self._whole = await asyncio.to_thread(self._journal.queries.sound)
        except GatewayError as error:
            self._whole = False
            log.error("the journal's file cannot be read through", extra={"code": error.code})
        if not self._whole:
            log.error("the journal's file is damaged; a restart makes it anew", extra={"code": UNSOUND})

    def fault(self) -> str | None:
        """Return, as a code, what a technician should know: damage found, or a damaged file moved aside."""
        if not self._whole:
            return UNSOUND
        return RECOVERED if aside.damaged_files(self._folder) else None
