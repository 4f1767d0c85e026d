"""One connected Bluetooth LE device, spoken to through bleak; with `ble.py` the only file that imports it.

Every call has a time limit of its own, because BlueZ may never answer (a subscription that needs a bond does
not). Error texts are no interface: what is told apart is a refusal by the device, a loss, and no answer.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TypeVar

from bleak import BleakClient
from bleak.backends.characteristic import BleakGATTCharacteristic
from bleak.exc import BleakDBusError, BleakError, BleakGATTProtocolError

from drivers.catalogue import Gatt
from gateway.links.ble_adverts import short
from gateway.links.ble_inbox import Inbox
from gateway.links.ble_parts import DeviceLink
from protocol.errors import LinkError, Lost, Unavailable, UnexpectedReply
from protocol.framing import Value

CALL_S = 12.0
"""Ours: for a read, a write, a subscription, starting or ending a scan."""
PAIR_S = 45.0
"""Ours: a person may have to press a button."""
PARTING_S = 3.0
LOOK_S = 20.0
"""So often a link is asked whether it still stands: bleak does not notice a bluetoothd that died."""
SILENCE_S = 900.0
"""Ours: a link on which nothing was said or asked for so long is given up; the machine is found again."""
NOT_SECURE = frozenset({0x05, 0x08, 0x0C, 0x0F})
"""Authentication, authorisation, key size, encryption (Core specification, volume 3, part F, 3.4.1.1)."""
FAULTS = (BleakError, OSError, EOFError, AssertionError)
"""What a call of bleak's ends with; the last where the link or the bus went in the middle of it."""
_NOT_PAIRED = frozenset({"org.bluez.Error.NotPermitted", "org.bluez.Error.NotAuthorized"})

Answer = TypeVar("Answer")


class BleLink:
    """One connected device; implements `gateway.links.GattLink`.

    A value is in the inbox before anything else is done with it: BlueZ has confirmed an indication by then.
    """

    def __init__(self, address: str) -> None:
        self.address = address
        self.insecure = self.worked = False
        self.closed: Callable[[DeviceLink], None] = lambda link: None
        """Told once when somebody lets go of the link."""
        self._inbox = Inbox()
        self._client: BleakClient | None = None
        self._there: dict[str, list[BleakGATTCharacteristic]] = {}
        self._subscribed: list[BleakGATTCharacteristic] = []
        self._loop = asyncio.get_running_loop()
        self._used_at = self._loop.time()

    @property
    def lost(self) -> LinkError | None:
        """Return why the link is gone, None as long as it stands."""
        return self._inbox.lost

    def take_over(self, client: BleakClient) -> None:
        """Speak through *client*, which is connected."""
        self._client = client
        with suppress(BleakError):  # gone again already: `dropped` was told
            for one in client.services.characteristics.values():
                self._there.setdefault(short(one.uuid), []).append(one)

    def dropped(self, client: object = None) -> None:
        """Note that the connection is gone; what was heard can still be read."""
        del client
        self.end(Lost(f"{self.address}: disconnected", code="ble.lost"))

    def end(self, fault: LinkError) -> None:
        """Let the reader know that nothing more will come."""
        self._inbox.end(fault)

    def lacks(self, device: Gatt) -> list[str]:
        """Return which of the characteristics that make the device are not there."""
        return [name for name in device.characteristics if self._find(name) is None]

    async def pair(self) -> None:
        """Make a bond. Raises Unavailable: `pairing.refused` by the device, `pairing.no_answer` by nobody."""
        try:
            async with asyncio.timeout(PAIR_S):
                await self._open().pair()
        except TimeoutError as fault:
            raise Unavailable(f"{self.address}: not paired in time", code="pairing.no_answer") from fault
        except FAULTS as fault:
            raise Unavailable(f"{self.address}: {fault}", code="pairing.refused") from fault

    async def read(self) -> bytes:
        """Return the next value, waiting for it; safe to cancel. Raises Lost once all are read."""
        while True:
            try:
                async with asyncio.timeout(LOOK_S):
                    value = await self._inbox.take()
            except TimeoutError:
                self._look()
            else:
                self._used_at = self._loop.time()
                return value

    async def subscribe(self, characteristic: str) -> bool:
        """Have its values told; False where the device has none of that name that can tell them."""
        found = self._find(characteristic, "notify", "indicate")
        if found is None or not {"notify", "indicate"} & set(found.properties):
            return False

        def told(_: BleakGATTCharacteristic, data: bytearray) -> None:
            self._inbox.put(Value(bytes(data), characteristic))

        await self._call(self._open().start_notify(found, told), f"subscribe {characteristic}")
        self._look()  # BlueZ says yes where the link has gone meanwhile
        if self.lost is not None:
            raise self.lost
        self._subscribed.append(found)
        return True

    async def write_value(self, characteristic: str, data: bytes, *, response: bool) -> None:
        """Write a value; raises UnexpectedReply (`ble.refused`) where the device will not have it."""
        found = self._find(characteristic, "write" if response else "write-without-response")
        if found is None:
            raise UnexpectedReply(f"{self.address} has no {characteristic}", code="ble.other_device")
        # Some devices offer only the other way of writing; they are asked in the one they offer.
        confirmed = "write-without-response" not in found.properties or (
            response and "write" in found.properties
        )
        call = self._open().write_gatt_char(found, data, response=confirmed)
        await self._call(call, f"write {characteristic}")

    async def read_value(self, characteristic: str) -> bytes | None:
        """Return its value, None where the device has none of that name or does not let it be read."""
        found = self._find(characteristic, "read")
        if found is None:
            return None
        try:
            return bytes(await self._call(self._open().read_gatt_char(found), f"read {characteristic}"))
        except UnexpectedReply:
            return None

    async def write(self, data: bytes) -> None:
        """Refuse: a Bluetooth device has no line."""
        raise Unavailable(f"{self.address}: {len(data)} bytes to no characteristic", code="link.settings")

    async def feature(self, data: bytes) -> None:
        """Refuse: a Bluetooth device has no feature reports."""
        await self.write(data)

    async def close(self) -> None:
        """End subscriptions, then the connection: BlueZ would remember them where the device forgets."""
        client, self._client = self._client, None
        if client is None:
            return
        stands = self.lost is None
        self.closed(self)
        if stands:
            for characteristic in self._subscribed:
                await parted(client.stop_notify(characteristic))
        await parted(client.disconnect())
        self.end(Lost(f"{self.address}: closed", code="ble.lost"))

    def _open(self) -> BleakClient:
        if self._client is None or self.lost is not None:
            raise self._gone
        self._used_at = self._loop.time()
        return self._client

    def _look(self) -> None:
        if self._client is None or not self._client.is_connected:
            self.dropped()
        elif self._loop.time() - self._used_at > SILENCE_S:
            self.end(Lost(f"{self.address}: silent for {SILENCE_S:.0f} s", code="ble.lost"))

    def _find(self, name: str, *properties: str) -> BleakGATTCharacteristic | None:
        """Return the characteristic called *name*; of several the first with one of *properties*."""
        named = self._there.get(name, [])
        able = (one for one in named if set(properties) & set(one.properties))
        return next(able, named[0] if named else None)

    async def _call(self, call: Awaitable[Answer], what: str) -> Answer:
        """Return *call*'s answer; LinkError where there is none, UnexpectedReply where the device says no."""
        try:
            async with asyncio.timeout(CALL_S):
                answer = await call
        except BleakGATTProtocolError as refused:
            detail = f"{self.address}: {what}: ATT error {int(refused.code):#04x}"
            if int(refused.code) in NOT_SECURE:
                raise self._unpaired(detail) from refused
            raise UnexpectedReply(detail, code="ble.refused") from refused
        except TimeoutError as fault:
            self.end(Lost(f"{self.address}: {what}: no answer", code="ble.no_time"))
            raise self._gone from fault
        except FAULTS as fault:
            if _says_not_paired(fault):
                raise self._unpaired(f"{self.address}: {what}: {fault}") from fault
            self.end(Lost(f"{self.address}: {what}: {fault}", code="ble.lost"))
            raise self._gone from fault
        self.worked = True
        return answer

    def _unpaired(self, detail: str) -> LinkError:
        self.insecure = True
        return Unavailable(detail, code="pairing.needed")

    @property
    def _gone(self) -> LinkError:
        return self.lost or Lost(f"{self.address}: closed", code="ble.lost")


def _says_not_paired(fault: BaseException) -> bool:
    """Say whether BlueZ itself refused for want of a bond, not because another program has subscribed."""
    return (
        isinstance(fault, BleakDBusError)
        and fault.dbus_error in _NOT_PAIRED
        and "acquired" not in (fault.dbus_error_details or "")
    )


async def parted(call: Awaitable[object], seconds: float = PARTING_S) -> None:
    """Wait for *call* so long and no longer; whatever comes of it, we are leaving."""
    with suppress(Exception):
        async with asyncio.timeout(seconds):
            await call
