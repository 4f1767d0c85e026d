"""Simulated Bluetooth machines on an emulated air: real GATT servers and advertisers. Needs Bumble.

What they tell is `tools/peripherals`'; when they wake, whom they tell it and when they sleep again is here.
"""

import asyncio
import struct
from collections import deque
from collections.abc import Callable
from datetime import datetime
from itertools import count

from bumble import hci
from bumble.core import UUID, AdvertisingData
from bumble.device import Connection, Device, DeviceConfiguration
from bumble.gatt import GATT_CLIENT_CHARACTERISTIC_CONFIGURATION_DESCRIPTOR as CCCD
from bumble.gatt import Characteristic, CharacteristicValue, Service
from bumble.pairing import PairingConfig, PairingDelegate

from tools.air import VirtualController
from tools.forms import Json
from tools.glucose import stored_at
from tools.peripherals import ADDRESS, PASSKEY, Advertiser, Peripheral, Result, stamp
from tools.peripherals.glucose import answered
from tools.simulators import Cue, Fail, Measure, OrderRefused, ShowFailure, Store

P = Characteristic.Properties
MAY = Characteristic.Permissions
NEEDED = MAY.WRITE_REQUIRES_ENCRYPTION
CONTROL_POINT = "2A52"
INTERVAL_MS = 100
TAKES_S = 1.0
"""A measurement takes a while: the second it is stamped with lies after its beginning."""
SHOWN_S = 2.0
"""So long each advertisement of a scale stays on the air."""
IDLE_S = 5.0
"""A sensor leaves a host that asks nothing more (ble/sig_gls.md)."""
YEARS = 2000, 2099
"""What the clocks of these machines know."""


class Screen(PairingDelegate):
    """A machine with a screen: it shows the digits that the host must know."""

    def __init__(self) -> None:
        super().__init__(PairingDelegate.IoCapability.DISPLAY_OUTPUT_ONLY)

    async def generate_passkey(self) -> int:
        """Return the digits."""
        return PASSKEY


class OnAir:
    """What both sorts of machine share.

    *clock* is the machine's own, naive. *tell* gets `shown`, `failed` and `unsent`, as those of a serial
    machine. A `silent` one tells nobody anything; with `half` the link is lost before the next result was
    told; `noise` are values that are told before it.
    """

    def __init__(
        self, controller: VirtualController, clock: Callable[[], datetime], tell: Callable[[Json], None]
    ) -> None:
        self.controller = controller
        self.silent = False
        self.half = False
        self.noise: deque[bytes] = deque()
        self._off = False
        self._clock, self._tell = clock, tell
        self._numbers = count(1)
        config = DeviceConfiguration(
            name="Machine",
            address=hci.Address(ADDRESS, hci.Address.RANDOM_DEVICE_ADDRESS),
            advertising_interval_min=INTERVAL_MS,
            advertising_interval_max=INTERVAL_MS,
            irk=bytes(range(16)),
        )
        self.device = Device.from_config_with_hci(config, controller, controller)

    async def start(self) -> None:
        """Switch it on; it sleeps until it has something to tell."""
        await self.device.power_on()

    async def wake(self) -> None:
        """Be in range again, and tell what is to be told, if anything is."""
        self._off = False

    async def take(self, cue: Cue) -> None:
        """Do what a person does with the machine; raises OrderRefused."""
        raise NotImplementedError

    async def off(self) -> None:
        """Go out of range: no goodbye. What was not told is told after `wake`."""
        self._off = True
        await self.device.stop_advertising()
        self.controller.lose_link()

    def _show(self, result: Result, *, sent: bool = True) -> None:
        shown = result.shown
        if isinstance(shown, ShowFailure):
            self._tell({"failed": shown.failed})
        else:
            self._tell({"shown" if sent else "unsent": dict(shown.values)})


class GattMachine(OnAir):
    """A machine that is connected to."""

    def __init__(
        self,
        controller: VirtualController,
        machine: Peripheral,
        clock: Callable[[], datetime],
        tell: Callable[[Json], None],
    ) -> None:
        super().__init__(controller, clock, tell)
        self._machine = machine
        self._memory: dict[int, Result] = {}
        self._pending: deque[Result] = deque()
        self._unread = False
        self._asked_last = b""
        self._subscribed: set[str] = set()
        self._values = {name: self._told(name, indicated) for name, indicated in machine.told.items()}
        self._make()

    async def wake(self) -> None:
        """Be in range; advertise if there is something to tell and nobody is connected."""
        await super().wake()
        if (self._pending or self._unread) and not self.silent and not self.device.connections:
            await self.device.stop_advertising()
            await self.device.start_advertising()

    async def take(self, cue: Cue) -> None:
        """Measure, fail, or put records of other days into the memory; then wake."""
        match cue:
            case Measure():
                await asyncio.sleep(TAKES_S)
                result = self._measured(cue, self._clock())
                if self._machine.memory:
                    self._show(result)
            case Fail(reason):
                if self._machine.failed is None:
                    raise OrderRefused("no source says what this machine tells then")
                self._pending.append(self._machine.failed(reason, self._clock()))
            case Store(records):
                for record in records:
                    self._measured(Measure(record, record), stored_at(record, YEARS))
        if not self._off:
            await self.wake()

    def _measured(self, measure: Measure, at: datetime) -> Result:
        """Keep a result until it was told, or for ever in a memory."""
        number = next(self._numbers)
        result = self._machine.measured(measure, at, number)
        if self._machine.memory:
            self._memory[number] = result
            self._unread = True
        else:
            self._pending.append(result)
        return result

    def _make(self) -> None:
        machine, device = self._machine, self.device
        control: Characteristic[bytes] = Characteristic(
            UUID(CONTROL_POINT), P.WRITE | P.INDICATE, MAY.WRITEABLE, CharacteristicValue(write=self._asked)
        )
        self._control = control
        readable = [self._constant(name, value) for name, value in machine.readable.items()]
        own = [*self._values.values(), *readable, *([control] if machine.memory else [])]
        now: CharacteristicValue[bytes] = CharacteristicValue(read=lambda _connection: self._now())
        about = [self._constant("2A24", machine.name.encode()), self._constant("2A25", b"SIM0001")]
        device.add_services(
            [
                Service(UUID(machine.service), own),
                Service(UUID("1805"), [Characteristic(UUID("2A2B"), P.READ, MAY.READABLE, now)]),
                Service(UUID("180A"), about),
            ]
        )
        device.on("connection", self._connected)
        device.advertising_data = _advertised(machine.name, machine.service)
        if machine.pairing == "passkey":
            self._secure()

    def _secure(self) -> None:
        screen = Screen()
        self.device.pairing_config_factory = lambda connection: PairingConfig(
            mitm=True, bonding=True, delegate=screen
        )
        for attribute in self.device.gatt_server.attributes:
            if attribute.type == CCCD or attribute is self._control:
                attribute.permissions |= NEEDED

    def _told(self, name: str, indicated: bool) -> "Characteristic[bytes]":
        kind = P.INDICATE if indicated else P.NOTIFY
        made: Characteristic[bytes] = Characteristic(UUID(name), kind, MAY(0), b"")
        made.on("subscription", lambda connection, *wanted: self._listened(connection, name, any(wanted)))
        return made

    @staticmethod
    def _constant(name: str, value: bytes) -> "Characteristic[bytes]":
        return Characteristic(UUID(name), P.READ, MAY.READABLE, value)

    def _now(self) -> bytes:
        now = self._clock()
        return stamp(now) + bytes([now.isoweekday(), 0, 0])

    def _connected(self, connection: Connection) -> None:
        self._subscribed.clear()
        connection.on("disconnection", lambda _reason: self._left())

    def _left(self) -> None:
        if not self._off:
            self._waking = asyncio.ensure_future(self.wake())

    def _listened(self, connection: Connection, name: str, wanted: bool) -> None:
        self._subscribed = self._subscribed | {name} if wanted else self._subscribed - {name}
        if wanted and self._subscribed == self._values.keys() and not self._machine.memory:
            connection.cancel_on_disconnection(self._tell_all(connection))

    async def _tell_all(self, connection: Connection) -> None:
        """Tell each result, the oldest first, until it was confirmed; then sleep."""
        await self._begin(connection)
        while self._pending:
            await self._send(connection, self._pending[0])
            self._show(self._pending.popleft())
        await connection.disconnect()

    async def _begin(self, connection: Connection) -> None:
        """Tell noise; go away before the first result where a person said so."""
        main = next(iter(self._machine.told))
        while self.noise:
            await self._value(connection, main, self.noise.popleft())
        if self.half:
            self.half = False
            await self.off()
            await asyncio.Event().wait()  # ended by the loss

    async def _send(self, connection: Connection, result: Result) -> None:
        for name, data in result.values:
            await self._value(connection, name, data)

    async def _value(self, connection: Connection, name: str, data: bytes) -> None:
        indicated = self._machine.told[name]
        send = self.device.indicate_subscriber if indicated else self.device.notify_subscriber
        await send(connection, self._values[name], data)

    def _asked(self, connection: Connection, request: bytes) -> None:
        # Answer the write first; the transfer goes on afterwards.
        connection.cancel_on_disconnection(self._answer(connection, bytes(request)))

    async def _answer(self, connection: Connection, request: bytes) -> None:
        found, reply = answered(request, sorted(self._memory))
        if found:
            await self._begin(connection)
        for number in found:
            await self._send(connection, self._memory[number])
        self._unread = self._unread and max(self._memory) not in found
        self._asked_last = request
        await self.device.indicate_subscriber(connection, self._control, reply)
        await asyncio.sleep(IDLE_S)
        if self._asked_last is request:
            await connection.disconnect()


class AdvertMachine(OnAir):
    """A scale that only advertises: it says nothing until somebody stands on it."""

    def __init__(
        self,
        controller: VirtualController,
        machine: Advertiser,
        clock: Callable[[], datetime],
        tell: Callable[[Json], None],
    ) -> None:
        super().__init__(controller, clock, tell)
        self._machine = machine

    async def take(self, cue: Cue) -> None:
        """Weigh somebody."""
        if not isinstance(cue, Measure):
            raise OrderRefused("this scale only weighs")
        await asyncio.sleep(TAKES_S)
        result = self._machine.measured(cue, self._clock(), next(self._numbers))
        service = result.values[0][0]
        for value in (*((service, noise) for noise in self.noise), *result.values):
            if self.silent or self._off:
                break
            await self._advertise(*value)
        self.noise.clear()
        await self.device.stop_advertising()
        self._show(result, sent=not (self.silent or self._off))

    async def _advertise(self, service: str, data: bytes) -> None:
        company = self._machine.company
        if company is not None:
            told = AdvertisingData.MANUFACTURER_SPECIFIC_DATA, struct.pack("<H", company) + data
        else:
            told = AdvertisingData.SERVICE_DATA_16_BIT_UUID, bytes.fromhex(service)[::-1] + data
        await self.device.stop_advertising()
        self.device.advertising_data = bytes(AdvertisingData([(AdvertisingData.FLAGS, b"\x06"), told]))
        name = AdvertisingData.COMPLETE_LOCAL_NAME, self._machine.name.encode()
        self.device.scan_response_data = bytes(AdvertisingData([name]))
        await self.device.start_advertising()
        await asyncio.sleep(SHOWN_S)


def _advertised(name: str, service: str) -> bytes:
    return bytes(
        AdvertisingData(
            [
                (AdvertisingData.FLAGS, b"\x06"),
                (AdvertisingData.COMPLETE_LIST_OF_16_BIT_SERVICE_CLASS_UUIDS, bytes.fromhex(service)[::-1]),
                (AdvertisingData.COMPLETE_LOCAL_NAME, name.encode()),
            ]
        )
    )
