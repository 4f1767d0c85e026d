"""Answers BlueZ's questions while a machine is being paired (org.bluez.Agent1): no desktop is there to do it.

Without an agent not even a machine without screen and keys is paired. Only machines that were announced here
are answered for; every other gets a refusal.
"""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

from dbus_fast import Message, MessageType
from dbus_fast.aio import MessageBus

from gateway.links.ble_parts import Passkey

PATH = "/checkup_gateway/agent"
INTERFACE = "org.bluez.Agent1"
REJECTED = "org.bluez.Error.Rejected"


class Agent:
    """The agent's object on one bus connection; `asked` is what BlueZ wanted to know, by address."""

    def __init__(self, bus: MessageBus) -> None:
        self.asked: dict[str, list[str]] = {}
        self._bus = bus
        self._known: dict[str, Passkey] = {}
        self._answers: set[asyncio.Task[None]] = set()

    def expect(self, address: str, passkey: Passkey) -> None:
        """Answer for this machine from now on."""
        self._known[address] = passkey
        self.asked[address] = []

    def called(self, message: Message) -> bool | None:
        """Take a call from BlueZ, to be added to the bus as a message handler; the answer is sent later."""
        if (message.message_type, message.path) != (MessageType.METHOD_CALL, PATH):
            return None
        task = asyncio.ensure_future(self._answer(message))
        self._answers.add(task)
        task.add_done_callback(self._answers.discard)
        return True

    async def _answer(self, message: Message) -> None:
        reply = await self._reply(message)
        with suppress(OSError, EOFError):  # the bus is gone, and with it whoever asked
            await self._bus.send(reply)

    async def _reply(self, message: Message) -> Message:
        if message.interface != INTERFACE or message.member in {"Release", "Cancel"}:
            return Message.new_method_return(message)
        address = _address(message)
        passkey = self._known.get(address)
        if passkey is None:
            return Message.new_error(message, REJECTED, "not a machine of this gateway")
        self.asked[address].append(str(message.member))
        match message.member:
            case "RequestPasskey":
                number = await passkey(address)
                if number is None:
                    return Message.new_error(message, REJECTED, "nobody told the passkey")
                return Message.new_method_return(message, "u", [number])
            case "RequestAuthorization" | "AuthorizeService" | "DisplayPasskey":
                return Message.new_method_return(message)
            case _:  # a number to compare or a text code: nobody is there to look at it
                return Message.new_error(message, REJECTED, "not possible here")


def _address(message: Message) -> str:
    """Return the address in the device's path, which is the first argument of every question."""
    path = str(message.body[0]) if message.body else ""
    return path.rpartition("/dev_")[2].replace("_", ":")


def passkeys_from(files: Mapping[str, Path]) -> Callable[[str], Passkey | None]:
    """Return the passkeys that the configuration names: a file for an address, read when it is needed."""

    def known(address: str) -> Passkey | None:
        path = files.get(address)
        return None if path is None else _read(path)

    return known


def _read(path: Path) -> Passkey:
    async def passkey(_address: str) -> int | None:
        try:
            digits = (await asyncio.to_thread(path.read_text, encoding="ascii")).strip()
        except (OSError, UnicodeDecodeError):
            return None
        return int(digits) if digits.isdigit() and len(digits) == 6 else None

    return passkey
