"""A driver's conversation, written top to bottom and played by someone else.

A dialogue is a generator. It yields what it wants done and receives the answer; it never opens a
port, sleeps or reads a clock, so a transcript can play it.
"""

from collections.abc import Generator, Mapping
from dataclasses import dataclass, field

from protocol.errors import NoAnswer
from protocol.framing import Frame
from protocol.readings import Event, Reading


@dataclass(frozen=True, slots=True)
class Send:
    """Write these bytes to the device."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Feature(Send):
    """Set the HID device's feature report to these bytes; a stand-in for it hears them as sent."""


@dataclass(frozen=True, slots=True)
class Subscribe:
    """Bluetooth: have this characteristic tell its values; the answer says whether the device has it."""

    characteristic: str


@dataclass(frozen=True, slots=True)
class Write:
    """Bluetooth: write a value; *response* waits for the device's own confirmation."""

    characteristic: str
    data: bytes
    response: bool = True


@dataclass(frozen=True, slots=True)
class Read:
    """Bluetooth: read a value; the answer is a Frame, None where the device has no such characteristic."""

    characteristic: str


@dataclass(frozen=True, slots=True)
class Listen:
    """Give me the next frame or order, or None when *timeout* seconds pass without one.

    Orders are given out only if `orders` is true; otherwise they wait. `within` bounds a wait that frames
    keep interrupting: None is answered once so many seconds have passed since the dialogue's last Send,
    even if frames are waiting; those are given out by the next Listen.
    """

    timeout: float | None = None
    orders: bool = False
    within: float | None = None


@dataclass(frozen=True, slots=True)
class Report:
    """Make this reading durable; the dialogue goes on only after COMMIT."""

    reading: Reading


@dataclass(frozen=True, slots=True)
class Known:
    """Say whether the journal holds the reading of this record (`Reading.record`) already: True or False."""

    record: str


@dataclass(frozen=True, slots=True)
class Observe:
    """Let this be known: a clock read, progress, a notice."""

    event: Event


@dataclass(frozen=True, slots=True)
class Order:
    """What a person asked of the device just now, by a name the driver lists in `orders`."""

    name: str
    arguments: Mapping[str, str] = field(default_factory=dict)


Step = Send | Subscribe | Write | Read | Listen | Report | Known | Observe
Answer = Frame | Order | bool | None
Dialogue = Generator[Step, Answer, None]
Settings = Mapping[str, str | int | bool]


def listen(timeout: float | None = None) -> Generator[Step, Answer, Frame]:
    """Return the next frame; raise NoAnswer when *timeout* seconds pass first."""
    answer = yield Listen(timeout)
    if not isinstance(answer, Frame):
        raise NoAnswer(f"nothing within {timeout} s")
    return answer


def tell(item: Reading | Event) -> Generator[Step, Answer, None]:
    """Report a reading (returns after COMMIT) or observe an event."""
    yield Report(item) if isinstance(item, Reading) else Observe(item)
