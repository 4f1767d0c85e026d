"""The parts of a radio as it sees them: who scans, a link, this box's Bluetooth. No bleak, no D-Bus here."""

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

from drivers.catalogue import Gatt
from gateway.links import GattLink
from gateway.links.ble_adverts import Advert
from protocol.errors import LinkError

Passkey = Callable[[str], Awaitable[int | None]]
"""Returns the six digits that the machine of this address shows or has on its label; None if nobody knows."""


@dataclass(frozen=True, slots=True)
class Found:
    """A device that advertised just now. Good for one attempt: BlueZ forgets it after a failed one.

    `device` is what the Central that heard it knows it by.
    """

    advert: Advert
    device: object


class DeviceLink(GattLink, Protocol):
    """A link as the radio sees it; `gateway.links.ble_link.BleLink`."""

    address: str
    insecure: bool
    """The device refused a call because the link is not secure enough."""
    worked: bool
    """The device has answered a call."""
    closed: Callable[["DeviceLink"], None]

    @property
    def lost(self) -> LinkError | None: ...  # noqa: D102
    def end(self, fault: LinkError) -> None: ...  # noqa: D102
    def lacks(self, device: Gatt) -> list[str]: ...  # noqa: D102
    async def pair(self) -> None: ...  # noqa: D102


class Central(Protocol):
    """Scans and connects; `gateway.links.ble.Central`."""

    def scan(self, adapter: str, hear: Callable[[Found], None]) -> AbstractAsyncContextManager[None]: ...  # noqa: D102
    async def connect(self, found: Found) -> DeviceLink: ...  # noqa: D102


class Host(Protocol):
    """This box's Bluetooth as far as bleak does not show it. Every method may raise a LinkError `radio.…`."""

    gone: Callable[[], None]
    """Called when the Bluetooth service has ended: every open link is dead then, unseen by bleak."""

    async def adapter(self) -> str:
        """Return the name of the adapter to use (`hci0`), switched on and with our agent registered."""
        ...

    async def bonded(self, address: str) -> bool:
        """Say whether there is a bond with this machine."""
        ...

    async def forget(self, address: str) -> None:
        """Remove a bond that there is."""
        ...

    async def expect(self, address: str, passkey: Passkey | None) -> None:
        """Answer for this machine when it pairs; with *passkey* it has a screen or a label with digits."""
        ...

    async def asked(self, address: str) -> list[str]:
        """Return what was asked since `expect`, by the names of org.bluez.Agent1."""
        ...

    async def power_cycle(self) -> None:
        """Switch the adapter off and on."""
        ...

    async def restart(self) -> None:
        """Restart the Bluetooth service."""
        ...

    async def close(self) -> None:
        """Let go of everything; bonds stay."""
        ...
