"""Plays a driver's dialogue on a link: the only place where both meet.

The dialogue says what it wants, the link and the clock answer; whatever ends it, no byte heard is dropped
without being told to the sink as noise.
"""

import asyncio
from collections import deque
from collections.abc import Iterable
from typing import Protocol

from drivers.catalogue import Driver
from drivers.dialogue import Answer, Listen, Observe, Order, Report, Send, Settings, Step
from gateway.links import Link
from protocol.errors import LinkError
from protocol.framing import Frame, Framer, Noise
from protocol.readings import Event, Reading

GAP_S = 1.0
"""After so long without a byte, what the framer holds will not be completed: a false start or a line without end."""


class Sink(Protocol):
    """Where a conversation's results go, in the order in which they happen."""

    async def report(self, reading: Reading) -> None:
        """Make *reading* durable; returns after COMMIT, and only then the device hears more from us."""
        ...

    async def observe(self, event: Event) -> None:
        """Let *event* be known."""
        ...

    def noise(self, noise: Noise) -> None:
        """Keep bytes that belong to no frame."""
        ...


async def conduct(
    driver: Driver, settings: Settings, link: Link, sink: Sink, orders: asyncio.Queue[Order]
) -> None:
    """Play one conversation until the dialogue ends.

    Raises what the dialogue raises (ProtocolError), what the link raises (LinkError, after every frame that
    arrived before was given to the dialogue as far as it asked) and what the sink raises. The dialogue is
    closed and the link left open in any case.
    """
    dialogue = driver.talk(settings)
    ear = _Ear(driver.framer(), link, sink, orders)
    answer: Answer = None
    try:
        while True:
            try:
                step = dialogue.send(answer)
            except StopIteration:
                return
            answer = await _do(step, ear, link, sink)
    finally:
        dialogue.close()
        await ear.close()


async def _do(step: Step, ear: "_Ear", link: Link, sink: Sink) -> Answer:
    match step:
        case Send(data):
            await link.write(data)
        case Listen(timeout, orders):
            return await ear.hear(timeout, orders=orders)
        case Report(reading):
            await sink.report(reading)
        case Observe(event):
            await sink.observe(event)
    return None


class _Ear:
    """What comes from the device, cut into frames, and the orders of a person beside it.

    One read is under way all the time and is never given up for a timeout, so a chunk that arrives in that
    moment is not lost. Chunks are cut only when no frame is waiting: a busy sink holds the line up, memory
    stays bounded.
    """

    def __init__(self, framer: Framer, link: Link, sink: Sink, orders: asyncio.Queue[Order]) -> None:
        self._framer = framer
        self._link = link
        self._sink = sink
        self._orders = orders
        self._frames: deque[Frame] = deque()
        self._loop = asyncio.get_running_loop()
        self._quiet_at: float | None = None
        self._chunk = self._read()

    async def hear(self, timeout: float | None, *, orders: bool) -> Answer:
        """Return the next order (if wanted) or frame, or None after *timeout* seconds without either."""
        if orders and not self._orders.empty():
            return self._orders.get_nowait()
        if self._frames:
            return self._frames.popleft()
        ordered = asyncio.ensure_future(self._orders.get()) if orders else None
        try:
            await self._wait(ordered, None if timeout is None else self._loop.time() + timeout)
            if ordered is not None and ordered.done():
                return ordered.result()
            return self._frames.popleft() if self._frames else None
        finally:
            if ordered is not None:
                ordered.cancel()

    async def close(self) -> None:
        """Stop listening; what was heard and not asked for is told as noise."""
        self._chunk.cancel()
        await asyncio.wait({self._chunk})
        if not self._chunk.cancelled() and self._chunk.exception() is None:
            self._sort(self._framer.feed(self._chunk.result()))
        self._sort(self._framer.finish())
        while self._frames:
            self._sink.noise(Noise(self._frames.popleft().data, "not asked for"))

    async def _wait(self, ordered: asyncio.Task[Order] | None, deadline: float | None) -> None:
        """Return once a frame or the order is there, or the deadline has passed."""
        while not self._frames:
            ends = [end for end in (deadline, self._quiet_at) if end is not None]
            patience = max(0.0, min(ends) - self._loop.time()) if ends else None
            waited = {self._chunk} if ordered is None else {self._chunk, ordered}
            await asyncio.wait(waited, timeout=patience, return_when=asyncio.FIRST_COMPLETED)
            if ordered is not None and ordered.done():
                return
            self._take()
            if deadline is not None and self._loop.time() >= deadline:
                return

    def _take(self) -> None:
        """Cut what has arrived; where nothing has for long enough, cut what is held."""
        if self._chunk.done():
            chunk = self._chunk.result()
            self._chunk = self._read()
            self._quiet_at = self._loop.time() + GAP_S
            self._sort(self._framer.feed(chunk))
        elif self._quiet_at is not None and self._loop.time() >= self._quiet_at:
            self._quiet_at = None
            self._sort(self._framer.finish())

    def _read(self) -> asyncio.Task[bytes]:
        return asyncio.ensure_future(_next_chunk(self._link))

    def _sort(self, pieces: Iterable[Frame | Noise]) -> None:
        for piece in pieces:
            if isinstance(piece, Frame):
                self._frames.append(piece)
            else:
                self._sink.noise(piece)


async def _next_chunk(link: Link) -> bytes:
    return await link.read()
