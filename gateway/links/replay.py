"""A transcript as a link: the device's side of a recorded conversation, played to the real driver.

`play` runs it in time of its own, in which a silence of minutes passes at once.
"""

import asyncio
import selectors
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass

from drivers.catalogue import Driver
from drivers.dialogue import Order, Settings
from gateway.conductor import GAP_S, conduct
from protocol.errors import Lost, ProtocolError, UnexpectedReply
from protocol.framing import Noise, Value
from protocol.readings import Event, Reading
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
    TranscriptError,
    Turn,
    event_line,
    reading_line,
    turn_line,
)

AFTER_S = GAP_S + 0.5
"""Silence after the last turn, in which a framer may give out a line that was never ended."""
PATIENCE_S = 3600.0
"""A driver that has not said within this time what the transcript has it say will never say it."""
WORDS = {"yes": True, "true": True, "no": False, "false": False}


class Replay:
    """The device's side of *transcript* as a link.

    What the device sent after a question is held back until the driver has asked it. `beyond` is what the
    driver said after the last turn: nothing answers it, and the link is lost soon after.
    """

    def __init__(
        self, transcript: Transcript, orders: asyncio.Queue[Order] | None = None, chunk: int | None = None
    ) -> None:
        """Play in chunks of *chunk* bytes, or turn by turn; a person's orders go into *orders*."""
        self._turns = deque(turn for turn in transcript.turns if not isinstance(turn, Gives | Lets))
        self._expected = deque(
            turn for turn in transcript.turns if isinstance(turn, Sent | Subscribed | Answered)
        )
        self._orders = orders
        self._size = chunk
        self._said = asyncio.Semaphore(0)
        self._heard = b""
        self.beyond = b""

    async def write(self, data: bytes) -> None:
        """Take what the driver says; UnexpectedReply (`replay.differs`) where the transcript differs."""
        if not self._expected:
            self.beyond += data
            return
        self._does(Sent(data))

    async def write_value(self, characteristic: str, data: bytes, *, response: bool) -> None:
        """Take what the driver writes to a characteristic, as `write` does."""
        del response
        if not self._expected:
            self.beyond += data
            return
        self._does(Sent(data, characteristic))

    async def subscribe(self, characteristic: str) -> bool:
        """Answer a subscription as the transcript does."""
        there = not self._expected or self._expected[0] != Subscribed(characteristic, there=False)
        self._does(Subscribed(characteristic, there))
        return there

    async def read_value(self, characteristic: str) -> bytes | None:
        """Answer a question as the transcript does."""
        stated = self._expected[0] if self._expected else None
        if not isinstance(stated, Answered) or stated.characteristic != characteristic:
            stated = Answered(characteristic, None)
        self._does(stated)
        return stated.data

    def _does(self, turn: Turn) -> None:
        """Take the host's next act; raises UnexpectedReply (`replay.differs`) for any but the stated one."""
        wanted = self._expected.popleft() if self._expected else None
        if turn != wanted:
            raise UnexpectedReply(
                f"the driver says {_words(turn)}, the transcript {_words(wanted)}", code="replay.differs"
            )
        self._said.release()

    async def feature(self, data: bytes) -> None:
        """Take a feature report; a transcript holds it as sent."""
        await self.write(data)

    async def read(self) -> bytes:
        """Return what the device said next, in its own time; raise Lost when the transcript is over."""
        while not self._heard:
            if not self._turns:
                await asyncio.sleep(AFTER_S)
                raise Lost("the transcript is over")
            await self._turn()
        if isinstance(self._heard, Value):
            value, self._heard = self._heard, b""
            return value
        size = self._size or len(self._heard)
        chunk, self._heard = self._heard[:size], self._heard[size:]
        return chunk

    async def close(self) -> None:
        """Nothing is held."""

    def ended(self) -> None:
        """Take note that the dialogue has ended; UnexpectedReply where it has not said everything."""
        if self._expected:
            raise UnexpectedReply(
                f"the driver ends without saying {_words(self._expected[0])}", code="replay.differs"
            )

    async def _turn(self) -> None:
        match self._turns.popleft():
            case Heard(data, source):
                self._heard = Value(data, source) if source else data
            case Silence(seconds):
                await asyncio.sleep(seconds)
            case Ordered(name, arguments) if self._orders is not None:
                await self._orders.put(Order(name, arguments))
            case Sent() | Subscribed() | Answered() as turn:
                await self._until_said(turn)

    async def _until_said(self, turn: Turn) -> None:
        try:
            async with asyncio.timeout(PATIENCE_S):
                await self._said.acquire()
        except TimeoutError:
            raise UnexpectedReply(f"the driver never says {_words(turn)}", code="replay.differs") from None


def _words(turn: Turn | None) -> str:
    if isinstance(turn, Sent) and not turn.to:
        return turn.data.hex(" ")
    return turn_line(turn) if turn else "nothing"


@dataclass(frozen=True, slots=True)
class Played:
    """What a driver made of a transcript, in order.

    `beyond` is what it said after the last turn, `fault` what ended the conversation before that:
    an error of the driver's own, or `replay.differs`.
    """

    readings: tuple[Reading, ...]
    events: tuple[Event, ...]
    noise: tuple[Noise, ...]
    lines: tuple[str, ...]
    """Readings as `= …`, events as `~ …`, in the order in which they came."""
    beyond: bytes
    fault: ProtocolError | None


def play(driver: Driver, transcript: Transcript, chunk: int | None = None) -> Played:
    """Play *transcript* through the real driver and conductor, in chunks of *chunk* bytes or turn by turn.

    Raises TranscriptError where the transcript's settings are not the driver's. Not to be called inside an
    event loop.
    """
    settings = driver_settings(driver, transcript.settings)
    with asyncio.Runner(loop_factory=LeapingLoop) as runner:
        return runner.run(_play(driver, settings, transcript, chunk))


def driver_settings(driver: Driver, stated: Mapping[str, str]) -> Settings:
    """Return the driver's settings with those *stated* as text over them; TranscriptError for a wrong one."""
    settings = dict(driver.settings)
    for name, text in stated.items():
        if name not in settings:
            raise TranscriptError(f"{driver.name} has no setting {name}")
        default = settings[name]
        try:
            settings[name] = WORDS[text] if isinstance(default, bool) else type(default)(text)
        except (KeyError, ValueError):
            raise TranscriptError(f"{name} cannot be {text!r}") from None
    return settings


async def _play(driver: Driver, settings: Settings, transcript: Transcript, chunk: int | None) -> Played:
    orders: asyncio.Queue[Order] = asyncio.Queue()
    link, kept = Replay(transcript, orders, chunk), _Kept()
    fault: ProtocolError | None = None
    try:
        await conduct(driver.under(settings), settings, link, kept, orders)
        link.ended()
    except ProtocolError as error:
        fault = error
    except Lost:
        pass  # the transcript is over
    return Played(
        readings=tuple(kept.readings),
        events=tuple(kept.events),
        noise=tuple(kept.noises),
        lines=tuple(kept.lines),
        beyond=link.beyond,
        fault=fault,
    )


class _Kept:
    """A sink that keeps everything."""

    def __init__(self) -> None:
        self.readings: list[Reading] = []
        self.events: list[Event] = []
        self.noises: list[Noise] = []
        self.lines: list[str] = []
        self.records: set[str | None] = set()

    async def report(self, reading: Reading) -> None:
        self.readings.append(reading)
        self.records.add(reading.record)
        self.lines.append(f"= {reading_line(reading)}")

    async def known(self, record: str) -> bool:
        return record in self.records

    async def observe(self, event: Event) -> None:
        self.events.append(event)
        self.lines.append(f"~ {event_line(event)}")

    def noise(self, noise: Noise) -> None:
        self.noises.append(noise)


class LeapingLoop(asyncio.SelectorEventLoop):
    """An event loop that never sleeps: where it would wait for a timer, its clock leaps to it."""

    def __init__(self) -> None:
        self._leaping = _Leaping()
        super().__init__(self._leaping)

    def time(self) -> float:
        """Return the leaping clock's seconds."""
        return self._leaping.now


class _Leaping(selectors.SelectSelector):
    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0 if timeout is not None else None)
        if not ready and timeout:
            self.now += timeout
        return ready
