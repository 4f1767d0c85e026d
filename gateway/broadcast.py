"""Tells everybody who listens that something changed; a slow listener loses repeats and delays nobody."""

import asyncio
from collections.abc import AsyncIterator

ROOM = 32


class Broadcast:
    """Topics to any number of listeners, on one loop."""

    def __init__(self) -> None:
        self._listeners: set[asyncio.Queue[str | None]] = set()
        self._closed = False

    def publish(self, topic: str) -> None:
        """Tell every listener; a full one already has news waiting and looks at the state itself."""
        for queue in self._listeners:
            if not queue.full():
                queue.put_nowait(topic)

    def close(self) -> None:
        """End every listener's iteration."""
        self._closed = True
        for queue in self._listeners:
            if queue.full():
                queue.get_nowait()
            queue.put_nowait(None)

    async def topics(self) -> AsyncIterator[str]:
        """Yield topics published from now on, until closed."""
        queue: asyncio.Queue[str | None] = asyncio.Queue(ROOM)
        self._listeners.add(queue)
        try:
            while not self._closed and (topic := await queue.get()) is not None:
                yield topic
        finally:
            self._listeners.discard(queue)
