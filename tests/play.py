"""Plays a transcript against a driver's dialogue in memory: no loop, no port, a clock that only counts."""

from collections import deque
from collections.abc import Callable, Container, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from drivers.catalogue import Driver, every
from drivers.dialogue import (
    Answer,
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
from protocol.errors import ProtocolError
from protocol.framing import BySource, Frame, Noise, Value
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
    event_line,
    parse,
    reading_line,
    turn_line,
)

TRANSCRIPTS = sorted((Path(__file__).parent / "transcripts").glob("*.txt"))
NOISE = b"\x00\xfeU\xabSO\x02,~\r\n"
"""Rubbish on the line before a conversation: half starts of every framer, ended as a text line would be."""
Chunks = Callable[[bytes], Iterable[bytes]]


def driver_of(path: Path) -> Driver:
    return every()[path.stem.split("-")[0]]


def read(path: Path) -> Transcript:
    return parse(path.read_text(encoding="utf-8"))


def whole(data: bytes) -> list[bytes]:
    return [data]


def bytewise(data: bytes) -> list[bytes]:
    return [bytes([byte]) for byte in data]


def settings_of(driver: Driver, stated: Transcript) -> Settings:
    """Return the driver's defaults with the transcript's settings over them, each in its default's type."""
    unknown = stated.settings.keys() - driver.settings.keys()
    assert not unknown, f"no such setting: {unknown}"
    return {**driver.settings, **{name: _typed(driver, name, text) for name, text in stated.settings.items()}}


def _typed(driver: Driver, name: str, text: str) -> str | int | bool:
    default = driver.settings[name]
    if isinstance(default, bool):
        return {"yes": True, "no": False}[text]
    return int(text) if isinstance(default, int) else text


@dataclass
class Played:
    readings: list[Reading] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)


def play(
    driver: Driver,
    transcript: Transcript,
    chunks: Chunks = whole,
    noise: bytes = b"",
    known: Container[str] = frozenset(),
) -> Played:
    """Play *transcript* to its end; AssertionError names the first turn where the driver does otherwise.

    *noise* comes before the device's first bytes; *known* are the records that the journal holds.
    """
    return _Player(driver, transcript, chunks, noise, known).run()


def play_noisy(driver: Driver, transcript: Transcript, noise: bytes) -> tuple[Played, bool]:
    """Play with *noise* before every burst of the device; return what came of it, and whether it was all."""
    player = _NoisyPlayer(driver, transcript, whole, b"", frozenset())
    player.between = noise
    try:
        return player.run(), True
    except (AssertionError, ProtocolError):
        return player.played, False


def play_cut(driver: Driver, transcript: Transcript, after: int) -> Played:
    """Play *transcript* until the device has sent *after* bytes; then it is silent, whatever is asked."""
    return _CutPlayer(driver, transcript, whole, b"", frozenset()).run_until(after)


class _Over(Exception):
    """The driver listens and the transcript has nothing more."""


class _Player:
    def __init__(
        self, driver: Driver, transcript: Transcript, chunks: Chunks, noise: bytes, known: Container[str]
    ) -> None:
        settings = settings_of(driver, transcript)
        shaped = driver.under(settings)
        self.dialogue = shaped.talk(settings)
        self.framer = BySource(shaped.framer)
        self.turns = deque(transcript.turns)
        self.chunks, self.noise, self.known = chunks, noise, known
        self.coming: deque[bytes] = deque()
        self.frames: deque[Frame] = deque()
        self.heard = b""
        self.quiet = True
        self.clock = self.sent_at = 0.0
        self.played = Played()

    def run(self) -> Played:
        answer: Answer = None
        try:
            while True:
                answer = self.do(self.dialogue.send(answer))
        except (_Over, StopIteration):
            pass
        self.dialogue.close()
        assert not self.turns, f"never came to: {turn_line(self.turns[0])}"
        return self.played

    def do(self, step: Step) -> Answer:
        match step:
            case Send(data):
                self.expect(turn_line(Sent(data)))
                self.sent_at = self.clock
            case Write(characteristic, data, _):
                self.expect(turn_line(Sent(data, characteristic)))
                self.sent_at = self.clock
            case Subscribe(characteristic) | Read(characteristic):
                return self.asked(characteristic, step)
            case Report(reading):
                self.expect(turn_line(Gives(reading_line(reading))))
                assert all(frame in self.heard for frame in reading.evidence), "evidence that was never heard"
                self.played.readings.append(reading)
            case Known(record):
                reported = (reading.record for reading in self.played.readings)
                return record in self.known or record in reported
            case Observe(event):
                if self.turns and self.turns[0] == Lets(event_line(event)):
                    self.turns.popleft()
                self.played.events.append(event)
            case Listen():
                return self.listen(step)
        return None

    def asked(self, characteristic: str, step: Subscribe | Read) -> Answer:
        """Subscribe or read as the transcript has it next."""
        match self.turns.popleft() if self.turns else None:
            case Subscribed(named, there) if isinstance(step, Subscribe) and named == characteristic:
                return there
            case Answered(named, data) if isinstance(step, Read) and named == characteristic:
                self.heard += data or b""
                return None if data is None else Frame(data, characteristic)
            case other:
                raise AssertionError(f"the driver does {step} instead of: {other and turn_line(other)}")

    def expect(self, line: str) -> None:
        wanted = turn_line(self.turns.popleft()) if self.turns else "(the end)"
        assert line == wanted

    def listen(self, step: Listen) -> Answer:
        until = None if step.timeout is None else self.clock + step.timeout
        if step.within is not None:
            until = min(self.sent_at + step.within, until if until is not None else float("inf"))
            if self.clock >= self.sent_at + step.within:
                return None
        while not self.frames:
            if self.coming:
                self.feed(self.coming.popleft())
            elif not self.turns:
                raise _Over
            elif isinstance(self.turns[0], Sent) and not self.quiet:
                self.quieten()
            else:
                done, answer = self.turn(step, until)
                if done:
                    return answer
        return self.frames.popleft()

    def turn(self, step: Listen, until: float | None) -> tuple[bool, Answer]:
        """Take the next turn while the driver listens; return whether that answers it, and how."""
        match self.turns.popleft():
            case Heard(data, source) if source:
                self.coming.extend(self.values(Value(data, source)))
            case Heard(data):
                self.coming.extend(self.chunks(self.noise + data))
                self.noise = b""
            case Ordered(name, arguments):
                assert step.orders, f"an order the driver does not listen for: {name}"
                return True, Order(name, arguments)
            case Silence(seconds):
                return self.silence(seconds, until), None
            case other:
                raise AssertionError(f"the driver listens instead of: {turn_line(other)}")
        return False, None

    def values(self, value: Value) -> list[Value]:
        """Return what arrives of a Bluetooth value: all or nothing."""
        return [value]

    def silence(self, seconds: float, until: float | None) -> bool:
        """Let time pass; return whether the driver's patience ended in it."""
        over = until is not None and until <= self.clock + seconds
        passed = until - self.clock if over and until is not None else seconds
        if seconds > passed:
            self.turns.appendleft(Silence(seconds - passed))
        self.clock += passed
        self.sort(self.framer.finish())
        return over and not self.frames

    def quieten(self) -> None:
        """Let the gap pass after which the service cuts what the framer holds: the device waits for us."""
        self.quiet = True
        self.sort(self.framer.finish())

    def feed(self, chunk: bytes) -> None:
        self.quiet = False
        self.heard += chunk
        self.sort(self.framer.feed(chunk))

    def sort(self, pieces: Iterable[Frame | Noise]) -> None:
        self.frames.extend(piece for piece in pieces if isinstance(piece, Frame))


class _NoisyPlayer(_Player):
    """A line with rubbish on it before everything the device says."""

    between = b""

    def turn(self, step: Listen, until: float | None) -> tuple[bool, Answer]:
        if isinstance(self.turns[0], Heard):
            self.noise = self.between
        return super().turn(step, until)


class _CutPlayer(_Player):
    """A device that falls silent in the middle."""

    left = 0
    patience = 8
    """So many more waits of the driver's are answered with silence."""

    def run_until(self, after: int) -> Played:
        self.left = after
        self.chunks = self.shortened
        with suppress(ProtocolError):
            self.run()
        return self.played

    def shortened(self, data: bytes) -> Iterable[bytes]:
        kept = data[: self.left]
        self.left -= len(kept)
        if len(kept) < len(data):
            self.turns.clear()
        return [kept] if kept else []

    def values(self, value: Value) -> list[Value]:
        if len(value) > self.left:
            self.turns.clear()
            return []
        self.left -= len(value)
        return [value]

    def asked(self, characteristic: str, step: Subscribe | Read) -> Answer:
        return super().asked(characteristic, step) if self.turns else None

    def expect(self, line: str) -> None:
        if self.turns:
            super().expect(line)

    def listen(self, step: Listen) -> Answer:
        if self.turns or self.coming or self.frames:
            return super().listen(step)
        self.sort(self.framer.finish())
        if self.frames:
            return self.frames.popleft()
        self.patience -= 1
        if (step.timeout is None and step.within is None) or not self.patience:
            raise _Over
        return None
