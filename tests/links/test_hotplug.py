"""Waiting for a device to come: by looking, and by udev as far as this machine has it."""

import asyncio
from pathlib import Path

import pytest
from cables import Cable, descriptors, soon

from gateway.links.hotplug import Hotplug


async def test_a_port_that_stays_is_a_pause(cable: Cable) -> None:
    loop = asyncio.get_running_loop()
    async with Hotplug() as hotplug:
        began = loop.time()
        assert await soon(hotplug.wait_for(cable.port, 0.2))
        assert loop.time() - began >= 0.2


async def test_a_port_that_does_not_come(tmp_path: Path) -> None:
    async with Hotplug() as hotplug:
        assert not await soon(hotplug.wait_for(str(tmp_path / "never"), 0.1))


async def test_a_port_that_comes_ends_the_wait_early(cable: Cable) -> None:
    cable.pull()
    async with Hotplug() as hotplug:
        waiting = asyncio.create_task(hotplug.wait_for(cable.port, 3600))
        await asyncio.sleep(0)
        cable.plug()
        assert await soon(waiting)


async def test_a_port_plugged_anew_ends_the_wait_early(cable: Cable, tmp_path: Path) -> None:
    async with Hotplug() as hotplug:
        waiting = asyncio.create_task(hotplug.wait_for(cable.port, 3600))
        await asyncio.sleep(0)
        other = Cable(tmp_path / "other")
        cable.name.unlink()
        cable.name.symlink_to(other.name.resolve())
        assert await soon(waiting)
        other.pull()


async def test_several_wait_at_once(cable: Cable, tmp_path: Path) -> None:
    cable.pull()
    async with Hotplug() as hotplug:
        waiting = [asyncio.create_task(hotplug.wait_for(cable.port, 3600)) for _ in range(3)]
        never = asyncio.create_task(hotplug.wait_for(str(tmp_path / "never"), 3600))
        await asyncio.sleep(0)
        cable.plug()
        assert await soon(asyncio.gather(*waiting)) == [True, True, True]
        assert not never.done()
        never.cancel()


async def test_a_change_of_the_ports_is_told(tmp_path: Path) -> None:
    ttys = tmp_path / "sys/class/tty"
    ttys.mkdir(parents=True)
    async with Hotplug(tmp_path) as hotplug:
        assert not await soon(hotplug.changed(0.1))
        waiting = asyncio.create_task(hotplug.changed())
        await asyncio.sleep(0)
        (ttys / "ttyS0/device").mkdir(parents=True)
        assert await soon(waiting)


@pytest.mark.parametrize("running", [False, True])
async def test_udev_is_used_only_where_it_runs(tmp_path: Path, running: bool) -> None:
    """The netlink socket is real; it is opened where udev's control socket shows that somebody sends."""
    before = descriptors()
    if running:
        (tmp_path / "run/udev").mkdir(parents=True)
        (tmp_path / "run/udev/control").touch()
    async with Hotplug(tmp_path) as hotplug:
        assert hotplug.mechanism == ("udev" if running else "polling")
        assert not await soon(hotplug.wait_for("usb:1A86:7523", 0.1))
    assert hotplug.mechanism == "polling"
    assert descriptors() == before
