"""An emulated all-in-one machine: a Bluetooth LE peripheral with the standard
Blood Pressure, Glucose and Weight Scale services, on top of Bumble.

It is a test double for the *device*, not for the client: everything above HCI on
its side (link, GATT server, Security Manager) is a real protocol implementation.
"""

import asyncio
import struct
from collections.abc import Callable
from datetime import datetime

from bumble import hci
from bumble.core import UUID, AdvertisingData
from bumble.device import Connection, Device, DeviceConfiguration
from bumble.gatt import (
    GATT_CLIENT_CHARACTERISTIC_CONFIGURATION_DESCRIPTOR as CCCD,
)
from bumble.gatt import (
    Characteristic,
    CharacteristicValue,
    Service,
)
from bumble.pairing import PairingConfig, PairingDelegate

from tools.peripherals.glucose import answered

BLOOD_PRESSURE_SERVICE = UUID.from_16_bits(0x1810)
BLOOD_PRESSURE_MEASUREMENT = UUID.from_16_bits(0x2A35)
BLOOD_PRESSURE_FEATURE = UUID.from_16_bits(0x2A49)
GLUCOSE_SERVICE = UUID.from_16_bits(0x1808)
GLUCOSE_MEASUREMENT = UUID.from_16_bits(0x2A18)
GLUCOSE_FEATURE = UUID.from_16_bits(0x2A51)
RECORD_ACCESS_CONTROL_POINT = UUID.from_16_bits(0x2A52)
WEIGHT_SCALE_SERVICE = UUID.from_16_bits(0x181D)
WEIGHT_MEASUREMENT = UUID.from_16_bits(0x2A9D)
WEIGHT_SCALE_FEATURE = UUID.from_16_bits(0x2A9E)
CURRENT_TIME_SERVICE = UUID.from_16_bits(0x1805)
CURRENT_TIME = UUID.from_16_bits(0x2A2B)
DEVICE_INFORMATION_SERVICE = UUID.from_16_bits(0x180A)
MODEL_NUMBER = UUID.from_16_bits(0x2A24)

Properties = Characteristic.Properties
Permissions = Characteristic.Permissions


def sfloat(mantissa: int, exponent: int = 0) -> bytes:
    """IEEE 11073 16-bit float: 4-bit exponent, 12-bit mantissa."""
    return struct.pack("<H", ((exponent & 0xF) << 12) | (mantissa & 0xFFF))


def date_time(year, month, day, hour, minute, second) -> bytes:
    return struct.pack("<HBBBBB", year, month, day, hour, minute, second)


def current_time(now: datetime) -> bytes:
    """Current Time: Date Time, day of the week, 1/256 s, why the clock was set."""
    return date_time(*now.timetuple()[:6]) + bytes([now.isoweekday(), 0, 0])


def blood_pressure(systolic: int, diastolic: int, mean: int, pulse: int, when) -> bytes:
    """Blood Pressure Measurement in mmHg with time stamp and pulse rate."""
    return (
        bytes([0x02 | 0x04])
        + sfloat(systolic)
        + sfloat(diastolic)
        + sfloat(mean)
        + date_time(*when)
        + sfloat(pulse)
    )


def glucose(sequence: int, tenths_mmol_per_l: int, when) -> bytes:
    """Glucose Measurement in mol/L; sample: capillary whole blood, finger."""
    return (
        bytes([0x02 | 0x04])
        + struct.pack("<H", sequence)
        + date_time(*when)
        + sfloat(tenths_mmol_per_l, -4)  # 0.1 mmol/L = 1e-4 mol/L
        + bytes([0x11])  # type nibble (low) 1, location nibble (high) 1
    )


def weight(kilograms: float, bmi: float, metres: float, when) -> bytes:
    """Weight Measurement in SI units with time stamp, BMI and height."""
    return (
        bytes([0x02 | 0x08])
        + struct.pack("<H", round(kilograms / 0.005))
        + date_time(*when)
        + struct.pack("<HH", round(bmi / 0.1), round(metres / 0.001))
    )


class PasskeyDisplay(PairingDelegate):
    """A device with a screen: it shows six digits that the other side must enter."""

    def __init__(self, passkey: int):
        super().__init__(PairingDelegate.IoCapability.DISPLAY_OUTPUT_ONLY)
        self.passkey = passkey
        self.shown: list[int] = []

    async def generate_passkey(self) -> int:
        return self.passkey

    async def display_number(self, number: int, digits: int) -> None:
        self.shown.append(number)


class Machine:
    """The emulated machine.

    ``secure``: None (open), "encrypted" (Just Works is enough) or "authenticated"
    (needs a passkey); it guards the subscriptions, as real meters do.
    """

    def __init__(
        self,
        source,
        sink,
        *,
        name: str = "HC-Machine",
        address: str = "F0:F1:F2:F3:F4:F5",
        secure: str | None = None,
        passkey: int | None = None,
        secure_connections: bool = True,
        clock: Callable[[], datetime] | None = None,
    ):
        config = DeviceConfiguration(
            name=name,
            address=hci.Address(address, hci.Address.RANDOM_DEVICE_ADDRESS),
            advertising_interval_min=100,
            advertising_interval_max=100,
            irk=bytes(range(16)),
        )
        self.device = Device.from_config_with_hci(config, source, sink)
        self.delegate = PasskeyDisplay(passkey) if passkey is not None else None
        self.device.pairing_config_factory = lambda connection: PairingConfig(
            sc=secure_connections,
            mitm=passkey is not None,
            bonding=True,
            delegate=self.delegate or PairingDelegate(),
        )

        #: Stored glucose records: sequence number -> raw measurement
        self.records: dict[int, bytes] = {}
        #: What was asked at the Record Access Control Point, and how many records were sent
        self.asked: list[bytes] = []
        self.sent = 0
        #: Called before each stored record is sent (for faults in mid-transfer)
        self.before_record = None
        #: Seconds between two stored records: about one connection interval
        self.record_interval = 0.03
        #: Whether it advertises while nobody is connected
        self.awake = False
        self.connection: Connection | None = None
        self.connections = 0
        self.encrypted_on_connect: list[bool] = []
        self.pairings = 0

        self.bp_measurement = self._value(BLOOD_PRESSURE_MEASUREMENT, Properties.INDICATE)
        self.weight_measurement = self._value(WEIGHT_MEASUREMENT, Properties.INDICATE)
        self.glucose_measurement = self._value(GLUCOSE_MEASUREMENT, Properties.NOTIFY)
        self.racp = Characteristic(
            RECORD_ACCESS_CONTROL_POINT,
            Properties.WRITE | Properties.INDICATE,
            Permissions.WRITEABLE,
            CharacteristicValue(write=self._on_racp),
        )
        read = Properties.READ, Permissions.READABLE
        if clock is not None:
            now = CharacteristicValue(read=lambda connection: current_time(clock()))
            self.device.add_services(
                [Service(CURRENT_TIME_SERVICE, [Characteristic(CURRENT_TIME, *read, now)])]
            )
        self.device.add_services(
            [
                Service(
                    DEVICE_INFORMATION_SERVICE,
                    [Characteristic(MODEL_NUMBER, *read, b"LAB-1")],
                ),
                Service(
                    BLOOD_PRESSURE_SERVICE,
                    [
                        self.bp_measurement,
                        Characteristic(BLOOD_PRESSURE_FEATURE, *read, b"\0\0"),
                    ],
                ),
                Service(
                    GLUCOSE_SERVICE,
                    [
                        self.glucose_measurement,
                        Characteristic(GLUCOSE_FEATURE, *read, b"\0\0"),
                        self.racp,
                    ],
                ),
                Service(
                    WEIGHT_SCALE_SERVICE,
                    [
                        self.weight_measurement,
                        Characteristic(WEIGHT_SCALE_FEATURE, *read, b"\0\0\0\0"),
                    ],
                ),
            ]
        )
        if secure:
            need = Permissions.WRITE_REQUIRES_ENCRYPTION
            if secure == "authenticated":
                need |= Permissions.WRITE_REQUIRES_AUTHENTICATION
            for attribute in self.device.gatt_server.attributes:
                if attribute.type == CCCD or attribute is self.racp:
                    attribute.permissions |= need
        self.device.on("connection", self._on_connection)
        self.device.host.long_term_key_provider = self._long_term_key

    async def _long_term_key(self, handle: int, rand: bytes, ediv: int):
        """Bumble (0.0.236) takes the wrong one of the two keys of a *legacy* bond
        when it is the peripheral; take the one that the other side names."""
        connection = self.device.lookup_connection(handle)
        key = self.device.smp_manager.get_long_term_key(connection, rand, ediv)
        if key is not None:
            return key  # pairing in progress
        keys = await self.device.keystore.get(str(connection.peer_address))
        for key in (keys.ltk, keys.ltk_central, keys.ltk_peripheral) if keys else ():
            if key and (key.ediv or 0, key.rand or bytes(8)) == (ediv, rand):
                return key.value
        return None

    @staticmethod
    def _value(uuid: UUID, properties) -> Characteristic:
        return Characteristic(uuid, properties, Permissions(0), b"")

    @property
    def address(self) -> str:
        return self.device.random_address.to_string(False)

    async def start(self) -> None:
        await self.device.power_on()
        await self.advertise()

    async def advertise(self) -> None:
        self.device.advertising_data = bytes(
            AdvertisingData(
                [
                    (AdvertisingData.FLAGS, bytes([0x06])),
                    (
                        AdvertisingData.COMPLETE_LIST_OF_16_BIT_SERVICE_CLASS_UUIDS,
                        b"".join(struct.pack("<H", n) for n in (0x1810, 0x1808, 0x181D)),
                    ),
                    (AdvertisingData.COMPLETE_LOCAL_NAME, self.device.name.encode()),
                ]
            )
        )
        self.awake = True
        await self.device.start_advertising()

    async def hide(self) -> None:
        """Stop advertising; whoever is connected stays so."""
        self.awake = False
        await self.device.stop_advertising()

    async def sleep(self) -> None:
        """Stop advertising and let go of whoever is connected, as a machine does that has told all."""
        await self.hide()
        for connection in list(self.device.connections.values()):
            await connection.disconnect()

    async def forget_bonds(self) -> None:
        """What a battery change or a factory reset does to many meters."""
        await self.device.keystore.delete_all()

    def _on_connection(self, connection: Connection) -> None:
        self.connection = connection
        self.connections += 1
        connection.on("pairing", self._on_pairing)
        connection.on("disconnection", self._on_disconnection)

    def _on_disconnection(self, reason: int) -> None:
        # Not by Bumble's auto_restart, which goes on after the machine was put to sleep.
        if self.awake:
            self._waking = asyncio.ensure_future(self.device.start_advertising())

    def _on_pairing(self, keys) -> None:
        self.pairings += 1

    async def send_blood_pressure(self, raw: bytes) -> None:
        """Indicate, and wait for the client's confirmation."""
        await self.device.indicate_subscribers(self.bp_measurement, raw)

    async def send_weight(self, raw: bytes) -> None:
        await self.device.indicate_subscribers(self.weight_measurement, raw)

    def _on_racp(self, connection: Connection, request: bytes) -> None:
        # Answer the write first; the transfer goes on afterwards.
        connection.cancel_on_disconnection(self._racp_job(connection, bytes(request)))

    async def _racp_job(self, connection: Connection, request: bytes) -> None:
        self.asked.append(request)
        found, reply = answered(request, sorted(self.records))
        for number in found:
            await asyncio.sleep(self.record_interval)
            if self.before_record is not None:
                await self.before_record(number)
            self.sent += 1
            await self.device.notify_subscriber(connection, self.glucose_measurement, self.records[number])
        await self.device.indicate_subscriber(connection, self.racp, reply)
