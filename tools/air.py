"""Virtual Bluetooth controllers and the air between them, built on Bumble.

Bumble 0.0.236's emulated controller needs five small corrections. They live here, in one place, so that each
can be dropped when Bumble gains it.
"""

import asyncio
import dataclasses
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

from bumble import hci
from bumble.controller import Controller
from bumble.core import PhysicalTransport
from bumble.link import LocalLink
from bumble.transport import open_transport

from gateway.links.ble_bluez import Bluez
from tools.peripherals import ADAPTER


class Air(LocalLink):
    """The shared medium.

    Correction 1: Bumble addresses data packets with the sender's *random* address
    even when the connection was made with its public one.  Here the address of the
    connection itself is used.
    """

    def send_acl_data(
        self,
        sender_controller: Controller,
        destination_address: hci.Address,
        transport: PhysicalTransport,
        data: bytes,
    ) -> None:
        """Hand a packet to the other end of the connection."""
        if transport != PhysicalTransport.LE:
            super().send_acl_data(sender_controller, destination_address, transport, data)
            return
        connection = sender_controller.le_connections.get(destination_address)
        receiver = self.find_le_controller(destination_address)
        if connection is not None and receiver is not None:
            asyncio.get_running_loop().call_soon(
                receiver.on_link_acl_data, connection.self_address, transport, data
            )


LOOKS, LOOK_S = 100, 0.1
"""How often, and after how many seconds each, BlueZ is asked whether it has the adapter."""


@asynccontextmanager
async def adapter(air: Air, address: str) -> AsyncIterator[None]:
    """Plug an emulated adapter that hears *air* into this box (/dev/vhci, root); pull it out at the end."""
    async with await open_transport("vhci") as box:
        sink = _Line(box.sink)
        controller = VirtualController(
            address, host_source=box.source, host_sink=sink, link=air, public_address=address
        )
        try:
            yield
        finally:
            air.remove_controller(controller)


class _Line:
    """The way to the kernel, which takes nothing while the adapter is down: Bumble would hang up then."""

    def __init__(self, sink: Any) -> None:
        self._pipe = sink.transport.get_extra_info("pipe")

    def on_packet(self, packet: bytes) -> None:
        """Hand a packet over, if the kernel takes it."""
        with suppress(OSError, ValueError):
            self._pipe.write(packet)


@asynccontextmanager
async def plugged() -> AsyncIterator[Air]:
    """Plug an emulated adapter into this box; gives the air that it hears.

    Raises OSError where that cannot be, LinkError without bluetoothd, TimeoutError if it does not take it.
    """
    air = Air()  # type: ignore[no-untyped-call]
    async with adapter(air, ADAPTER):
        await _taken_up()
        yield air


async def _taken_up() -> None:
    bluez = Bluez()
    try:
        for _ in range(LOOKS):
            if ADAPTER in {one.address for one in await bluez.adapters()}:
                return
            await asyncio.sleep(LOOK_S)
        raise TimeoutError
    finally:
        await bluez.close()


class VirtualController(Controller):
    """A Bumble controller that a Linux kernel accepts as its own."""

    strength: int | None = None
    """How strong it hears everybody, in dBm; else that changes all the time."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # Correction 2: Bumble always reports a new connection with the plain
        # "Connection Complete" event; Linux waits for the "Enhanced" one as soon as
        # one of these two features is offered, and times out.
        # (https://github.com/google/bumble/issues/841)
        self.le_features &= ~(hci.LeFeatureMask.LL_PRIVACY | hci.LeFeatureMask.LE_EXTENDED_ADVERTISING)

    def send_hci_packet(self, packet: hci.HCI_Packet) -> None:
        """Tell the host."""
        # Correction 3: Bumble reports every advertisement at exactly -50 dBm, and
        # BlueZ passes on only what changed: a scan would see each device once.
        # On the air the strength never stays the same.
        if isinstance(packet, hci.HCI_LE_Advertising_Report_Event):
            strength = self.strength or random.randint(-75, -45)  # noqa: S311
            packet = hci.HCI_LE_Advertising_Report_Event(
                [dataclasses.replace(report, rssi=strength) for report in packet.reports]
            )
        super().send_hci_packet(packet)

    def on_hci_le_create_connection_cancel_command(
        self, command: hci.HCI_LE_Create_Connection_Cancel_Command
    ) -> Any:
        """End an attempt to connect."""
        # Correction 4: a cancelled attempt must end with an event, and must free
        # the controller for the next attempt.
        pending, self.pending_le_connection = self.pending_le_connection, None
        if pending is not None:
            asyncio.get_running_loop().call_soon(
                self.send_hci_packet,
                hci.HCI_LE_Connection_Complete_Event(
                    status=hci.HCI_ErrorCode.UNKNOWN_CONNECTION_IDENTIFIER_ERROR,
                    connection_handle=0,
                    role=hci.Role.CENTRAL,
                    peer_address_type=pending.peer_address_type,
                    peer_address=pending.peer_address,
                    connection_interval=0,
                    peripheral_latency=0,
                    supervision_timeout=0,
                    central_clock_accuracy=0,
                ),
            )
        return super().on_hci_le_create_connection_cancel_command(command)

    def on_hci_reset_command(self, command: hci.HCI_Reset_Command) -> Any:
        """Begin anew."""
        # Correction 5: a reset forgets links, attempts and scanning.
        self.le_connections.clear()
        self.pending_le_connection = None
        self.le_scan_enable = False
        return super().on_hci_reset_command(command)

    def lose_link(self) -> None:
        """Do what both sides see when the devices move out of range.

        The supervision timeout (reason 0x08) ends the connection without a word from the other.
        """
        for connection in list(self.le_connections.values()):
            other = self.link.find_le_controller(connection.peer_address)
            self.on_le_disconnected(connection, hci.HCI_ErrorCode.CONNECTION_TIMEOUT_ERROR)
            if other is None:
                continue
            for theirs in list(other.le_connections.values()):
                if theirs.peer_address == connection.self_address:
                    other.on_le_disconnected(theirs, hci.HCI_ErrorCode.CONNECTION_TIMEOUT_ERROR)
