"""Each simulated machine, a process on a pseudo-terminal, against the real driver, link and conductor."""

import asyncio

import pytest

from drivers.dialogue import Order
from protocol.readings import Event, Identified, Notice
from tests.tools.host import Host, talking, told
from tools.machines import Machine

PRESSURE = {"systolic": "128", "mean_pressure": "97", "diastolic": "82", "pulse_rate": "66"}
SIZE = {"body_height": "158.5", "body_weight": "60.54"}
PUSHING = [
    ("omron_hbp", {}, PRESSURE, {"systolic": "128", "diastolic": "82", "pulse_rate": "66"}),
    ("omron_hbp", {"format": "bp", "end": "cr"}, PRESSURE, PRESSURE),
    ("scale_st_gs", {}, {"body_weight": "61.4"}, {"body_weight": "61.4"}),
    ("scale_st_gs", {"places": "2"}, {"body_weight": "7.06"}, {"body_weight": "7.06"}),
    ("gtech_gl", {}, SIZE, {**SIZE, "bmi": "24.1"}),
    ("gtech_gl", {"dialect": "printer"}, SIZE, {**SIZE, "bmi": "24.1"}),
    ("sinocare_sn", {}, {"glucose": "5.6"}, {"glucose": "5.6"}),
    ("sinocare_sn", {"firmware": "old"}, {"glucose": "12.0"}, {"glucose": "12.0"}),
    ("sinocare_sn", {}, {"glucose": "34.1"}, {"glucose": ">33.3"}),
    ("sinocare_sn", {}, {"glucose": "LO"}, {"glucose": "<1.1"}),
]


@pytest.mark.parametrize(("driver", "options", "found", "display"), PUSHING)
async def test_the_gateway_reads_what_the_display_shows(driver, options, found, display, tmp_path):
    host = Host(driver, {})
    async with Machine(driver, tmp_path / "port", options=options) as machine, talking(host, machine.link):
        assert await machine.measure(found) == display
        assert told(await host.reading()) == display
        assert machine.violations == []


async def test_pm6750_inflates_only_on_order_and_shows_the_cuff(tmp_path):
    host = Host("pm6750", {})
    async with Machine("pm6750", tmp_path / "port") as machine, talking(host, machine.link):
        measuring = asyncio.create_task(machine.measure(PRESSURE))
        await asyncio.sleep(0)
        host.orders.put_nowait(Order("start_blood_pressure"))
        shown = await measuring
        assert shown == {"systolic": "128", "mean_pressure": "97", "diastolic": "82"}
        assert told(await host.reading()) == shown
        cuff = [event for event in _drain(host.events) if event.__class__.__name__ == "Progress"]
        assert len(cuff) > 5
        assert host.readings.empty()
        assert machine.violations == []


@pytest.mark.parametrize("reason", ["cuff_loose", "movement", "timed_out", "no_result", "over_pressure"])
async def test_pm6750_failures_are_failures(reason, tmp_path):
    host = Host("pm6750", {})
    async with Machine("pm6750", tmp_path / "port") as machine, talking(host, machine.link):
        failing = asyncio.create_task(machine.fail(reason))
        await asyncio.sleep(0)
        host.orders.put_nowait(Order("start_blood_pressure"))
        assert await failing == reason
        reading = await host.reading()
        assert reading.failed
        assert not reading.values


async def test_omron_failure_is_a_failure(tmp_path):
    host = Host("omron_hbp", {})
    async with Machine("omron_hbp", tmp_path / "port") as machine, talking(host, machine.link):
        assert await machine.fail("7") == "7"
        reading = await host.reading()
        assert (reading.failed, dict(reading.values)) == ("device_error:7", {})


async def test_the_meter_s_memory_is_read_once_under_the_same_names(tmp_path):
    stored = [{"glucose": f"{5 + n}.{n}", "at": f"2026-01-{n + 1:02d}T08:00:{n:02d}"} for n in range(7)]
    names = []
    async with Machine("sinocare_sn", tmp_path / "port") as machine:
        machine.order({"stored": stored})
        for _ in range(2):
            host = Host("sinocare_sn", {})
            async with talking(host, machine.link):
                readings = [await host.reading() for _ in stored]
                assert [told(reading)["glucose"] for reading in readings] == [r["glucose"] for r in stored]
                assert [reading.device_time.isoformat() for reading in readings] == [r["at"] for r in stored]
                names.append([reading.record for reading in readings])
        assert names[0] == names[1]
        assert len(set(names[0])) == len(stored)
        assert machine.violations == []


async def test_a_live_result_and_its_record_have_one_name(tmp_path):
    async with Machine("sinocare_sn", tmp_path / "port") as machine:
        host = Host("sinocare_sn", {})
        async with talking(host, machine.link):
            await host.event(Notice)
            await machine.measure({"glucose": "6.1"})
            live = await host.reading()
        again = Host("sinocare_sn", {})
        async with talking(again, machine.link):
            stored = await again.reading()
            assert isinstance(await again.event(Identified), Identified)
        assert (live.stored, stored.stored) == (False, True)
        assert live.record == stored.record


async def test_a_wrong_baud_rate_gives_no_reading_and_the_right_one_does(tmp_path):
    host = Host("omron_hbp", {})
    async with Machine("omron_hbp", tmp_path / "port") as machine, talking(host, machine.link):
        machine.order({"wrong_baud": True})
        await machine.measure(PRESSURE)
        machine.order({"wrong_baud": False})
        machine.order({"noise": "0d0a"})
        await machine.measure(PRESSURE)
        assert told(await host.reading())["systolic"] == "128"
        assert host.readings.empty()


async def test_a_damaged_result_gives_no_reading_and_the_next_one_does(tmp_path):
    host = Host("sinocare_sn", {})
    async with Machine("sinocare_sn", tmp_path / "port") as machine, talking(host, machine.link):
        await host.event(Notice)
        machine.order({"corrupt": True})
        await machine.measure({"glucose": "5.6"})
        await machine.measure({"glucose": "5.7"})
        assert told(await host.reading()) == {"glucose": "5.7"}


async def test_a_clock_that_goes_wrong_goes_wrong_in_the_readings(tmp_path):
    host = Host("sinocare_sn", {})
    async with Machine("sinocare_sn", tmp_path / "port") as machine, talking(host, machine.link):
        await machine.measure({"glucose": "5.6"})
        machine.order({"clock": 86400})
        await machine.measure({"glucose": "5.7"})
        first, second = await host.reading(), await host.reading()
        assert 86000 < (second.device_time - first.device_time).total_seconds() < 87000


async def test_a_killed_machine_comes_back_under_its_link(tmp_path):
    host = Host("omron_hbp", {})
    machine = Machine("omron_hbp", tmp_path / "port")
    await machine.start()
    try:
        await machine.kill()
        assert machine.link.is_symlink()
        await machine.start()
        async with talking(host, machine.link):
            await machine.measure(PRESSURE)
            assert told(await host.reading())["systolic"] == "128"
    finally:
        await machine.stop()
    assert not machine.link.is_symlink()


def _drain(queue: asyncio.Queue[Event]) -> list[Event]:
    return [queue.get_nowait() for _ in range(queue.qsize())]
