"""Open ways to devices."""

from typing import Protocol, runtime_checkable


class Link(Protocol):
    """An open way to one device. Bytes both ways; every method raises LinkError once it is gone."""

    async def write(self, data: bytes) -> None:
        """Send *data*; returns when the port has taken it all."""
        ...

    async def feature(self, data: bytes) -> None:
        """Set a HID device's feature report; what has none gets the bytes as they are."""
        ...

    async def read(self) -> bytes:
        """Return the next chunk, never empty; raise Lost once the link is gone."""
        ...

    async def close(self) -> None:
        """Let go of the port; may be called twice."""
        ...


@runtime_checkable
class GattLink(Link, Protocol):
    """A connection to a Bluetooth LE device; `read` returns a `protocol.framing.Value` with its source."""

    async def subscribe(self, characteristic: str) -> bool:
        """Have its values told from now on; False where the device has no such characteristic."""
        ...

    async def write_value(self, characteristic: str, data: bytes, *, response: bool) -> None:
        """Write a value; with *response* returns once the device has confirmed it."""
        ...

    async def read_value(self, characteristic: str) -> bytes | None:
        """Return its value, None where the device has no such characteristic."""
        ...
