"""What conversations with a glucose meter have in common; a helper of drivers, none itself.

A meter is looked at for ever: who is there, its clock, its memory; then again and again, because another
meter may hang on the same cable. A meter that does not answer ends the conversation: the service tries anew.
"""

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from datetime import datetime
from itertools import count
from typing import Protocol

from drivers.catalogue import Decode, Decoded, Refusal
from drivers.dialogue import Answer, Dialogue, Known, Listen, Observe, Order, Send, Step
from drivers.push import pass_on
from protocol.framing import Frame
from protocol.readings import Notice, Reading

LOOK_AGAIN = 60.0
"""Ours: seconds between two looks at a meter that stays plugged in."""
WHOLE_AGAIN = 10
"""Ours: of so many looks one reads the whole memory, whatever the meter says of new records."""
MOST_BETWEEN = 64
"""Ours: frames that may come before the one that answers a question."""

Part = Generator[Step, Answer, None]
"""A part of a conversation that is done when it ends."""
Answered = Generator[Step, Answer, Frame | None]
"""A part of a conversation that ends with the frame asked for, or None."""


class Meter(Protocol):
    """One meter, as `attend` needs it."""

    @property
    def decode(self) -> Decode:
        """What is said of a frame that comes unasked."""
        ...

    def look(self, *, whole: bool) -> Part:
        """Ask who is there, and what is new; raise NoAnswer where nobody says a word."""
        ...


def attend(meter: Meter, set_clock: Callable[[datetime], Part] | None = None) -> Dialogue:
    """Look at *meter* for ever and do what a person orders meanwhile.

    `set_clock` sets its clock and reads it again; it raises ValueError for a moment the clock cannot hold.
    """
    for turn in count():
        yield from meter.look(whole=turn % WHOLE_AGAIN == 0)
        while isinstance(answer := (yield Listen(timeout=LOOK_AGAIN, orders=True)), Order):
            yield from _obey(answer, meter, set_clock)
        if isinstance(answer, Frame):
            yield from pass_on(meter.decode([answer]))


def _obey(order: Order, meter: Meter, set_clock: Callable[[datetime], Part] | None) -> Part:
    if order.name == "read_records":
        yield from meter.look(whole=True)
    elif order.name == "set_clock" and set_clock is not None:
        stated = order.arguments.get("time", "")
        try:
            moment = datetime.strptime(stated, "%Y-%m-%dT%H:%M:%S")  # noqa: DTZ007 - the meter's own time
            yield from set_clock(moment)
        except ValueError:
            yield Observe(Notice("glucose_meter.clock_refused", {"time": stated}, fault=True))


def ask(
    question: bytes, decode: Decode, right: Callable[[bytes], bool], seconds: float, tries: int = 1
) -> Answered:
    """Put *question*, *tries* times at most, and return the frame that is *right*; pass on the others."""
    for _ in range(tries):
        yield Send(question)
        found = yield from await_frame(decode, right, Listen(within=seconds))
        if found is not None:
            return found
    return None


def await_frame(decode: Decode, right: Callable[[bytes], bool], listen: Listen) -> Answered:
    """Return the next frame that is *right*; what comes before it is passed on."""
    for _ in range(MOST_BETWEEN):
        answer = yield listen
        if not isinstance(answer, Frame):
            return None
        if right(answer.data):
            return answer
        yield from pass_on(decode([answer]))
    return None


class Told:
    """Passes on what a whole memory says, each thing once.

    A memory that comes in one piece says the same every time: what the journal knows is left out, and what
    carries evidence but is no reading (another kind of test) is told once in a conversation.
    """

    def __init__(self) -> None:
        """Begin a conversation: nothing has been told."""
        self._kinds: set[bytes] = set()

    def forget(self) -> None:
        """Begin anew: another meter is there."""
        self._kinds.clear()

    def news(self, newest_first: Sequence[Decoded]) -> Part:
        """Pass on what is new, oldest first; last of all what was refused."""
        refused = [item for item in newest_first if isinstance(item, Refusal)]
        for item in reversed(newest_first):
            if not isinstance(item, Refusal) and not (yield from self._known(item)):
                yield from pass_on([item])
        yield from pass_on(refused)

    def _known(self, item: Decoded) -> Generator[Step, Answer, bool]:
        if isinstance(item, Reading) and item.record is not None:
            return (yield Known(item.record)) is True
        if isinstance(item, Notice) and item.evidence:
            before = item.evidence in self._kinds
            self._kinds.add(item.evidence)
            return before
        return False


def newest_first(said: Iterable[Decoded]) -> list[Decoded]:
    """Return what a memory says by the machine's own times, no source stating their order."""
    return sorted(said, key=lambda item: getattr(item, "device_time", datetime.min), reverse=True)  # noqa: DTZ901


def without_results(decode: Decode) -> Decode:
    """Return *decode* for what nobody asked for: all it gives but results.

    A record that comes late must not be told before the older ones: that one is known has to mean that all
    before it are.
    """

    def unasked(frames: Iterable[Frame]) -> Iterator[Decoded]:
        return (item for item in decode(frames) if not isinstance(item, Reading))

    return unasked


def incomplete() -> Part:
    """Let it be known that a part of the memory did not arrive whole."""
    yield Observe(Notice("glucose_meter.records_incomplete", fault=True))
