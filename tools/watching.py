"""Shows a live conversation to a technician: each chunk as it comes, and what it means beside it."""

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from queue import SimpleQueue
from typing import Literal

from drivers.catalogue import Decode, Decoded, Driver, Refusal
from drivers.dialogue import Answer, Dialogue, Listen, Observe, Order, Settings, Step
from gateway.conductor import conduct
from gateway.links import Link
from protocol.errors import ProtocolError
from protocol.framing import Frame, Noise
from protocol.readings import Event, Notice, Reading
from protocol.transcript import Sent
from tools.forms import Json, Piece, frame_json, in_words, placed, printable

AGAIN_S = (1.0, 30.0)
"""Ours: the pause after a conversation that failed, doubled each time up to the second."""


@dataclass(frozen=True, slots=True)
class Ended:
    """The driver's conversation ended here; another one begins after a pause."""

    code: str
    detail: str


Shown = Piece | bytes | Sent | Ended
"""Bytes heard, bytes sent, and everything that was made of them."""
Show = Callable[[Shown], None]
Tell = Callable[[float, Shown], None]
"""Takes what is shown with its moment: seconds since the watching began."""
Watch = Callable[[Tell], Coroutine[None, None, None]]
"""Tells everything until the link is lost (LinkError) or it is cancelled."""
Only = Literal["all", "bytes", "frames", "noise"]


@dataclass(frozen=True, slots=True)
class Choice:
    """Which lines are shown: of one sort, and those that contain a text."""

    only: Only = "all"
    text: str = ""

    def takes(self, shown: Shown) -> bool:
        """Say whether *shown* is wanted; the text is looked for in hex, in the text and in the meaning."""
        return self._sort(shown) and self.text.casefold() in as_line(0, shown).casefold()

    def _sort(self, shown: Shown) -> bool:
        match shown:
            case Ended():
                return True
            case bytes() | Sent():
                return self.only in {"all", "bytes"}
            case Frame():
                return self.only == "frames"
            case Noise() | Refusal():
                return self.only in {"all", "noise"}
            case _:
                return self.only in {"all", "frames"}


async def only_heard(link: Link, driver: Driver | None, show: Show) -> None:
    """Show what *link* brings and what *driver* makes of it until the link is lost; nothing is sent."""
    watched = Watched(link, show)
    if driver is None:
        while True:
            await watched.read()
    mute = replace(driver, talk=only_listen(driver.decode, show))
    await conduct(mute, {}, watched, Told(show), asyncio.Queue())


async def talked(link: Link, driver: Driver, settings: Settings, show: Show) -> None:
    """Show the driver's own conversation, again after each end of it, until the link is lost.

    No order is ever given, so nothing is started, erased or set.
    """
    watched, told = Watched(link, show, may_send=True), Told(show)
    aloud = replace(driver, talk=overheard(driver, show))
    orders: asyncio.Queue[Order] = asyncio.Queue()
    pause, longest = AGAIN_S
    while True:
        heard = watched.heard
        try:
            await conduct(aloud, settings, watched, told, orders)
        except ProtocolError as fault:
            show(Ended(fault.code, fault.detail))
        else:
            show(Ended("", "the driver has nothing more to say"))
        pause = AGAIN_S[0] if watched.heard > heard else pause
        await _meanwhile(watched, pause, show)
        pause = min(2 * pause, longest)


async def _meanwhile(watched: "Watched", seconds: float, show: Show) -> None:
    """Go on listening for so long; what comes between two conversations belongs to neither."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            while True:
                show(Noise(await watched.read(), "between two conversations"))


def only_listen(decode: Decode, show: Show) -> Callable[[Settings], Dialogue]:
    """Return a dialogue that sends nothing and shows each frame and what *decode* makes of it."""

    def talk(_settings: Settings) -> Dialogue:
        decoding = Stepwise(decode)
        try:
            while True:
                answer = yield Listen()
                if isinstance(answer, Frame):
                    show(answer)
                    for piece in decoding.feed(answer):
                        show(piece)
        finally:
            decoding.end()

    return talk


def overheard(driver: Driver, show: Show) -> Callable[[Settings], Dialogue]:
    """Return the driver's dialogue with each frame it hears shown, and each refusal it keeps to itself."""

    def talk(settings: Settings) -> Dialogue:
        decoding, dialogue = Stepwise(driver.decode), driver.talk(settings)
        answer: Answer = None
        try:
            while True:
                refused: list[Refusal] = []
                if isinstance(answer, Frame):
                    show(answer)
                    refused = [piece for piece in decoding.feed(answer) if isinstance(piece, Refusal)]
                step: Step | None = None
                try:
                    step = dialogue.send(answer)
                except StopIteration:
                    return
                finally:
                    for refusal in refused:
                        if not _tells(step, refusal):
                            show(refusal)
                answer = yield step
        finally:
            dialogue.close()
            decoding.end()

    return talk


def _tells(step: Step | None, refusal: Refusal) -> bool:
    """Say whether the dialogue lets this refusal be known itself."""
    return isinstance(step, Observe) and isinstance(step.event, Notice) and step.event.code == refusal.code


class Stepwise:
    """A driver's decode fed frame by frame: it pulls its frames, so it runs in a thread of its own."""

    def __init__(self, decode: Decode) -> None:
        """Begin to decode."""
        self._frames: SimpleQueue[Frame | None] = SimpleQueue()
        self._found: SimpleQueue[list[Decoded] | Exception] = SimpleQueue()
        threading.Thread(target=self._run, args=(decode,), daemon=True).start()

    def feed(self, frame: Frame) -> list[Decoded]:
        """Return what *frame*, after all before it, says; raises what a faulty driver raises."""
        self._frames.put(frame)
        found = self._found.get()
        if isinstance(found, Exception):
            raise found
        return found

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

        try:
            for piece in decode(frames()):
                found.append(piece)  # noqa: PERF402 - `frames` empties it between two frames
        except Exception as fault:  # who waits for an answer must get one
            self._found.put(fault)


class Watched:
    """A link whose chunks are shown, both ways."""

    def __init__(self, link: Link, show: Show, *, may_send: bool = False) -> None:
        """Show each chunk of *link*."""
        self._link = link
        self._show = show
        self._may_send = may_send
        self.heard = 0
        """Bytes heard so far."""

    async def read(self) -> bytes:
        """Return the next chunk, shown."""
        chunk = await self._link.read()
        self.heard += len(chunk)
        self._show(chunk)
        return chunk

    async def write(self, data: bytes) -> None:
        """Send *data*, shown; who only listens does not speak."""
        self._sends(data)
        await self._link.write(data)

    async def feature(self, data: bytes) -> None:
        """Set a feature report, shown as sent; who only listens does not."""
        self._sends(data)
        await self._link.feature(data)

    def _sends(self, data: bytes) -> None:
        if not self._may_send:
            raise AssertionError(f"listening must not send {data.hex()}")
        self._show(Sent(data))

    async def close(self) -> None:
        """Let go of the port."""
        await self._link.close()


class Told:
    """A sink that shows everything."""

    def __init__(self, show: Callable[[Piece], None]) -> None:
        """Show by *show*."""
        self._show = show
        self._records: set[str | None] = set()

    async def report(self, reading: Reading) -> None:
        """Show a reading."""
        self._records.add(reading.record)
        self._show(reading)

    async def known(self, record: str) -> bool:
        """Say whether this record was shown already: a technician sees all of the memory, once."""
        return record in self._records

    async def observe(self, event: Event) -> None:
        """Show an event."""
        self._show(event)

    def noise(self, noise: Noise) -> None:
        """Show what fits no frame, but not what merely separates frames."""
        if noise.reason:
            self._show(noise)


def as_line(offset: float, shown: Shown) -> str:
    """Return the line for a person: bytes with their time and way, or what they mean, indented under them."""
    match shown:
        case bytes():
            return f"{offset:9.3f} < {_both(shown)}"
        case Sent(data):
            return f"{offset:9.3f} > {_both(data)}"
        case Ended(code, detail):
            return f"{offset:9.3f}   ended    {': '.join(filter(None, (code, detail)))}"
        case Frame(data):
            return f"{offset:9.3f} = {_both(data)}"
        case _:
            return f"{'':9}   {in_words(shown)}"


def as_json(offset: float, shown: Shown) -> Json:
    """Return `{"at": seconds, "type": chunk | sent | frame | reading | event | noise | ended, …}`."""
    at = round(offset, 3)
    match shown:
        case bytes():
            return {"at": at, "type": "chunk", **frame_json(Frame(shown))}
        case Sent(data):
            return {"at": at, "type": "sent", **frame_json(Frame(data))}
        case Ended(code, detail):
            return {"at": at, "type": "ended", "code": code, "detail": detail}
        case _:
            list_name, form = placed(shown)
            return {"at": at, "type": list_name.removesuffix("s"), **form}


def _both(data: bytes) -> str:
    """Return *data* in hex and, where it is one printable line, as text."""
    text = printable(data)
    return data.hex(" ") + (f"  {text}" if text else "")
