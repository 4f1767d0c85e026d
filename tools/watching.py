"""Shows a live conversation to a technician: each chunk as it comes, and under it what it means."""

import threading
from collections.abc import Callable, Iterator
from queue import SimpleQueue

from drivers.catalogue import Decode, Decoded
from drivers.dialogue import Dialogue, Listen, Settings
from gateway.links import Link
from protocol.framing import Frame, Noise
from protocol.readings import Event, Reading
from tools.forms import Json, Piece, in_words, placed, printable

Show = Callable[[Piece | bytes], None]


def only_listen(decode: Decode, show: Show) -> Callable[[Settings], Dialogue]:
    """Return a dialogue that sends nothing and shows what *decode* makes of each frame."""

    def talk(_settings: Settings) -> Dialogue:
        decoding = Stepwise(decode)
        try:
            while True:
                answer = yield Listen()
                if isinstance(answer, Frame):
                    for piece in decoding.feed(answer):
                        show(piece)
        finally:
            decoding.end()

    return talk


class Stepwise:
    """A driver's decode fed frame by frame: it pulls its frames, so it runs in a thread of its own."""

    def __init__(self, decode: Decode) -> None:
        """Begin to decode."""
        self._frames: SimpleQueue[Frame | None] = SimpleQueue()
        self._found: SimpleQueue[list[Decoded]] = SimpleQueue()
        threading.Thread(target=self._run, args=(decode,), daemon=True).start()

    def feed(self, frame: Frame) -> list[Decoded]:
        """Return what *frame*, after all before it, says."""
        self._frames.put(frame)
        return self._found.get()

    def end(self) -> None:
        """Let the thread end; what *decode* would say only now is not wanted."""
        self._frames.put(None)

    def _run(self, decode: Decode) -> None:
        found: list[Decoded] = []

        def frames() -> Iterator[Frame]:
            while (frame := self._frames.get()) is not None:
                yield frame
                self._found.put(found.copy())
                found.clear()

        for piece in decode(frames()):
            found.append(piece)  # noqa: PERF402 - `frames` empties it between two frames


class Watched:
    """A link whose incoming chunks are shown."""

    def __init__(self, link: Link, show: Show) -> None:
        """Show each chunk of *link*."""
        self._link = link
        self._show = show

    async def read(self) -> bytes:
        """Return the next chunk, shown."""
        chunk = await self._link.read()
        self._show(chunk)
        return chunk

    async def write(self, data: bytes) -> None:
        """Refuse: who listens does not speak."""
        raise AssertionError(f"listening must not send {data.hex()}")

    async def close(self) -> None:
        """Let go of the port."""
        await self._link.close()


class Told:
    """A sink that shows everything."""

    def __init__(self, show: Show) -> None:
        """Show by *show*."""
        self._show = show

    async def report(self, reading: Reading) -> None:
        """Show a reading."""
        self._show(reading)

    async def known(self, record: str) -> bool:
        """Say that nothing is known: a technician wants to see all of the memory."""
        del record
        return False

    async def observe(self, event: Event) -> None:
        """Show an event."""
        self._show(event)

    def noise(self, noise: Noise) -> None:
        """Show what fits no frame, but not what merely separates frames."""
        if noise.reason:
            self._show(noise)


def as_line(offset: float, piece: Piece | bytes) -> str:
    """Return the line for a person: a chunk with its time, or what it means, indented under it."""
    if isinstance(piece, bytes):
        text = printable(piece)
        return f"{offset:9.3f} < {piece.hex(' ')}" + (f"  {text}" if text else "")
    return f"{'':9}   {in_words(piece)}"


def as_json(offset: float, piece: Piece | bytes) -> Json:
    """Return `{"at": seconds, "type": chunk | reading | event | noise, …}`."""
    at = round(offset, 3)
    if isinstance(piece, bytes):
        text = printable(piece)
        return {"at": at, "type": "chunk", "hex": piece.hex()} | ({"text": text} if text else {})
    list_name, form = placed(piece)
    return {"at": at, "type": list_name.removesuffix("s"), **form}
