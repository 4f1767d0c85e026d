"""Time, chance and record of one simulated life: nothing in it waits, and nothing comes from outside."""

import asyncio
import os
import random
import secrets
import selectors
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any, NoReturn, TextIO
from unittest.mock import patch
from uuid import UUID

BEGINNING = datetime(2031, 1, 1, tzinfo=UTC)
"""True time at the start of every life."""
DAY_S = 86400.0


class Broken(AssertionError):
    """A promise of the gateway did not hold in this life."""


class _Nowhere(selectors.SelectSelector):
    """Looks at nothing outside and never sleeps: where it would wait for a timer, time leaps to it."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.broken: Broken | None = None

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        broken, self.broken = self.broken, None
        if broken is not None:
            raise broken  # here nobody in the product can take it for a fault of a device or a server
        if timeout is None:
            raise Broken("everybody waits and nothing will ever happen")
        self.now += max(0.0, timeout)
        return []


class LifeLoop(asyncio.SelectorEventLoop):
    """A loop with a leaping clock and no world outside: what is handed to an executor is done at once."""

    def __init__(self) -> None:
        self._nowhere = _Nowhere()
        super().__init__(self._nowhere)
        # A year in seconds has no nanoseconds left: a timer due now would never be later than now.
        self._clock_resolution = 1e-6

    def time(self) -> float:
        """Return seconds since the beginning."""
        return self._nowhere.now

    def break_off(self, broken: "Broken") -> None:
        """End the life before anything else happens in it."""
        self._nowhere.broken = self._nowhere.broken or broken

    def _write_to_self(self) -> None:
        """Wake nobody: there is no other thread, and nothing sleeps."""

    def run_in_executor(self, executor: Any, func: Callable[..., Any], *args: Any) -> asyncio.Future[Any]:  # type: ignore[override]
        """Do it now; return the future of what came of it."""
        del executor
        future: asyncio.Future[Any] = self.create_future()
        try:
            future.set_result(func(*args))
        except Exception as error:
            future.set_exception(error)
        return future


class World:
    """What one life shares. `chance` is drawn from by everything in it, in the order of the loop."""

    def __init__(self, seed: int, loop: LifeLoop, tell: TextIO | None = None) -> None:
        """*tell* gets a line for each noted happening."""
        self.chance = random.Random(seed)  # noqa: S311
        self.loop = loop
        self._trace = sha256()
        self._tell = tell

    def now(self) -> float:
        """Return seconds since the beginning."""
        return self.loop.time()

    def true_time(self) -> datetime:
        """Return the time it really is."""
        return BEGINNING + timedelta(seconds=self.now())

    def happens(self, share: float) -> bool:
        """Draw whether something that happens in *share* of all cases happens now."""
        return self.chance.random() < share

    def between(self, least: float, most: float) -> float:
        """Draw a number."""
        return self.chance.uniform(least, most)

    def note(self, *words: object) -> None:
        """Record a happening; two lives with the same record are the same life."""
        line = f"{self.now():.6f} {' '.join(map(str, words))}\n"
        self._trace.update(line.encode())
        if self._tell is not None:
            self._tell.write(line)

    def breaks(self, what: str) -> NoReturn:
        """Say that a promise did not hold: the life ends with Broken."""
        broken = Broken(what)
        self.loop.break_off(broken)
        raise broken

    @property
    def trace(self) -> str:
        """Return the hash of all that was noted so far."""
        return self._trace.hexdigest()


class BoxTime:
    """The box's clocks through one boot (`gateway.clock.Source`): the wall clock may be wrong until told."""

    def __init__(self, world: World, wrong_by: float) -> None:
        """*wrong_by* is the wall clock minus true time in seconds."""
        self._world = world
        self._booted = world.now()
        self._boot = str(UUID(int=world.chance.getrandbits(128), version=4))
        self._wrong_by = wrong_by
        self._right = False

    def wall(self) -> datetime:
        """Return what the wall clock shows."""
        return self._world.true_time() + timedelta(seconds=self._wrong_by)

    def boottime_ns(self) -> int:
        """Return the time since boot."""
        return round((self._world.now() - self._booted) * 1e9)

    def boot_id(self) -> str:
        """Return this boot's id."""
        return self._boot

    def synchronised(self) -> bool:
        """Say whether the net has told the time."""
        return self._right

    def set_right(self) -> None:
        """Let the net tell the time."""
        self._wrong_by, self._right = 0.0, True

    def set_wrong(self, by: float) -> None:
        """Let somebody set it by hand."""
        self._wrong_by, self._right = by, False


@contextmanager
def drawn(seed: int) -> Iterator[None]:
    """Let every secret, nonce and jitter come from *seed*, so that even the chain's hashes come again."""
    chance = random.Random(seed)  # noqa: S311
    state = random.getstate()
    random.seed(seed)
    try:
        with (
            patch.object(os, "urandom", chance.randbytes),
            patch.object(secrets, "token_bytes", lambda size=32: chance.randbytes(size)),
            patch.object(secrets, "token_hex", lambda size=32: chance.randbytes(size).hex()),
            patch.object(secrets, "choice", chance.choice),
        ):
            yield
    finally:
        random.setstate(state)
