"""Writes a conversation down as it happens, as a transcript that plays back.

What a device sends may carry a person's name or number (an identity card, a number typed at the machine). A
driver that can blank it (`Driver.redact`) does so before anything is written down: what is no frame of its is
blanked whole. Any other record keeps every byte.
"""

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import replace

from drivers.catalogue import Driver
from drivers.dialogue import Order
from gateway.conductor import GAP_S
from gateway.links import GattLink, Link
from protocol.errors import Unavailable
from protocol.framing import BySource, Frame, Noise, Value
from protocol.readings import PERSONAL, Event, Reading
from protocol.transcript import (
    Answered,
    Gives,
    Heard,
    Lets,
    Ordered,
    Sent,
    Silence,
    Subscribed,
    Transcript,
    Turn,
    event_line,
    reading_line,
)

PAUSE_S = 0.2
"""A silence from here on is written down; shorter ones are the line's own."""
LINE_ENDS = b"\r\n"
"""Kept in what is no frame, so that the next line still begins where it did."""


def without_person(reading: Reading) -> Reading:
    """Return *reading* without what may name a person: as it is decoded from a blanked frame."""
    kept = {name: said for name, said in reading.context.items() if name not in PERSONAL}
    return replace(reading, context=kept)


class Recorder:
    """A link that is recorded. Chunks heard without a silence between them become one turn.

    Where *driver* can blank what names a person, frames are written down once they are whole.
    """

    def __init__(self, link: Link, driver: Driver | None = None, secrets: Iterable[bytes] = ()) -> None:
        """Record *link* from now on; closing the recorder closes it. Without *driver* nobody is blanked.

        *secrets* (keys that open the device) are blanked wherever they are sent or stated.
        """
        self._link = link
        self._secrets = tuple(filter(None, secrets))
        self._blank = _Blank(driver) if driver is not None and driver.redact else None
        self._turns: list[Turn] = []
        self._loop = asyncio.get_running_loop()
        self._last = self._heard_at = self._loop.time()

    async def write(self, data: bytes) -> None:
        """Send *data* and write it down."""
        self._settle()
        self._add(Sent(self._without_secrets(data)))
        await self._link.write(data)

    async def feature(self, data: bytes) -> None:
        """Set a feature report and write it down as sent."""
        self._settle()
        self._add(Sent(self._without_secrets(data)))
        await self._link.feature(data)

    async def read(self) -> bytes:
        """Return the next chunk and write it down."""
        chunk = await self._link.read()
        self._settle()
        if isinstance(chunk, Value):
            said = self._blank.feed(chunk) if self._blank else bytes(chunk)
            self._add(Heard(said or bytes(len(chunk)), chunk.source))
            return chunk
        self._hear(self._blank.feed(chunk) if self._blank else chunk)
        self._heard_at = self._loop.time()
        return chunk

    async def subscribe(self, characteristic: str) -> bool:
        """Subscribe, and write down whether the device has it."""
        there = await self._gatt().subscribe(characteristic)
        self._add(Subscribed(characteristic, there))
        return there

    async def write_value(self, characteristic: str, data: bytes, *, response: bool) -> None:
        """Write a value, and write it down."""
        self._add(Sent(self._without_secrets(data), characteristic))
        await self._gatt().write_value(characteristic, data, response=response)

    async def read_value(self, characteristic: str) -> bytes | None:
        """Read a value, and write the answer down."""
        answer = await self._gatt().read_value(characteristic)
        self._add(Answered(characteristic, answer))
        return answer

    def _gatt(self) -> GattLink:
        if not isinstance(self._link, GattLink):
            raise Unavailable("this device speaks Bluetooth", code="link.settings")
        return self._link

    async def close(self) -> None:
        """Let go of the port."""
        await self._link.close()

    def ordered(self, order: Order) -> None:
        """Write down what a person asked."""
        self._settle()
        self._add(Ordered(order.name, order.arguments))

    def gave(self, item: Reading | Event) -> None:
        """Write down what the driver made of it."""
        self._settle()
        if isinstance(item, Reading):
            self._turns.append(Gives(reading_line(without_person(item) if self._blank else item)))
        else:
            self._turns.append(Lets(event_line(item)))

    def transcript(self, provenance: str, settings: Mapping[str, str]) -> Transcript:
        """Return what was recorded so far; *provenance* begins with `captured` for a real device."""
        if self._blank:
            self._hear(self._blank.finish())
        stated = {name: self._unstated(text) for name, text in settings.items()}
        return Transcript(provenance, tuple(self._turns), stated)

    def _without_secrets(self, data: bytes) -> bytes:
        for secret in self._secrets:
            data = data.replace(secret, bytes(len(secret)))
        return data

    def _unstated(self, text: str) -> str:
        """Return a setting with noughts where it is a secret: the dialogue then sends the same noughts."""
        secret = any(text.lower() == one.hex() for one in self._secrets)
        return "0" * len(text) if secret else text

    def _settle(self) -> None:
        """Write down what has stood on the line for so long that nothing more belongs to it."""
        if self._blank and self._loop.time() - self._heard_at >= GAP_S:
            self._hear(self._blank.finish())

    def _hear(self, data: bytes) -> None:
        before = self._turns[-1] if self._turns else None
        if isinstance(before, Heard) and self._loop.time() - self._last < PAUSE_S:
            self._turns.pop()
            data = before.data + data
        if data:
            self._add(Heard(data))

    def _add(self, turn: Turn) -> None:
        now = self._loop.time()
        if self._turns and now - self._last >= PAUSE_S:
            self._turns.append(Silence(round(now - self._last, 1)))
        self._last = now
        self._turns.append(turn)


class _Blank:
    """What a device said, as it may be written down: as many bytes, and nobody named in them."""

    def __init__(self, driver: Driver) -> None:
        assert driver.redact is not None
        self._framer = BySource(driver.framer)
        self._redact = driver.redact

    def feed(self, chunk: bytes) -> bytes:
        """Take *chunk* and return what is now whole."""
        return self._blanked(self._framer.feed(chunk))

    def finish(self) -> bytes:
        """Return what is held as it stands."""
        return self._blanked(self._framer.finish())

    def _blanked(self, pieces: Iterable[Frame | Noise]) -> bytes:
        return b"".join(self._written(piece) for piece in pieces)

    def _written(self, piece: Frame | Noise) -> bytes:
        if isinstance(piece, Frame):
            return self._redact(piece.data)
        return bytes(byte if byte in LINE_ENDS else 0 for byte in piece.data) if piece.reason else piece.data
