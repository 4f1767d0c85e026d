"""What a forwarder is: one file here, ending in `FORWARDER`, hands verified measurements to one system."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from pkgutil import iter_modules
from typing import Protocol

from gateway.config import Config
from store.facts import Measurement
from store.residents import Resident


@dataclass(frozen=True, slots=True)
class Outgoing:
    """One version of one measurement on its way, with all a forwarder may need to write it down.

    `receipt` is what the other side gave for an earlier version, empty if none was ever delivered;
    `sources` are the measurements a derived value came from (never empty where one is derived).
    """

    measurement: Measurement
    resident: Resident
    receipt: Mapping[str, str] = field(default_factory=dict)
    sources: Sequence[Measurement] = ()


@dataclass(frozen=True, slots=True)
class Accepted:
    """The other side confirmed that it holds this version; `receipt` finds it there again."""

    receipt: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Rejected:
    """The other side answered no to this one item, with its reason in its own words."""

    reason: str


Outcome = Accepted | Rejected


class Forwarder(Protocol):
    """Delivers at least once to the wire and exactly once in effect."""

    name: str

    async def deliver(self, batch: Sequence[Outgoing]) -> list[Outcome]:
        """Return one outcome per item, in order; raise Unreachable when no usable answer came."""
        ...

    async def close(self) -> None:
        """Close connections."""
        ...


@dataclass(frozen=True, slots=True)
class Kind:
    """One way of forwarding: `build` returns None where the configuration does not ask for it."""

    name: str
    build: Callable[[Config], Forwarder | None]


def every() -> Mapping[str, Kind]:
    """Return the `FORWARDER` of every file here, by name."""
    modules = (import_module(found.name) for found in iter_modules(__path__, f"{__name__}."))
    kinds = (getattr(module, "FORWARDER", None) for module in modules)
    return {kind.name: kind for kind in kinds if isinstance(kind, Kind)}
