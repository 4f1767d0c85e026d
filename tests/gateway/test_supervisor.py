"""One device's station on a real pseudo-terminal and a real journal: faults in words, and back by itself."""

import asyncio
import os
import tty
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from drivers import catalogue
from drivers.catalogue import frame_by_frame
from drivers.dialogue import Order
from drivers.push import push
from gateway.clock import Clock
from gateway.config import DeviceConfig
from gateway.links.hotplug import Hotplug
from gateway.supervisor import Station, Surroundings
from protocol.errors import RequestRefused
from protocol.readings import Notice
from store.journal import Journal

LINE = b"2026,07,11,09,05,12345678901234567890,0,%03d,080,072,0\r\n"


class Port:
    """A serial port whose other end is ours."""

    def __init__(self, link: Path) -> None:
        self.link = link
        self.plug()

    def plug(self) -> None:
        self.master, self.slave = os.openpty()
        tty.setraw(self.slave)
        self.link.symlink_to(os.ttyname(self.slave))

    def unplug(self) -> None:
        self.link.unlink()
        os.close(self.slave)
        os.close(self.master)

    def say(self, data: bytes) -> None:
        os.write(self.master, data)


@pytest.fixture
async def journal(tmp_path: Path) -> AsyncIterator[Journal]:
    opened = Journal.open(tmp_path / "journal.db", gateway="g-1", now=Clock().now)
    yield opened
    opened.close()


@pytest.fixture
async def bench(tmp_path: Path, journal: Journal) -> AsyncIterator[tuple[Station, Port]]:
    port = Port(tmp_path / "port")
    shared = Surroundings(journal, Clock(), Hotplug(), ZoneInfo("Asia/Shanghai"), lambda: None)
    config = DeviceConfig(name="bp-1", driver="omron_hbp", port=str(port.link))
    station = Station(config, catalogue.every()["omron_hbp"], shared)
    running = asyncio.create_task(station.run())
    yield station, port
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    port.unplug()


async def until(condition: Callable[[], object]) -> None:
    deadline = asyncio.get_running_loop().time() + 20
    while not condition():
        assert asyncio.get_running_loop().time() < deadline
        await asyncio.sleep(0.01)


async def test_a_line_becomes_a_stored_reading(bench: tuple[Station, Port], journal: Journal) -> None:
    station, port = bench
    await until(lambda: station.state.condition == "waiting")
    port.say(LINE % 120)
    await until(lambda: station.state.readings == 1)
    [stored] = journal.queries.tray()
    assert stored.values["systolic"].value == "120"
    assert "12345678901234567890" not in str(stored)
    assert station.state.code is None


async def test_a_full_disk_is_said_until_there_is_room_again(
    bench: tuple[Station, Port], journal: Journal
) -> None:
    station, port = bench
    await until(lambda: station.state.condition == "waiting")
    await journal.run(lambda tx: tx._connection.execute("PRAGMA max_page_count = 1"))
    values = iter(range(100, 200))

    def full() -> bool:
        if station.state.condition == "waiting":
            port.say(LINE % next(values))
        return station.state.code == "store.disk_full"

    await until(full)
    assert station.state.condition == "failed"
    told = len(journal.queries.tray())
    assert told == station.state.readings
    await journal.run(lambda tx: tx._connection.execute("PRAGMA max_page_count = 1000000"))
    await until(lambda: station.state.condition == "waiting")
    assert station.state.code is None
    port.say(LINE % 99)
    await until(lambda: station.state.readings == told + 1)


async def test_unplugged_and_plugged_again(bench: tuple[Station, Port], journal: Journal) -> None:
    station, port = bench
    await until(lambda: station.state.condition == "waiting")
    port.say((LINE % 120)[:20])
    port.unplug()
    await until(lambda: station.state.condition == "lost")
    assert station.state.code in {"link.lost", "link.unavailable"}
    port.plug()
    await until(lambda: station.state.condition == "waiting")
    port.say(LINE % 121)
    await until(lambda: station.state.readings == 1)
    assert [one.values["systolic"].value for one in journal.queries.tray()] == ["121"]
    codes = [event.code for event in journal.queries.device_events("bp-1")]
    assert {"link.opened", "link.lost"} <= set(codes)


async def test_an_order_the_driver_does_not_know_is_refused(bench: tuple[Station, Port]) -> None:
    station, _ = bench
    await until(lambda: station.state.condition == "waiting")
    with pytest.raises(RequestRefused) as refused:
        station.order(Order("start_blood_pressure"))
    assert refused.value.code == "order.unknown"


async def test_a_flapping_port_fills_no_journal(bench: tuple[Station, Port], journal: Journal) -> None:
    station, port = bench
    for _ in range(3):
        await until(lambda: station.state.condition == "waiting")
        port.unplug()
        await until(lambda: station.state.condition == "lost")
        port.plug()
    await until(lambda: station.state.condition == "waiting")
    codes = [event.code for event in journal.queries.device_events("bp-1")]
    assert len(codes) == len(set(codes))
    port.say(LINE % 120)
    await until(lambda: station.state.readings == 1)
    port.unplug()
    await until(lambda: station.state.condition == "lost")
    port.plug()
    await until(lambda: len(journal.queries.device_events("bp-1")) > len(codes))


async def test_an_order_is_taken_only_while_the_port_is_open(tmp_path: Path, journal: Journal) -> None:
    shared = Surroundings(journal, Clock(), Hotplug(), ZoneInfo("Asia/Shanghai"), lambda: None)
    config = DeviceConfig(name="bp-2", driver="pm6750", port=str(tmp_path / "nothing"))
    station = Station(config, catalogue.every()["pm6750"], shared)
    with pytest.raises(RequestRefused) as refused:
        station.order(Order("start_blood_pressure"))
    assert refused.value.code == "order.not_now"


async def test_a_result_without_a_measure_of_ours_is_kept_once(tmp_path: Path, journal: Journal) -> None:
    told = Notice("glucose_meter.other_kind", {"kind": "ketone"}, evidence=b"ketone 0.3")
    heard = list[bytes]()

    def said(frame: bytes) -> list[Notice]:
        heard.append(frame)
        return [told]

    decode = frame_by_frame(said)
    driver = replace(catalogue.every()["omron_hbp"], decode=decode, talk=push(decode))
    port = Port(tmp_path / "port")
    shared = Surroundings(journal, Clock(), Hotplug(), ZoneInfo("Asia/Shanghai"), lambda: None)
    config = DeviceConfig(name="bp-1", driver="omron_hbp", port=str(port.link))

    def kept() -> list[str]:
        return [one.code for one in journal.queries.device_events("bp-1") if one.code == told.code]

    for _start in range(2):
        station = Station(config, driver, shared)
        running = asyncio.create_task(station.run())
        await until(lambda one=station: one.state.condition == "waiting")
        heard.clear()
        port.say(b"K\r\n" * 3)
        await until(lambda: len(heard) == 3)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    port.unplug()
    assert kept() == [told.code]
