"""Plays a driver's dialogue on a link: the only place where both meet.

The dialogue says what it wants, the link and the clock answer; whatever ends it, no byte heard is dropped
without being told to the sink as noise.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Protocol

from drivers.catalogue import Driver
from drivers.dialogue import (
    Answer,
    Dialogue,
    Feature,
    Known,
    Listen,
    Observe,
    Order,
    Read,
    Report,
    Send,
    Settings,
    Step,
    Subscribe,
    Write,
)
from gateway.links import GattLink, Link
from protocol.errors import LinkError, Unavailable
from protocol.framing import BySource, Frame, Framer, Noise
from protocol.readings import Event, Reading

TURN_S = 0.005
"""So long a device whose frames wait may keep the loop; then the others have their turn."""
GAP_S = 1.0
"""After so long without a byte, what the framer holds stays as it is: a false start, a line without end."""


class Sink(Protocol):
    """Where a conversation's results go, in the order in which they happen."""

    async def report(self, reading: Reading) -> None:
        """Make *reading* durable; returns after COMMIT, and only then the device hears more from us."""
        ...

    async def known(self, record: str) -> bool:
        """Say whether the journal holds this record of the device already."""
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
    closed and the link left open in any case. A dialogue may catch the loss of its link, to report what it
    holds; it cannot go on.
    """
    dialogue = driver.talk(settings)
    ear = _Ear(driver.framer, link, sink, orders)
    try:
        await _play(dialogue, ear, link, sink)
    finally:
        dialogue.close()
        await ear.close()


async def _play(dialogue: Dialogue, ear: "_Ear", link: Link, sink: Sink) -> None:
    answer: Answer = None
    try:
        while True:
            answer = await _do(dialogue.send(answer), ear, link, sink)
    except StopIteration:
        return
    except LinkError as lost:
        await _last_words(dialogue, lost, ear, link, sink)
        raise


async def _last_words(dialogue: Dialogue, lost: LinkError, ear: "_Ear", link: Link, sink: Sink) -> None:
    """Let the dialogue report what it holds, and do nothing on the link any more."""
    try:
        step = dialogue.throw(lost)
        while isinstance(step, Report | Known | Observe):
            step = dialogue.send(await _do(step, ear, link, sink))
    except (StopIteration, LinkError):
        return


async def _do(step: Step, ear: "_Ear", link: Link, sink: Sink) -> Answer:
    match step:
        case Feature(data):
            await link.feature(data)
            ear.sent()
        case Send(data):
            await link.write(data)
            ear.sent()
        case Listen():
            return await ear.hear(step)
        case Report(reading):
            await sink.report(reading)
        case Subscribe() | Write() | Read():
            return await _gatt(step, ear, link)
        case Known(record):
            return await sink.known(record)
        case Observe(event):
            await sink.observe(event)
    return None


async def _gatt(step: Subscribe | Write | Read, ear: "_Ear", link: Link) -> Answer:
    if not isinstance(link, GattLink):
        raise Unavailable("this device speaks Bluetooth", code="link.settings")
    match step:
        case Subscribe(characteristic):
            return await link.subscribe(characteristic)
        case Write(characteristic, data, response):
            await link.write_value(characteristic, data, response=response)
            ear.sent()
            return None
        case Read(characteristic):
            found = await link.read_value(characteristic)
            return None if found is None else Frame(found, characteristic)


class _Ear:
    """What comes from the device, cut into frames, and the orders of a person beside it.

    One read is under way all the time and is never given up for a timeout, so a chunk that arrives in that
    moment is not lost. Chunks are cut only when no frame is waiting: a busy sink holds the line up, memory
    stays bounded.
    """

    def __init__(
        self, framer: Callable[[], Framer], link: Link, sink: Sink, orders: asyncio.Queue[Order]
    ) -> None:
        self._framers = BySource(framer)
        self._link = link
        self._sink = sink
        self._orders = orders
        self._pieces: deque[Frame | Noise] = deque()
        self._loop = asyncio.get_running_loop()
        self._sent_at = self._loop.time()
        self._turn_at = self._sent_at
        self._quiet_at: float | None = None
        self._chunk = self._read()

    def sent(self) -> None:
        """Note a Send's moment; `Listen.within` counts from the last, before one from the start."""
        self._sent_at = self._loop.time()

    async def hear(self, step: Listen) -> Answer:
        """Return the next order (if wanted) or frame, or None once the step's time is up."""
        if step.orders and not self._orders.empty():
            return self._orders.get_nowait()
        bound = None if step.within is None else self._sent_at + step.within
        if bound is not None and self._loop.time() >= bound:
            return None
        if self._pieces:
            await self._let_others()
        if (frame := self._next_frame()) is not None:
            return frame
        alone = None if step.timeout is None else self._loop.time() + step.timeout
        return await self._wait(_earliest(alone, bound), orders=step.orders)

    async def _let_others(self) -> None:
        """Give the loop back for a moment where this device has kept it for long."""
        if self._loop.time() - self._turn_at > TURN_S:
            await asyncio.sleep(0)
            self._turn_at = self._loop.time()

    async def close(self) -> None:
        """Stop listening; what was heard and not asked for is told as noise."""
        self._chunk.cancel()
        await asyncio.wait({self._chunk})
        if not self._chunk.cancelled() and self._chunk.exception() is None:
            self._pieces.extend(self._framers.feed(self._chunk.result()))
        self._pieces.extend(self._framers.finish())
        for piece in self._pieces:
            self._sink.noise(piece if isinstance(piece, Noise) else Noise(piece.data, "not asked for"))

    async def _wait(self, deadline: float | None, *, orders: bool) -> Answer:
        """Return the next frame or order to come, or None once *deadline* has passed."""
        ordered = asyncio.ensure_future(self._orders.get()) if orders else None
        try:
            while True:
                await self._stirred(_earliest(deadline, self._quiet_at), ordered)
                if ordered is not None and ordered.done():
                    return ordered.result()
                self._take()
                if (frame := self._next_frame()) is not None:
                    return frame
                if deadline is not None and self._loop.time() >= deadline:
                    return None
        finally:
            if ordered is not None:
                ordered.cancel()

    async def _stirred(self, until: float | None, ordered: asyncio.Task[Order] | None) -> None:
        awaited = {self._chunk} if ordered is None else {self._chunk, ordered}
        patience = None if until is None else max(0.0, until - self._loop.time())
        await asyncio.wait(awaited, timeout=patience, return_when=asyncio.FIRST_COMPLETED)
        self._turn_at = self._loop.time()

    def _take(self) -> None:
        """Cut what has arrived; where nothing has for long enough, cut what is held."""
        if self._chunk.done():
            chunk = self._chunk.result()
            self._chunk = self._read()
            self._quiet_at = self._loop.time() + GAP_S
            self._pieces.extend(self._framers.feed(chunk))
        elif self._quiet_at is not None and self._loop.time() >= self._quiet_at:
            self._quiet_at = None
            self._pieces.extend(self._framers.finish())

    def _read(self) -> asyncio.Task[bytes]:
        return asyncio.ensure_future(_next_chunk(self._link))

    def _next_frame(self) -> Frame | None:
        """Return the next frame that waits, telling the noise before it."""
        while self._pieces:
            piece = self._pieces.popleft()
            if isinstance(piece, Frame):
                return piece
            self._sink.noise(piece)
        return None


async def _next_chunk(link: Link) -> bytes:
    return await link.read()


def _earliest(*moments: float | None) -> float | None:
    return min((moment for moment in moments if moment is not None), default=None)
