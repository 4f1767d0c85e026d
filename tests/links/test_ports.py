"""Ports found by USB identity, in a tree of files laid out as the kernel's."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
from cables import Cable, soon

from gateway.links.hotplug import Hotplug
from gateway.links.ports import PortInfo, ports, resolve, seen
from gateway.links.serial import LineSettings, open_serial
from protocol.errors import Unavailable


class Machine:
    """A machine's `dev` and `sys`, into which USB adapters are plugged."""

    def __init__(self, root: Path) -> None:
        self.root = root
        for folder in ("dev/serial/by-id", "sys/class/tty", "sys/devices"):
            (root / folder).mkdir(parents=True)
        (root / "sys/class/tty/tty1").mkdir()

    def uart(self, name: str, kind: str) -> None:
        (self.root / "sys/devices/uart" / name / "device").mkdir(parents=True)
        (self.root / "sys/devices/uart" / name / "type").write_text(f"{kind}\n")
        self._tty(name, self.root / "sys/devices/uart" / name)
        (self.root / "dev" / name).touch()

    def plug(
        self, name: str, usb: str, serial: str | None, behind: Cable | None = None, number: int = 0
    ) -> None:
        """Plug an adapter 1A86:7523 into the socket *usb*, whose port *number* becomes /dev/*name*."""
        device = self.root / "sys/devices/usb1" / usb
        port = device / f"{usb}:1.{number}" / name
        (port / "tty" / name).mkdir(parents=True)
        attributes = {
            "idVendor": "1a86",
            "idProduct": "7523",
            "product": "USB Serial",
            "bNumInterfaces": "2" if number else " 1",
        }
        for attribute, value in attributes.items():
            (device / attribute).write_text(f"{value}\n")
        if serial:
            (device / "serial").write_text(f"{serial}\n")
        (port / "tty" / name / "device").symlink_to(port)
        self._tty(name, port / "tty" / name)
        node = self.root / "dev" / name
        node.symlink_to(behind.name.resolve()) if behind else node.touch()
        (self.root / f"dev/serial/by-id/usb-{serial or '1a86_USB'}-if0{number}").symlink_to(node)

    def pull(self, name: str) -> None:
        entry = self.root / "sys/class/tty" / name
        link = next(
            link for link in (self.root / "dev/serial/by-id").iterdir() if link.readlink().name == name
        )
        for gone in (entry, self.root / "dev" / name, link):
            gone.unlink()

    def _tty(self, name: str, target: Path) -> None:
        (self.root / "sys/class/tty" / name).symlink_to(target)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path / "machine")


def test_ports_are_listed_with_what_names_them(machine: Machine) -> None:
    machine.uart("ttyS0", "4")
    machine.uart("ttyS1", "0")
    machine.plug("ttyUSB10", "1-1", "B0010")
    machine.plug("ttyUSB2", "1-2", None)
    dev = machine.root / "dev"
    by_id = f"{dev}/serial/by-id"
    assert ports(machine.root) == [
        PortInfo(f"{dev}/ttyS0"),
        PortInfo(f"{dev}/ttyUSB2", 0x1A86, 0x7523, None, "1-2", "USB Serial", f"{by_id}/usb-1a86_USB-if00"),
        PortInfo(f"{dev}/ttyUSB10", 0x1A86, 0x7523, "B0010", "1-1", "USB Serial", f"{by_id}/usb-B0010-if00"),
    ]


def test_this_machine_can_be_listed() -> None:
    for port in ports():
        assert Path(port.device).parent == Path("/dev")


def test_a_port_of_several_is_placed_by_its_interface(machine: Machine) -> None:
    machine.plug("ttyUSB0", "1-1", "MULTI", number=1)
    assert [port.location for port in ports(machine.root)] == ["1-1:1.1"]


@pytest.mark.parametrize("name", ["usb:1A86:7523:B0010", "usb:1a86:7523:B0010", "usb:1A86:7523"])
def test_a_device_is_found_again_under_another_number(machine: Machine, name: str) -> None:
    machine.plug("ttyUSB0", "1-1", "B0010")
    assert resolve(name, machine.root) == str(machine.root / "dev/ttyUSB0")
    first = seen(name, machine.root)
    machine.pull("ttyUSB0")
    assert seen(name, machine.root) is None
    with pytest.raises(Unavailable) as missing:
        resolve(name, machine.root)
    assert missing.value.code == "link.unavailable"
    machine.plug("ttyUSB1", "1-3", "B0010")
    assert resolve(name, machine.root) == str(machine.root / "dev/ttyUSB1")
    assert seen(name, machine.root) not in {None, first}


def test_of_two_that_fit_none_is_guessed(machine: Machine) -> None:
    machine.plug("ttyUSB0", "1-1", "A")
    machine.plug("ttyUSB1", "1-2", "B")
    with pytest.raises(Unavailable) as several:
        resolve("usb:1A86:7523", machine.root)
    assert several.value.code == "link.ambiguous"
    assert "ttyUSB0" in several.value.detail
    assert "ttyUSB1" in several.value.detail
    assert resolve("usb:1A86:7523:B", machine.root).endswith("ttyUSB1")


@pytest.mark.parametrize("port", ["/dev/ttyS7", "socket://10.0.0.1:23", "rfc2217://box:2217"])
def test_other_names_stand_as_they_are(port: str) -> None:
    assert resolve(port) == port


async def test_a_device_plugged_into_another_socket_is_noticed_and_read(
    machine: Machine, cables: Callable[[], Cable]
) -> None:
    name = "usb:1A86:7523:B0010"
    machine.plug("ttyUSB0", "1-1", "B0010", cables())
    async with Hotplug(machine.root) as hotplug:
        machine.pull("ttyUSB0")
        again = cables()
        noticed = asyncio.create_task(hotplug.wait_for(name, 3600))
        await asyncio.sleep(0)
        machine.plug("ttyUSB1", "1-4", "B0010", again)
        assert await soon(noticed)
    link = await open_serial(resolve(name, machine.root), LineSettings())
    try:
        again.says(b"here again")
        heard = b""
        while len(heard) < 10:
            heard += await soon(link.read())
        assert heard == b"here again"
    finally:
        await link.close()
