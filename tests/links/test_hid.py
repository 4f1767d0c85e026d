"""The HID link: bytes both ways, what is refused, and which device is meant.

No machine here has hidraw: a named pipe and a socket that keeps messages apart stand in for the node, and a
tree of files for the kernel's list.
"""

import asyncio
import fcntl
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from cables import Cable, soon
from test_serial_link import as_nobody

from drivers.catalogue import Hid, Serial
from gateway.links import hid
from gateway.links.cp2110 import Cp2110Link
from gateway.links.hid import HidLink, open_hid, set_feature_request
from gateway.links.hotplug import Hotplug
from gateway.links.opening import open_link
from gateway.links.ports import PortInfo, hids, ports, resolve, seen
from gateway.links.serial import LineSettings
from protocol.errors import Busy, Lost, Unavailable

DEVICE = Hid(8, ((0x0590, 0x0028),))


class Kernel:
    """A machine's `dev` and `sys`, into which HID devices are plugged."""

    def __init__(self, root: Path) -> None:
        self.root = root
        (root / "dev").mkdir(parents=True)

    def plug(self, name: str, identity: str, unique: str = "", socket: str = "1-1") -> Path:
        usb = self.root / "sys/devices/usb1" / socket
        device = usb / f"{socket}:1.0" / f"{identity}.0001"
        (device / "hidraw" / name).mkdir(parents=True)
        vendor, product = identity.split(":")[1:]
        (usb / "idVendor").write_text(f"{vendor[-4:].lower()}\n")
        (usb / "idProduct").write_text(f"{product[-4:].lower()}\n")
        (device / "uevent").write_text(
            f"DRIVER=hid-generic\nHID_ID={identity}\nHID_NAME=OMRON M10-IT\nHID_UNIQ={unique}\n"
        )
        (device / "hidraw" / name / "device").symlink_to(device)
        entry = self.root / "sys/class/hidraw" / name
        entry.parent.mkdir(parents=True, exist_ok=True)
        entry.symlink_to(device / "hidraw" / name)
        node = self.root / "dev" / name
        os.mkfifo(node)
        return node

    def pull(self, name: str) -> None:
        (self.root / "sys/class/hidraw" / name).unlink()
        (self.root / "dev" / name).unlink()


@pytest.fixture
def kernel(tmp_path: Path) -> Kernel:
    return Kernel(tmp_path / "machine")


MONITOR, MOUSE, BLUETOOTH = "0003:00000590:00000028", "0003:0000046D:0000C077", "0005:00000590:00000028"


def test_devices_are_listed_as_their_uevents_name_them(kernel: Kernel) -> None:
    kernel.plug("hidraw10", MONITOR, "SN7")
    kernel.plug("hidraw2", MOUSE, socket="1-2")
    kernel.plug("hidraw3", BLUETOOTH, socket="1-3")
    dev = kernel.root / "dev"
    assert hids(kernel.root) == [
        PortInfo(f"{dev}/hidraw2", 0x046D, 0xC077, None, "1-2", "OMRON M10-IT", hid=True),
        PortInfo(f"{dev}/hidraw10", 0x0590, 0x0028, "SN7", "1-1", "OMRON M10-IT", hid=True),
    ]
    assert ports(kernel.root) == []


@pytest.mark.parametrize("uevent", ["", "HID_ID=0003:0590:0028\n", "HID_ID\n", "HID_ID=x\nHID_UNIQ=y\n"])
def test_what_names_nothing_is_no_device(kernel: Kernel, uevent: str) -> None:
    kernel.plug("hidraw0", MONITOR)
    next(kernel.root.glob("sys/devices/**/uevent")).write_text(uevent)
    assert hids(kernel.root) == []


def test_a_machine_without_hidraw_has_none(tmp_path: Path) -> None:
    assert hids(tmp_path) == []
    assert isinstance(hids(), list)


@pytest.mark.parametrize("name", ["usb:0590:0028:SN7", "usb:0590:0028"])
def test_a_device_is_found_by_its_identity(kernel: Kernel, name: str) -> None:
    node = kernel.plug("hidraw4", MONITOR, "SN7")
    kernel.plug("hidraw5", MOUSE, socket="1-2")
    assert resolve(name, kernel.root, hids) == str(node)
    assert (seen(name, kernel.root) or "").startswith(str(node))
    with pytest.raises(Unavailable) as missing:
        resolve(name, kernel.root)
    assert missing.value.code == "link.unavailable"


async def test_two_of_a_kind_are_not_guessed_between(kernel: Kernel) -> None:
    kernel.plug("hidraw0", MONITOR, "A")
    kernel.plug("hidraw1", MONITOR, "B", socket="1-2")
    with pytest.raises(Unavailable) as several:
        await soon(open_hid("usb:0590:0028", DEVICE, kernel.root))
    assert several.value.code == "link.ambiguous"


async def test_a_device_that_is_plugged_ends_the_wait_for_it(kernel: Kernel) -> None:
    async with Hotplug(kernel.root) as hotplug:
        waiting = asyncio.create_task(hotplug.wait_for("usb:0590:0028", 3600))
        told = asyncio.create_task(hotplug.changed(3600))
        await asyncio.sleep(0)
        kernel.plug("hidraw0", MONITOR)
        assert await soon(waiting)
        assert await soon(told)
        kernel.pull("hidraw0")
        assert seen("usb:0590:0028", kernel.root) is None


async def test_a_node_is_written_in_whole_reports_behind_a_zero(kernel: Kernel) -> None:
    kernel.plug("hidraw0", MONITOR)
    link = await soon(open_hid("usb:0590:0028", DEVICE, kernel.root))
    assert isinstance(link, HidLink)
    await soon(link.write(bytes(range(1, 12))))
    heard = b""
    while len(heard) < 18:
        heard += await soon(link.read())
    assert heard == bytes([0, *range(1, 9)]) + bytes([0, 9, 10, 11, 0, 0, 0, 0, 0])
    await soon(link.close())
    await soon(link.close())


def pair() -> tuple[socket.socket, HidLink]:
    """Return the device's end, which keeps reports apart as a node does, and the link."""
    theirs, ours = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.setblocking(False)
    return theirs, HidLink("device", ours.detach(), 8)


async def test_each_read_is_one_report() -> None:
    device, link = pair()
    reports = [bytes([number]) * 8 for number in range(5)]
    for report in reports:
        device.send(report)
    assert [await soon(link.read()) for _ in reports] == reports
    await soon(link.write(b"\x05VER00"))
    assert device.recv(100) == b"\0\x05VER00\0\0"
    device.close()
    await soon(link.close())


async def test_reports_that_came_before_the_end_are_read_before_it_is_told() -> None:
    device, link = pair()
    device.send(b"last one")
    device.close()
    assert await soon(link.read()) == b"last one"
    for _ in range(2):
        with pytest.raises(Lost):
            await soon(link.read())
    with pytest.raises(Lost):
        await soon(link.write(b"x"))
    await soon(link.close())


async def test_a_read_that_is_given_up_drops_nothing() -> None:
    device, link = pair()
    reading = asyncio.create_task(link.read())
    await asyncio.sleep(0)
    reading.cancel()
    await asyncio.wait({reading})
    device.send(b"a report")
    assert await soon(link.read()) == b"a report"
    device.close()
    await soon(link.close())


async def test_a_busy_reader_leaves_reports_in_the_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hid, "INBOX", 2)
    device, link = pair()
    reports = [bytes([number]) * 8 for number in range(20)]
    for report in reports:
        device.send(report)
    await asyncio.sleep(0)
    assert [await soon(link.read()) for _ in reports] == reports
    device.close()
    await soon(link.close())


async def test_closing_ends_a_read_and_a_write_after_it_is_lost() -> None:
    device, link = pair()
    reading = asyncio.create_task(link.read())
    await asyncio.sleep(0)
    await soon(link.close())
    with pytest.raises(Lost):
        await soon(reading)
    with pytest.raises(Lost):
        await soon(link.feature(b"\x74\xbc"))
    device.close()


async def test_a_feature_report_is_set_with_its_number_before_it(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[int, bytes]] = []

    def ioctl(_descriptor: int, request: int, data: bytearray) -> int:
        asked.append((request, bytes(data)))
        return len(data)

    monkeypatch.setattr(hid.fcntl, "ioctl", ioctl)
    device, link = pair()
    await soon(link.feature(b"\x74\xbc"))
    assert asked == [(0xC0034806, b"\0\x74\xbc")]
    device.close()
    await soon(link.close())


async def test_a_refused_feature_report_is_a_lost_link() -> None:
    device, link = pair()
    with pytest.raises(Lost):
        await soon(link.feature(b"\x74\xbc"))
    device.close()
    await soon(link.close())


def test_the_request_is_the_kernel_s() -> None:
    assert set_feature_request(1) == 0xC0014806
    assert set_feature_request(65) == 0xC0414806


@contextmanager
def held(path: Path) -> Iterator[None]:
    descriptor = os.open(path, os.O_RDWR | os.O_NONBLOCK)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    try:
        yield
    finally:
        os.close(descriptor)


async def test_a_device_that_another_holds_is_busy(kernel: Kernel) -> None:
    node = kernel.plug("hidraw0", MONITOR)
    with held(node), pytest.raises(Busy) as refused:
        await soon(open_hid(str(node), DEVICE))
    assert refused.value.code == "link.busy"
    await soon((await soon(open_hid(str(node), DEVICE))).close())


async def test_a_device_that_is_not_ours_to_open() -> None:
    with TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)  # noqa: PTH101
        node = Path(folder) / "hidraw0"
        os.mkfifo(node, 0)
        with as_nobody(), pytest.raises(Unavailable) as refused:
            await soon(open_hid(str(node), DEVICE))
        assert refused.value.code == "link.permission"


@pytest.mark.parametrize("port", ["/dev/hidraw999", "usb:0ABC:0DEF", "usb:nonsense", "/nowhere/hidraw0"])
async def test_a_device_that_is_not_there(port: str) -> None:
    with pytest.raises(Unavailable) as refused:
        await soon(open_hid(port, DEVICE))
    assert refused.value.code == "link.unavailable"


async def test_a_pseudo_terminal_stands_in_and_bytes_pass_as_they_are(cable: Cable) -> None:
    link = await soon(open_link(cable.port, DEVICE))
    await soon(link.feature(b"\x01\x01"))
    await soon(link.write(b"\x02OK"))
    assert await soon(cable.hears(5)) == b"\x01\x01\x02OK"
    cable.says(b"\x07\0")
    heard = b""
    while len(heard) < 2:
        heard += await soon(link.read())
    assert heard == b"\x07\0"
    await soon(link.close())


async def test_a_serial_driver_gets_a_serial_line(cable: Cable) -> None:
    link = await soon(open_link(cable.port, Serial(baudrate=2400, parity="E", stopbits=2)))
    cable.says(b"x")
    assert await soon(link.read()) == b"x"
    await soon(link.close())


async def test_a_line_behind_a_chip_takes_reports_of_their_own_length(
    kernel: Kernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[bytes] = []
    monkeypatch.setattr(hid.fcntl, "ioctl", lambda _node, _request, data: asked.append(bytes(data)) or 0)
    theirs, ours = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.setblocking(False)
    link = await soon(Cp2110Link.opened("cable", ours.detach(), LineSettings(19200, parity="E", stopbits=2)))
    assert asked == [bytes.fromhex("50 00004B00 02 00 03 01"), b"\x41\x01"]
    await soon(link.write(bytes(64)))
    assert [theirs.recv(100), theirs.recv(100)] == [b"\x3f" + bytes(63), b"\x01\0"]
    for report in (b"\x02ab\xff\xff", b"\x41\x01", b"\x01c"):
        theirs.send(report)
    assert [await soon(link.read()), await soon(link.read())] == [b"ab", b"c"]
    theirs.close()
    await soon(link.close())


async def test_a_line_s_port_may_be_such_a_cable(kernel: Kernel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hid.fcntl, "ioctl", lambda *_asked: 0)
    kernel.plug("hidraw0", "0003:000010C4:0000EA80", "C1")
    link = await soon(open_link("usb:10c4:ea80", Serial(baudrate=19200), root=kernel.root))
    assert isinstance(link, Cp2110Link)
    await soon(link.close())
    kernel.plug("hidraw1", "0003:000010C4:0000EA80", "C2", socket="1-2")
    with pytest.raises(Unavailable) as several:
        await soon(open_link("usb:10c4:ea80", Serial(), root=kernel.root))
    assert several.value.code == "link.ambiguous"


async def test_a_cable_that_cannot_be_set_is_a_lost_link(kernel: Kernel) -> None:
    node = kernel.plug("hidraw0", "0003:000010C4:0000EA80", "C1")
    with pytest.raises(Lost):
        await soon(open_link(str(node), Serial()))
