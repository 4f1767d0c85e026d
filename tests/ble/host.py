"""This box's Bluetooth where there is no BlueZ: bonds of the in-process central, a note of what was asked."""

from collections.abc import Callable

from backend import Central
from bumble import hci
from bumble.pairing import PairingConfig, PairingDelegate

from gateway.links.ble_parts import Passkey
from protocol.errors import LinkError


class AirHost:
    """A `gateway.links.ble_parts.Host`."""

    def __init__(self, central: Central) -> None:
        self.gone: Callable[[], None] = lambda: None
        self.fault: LinkError | None = None
        self.did: list[str] = []
        self._device = central.device
        self._asked: dict[str, list[str]] = {}

    async def adapter(self) -> str:
        if self.fault is not None:
            raise self.fault
        return "hci0"

    async def bonded(self, address: str) -> bool:
        return await self._device.keystore.get(self.peer(address)) is not None

    async def forget(self, address: str) -> None:
        self.did.append(f"forget {address}")
        await self._device.keystore.delete(self.peer(address))

    async def expect(self, address: str, passkey: Passkey | None) -> None:
        asked = self._asked[address] = []

        class Keys(PairingDelegate):
            async def get_number(self) -> int | None:
                asked.append("RequestPasskey")
                return await passkey(address) if passkey else None

        capability = PairingDelegate.IoCapability
        keys = Keys(capability.KEYBOARD_INPUT_ONLY if passkey else capability.NO_OUTPUT_NO_INPUT)
        self._device.pairing_config_factory = lambda connection: PairingConfig(
            mitm=passkey is not None, delegate=keys
        )

    async def asked(self, address: str) -> list[str]:
        return self._asked.get(address, [])

    async def power_cycle(self) -> None:
        self.did.append("power cycle")

    async def restart(self) -> None:
        self.did.append("restart")

    async def close(self) -> None:
        self.did.append("close")

    def peer(self, address: str) -> str:
        """Return the name under which the central keeps the bond with this machine."""
        return str(hci.Address(address))
