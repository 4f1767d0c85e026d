"""USB HID machines on a real kernel's hidraw: each simulated one read by its own driver."""

import struct
from pathlib import Path

import pytest
from box import becomes
from uhid import Device, cp2110, plain

from drivers.catalogue import Hid, every
from gateway.links.ports import hids, seen
from tests.tools.host import told_by
from tools.machines import Machine
from tools.simulators import names

BRIDGED = {"taidoc_td42xx": (0x10C4, 0xEA80), "caresens": (0x10C4, 0x8A32)}
NO_NODE = "microlife_hid"
"""Linux gives its ids no hidraw node: it takes them for a serial bridge, as the driver says."""
HIDS = [name for name in names() if isinstance(every()[name].link, Hid) and name != NO_NODE]


pytestmark = pytest.mark.usefixtures("patience")


@pytest.mark.parametrize("name", HIDS)
async def test_a_hid_machine_is_read(name: str, tmp_path: Path) -> None:
    link = every()[name].link
    assert isinstance(link, Hid)
    async with (
        Machine(name, tmp_path / "port", seed=7) as machine,
        Device(link.usb[0], plain(link.report), machine.link, link.report) as device,
    ):
        await becomes(lambda: seen(device.port) is not None)
        await told_by(name, machine, device.port)


@pytest.mark.parametrize("name", sorted(BRIDGED))
async def test_a_line_behind_a_hid_chip_is_read_and_was_set(name: str, tmp_path: Path) -> None:
    async with (
        Machine(name, tmp_path / "port", seed=7) as machine,
        Device(BRIDGED[name], cp2110(), machine.link) as device,
    ):
        await becomes(lambda: seen(device.port) is not None)
        await told_by(name, machine, device.port)
        rate = {"taidoc_td42xx": 19200, "caresens": 9600}[name]
        assert device.features[:2] == [struct.pack(">BLBBBB", 0x50, rate, 0, 0, 3, 0), b"\x41\x01"]


async def test_a_device_that_is_pulled_out_is_gone(tmp_path: Path) -> None:
    async with (
        Machine("contour_usb", tmp_path / "port") as machine,
        Device((0x1A79, 0x6002), plain(64), machine.link, 64) as device,
    ):
        await becomes(lambda: seen(device.port) is not None)
        [found] = [one for one in hids() if (one.vid, one.pid) == (0x1A79, 0x6002)]
        assert (found.hid, found.description) == (True, "Test")
    await becomes(lambda: seen(device.port) is None)


async def test_the_one_machine_that_linux_takes_for_something_else_has_no_node(tmp_path: Path) -> None:
    async with Machine("contour_usb", tmp_path / "port") as machine:
        [ids] = every()[NO_NODE].link.usb
        async with (
            Device(ids, plain(8), machine.link, 8) as taken,
            Device((0x1A79, 0x6002), plain(64), machine.link, 64) as other,
        ):
            await becomes(lambda: seen(other.port) is not None)
            assert seen(taken.port) is None
