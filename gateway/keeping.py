"""What the service does for its journal beside the readings: copies onto a second medium, and letting go.

The copying itself is another process (`store/backup.py`), so that neither a slow stick nor one that hangs
holds anything up here. Raw frames are let go a few at a time, so that no reading waits.
"""

import asyncio
import logging
import sys
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from functools import partial
from pathlib import Path

import msgspec

from gateway.config import BackupConfig, RetentionConfig
from protocol.errors import StoreError
from store import backup
from store.backup import Told
from store.facts import Instant
from store.journal import Journal, Transaction

log = logging.getLogger(__name__)

FIRST_S = 60.0
"""How long after the start the medium is looked at first: the start is for the ports."""
LOOK_S = 600.0
"""How often it is looked whether a copy is due, or the medium is back."""
PRUNE_S = 24 * 3600.0
"""How often it is looked what may be let go."""
LOOKED_UP = 2000
"""Measurements found in one look through the journal."""
BATCH = 50
"""Facts whose bodies go in one commit."""
BREATH_S = 1.0
"""Between two such commits."""
_decode = msgspec.json.Decoder(Told).decode


class Copies:
    """The copies of one journal, made as the configuration says."""

    def __init__(self, journal: Path, gateway: str, config: BackupConfig | None) -> None:
        self._journal, self._gateway, self._config = journal, gateway, config
        self._fault: str | None = None

    def fault(self) -> str | None:
        """Return, as a code, why there was no copy when one was due."""
        return self._fault

    async def run(self) -> None:
        """Look at the medium for ever, if one is configured."""
        if self._config is None:
            await asyncio.Event().wait()
            return
        every = self._config.every_h * 3600
        await asyncio.sleep(min(FIRST_S, every))
        while True:
            self._told(await self._looked(self._config))
            await asyncio.sleep(min(LOOK_S, every))

    def _told(self, told: Told) -> None:
        if told.copy:
            log.info("the journal was copied", extra={"path": told.copy})
        if told.code and told.code != self._fault:
            log.error("the journal was not copied", extra={"code": told.code})
        self._fault = told.code or None

    async def _looked(self, config: BackupConfig) -> Told:
        """Have a copy made if one is due, by a process of its own, which ends with this task."""
        words = (self._journal, config.folder, self._gateway, config.keep, config.every_h)
        try:
            copying = await asyncio.create_subprocess_exec(
                sys.executable, "-P", "-m", backup.__name__, *map(str, words), stdout=asyncio.subprocess.PIPE
            )
        except OSError as error:
            return Told(code="backup.failed", detail=str(error.strerror))
        try:
            out, _ = await copying.communicate()
            return _decode(out)
        except msgspec.MsgspecError:
            return Told(code="backup.failed", detail=f"status {copying.returncode}")
        finally:
            with suppress(ProcessLookupError):
                copying.kill()


class Retention:
    """Lets go what the policy no longer needs."""

    def __init__(self, journal: Journal, config: RetentionConfig | None, now: Callable[[], Instant]) -> None:
        self._journal, self._config, self._now = journal, config, now

    async def run(self) -> None:
        """Look once a day for ever, if a policy is configured."""
        if self._config is None:
            await asyncio.Event().wait()
            return
        await asyncio.sleep(FIRST_S)
        while True:
            with suppress(StoreError):  # a full disk: said elsewhere
                await self.once(self._config)
            await asyncio.sleep(PRUNE_S)

    async def once(self, config: RetentionConfig) -> int:
        """Let go what may go now; return how many bodies. Nothing goes while our clock may be wrong."""
        now, gone = self._now(), 0
        if not now.synchronised:
            return 0
        before = now.utc - timedelta(days=config.after_days)
        policy = f"accepted everywhere, older than {config.after_days} days"
        while keys := await asyncio.to_thread(self._journal.queries.prunable, before, LOOKED_UP):
            went = 0
            for batch in (keys[at : at + BATCH] for at in range(0, len(keys), BATCH)):
                went += await self._journal.run(partial(Transaction.prune, measurements=batch, policy=policy))
                await asyncio.sleep(BREATH_S)
            if not went:
                break
            gone += went
        if gone:
            log.info("raw frames were let go", extra={"count": gone})
        return gone
