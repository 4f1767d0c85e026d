"""Writes a conversation down as it happens, as a transcript that plays back.

What a device sends may carry a person's name or number (a barcode, an ID card, a typed patient id); the
record keeps every byte, so it belongs to the technician who made it until it has been read through.
"""

import asyncio
from collections.abc import Mapping

from drivers.dialogue import Order
from gateway.links import Link
from protocol.readings import Event, Reading
from protocol.transcript import (
    Gives,
    Heard,
    Lets,
    Ordered,
    Sent,
    Silence,
    Transcript,
    Turn,
    event_line,
    reading_line,
)

PAUSE_S = 0.2
"""A silence from here on is written down; shorter ones are the line's own."""


class Recorder:
    """A link that is recorded. Chunks heard without a silence between them become one turn."""

    def __init__(self, link: Link) -> None:
        """Record *link* from now on; closing the recorder closes it."""
        self._link = link
        self._turns: list[Turn] = []
        self._loop = asyncio.get_running_loop()
        self._last = self._loop.time()

    async def write(self, data: bytes) -> None:
        """Send *data* and write it down."""
        self._add(Sent(data))
        await self._link.write(data)

    async def read(self) -> bytes:
        """Return the next chunk and write it down."""
        chunk = await self._link.read()
        before = self._turns[-1] if self._turns else None
        if isinstance(before, Heard) and self._loop.time() - self._last < PAUSE_S:
            self._turns.pop()
            self._add(Heard(before.data + chunk))
        else:
            self._add(Heard(chunk))
        return chunk

    async def close(self) -> None:
        """Let go of the port."""
        await self._link.close()

    def ordered(self, order: Order) -> None:
        """Write down what a person asked."""
        self._add(Ordered(order.name, order.arguments))

    def gave(self, item: Reading | Event) -> None:
        """Write down what the driver made of it."""
        if isinstance(item, Reading):
            self._turns.append(Gives(reading_line(item)))
        else:
            self._turns.append(Lets(event_line(item)))

    def transcript(self, provenance: str, settings: Mapping[str, str]) -> Transcript:
        """Return what was recorded so far; *provenance* begins with `captured` for a real device."""
        return Transcript(provenance, tuple(self._turns), settings)

    def _add(self, turn: Turn) -> None:
        now = self._loop.time()
        if self._turns and now - self._last >= PAUSE_S:
            self._turns.append(Silence(round(now - self._last, 1)))
        self._last = now
        self._turns.append(turn)
