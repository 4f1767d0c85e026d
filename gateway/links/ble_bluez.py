"""What BlueZ is asked over D-Bus beside bleak: adapter, power, bonds, pairing agent, the service itself."""

import asyncio
import logging
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from dbus_fast import BusType, Message, MessageType, Variant
from dbus_fast.aio import MessageBus
from dbus_fast.errors import AuthError

from gateway.links.ble_adapters import AdapterInfo, blocked, chosen
from gateway.links.ble_agent import PATH, Agent
from gateway.links.ble_parts import Passkey
from gateway.links.ports import ROOT
from protocol.errors import LinkError, Unavailable

log = logging.getLogger(__name__)

BLUEZ = "org.bluez"
ADAPTER = "org.bluez.Adapter1"
DEVICE = "org.bluez.Device1"
PROPERTIES = "org.freedesktop.DBus.Properties"
SYSTEMD = "org.freedesktop.systemd1"
UNIT = "bluetooth.service"
CALL_S = 15.0
SETTLE_S = 0.5
"""After an adapter was switched on, bleak goes on for a moment to say that there is none."""
OFF_S = 1.0
POWER_TRIES = 10
"""An adapter that is still being set up says that it is busy."""
_NO_BLUEZ = {
    "org.freedesktop.DBus.Error.ServiceUnknown",
    "org.freedesktop.DBus.Error.NameHasNoOwner",
    "org.freedesktop.DBus.Error.NoReply",
    "org.freedesktop.systemd1.NoSuchUnit",
    "org.freedesktop.DBus.Error.Spawn.ChildExited",
    "org.freedesktop.DBus.Error.Spawn.Failed",
}
_CODES = {
    **dict.fromkeys(_NO_BLUEZ, "radio.no_service"),
    "org.freedesktop.DBus.Error.AccessDenied": "radio.denied",
    "org.freedesktop.DBus.Error.InteractiveAuthorizationRequired": "radio.denied",
    "org.bluez.Error.Blocked": "radio.blocked",
}
_OBJECT = re.compile(r"/org/bluez/(hci\d+)")


class Bluez:
    """The Host (`ble_parts.py`) on BlueZ, over one connection to the system bus, made anew when it breaks."""

    def __init__(self, wanted: str | None = None, root: Path = ROOT) -> None:
        """Use the adapter *wanted*, by name or address; without it there must be but one."""
        self.gone: Callable[[], None] = lambda: None
        self._wanted = wanted
        self._root = root
        self._bus: MessageBus | None = None
        self._agent: Agent | None = None
        self._registered = ""
        self._capability = "NoInputNoOutput"
        self._name = ""

    async def adapters(self) -> list[AdapterInfo]:
        """Return every adapter that BlueZ knows, by name."""
        objects: Mapping[str, Any] = await self._call(
            "/", "org.freedesktop.DBus.ObjectManager", "GetManagedObjects"
        )
        found = [
            AdapterInfo(name[1], told[ADAPTER]["Address"].value, told[ADAPTER]["Powered"].value)
            for path, told in objects.items()
            if ADAPTER in told and (name := _OBJECT.fullmatch(path))
        ]
        return sorted(found, key=lambda adapter: adapter.name)

    async def adapter(self) -> str:
        """See Host. Raises Unavailable `radio.none`, `radio.several`, `radio.blocked`, `radio.off`."""
        adapter = chosen(await self.adapters(), self._wanted, self._root)
        self._name = adapter.name
        if not adapter.powered:
            await self._power(on=True)
            await asyncio.sleep(SETTLE_S)
        await self._register()
        return adapter.name

    async def bonded(self, address: str) -> bool:
        """See Host."""
        try:
            return bool(await self._get(self._device(address), DEVICE, "Paired"))
        except _NotThere:
            return False

    async def forget(self, address: str) -> None:
        """See Host; a machine that BlueZ does not know is forgotten already."""
        with suppress(_NotThere):
            await self._call(self._path, ADAPTER, "RemoveDevice", "o", self._device(address))

    async def expect(self, address: str, passkey: Passkey | None) -> None:
        """See Host."""
        self._capability = "KeyboardDisplay" if passkey else "NoInputNoOutput"
        await self._register()
        if self._agent is not None:
            self._agent.expect(address, passkey or _nobody)

    async def asked(self, address: str) -> list[str]:
        """See Host."""
        return self._agent.asked.get(address, []) if self._agent else []

    async def power_cycle(self) -> None:
        """See Host."""
        await self._power(on=False)
        await asyncio.sleep(OFF_S)
        await self._power(on=True)
        await asyncio.sleep(SETTLE_S)

    async def restart(self) -> None:
        """See Host; `radio.denied` where the polkit rule is not installed."""
        manager = f"{SYSTEMD}.Manager"
        path = "/org/freedesktop/systemd1"
        await self._call(path, manager, "RestartUnit", "ss", UNIT, "replace", to=SYSTEMD)

    async def close(self) -> None:
        """Leave the bus; the agent goes with it."""
        bus, self._bus, self._registered = self._bus, None, ""
        if bus is not None:
            bus.disconnect()
            with suppress(Exception):  # says again why the bus went, if it went by itself
                await bus.wait_for_disconnect()  # type: ignore[no-untyped-call]

    @property
    def _path(self) -> str:
        return f"/org/bluez/{self._name or 'hci0'}"

    def _device(self, address: str) -> str:
        return f"{self._path}/dev_{address.replace(':', '_')}"

    async def _power(self, *, on: bool) -> None:
        for _ in range(POWER_TRIES):
            try:
                await self._set(self._path, ADAPTER, "Powered", Variant("b", on))
            except _NotNow:
                await asyncio.sleep(SETTLE_S)
            except LinkError as fault:
                if on and (why := blocked(self._root)):
                    raise Unavailable(why, code="radio.blocked") from fault
                if on and fault.code == "radio.stuck":
                    raise Unavailable(fault.detail, code="radio.off") from fault
                raise
            else:
                return
        raise Unavailable("busy", code="radio.stuck")

    async def _register(self) -> None:
        """Make our agent the one that is asked, with the capability that the next machine needs."""
        if self._registered == self._capability:
            return
        manager = "/org/bluez", "org.bluez.AgentManager1"
        if self._registered:
            with suppress(LinkError):
                await self._call(*manager, "UnregisterAgent", "o", PATH)
        self._registered = ""
        await self._call(*manager, "RegisterAgent", "os", PATH, self._capability)
        await self._call(*manager, "RequestDefaultAgent", "o", PATH)
        self._registered = self._capability

    async def _get(self, path: str, interface: str, name: str) -> object:
        variant: Variant = await self._call(path, PROPERTIES, "Get", "ss", interface, name)
        return variant.value

    async def _set(self, path: str, interface: str, name: str, value: Variant) -> None:
        await self._call(path, PROPERTIES, "Set", "ssv", interface, name, value)

    async def _call(
        self, path: str, interface: str, member: str, signature: str = "", *body: object, to: str = BLUEZ
    ) -> Any:
        """Return the first value of the reply. Raises Unavailable with a code of `radio.…`, or _NotThere."""
        message = Message(
            destination=to, path=path, interface=interface, member=member, signature=signature, body=[*body]
        )
        try:
            async with asyncio.timeout(CALL_S):
                reply = await (await self._connected()).call(message)
        except TimeoutError as fault:
            raise Unavailable(f"{member}: no answer", code="radio.stuck") from fault
        except (OSError, EOFError, AuthError) as fault:
            await self.close()
            raise Unavailable(f"D-Bus: {fault}", code="radio.no_service") from fault
        if reply is not None and reply.message_type == MessageType.ERROR:
            detail = f"{member}: {reply.error_name} {reply.body[0] if reply.body else ''}"
            kind = _KINDS.get(str(reply.error_name), Unavailable)
            raise kind(detail, code=_CODES.get(str(reply.error_name), "radio.stuck"))
        return reply.body[0] if reply is not None and reply.body else None

    async def _connected(self) -> MessageBus:
        if self._bus is not None and self._bus.connected:
            return self._bus
        bus = await MessageBus(bus_type=BusType.SYSTEM).connect()
        self._registered = ""
        self._agent = Agent(bus)
        bus.add_message_handler(self._agent.called)
        bus.add_message_handler(self._signalled)
        rule = (
            "type='signal',sender='org.freedesktop.DBus',interface='org.freedesktop.DBus',"
            f"member='NameOwnerChanged',arg0='{BLUEZ}'"
        )
        bus_itself = "org.freedesktop.DBus"
        await bus.call(
            Message(
                destination=bus_itself,
                path="/org/freedesktop/DBus",
                interface=bus_itself,
                member="AddMatch",
                signature="s",
                body=[rule],
            )
        )
        self._bus = bus
        return bus

    def _signalled(self, message: Message) -> None:
        if message.member != "NameOwnerChanged" or message.body[:1] != [BLUEZ]:
            return
        self._registered = ""
        if message.body[1]:
            log.warning("the Bluetooth service ended")
            self.gone()


class _NotThere(Unavailable):
    """BlueZ knows no such object."""


class _NotNow(Unavailable):
    """BlueZ is busy with this very thing."""


_KINDS: Mapping[str, type[Unavailable]] = {
    "org.freedesktop.DBus.Error.UnknownObject": _NotThere,
    "org.bluez.Error.DoesNotExist": _NotThere,
    "org.bluez.Error.Busy": _NotNow,
    "org.bluez.Error.InProgress": _NotNow,
}


async def _nobody(_address: str) -> int | None:
    return None
