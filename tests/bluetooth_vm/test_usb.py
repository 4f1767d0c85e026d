"""Machines without a port on a real kernel's USB: each simulated one read by its own driver."""

import asyncio
from pathlib import Path

import pytest
from box import becomes
from usbip import GET_STATUS, BulkDevice

from drivers.catalogue import Serial, every
from gateway.links.opening import open_link
from gateway.links.ports import bulks, seen
from protocol.errors import Busy, Lost
from tests.tools.host import told_by
from tools.machines import Machine

BARE = {"accu_chek_usb": (0x173A, 0x21D5), "visomat": (0x1234, 0x5678)}
"""Machines over bulk endpoints; Visomat's ids are not known, these are anybody's."""
pytestmark = pytest.mark.usefixtures("patience")


def test_these_are_all_there_are() -> None:
    links = {name: driver.link for name, driver in every().items()}
    assert {name for name, link in links.items() if isinstance(link, Serial) and link.bulk} == BARE.keys()


@pytest.mark.parametrize("name", sorted(BARE))
async def test_a_bare_machine_is_read(name: str, tmp_path: Path) -> None:
    async with (
        Machine(name, tmp_path / "port", seed=7) as machine,
        BulkDevice(BARE[name], machine.link) as device,
    ):
        await becomes(lambda: seen(device.port) is not None)
        await told_by(name, machine, device.port)
        assert (0x80, GET_STATUS) in device.asked


async def test_it_is_listed_held_by_one_and_told_when_it_is_pulled_out(tmp_path: Path) -> None:
    link = every()["accu_chek_usb"].link
    async with Machine("visomat", tmp_path / "port") as machine:
        async with BulkDevice(BARE["accu_chek_usb"], machine.link) as device:
            await becomes(lambda: seen(device.port) is not None)
            [found] = [one for one in bulks() if one.vid == 0x173A]
            assert (found.serial, found.description, found.hid) == ("SN7", "Test Meter", False)
            first = await open_link(device.port, link)
            with pytest.raises(Busy):
                await open_link(device.port, link)
            reading = asyncio.create_task(first.read())
        with pytest.raises(Lost):
            await asyncio.wait_for(reading, 60)
        await first.close()
        await becomes(lambda: seen(device.port) is None)
