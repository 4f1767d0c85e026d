"""What has come over a link and nobody has read yet."""

import asyncio
from collections import deque
from typing import Generic, TypeVar

from protocol.errors import LinkError

T = TypeVar("T")


class Unread(Generic[T]):
    """What came, in order, all of which is read before the loss of the link is told."""

    def __init__(self) -> None:
        self._kept: deque[T] = deque()
        self._stirred = asyncio.Event()
        self.lost: LinkError | None = None

    def __len__(self) -> int:
        return len(self._kept)

    def put(self, one: T) -> None:
        """Take what came; nothing is waited for."""
        self._kept.append(one)
        self._stirred.set()

    def drop_oldest(self) -> None:
        """Let the oldest go unread. Raises IndexError where there is none."""
        self._kept.popleft()

    def end(self, fault: LinkError) -> None:
        """Note why no more will come; the first reason stands."""
        self.lost = self.lost or fault
        self._stirred.set()

    def must_go_on(self) -> None:
        """Raise the reason why no more will come, if there is one."""
        if self.lost is not None:
            raise self.lost

    async def take(self) -> T:
        """Return what came first, waiting for it; safe to cancel. Raises the reason why no more will come."""
        while not self._kept:
            self.must_go_on()
            self._stirred.clear()
            await self._stirred.wait()
        return self._kept.popleft()
