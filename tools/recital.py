"""A Bluetooth machine that plays one transcript on the air: a real GATT server, or an advertiser.

It has the characteristics that the transcript names, goes on only when the host has done what the transcript
has it do, and notes in `violations` what the host did otherwise. Subscriptions need the bond that the driver
declares. For development: it needs Bumble.
"""

import asyncio
import struct
from collections import defaultdict, deque
from collections.abc import Awaitable, Callable
from contextlib import suppress

from bumble import hci
from bumble.att import ATT_Error, ErrorCode
from bumble.core import UUID, AdvertisingData
from bumble.device import Connection, Device, DeviceConfiguration
from bumble.gatt import GATT_CLIENT_CHARACTERISTIC_CONFIGURATION_DESCRIPTOR as CCCD
from bumble.gatt import Characteristic, CharacteristicValue, Service
from bumble.pairing import PairingConfig, PairingDelegate

from drivers.catalogue import Advertisement, Gatt
from drivers.dialogue import Order
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
    Turn,
    turn_line,
)
from tools.air import VirtualController, plugged
from tools.on_air import Screen

P = Characteristic.Properties
NEEDED = Characteristic.Permissions.WRITE_REQUIRES_ENCRYPTION
INDICATED = frozenset({"2A35", "2A1C", "2A9C", "2A9D", "2A52", "2A5E", "2A9F"})
"""Told by indication (their specifications say so); everything else by notification."""
LISTS = {
    2: AdvertisingData.COMPLETE_LIST_OF_16_BIT_SERVICE_CLASS_UUIDS,
    16: AdvertisingData.COMPLETE_LIST_OF_128_BIT_SERVICE_CLASS_UUIDS,
}
"""How a service is advertised, by the length of its UUID in bytes."""
MAKER = 0xFFFF
"""The company of a machine whose driver names neither service nor company (the number for tests)."""
SHOWN_S = 0.5
"""So long each advertisement of a transcript stays on the air."""
AFTER_S = 1.5
PERSON_S = 0.2
"""Ours: a person orders something when they have seen what came before."""


class Recital:
    """The machine of *transcript*. `orders` gets a person's orders; `over` is set after the last turn."""

    def __init__(
        self,
        controller: VirtualController,
        link: Gatt | Advertisement,
        transcript: Transcript,
        *,
        address: str = "F0:F1:F2:F3:F4:F5",
        orders: asyncio.Queue[Order] | None = None,
    ) -> None:
        self.controller, self.address = controller, address
        self.orders = orders or asyncio.Queue()
        self.violations: list[str] = []
        self.over = asyncio.Event()
        self.pairings = 0
        self._link = link
        self._turns = tuple(turn for turn in transcript.turns if not isinstance(turn, Gives | Lets))
        answered = (turn for turn in self._turns if isinstance(turn, Answered))
        self._readable = {turn.characteristic for turn in answered if turn.data is not None}
        self._expected = deque(turn for turn in self._turns if self._is_seen(turn))
        self._done = asyncio.Semaphore(0)
        self._values: dict[str, Characteristic[bytes]] = {}
        self._ready: dict[str, asyncio.Event] = defaultdict(asyncio.Event)
        self.device = self._made()

    @property
    def unsaid(self) -> list[str]:
        """Return what the host was to do and never did."""
        return [turn_line(turn) for turn in self._expected]

    async def start(self) -> None:
        """Wake: advertise, and play to the first host that connects; an advertiser plays to everybody."""
        await self.device.power_on()
        if isinstance(self._link, Advertisement):
            self._running = asyncio.ensure_future(self._recite(self._advertise))
            return
        self.device.on("connection", self._on_connection)
        self.device.advertising_data, self.device.scan_response_data = self._advertised(self._link)
        await self.device.start_advertising()

    def _made(self) -> Device:
        config = DeviceConfiguration(
            name="Machine",
            address=hci.Address(self.address, hci.Address.RANDOM_DEVICE_ADDRESS),
            advertising_interval_min=100,
            advertising_interval_max=100,
            irk=bytes(range(16)),
        )
        device = Device.from_config_with_hci(config, self.controller, self.controller)
        if isinstance(self._link, Gatt):
            with_passkey = self._link.pairing == "passkey"
            delegate = Screen() if with_passkey else PairingDelegate()
            device.pairing_config_factory = lambda connection: PairingConfig(
                mitm=with_passkey, bonding=True, delegate=delegate
            )
            device.add_services([self._service(self._link)])
            if self._link.pairing != "none":
                for attribute in device.gatt_server.attributes:
                    if attribute.type == CCCD:
                        attribute.permissions |= NEEDED
        return device

    def _service(self, link: Gatt) -> Service:
        """Return one service with all characteristics: which is in which, no driver asks."""
        does: dict[str, P] = {name: P(0) for name in (*link.characteristics, *self._readable)}
        for turn in self._turns:
            match turn:
                case Subscribed(name, True) | Heard(_, name):
                    does[name] = does.get(name, P(0)) | (P.INDICATE if name in INDICATED else P.NOTIFY)
                case Sent(_, name):
                    does[name] = does.get(name, P(0)) | P.WRITE | P.WRITE_WITHOUT_RESPONSE
                case _:
                    pass
        for name, properties in does.items():
            readable = P.READ if name in self._readable else P(0)
            self._values[name] = self._characteristic(name, properties | readable)
        uuid = link.services[0] if link.services else "FFF0"
        return Service(UUID(uuid), list(self._values.values()))

    def _characteristic(self, name: str, properties: P) -> Characteristic[bytes]:
        def read(connection: Connection) -> bytes:
            return self._answer(name)

        def write(connection: Connection, value: bytes) -> None:
            self._does(Sent(bytes(value), name))

        permissions = Characteristic.Permissions.READABLE | Characteristic.Permissions.WRITEABLE
        value: CharacteristicValue[bytes] = CharacteristicValue(read=read, write=write)
        made: Characteristic[bytes] = Characteristic(UUID(name), properties, permissions, value)
        made.on("subscription", lambda connection, notify, indicate: self._listened(name, notify or indicate))
        return made

    def _is_seen(self, turn: Turn) -> bool:
        """Say whether the machine sees this turn of the host: what it has not, it is never asked for."""
        match turn:
            case Sent() | Subscribed(_, True):
                return True
            case Answered(name, _):
                return name in self._readable
        return False

    def _answer(self, name: str) -> bytes:
        stated = self._expected[0] if self._expected else None
        if not (isinstance(stated, Answered) and stated.characteristic == name):
            stated = Answered(name, None)
        self._does(stated)
        if stated.data is None:
            raise ATT_Error(ErrorCode.READ_NOT_PERMITTED)
        return stated.data

    def _listened(self, name: str, wanted: bool) -> None:
        if wanted and not self._ready[name].is_set():
            self._ready[name].set()
            self._does(Subscribed(name))

    def _does(self, turn: Turn) -> None:
        """Take what the host does; after the last turn it may do what it likes."""
        if not self._expected:
            return
        wanted = self._expected.popleft()
        if turn != wanted:
            self.violations.append(f"the host does {turn_line(turn)}, not {turn_line(wanted)}")
        self._done.release()

    def _on_connection(self, connection: Connection) -> None:
        connection.on("pairing", self._on_pairing)

        async def told(turn: Heard) -> None:
            await self._ready[turn.source].wait()
            indicated = turn.source in INDICATED
            send = self.device.indicate_subscriber if indicated else self.device.notify_subscriber
            await send(connection, self._values[turn.source], turn.data)

        async def played() -> None:
            await self._recite(told)
            with suppress(Exception):  # the host was faster
                await connection.disconnect()

        self._running = asyncio.ensure_future(connection.cancel_on_disconnection(played()))

    def _on_pairing(self, keys: object) -> None:
        self.pairings += 1

    async def _recite(self, tell: Callable[[Heard], Awaitable[None]]) -> None:
        """Play every turn, then wait in case the host has something to say to the last."""
        for turn in self._turns:
            match turn:
                case Heard():
                    await tell(turn)
                case Silence(seconds):
                    await asyncio.sleep(seconds)
                case Ordered(name, arguments):
                    await asyncio.sleep(PERSON_S)
                    await self.orders.put(Order(name, arguments))
                case _ if self._is_seen(turn):
                    await self._done.acquire()
                case _:
                    pass
        await asyncio.sleep(AFTER_S)
        self.over.set()

    async def _advertise(self, turn: Heard) -> None:
        assert isinstance(self._link, Advertisement)
        await self.device.stop_advertising()
        if self._link.services:
            uuid = bytes.fromhex(self._link.services[0])[::-1]
            told = (AdvertisingData.SERVICE_DATA_16_BIT_UUID, uuid + turn.data)
        else:
            company = next(iter(self._link.companies), MAKER)
            told = (AdvertisingData.MANUFACTURER_SPECIFIC_DATA, struct.pack("<H", company) + turn.data)
        self.device.advertising_data = bytes(AdvertisingData([told]))
        await self.device.start_advertising()
        await asyncio.sleep(SHOWN_S)

    @staticmethod
    def _advertised(link: Gatt) -> tuple[bytes, bytes]:
        """Return what is advertised, and what an active scan is answered."""
        told = [(AdvertisingData.FLAGS, b"\x06")]
        for uuid in link.services[:1]:
            raw = UUID(uuid).to_bytes()
            told.append((LISTS[len(raw)], raw))
        name = (AdvertisingData.COMPLETE_LOCAL_NAME, (link.names[0] if link.names else "Machine").encode())
        if link.services:
            return bytes(AdvertisingData(told)), bytes(AdvertisingData([name]))
        return bytes(AdvertisingData([*told, name])), b""


async def recited(
    link: Gatt | Advertisement,
    transcript: Transcript,
    there: Callable[[str], None],
    tell: Callable[[str], None],
) -> list[str]:
    """Play *transcript* once to whoever listens at this box's bluetoothd, through /dev/vhci.

    *there* gets the port of the machine, *tell* a line for each order that a person has to give now. Returns
    what the host did otherwise than stated. Raises LinkError, OSError or TimeoutError where there is no such
    Bluetooth.
    """
    async with plugged() as air:
        orders: asyncio.Queue[Order] = asyncio.Queue()
        machine = Recital(VirtualController("machine", link=air), link, transcript, orders=orders)
        await machine.start()
        there(f"ble:{machine.address}")
        asking = asyncio.ensure_future(_asked(orders, tell))
        await machine.over.wait()
        asking.cancel()
        return machine.violations + [f"the host never does {turn}" for turn in machine.unsaid]


async def _asked(orders: asyncio.Queue[Order], tell: Callable[[str], None]) -> None:
    while True:
        order = await orders.get()
        tell(turn_line(Ordered(order.name, order.arguments)))
