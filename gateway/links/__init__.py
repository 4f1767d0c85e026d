"""Open ways to devices."""

from typing import Protocol


class Link(Protocol):
    """An open way to one device. Bytes both ways; every method raises LinkError once it is gone."""

    async def write(self, data: bytes) -> None:
        """Send *data*; returns when the port has taken it all."""
        ...

    async def read(self) -> bytes:
        """Return the next chunk, never empty; raise Lost once the link is gone."""
        ...

    async def close(self) -> None:
        """Let go of the port; may be called twice."""
        ...
