"""A D-Bus of our own, and a stand-in for bluetoothd and systemd on it that answers as they document."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dbus_fast import BusType, Message, MessageType, NameFlag, Variant
from dbus_fast.aio import MessageBus

CONFIG = """<busconfig>
  <type>session</type>
  <listen>unix:path={path}</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow send_destination="*" eavesdrop="true"/>
    <allow eavesdrop="true"/>
    <allow own="*"/>
  </policy>
</busconfig>
"""
UNKNOWN = "org.freedesktop.DBus.Error.UnknownObject"


@contextmanager
def bus_daemon(folder: Path) -> Iterator[str]:
    """Run a bus; yields its address."""
    folder.mkdir(exist_ok=True)
    (folder / "bus.conf").write_text(CONFIG.format(path=folder / "bus"))
    command = ["dbus-daemon", f"--config-file={folder / 'bus.conf'}", "--nofork", "--print-address"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as daemon:
        assert daemon.stdout is not None
        try:
            yield daemon.stdout.readline().strip()
        finally:
            daemon.terminate()


class Refused(Exception):
    """An error reply, by its name."""


class Bluetoothd:
    """org.bluez and org.freedesktop.systemd1, as far as the gateway calls them; `calls` is what was asked."""

    def __init__(self) -> None:
        self.bus: MessageBus
        self.calls: list[str] = []
        self.adapters: dict[str, dict[str, Any]] = {"hci0": {"Address": "00:00:5E:00:53:00", "Powered": True}}
        self.devices: dict[str, dict[str, Any]] = {}
        self.refuses: dict[str, str] = {}
        """Member to the name of the error that answers it; empty: nothing answers it."""
        self.refused: list[str] = []
        self.agent: tuple[str, str, str] | None = None
        """Who answers questions: bus name, path, capability."""

    async def start(self, *names: str) -> "Bluetoothd":
        self.bus = await MessageBus(bus_type=BusType.SYSTEM).connect()
        self.bus.add_message_handler(self._called)
        for name in names or ("org.bluez", "org.freedesktop.systemd1"):
            await self.bus.request_name(name, NameFlag.DO_NOT_QUEUE)
        return self

    async def end(self) -> None:
        """Leave the bus as a killed process does."""
        self.bus.disconnect()
        await self.bus.wait_for_disconnect()

    async def ask(self, member: str, signature: str, *body: object) -> Message:
        """Ask the registered agent."""
        assert self.agent is not None
        name, path, _ = self.agent
        question = Message(
            destination=name,
            path=path,
            interface="org.bluez.Agent1",
            member=member,
            signature=signature,
            body=[*body],
        )
        reply = await self.bus.call(question)
        assert reply is not None
        return reply

    def _called(self, message: Message) -> Message | bool | None:
        if message.message_type != MessageType.METHOD_CALL:
            return None
        member = str(message.member)
        refusal = self.refuses.get(member)
        if refusal == "":
            return True
        if refusal is not None:
            self.refused.append(member)
            return Message.new_error(message, refusal, "as the test wants it")
        try:
            signature, body = self._answer(message, member)
        except Refused as name:
            return Message.new_error(message, str(name), "")
        return Message.new_method_return(message, signature, body)

    def _answer(self, message: Message, member: str) -> tuple[str, list[Any]]:
        match member:
            case "GetManagedObjects":
                return "a{oa{sa{sv}}}", [self._objects()]
            case "Get":
                return "v", [self._variant(self._object(str(message.path))[message.body[1]])]
            case "Set":
                name, value = message.body[1], message.body[2].value
                self.calls.append(f"{name} = {value}")
                self._object(str(message.path))[name] = value
            case "RemoveDevice":
                self.calls.append(f"RemoveDevice {message.body[0]}")
                self._object(message.body[0])
                del self.devices[message.body[0]]
            case "RegisterAgent":
                self.agent = (str(message.sender), *message.body)
            case "UnregisterAgent":
                self.agent = None
            case _:
                self.calls.append(" ".join([member, *map(str, message.body)]))
        return "", []

    def _object(self, path: str) -> dict[str, Any]:
        found = self.devices.get(path) or self.adapters.get(path.removeprefix("/org/bluez/"))
        if found is None:
            raise Refused(UNKNOWN)
        return found

    def _objects(self) -> dict[str, dict[str, dict[str, Variant]]]:
        interfaces = {"/org/bluez": {"org.bluez.AgentManager1": {}}}
        for name, told in self.adapters.items():
            interfaces[f"/org/bluez/{name}"] = {
                "org.bluez.Adapter1": {key: self._variant(value) for key, value in told.items()}
            }
        return interfaces

    @staticmethod
    def _variant(value: object) -> Variant:
        return Variant("b" if isinstance(value, bool) else "s", value)


@contextmanager
def system_bus_at(address: str) -> Iterator[None]:
    """Let this process take *address* for the system bus."""
    before = os.environ.get("DBUS_SYSTEM_BUS_ADDRESS")
    os.environ["DBUS_SYSTEM_BUS_ADDRESS"] = address
    try:
        yield
    finally:
        if before is None:
            del os.environ["DBUS_SYSTEM_BUS_ADDRESS"]
        else:
            os.environ["DBUS_SYSTEM_BUS_ADDRESS"] = before
