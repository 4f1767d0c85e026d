"""Tells everybody who listens that something changed; a slow listener loses repeats and delays nobody."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from typing import NamedTuple

ROOM = 32


class News(NamedTuple):
    """One change: its number, counted from 1 since the service began, and its topic."""

    number: int
    topic: str


class Broadcast:
    """News to any number of listeners, on one loop."""

    def __init__(self) -> None:
        self.number = 0
        """Of the latest news; 0 before the first."""
        self._recent: deque[News] = deque(maxlen=ROOM)
        self._listeners: set[asyncio.Queue[News | None]] = set()
        self._closed = False

    def publish(self, topic: str) -> None:
        """Tell every listener; a full one already has news waiting and looks at the state itself."""
        self.number += 1
        news = News(self.number, topic)
        self._recent.append(news)
        for queue in self._listeners:
            if not queue.full():
                queue.put_nowait(news)

    def close(self) -> None:
        """End every listener's iteration."""
        self._closed = True
        for queue in self._listeners:
            if queue.full():
                queue.get_nowait()
            queue.put_nowait(None)

    async def news(self, after: int | None = None) -> AsyncIterator[News]:
        """Yield what is published from now on, until closed; first the latest numbered above *after*."""
        queue: asyncio.Queue[News | None] = asyncio.Queue(ROOM)
        for missed in self._recent:
            if after is not None and missed.number > after:
                queue.put_nowait(missed)
        self._listeners.add(queue)
        try:
            while not self._closed and (news := await queue.get()) is not None:
                yield news
        finally:
            self._listeners.discard(queue)
