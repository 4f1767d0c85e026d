"""What the API, the page and the demo may ask of the running gateway."""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, Protocol

from gateway.audit import Audit
from gateway.bringing import Bringing
from gateway.broadcast import News
from gateway.correcting import Correction
from store.residents import Identifier

DeviceCondition = Literal["starting", "waiting", "connected", "measuring", "silent", "lost", "failed"]


@dataclass(frozen=True, slots=True)
class DeviceState:
    """One device now. `code` names the text (gateway/messages.py) of what is wrong, if anything is."""

    name: str
    driver: str
    title: str
    port: str
    condition: DeviceCondition
    kinds: tuple[str, ...]
    orders: tuple[str, ...]
    last_heard: str | None = None
    """ISO 8601, from the journal, so that it survives a restart."""
    code: str | None = None
    detail: str = ""
    serial: str | None = None
    clock_offset_s: float | None = None
    progress: Mapping[str, str] = field(default_factory=dict)
    pointed_at: str | None = None
    """The exam this device was pointed at."""
    recognised: str | None = None
    """The exam of the person whose card lies, or just lay, on this reader."""
    readings: int = 0
    noise_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Reach:
    """Whether a forwarder's other side answers; `since` is None as long as nobody knows."""

    state: Literal["unknown", "reachable", "unreachable"] = "unknown"
    since: datetime | None = None
    code: str | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class ExamRequest:
    """Who sits down at the machines; at least one identifier or a name."""

    identifiers: Sequence[Identifier]
    name: str | None
    operator: str
    sex: Literal["male", "female"] | None = None
    birth_date: str | None = None


class Service(Protocol):
    """The running gateway. Every request that cannot be followed raises RequestRefused with its code."""

    audit: Audit
    """Where it is written down who read what."""
    bringing: Bringing
    """How a Bluetooth machine is brought in."""

    async def open_exam(self, request: ExamRequest) -> str:
        """Open an exam and return its id; `id.*` codes where an identifier is impossible."""
        ...

    async def close_exam(self, exam: str, operator: str) -> None:
        """Close it; closing a closed exam changes nothing. Code `exam.unknown`."""
        ...

    async def bind(self, measurement: str, exam: str | None, operator: str, reason: str) -> str:
        """Bind, re-bind or send back to the tray (exam None); returns the id that now stands for it.

        Re-binding a final measurement withdraws it and makes a new one for the right person.
        Codes `measurement.unknown`, `exam.unknown`, `bind.reason`.
        """
        ...

    async def correct(self, measurement: str, asked: Correction) -> str:
        """Give it the values a person states; returns its id. Codes `measurement.unknown`, `correct.…`."""
        ...

    async def point(self, device: str, exam: str | None, operator: str) -> None:
        """Let this device measure the person of *exam* while several are open. Code `device.unknown`."""
        ...

    async def order(self, device: str, name: str, arguments: Mapping[str, str], operator: str) -> None:
        """Give a device a person's order. Codes `device.unknown`, `order.unknown`, `order.not_now`."""
        ...

    async def passport(self, device: str, written: Mapping[str, str], operator: str) -> None:
        """Write fields of a device's passport over those there are. Code `device.unknown`."""
        ...

    async def resend(self, forwarder: str, measurement: str, operator: str) -> None:
        """Send a parked delivery again. Code `delivery.unknown`."""
        ...

    def front(self) -> str | None:
        """Return the exam of whoever came last: opened by a person, or named by a card. It may be closed."""
        ...

    def devices(self) -> list[DeviceState]:
        """Return every configured device's state, in configuration order."""
        ...

    def reach(self) -> Mapping[str, Reach]:
        """Return, for every configured forwarder by name, whether its other side answers."""
        ...

    def changes(self, after: int | None = None) -> AsyncIterator[News]:
        """Yield a topic (`exam`, `measurement`, `tray`, `device`, `outbox`, `card`) each time one changes.

        With *after*, a number that latest() gave or news bore, what came after it is yielded first.
        """
        ...

    def latest(self) -> int:
        """Return the number of the latest news; 0 before the first."""
        ...
