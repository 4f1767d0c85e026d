"""A bleak backend on Bumble: this process is the central of an air in which emulated devices live.

What it proves: our own logic over a real ATT, GATT, SMP and L2CAP exchange. What it cannot prove: anything
about BlueZ, D-Bus or the kernel.
"""

import asyncio
import contextlib

from bleak.backends.characteristic import BleakGATTCharacteristic
from bleak.backends.client import BaseBleakClient
from bleak.backends.descriptor import BleakGATTDescriptor
from bleak.backends.device import BLEDevice
from bleak.backends.scanner import AdvertisementData, BaseBleakScanner
from bleak.backends.service import BleakGATTService, BleakGATTServiceCollection
from bleak.exc import (
    BleakDeviceNotFoundError,
    BleakError,
    BleakGATTProtocolError,
)
from bleak.uuids import normalize_uuid_16
from bumble import core, hci
from bumble.att import ATT_Error
from bumble.core import AdvertisingData
from bumble.device import Device, Peer

from tools.air import Air, VirtualController

#: bit in the characteristic declaration -> bleak's name of the property
PROPERTIES = {
    0x01: "broadcast",
    0x02: "read",
    0x04: "write-without-response",
    0x08: "write",
    0x10: "notify",
    0x20: "indicate",
    0x40: "authenticated-signed-writes",
    0x80: "extended-properties",
}


class Scanner(BaseBleakScanner):
    """Active scanning.  ``device`` (the central) and ``scans`` are set by in_process_central()."""

    device: Device
    #: the sort of each scan that was asked for
    scans: list[str]

    def __init__(self, detection_callback, service_uuids, scanning_mode, **kwargs):
        super().__init__(detection_callback, service_uuids)
        self.scans.append(scanning_mode)
        if scanning_mode == "passive":
            raise BleakError("BlueZ has none unless it runs with --experimental")

    async def start(self) -> None:
        self.seen_devices = {}
        self.device.on("advertisement", self._on_advertisement)
        await self.device.start_scanning(active=True)

    async def stop(self) -> None:
        self.device.remove_listener("advertisement", self._on_advertisement)
        await self.device.stop_scanning()

    def _on_advertisement(self, report) -> None:
        data = report.data
        uuids = [
            _uuid(uuid)
            for kind in (
                AdvertisingData.COMPLETE_LIST_OF_16_BIT_SERVICE_CLASS_UUIDS,
                AdvertisingData.INCOMPLETE_LIST_OF_16_BIT_SERVICE_CLASS_UUIDS,
                AdvertisingData.COMPLETE_LIST_OF_128_BIT_SERVICE_CLASS_UUIDS,
            )
            for uuid in (data.get(kind) or [])
        ]
        if not self.is_allowed_uuid(uuids):
            return
        told = data.get_all(AdvertisingData.SERVICE_DATA_16_BIT_UUID)
        name = data.get(AdvertisingData.COMPLETE_LOCAL_NAME) or data.get(AdvertisingData.SHORTENED_LOCAL_NAME)
        maker = data.get(AdvertisingData.MANUFACTURER_SPECIFIC_DATA)
        advertisement = AdvertisementData(
            local_name=name,
            manufacturer_data=dict([maker]) if maker else {},
            service_data={_uuid(uuid): bytes(raw) for uuid, raw in told},
            service_uuids=uuids,
            tx_power=None,
            rssi=report.rssi,
            platform_data=(report,),
        )
        address = report.address.to_string(False)
        found = self.create_or_update_device(address, address, name, report.address, advertisement)
        self.call_detection_callbacks(found, advertisement)


class Client(BaseBleakClient):
    """A GATT client.  ``device`` (the central) is set by in_process_central()."""

    device: Device

    def __init__(self, address_or_ble_device, services=None, **kwargs):
        super().__init__(address_or_ble_device, **kwargs)
        self._target = (
            address_or_ble_device.details
            if isinstance(address_or_ble_device, BLEDevice)
            else hci.Address(address_or_ble_device)
        )
        self._name = getattr(address_or_ble_device, "name", None)
        self._only = services
        self._peer: Peer | None = None
        self._subscribed: dict[int, object] = {}

    @property
    def name(self) -> str:
        return self._name or self.address

    @property
    def mtu_size(self) -> int:
        return self._connected_peer().connection.att_mtu

    @property
    def is_connected(self) -> bool:
        return self._peer is not None

    def _connected_peer(self) -> Peer:
        if self._peer is None:
            raise BleakError("Not connected")
        return self._peer

    async def connect(self, pair: bool, **kwargs) -> None:
        if self._peer is not None:
            raise BleakError("Already connected")
        timeout = kwargs.get("timeout", self._timeout)
        try:
            connection = await self.device.connect(self._target, timeout=timeout)
        except (TimeoutError, core.TimeoutError) as error:
            raise TimeoutError from error
        except core.BaseBumbleError as error:
            raise BleakDeviceNotFoundError(self.address, str(error)) from error
        self._peer = Peer(connection)
        connection.on("disconnection", self._on_disconnection)
        try:
            async with asyncio.timeout(timeout):
                await self._secure()
                with _translated():
                    await self._peer.request_mtu(517)
                    self.services = await self._discover()
        except BaseException:
            await self.disconnect()
            raise

    async def _secure(self) -> None:
        """Encrypt where there is a bond, as BlueZ does; a machine that has lost its key ends the link."""
        connection = self._connected_peer().connection
        if await self.device.keystore.get(str(connection.peer_address)) is not None:
            with _translated():
                await connection.encrypt()

    def _on_disconnection(self, reason: int) -> None:
        self._peer = None
        self.services = None
        self._subscribed.clear()
        if self._disconnected_callback is not None:
            self._disconnected_callback()

    async def disconnect(self) -> None:
        if self._peer is not None:
            with contextlib.suppress(core.BaseBumbleError):
                await self._peer.connection.disconnect()

    async def pair(self, *args, **kwargs) -> None:
        with _translated():
            await self._connected_peer().connection.pair()

    async def unpair(self) -> None:
        await self.device.keystore.delete(str(self._target))

    async def _discover(self) -> BleakGATTServiceCollection:
        peer = self._connected_peer()
        found = BleakGATTServiceCollection()
        for service in await peer.discover_services():
            ours = BleakGATTService(service, service.handle, _uuid(service.uuid))
            if self._only is not None and ours.uuid not in self._only:
                continue
            found.add_service(ours)
            for item in await service.discover_characteristics():
                characteristic = BleakGATTCharacteristic(
                    item,
                    item.handle - 1,  # bleak names the declaration's handle
                    _uuid(item.uuid),
                    [name for bit, name in PROPERTIES.items() if item.properties & bit],
                    lambda: self.mtu_size - 3,
                    ours,
                )
                found.add_characteristic(characteristic)
                for descriptor in await item.discover_descriptors():
                    found.add_descriptor(
                        BleakGATTDescriptor(
                            descriptor,
                            descriptor.handle,
                            _uuid(descriptor.type),
                            characteristic,
                        )
                    )
        return found

    async def _attempt(self, awaitable):
        """Run a GATT operation so that a lost link ends it with an error."""
        connection = self._connected_peer().connection
        with _translated():
            return await connection.cancel_on_disconnection(awaitable)

    async def read_gatt_char(self, characteristic, *, use_cached=False, **kwargs):
        return bytearray(await self._attempt(characteristic.obj.read_value()))

    async def read_gatt_descriptor(self, descriptor, *, use_cached=False, **kwargs):
        return bytearray(await self._attempt(descriptor.obj.read_value()))

    async def write_gatt_char(self, characteristic, data, response) -> None:
        await self._attempt(characteristic.obj.write_value(bytes(data), response))

    async def write_gatt_descriptor(self, descriptor, data) -> None:
        await self._attempt(descriptor.obj.write_value(bytes(data), True))

    async def start_notify(self, characteristic, callback, **kwargs) -> None:
        def receive(value: bytes) -> None:
            callback(bytearray(value))

        await self._attempt(characteristic.obj.subscribe(receive))
        self._subscribed[characteristic.handle] = receive

    async def stop_notify(self, characteristic) -> None:
        receive = self._subscribed.pop(characteristic.handle)
        await self._attempt(characteristic.obj.unsubscribe(receive))


def _uuid(uuid: core.UUID) -> str:
    """The 36-character form that bleak uses."""
    return (
        uuid.to_hex_str("-").lower()
        if len(uuid.to_bytes()) == 16
        else (normalize_uuid_16(int.from_bytes(uuid.to_bytes(), "little")))
    )


@contextlib.contextmanager
def _translated():
    """Turn Bumble's errors into the ones that bleak's own backends raise."""
    try:
        yield
    except ATT_Error as error:
        raise BleakGATTProtocolError(error.error_code) from error
    except (core.BaseBumbleError, asyncio.CancelledError) as error:
        if isinstance(error, asyncio.CancelledError) and (
            (task := asyncio.current_task()) is None or task.cancelling()
        ):
            raise  # our own task was cancelled: not a Bluetooth error
        raise BleakError(f"Bluetooth operation failed: {error!r}") from error


class Central:
    """The in-process central: hands out backend classes bound to its device."""

    def __init__(self, device: Device, controller: VirtualController):
        self.device = device
        self.controller = controller
        self.scans: list[str] = []
        self.scanner = type("BumbleScanner", (Scanner,), {"device": device, "scans": self.scans})
        self.client = type("BumbleClient", (Client,), {"device": device})


@contextlib.asynccontextmanager
async def in_process_central(air: Air, address: str = "C0:C1:C2:C3:C4:C5"):
    controller = VirtualController("central", link=air)
    device = Device.with_hci("central", hci.Address(address), controller, controller)
    await device.power_on()
    try:
        yield Central(device, controller)
    finally:
        controller.lose_link()
        air.remove_controller(controller)
