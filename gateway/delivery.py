"""Drains the outbox to one forwarder, for ever: deliver, write down what came of it, only then ask for more.

Unreachable is the whole forwarder's trouble: it backs off and loses nothing. Refused is one measurement's:
it is tried a few times, spaced, then parked for a person, and the others go on meanwhile. Cancelled anywhere,
the worst that happens is that something is delivered again, which forwarders make harmless.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal, Protocol

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, wait_exponential_jitter

from gateway import discretion
from gateway.forwarders import Accepted, Forwarder, Outcome, Outgoing, Rejected
from gateway.service import Reach
from protocol.errors import Unreachable
from store.journal import Journal, Transaction

log = logging.getLogger(__name__)

BATCH = 50
TOLD_MOST_S = 300.0
"""A server's own wish is honoured up to this."""
REASON_MOST = 1000
"""Characters kept of a refusal."""

Settled = Sequence[tuple[Outgoing, Outcome]]
Key = tuple[str, int]
"""A measurement's id and version."""


class Outbox(Protocol):
    """What waits for one forwarder; it outlives the process."""

    async def due(self, limit: int) -> Sequence[Outgoing]:
        """Return up to *limit* measurements that wait, the newest version of each, oldest first."""
        ...

    async def record(self, settled: Settled) -> Sequence[int]:
        """Write down what came of each, in one commit.

        Return for each how often it was refused while it still waits; 0 where it waits no more:
        accepted, overtaken by a newer version, or refused so often that it is parked for a person.
        """
        ...


class JournalOutbox:
    """The outbox in the journal; implements `Outbox`."""

    def __init__(self, journal: Journal, forwarder: str, max_attempts: int) -> None:
        """*max_attempts* refusals park a version."""
        self._journal, self._forwarder, self._max_attempts = journal, forwarder, max_attempts

    async def due(self, limit: int) -> Sequence[Outgoing]:
        """See Outbox."""
        rows = await asyncio.to_thread(self._journal.queries.due, self._forwarder, limit)
        return [Outgoing(row.measurement, row.resident, row.receipt, row.sources) for row in rows]

    async def record(self, settled: Settled) -> Sequence[int]:
        """See Outbox."""
        return await self._journal.run(lambda tx: [self._one(tx, item, outcome) for item, outcome in settled])

    def _one(self, tx: Transaction, item: Outgoing, outcome: Outcome) -> int:
        measurement, version = item.measurement.id, item.measurement.version
        if isinstance(outcome, Accepted):
            tx.delivered(self._forwarder, measurement, version, outcome.receipt)
            return 0
        reason = discretion.unnamed(outcome.reason, item.resident)[:REASON_MOST]
        refusals = tx.attempted(self._forwarder, measurement, version, reason)
        if refusals < self._max_attempts:
            return refusals
        tx.parked(self._forwarder, measurement, version, reason)
        return 0


@dataclass(frozen=True, slots=True)
class Pace:
    """Seconds to wait, first and at most: while nobody answers, and before a refused one is tried again."""

    first: float = 1.0
    most: float = 60.0


def _now() -> datetime:
    return datetime.now(UTC)


class Delivery:
    """The loop of one forwarder; `reach` says how the other side does."""

    def __init__(
        self,
        outbox: Outbox,
        forwarder: Forwarder,
        news: asyncio.Event,
        *,
        pace: Pace = Pace(),
        now: Callable[[], datetime] = _now,
        changed: Callable[[], None] = lambda: None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """*news* is set by whoever puts something into the outbox.

        *changed* is called when `reach` changed; *sleep* waits out an unreachable server.
        """
        self.reach = Reach()
        self._outbox, self._forwarder, self._news, self._pace = outbox, forwarder, news, pace
        self._now, self._changed, self._sleep = now, changed, sleep
        self._cooling: dict[Key, float] = {}

    async def run(self) -> None:
        """Deliver until cancelled."""
        while True:
            self._news.clear()
            await self.drain()
            await self._idle()

    async def drain(self) -> None:
        """Deliver until nothing is due but what was refused and waits for its next try."""
        while await self._batch():
            pass

    async def _batch(self) -> bool:
        """Deliver one batch, however long the server is away; return whether there was anything to do."""
        async for attempt in AsyncRetrying(
            retry=retry_if_exception_type(Unreachable), wait=self._backoff(), sleep=self._sleep
        ):
            with attempt:
                return await self._once()
        raise AssertionError("tried without end")

    async def _once(self) -> bool:
        batch = await self._ready()
        if not batch:
            return False
        try:
            outcomes = await self._forwarder.deliver(batch)
        except Unreachable as error:
            self._reached("unreachable", error.code, error.detail)
            raise
        self._reached("reachable")
        settled = list(zip(batch, outcomes, strict=True))
        for (item, outcome), refusals in zip(settled, await self._outbox.record(settled), strict=True):
            if isinstance(outcome, Rejected):
                self._refused(item, refusals)
        return True

    async def _ready(self) -> list[Outgoing]:
        """Return what is due and not cooling; asks for so many that cooling ones never hide the others."""
        clock = asyncio.get_running_loop().time()
        self._cooling = {key: until for key, until in self._cooling.items() if until > clock}
        due = await self._outbox.due(BATCH + len(self._cooling))
        return [item for item in due if _key(item) not in self._cooling][:BATCH]

    def _refused(self, item: Outgoing, refusals: int) -> None:
        plain = {"forwarder": self._forwarder.name, "measurement": item.measurement.id, "attempt": refusals}
        log.warning("refused", extra=plain)
        if refusals:
            spell = min(self._pace.most, self._pace.first * 2.0 ** (refusals - 1))
            self._cooling[_key(item)] = asyncio.get_running_loop().time() + spell

    async def _idle(self) -> None:
        """Wait for news, or until the first refused measurement may be tried again."""
        until = min(self._cooling.values(), default=None)
        with suppress(TimeoutError):
            async with asyncio.timeout_at(until):
                await self._news.wait()

    def _backoff(self) -> Callable[[RetryCallState], float]:
        own = wait_exponential_jitter(
            multiplier=self._pace.first, max=self._pace.most, jitter=self._pace.first
        )

        def wait(state: RetryCallState) -> float:
            error = state.outcome.exception() if state.outcome else None
            told = error.retry_after if isinstance(error, Unreachable) else None
            return max(own(state), min(told or 0.0, TOLD_MOST_S))

        return wait

    def _reached(
        self, state: Literal["reachable", "unreachable"], code: str | None = None, reason: str = ""
    ) -> None:
        before = self.reach
        since = before.since if before.state == state else self._now()
        self.reach = Reach(state, since, code, reason)
        if self.reach != before:
            log.info("reach", extra={"forwarder": self._forwarder.name, "condition": state, "code": code})
            self._changed()


def _key(item: Outgoing) -> Key:
    return item.measurement.id, item.measurement.version
