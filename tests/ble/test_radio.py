"""The host policy of one adapter: who is listened to, who is connected to and when, what helps in trouble."""

import asyncio
from itertools import pairwise

import pytest
from bumble.core import AdvertisingData
from lab import BP, GLUCOSE, NOON, Lab, lab, leaping, now, passed
from peripheral import Machine, blood_pressure

from drivers.catalogue import Advertisement
from gateway.bringing import Bringing
from gateway.links.ble_inbox import ADVERTS, AGAIN_S
from gateway.links.ble_ladder import ATTEMPTS, QUIET, REST_S, WELL_S, WITHIN_S
from gateway.links.ble_radio import KNOWN, LINKS, ROUND_S
from protocol.errors import Busy, LinkError, Lost, Unavailable

HOUR, DAY = 3600.0, 86400.0
RESULT = blood_pressure(128, 82, 97, 71, NOON)
SCALE = Advertisement(services=("181D",), companies=(0x0157,))


async def refused(here: Lab, machine: Machine | str) -> LinkError:
    address = machine if isinstance(machine, str) else machine.address
    with pytest.raises(LinkError) as caught:
        await here.radio.connect(address, BP)
    return caught.value


@leaping
async def test_a_machine_is_waited_for_as_long_as_it_sleeps_and_caught_in_a_short_window():
    async with lab() as here:
        machine = here.machine()
        waiting = asyncio.create_task(here.radio.connect(machine.address, BP))
        await passed(HOUR)
        assert not waiting.done()
        await machine.start()
        await passed(1.0)
        await machine.hide()
        link = await waiting
        assert await link.subscribe("2A35")


@leaping
async def test_nothing_is_scanned_while_connecting_and_a_round_is_shorter_than_the_kernel_s_scan():
    async with lab() as here:
        waiting = [asyncio.create_task(here.radio.connect(f"F0:F1:F2:F3:F4:{n:02X}", BP)) for n in (1, 2)]
        await passed(100)
        machines = [await here.awake() for _ in waiting]
        links = await asyncio.gather(*waiting)
        await passed(30)
        scanning = connecting = False
        for what, _ in here.central.did:
            match what:
                case "scan":
                    assert not connecting
                    scanning = True
                case "no scan":
                    scanning = False
                case "connect":
                    assert not scanning
                    assert not connecting
                    connecting = True
                case "connected or not":
                    connecting = False
        assert [what for what, _ in here.central.did].count("connect") == 2
        for (before, began), (after, ended) in pairwise(here.central.did):
            if (before, after) == ("scan", "no scan"):
                assert ended - began <= min(ROUND_S, 10) + 0.1
        assert here.central.did[-1][1] > now() - 10, "links that stand do not end the scanning"
        for machine, link in zip(machines, links, strict=True):
            await link.subscribe("2A35")
            await machine.send_blood_pressure(RESULT)
        assert [await link.read() for link in links] == [RESULT, RESULT]


@leaping
async def test_a_machine_held_for_long_hides_no_other():
    async with lab() as here:
        monitor = await here.awake()
        await here.radio.connect(monitor.address, BP)
        await passed(HOUR)
        meter = here.machine()
        waiting = asyncio.create_task(here.radio.connect(meter.address, GLUCOSE))
        await meter.start()
        await passed(2)
        await meter.hide()
        assert await (await waiting).subscribe("2A18")


@leaping
async def test_so_many_links_at_once_and_the_next_waits_its_turn():
    async with lab() as here:
        machines = [await here.awake() for _ in range(LINKS + 1)]
        links = [await here.radio.connect(machine.address, BP) for machine in machines[:-1]]
        waiting = asyncio.create_task(here.radio.connect(machines[-1].address, BP))
        await passed(60)
        assert not waiting.done()
        await links[0].close()
        await asyncio.wait_for(waiting, 20)


@leaping
async def test_a_machine_that_slept_again_is_looked_for_afresh():
    async with lab() as here:
        machine = await here.awake()
        connect = here.central.connect

        async def asleep(found):
            await machine.hide()
            return await connect(found)

        here.central.connect = asleep
        fault = await refused(here, machine)
        assert fault.code == "ble.no_time"
        here.central.connect = connect
        await machine.advertise()
        assert await here.radio.connect(machine.address, BP)
        assert here.central.founds[0] is not here.central.founds[1], "a found device is good for one attempt"


@leaping
async def test_a_machine_that_drops_every_connection_is_tried_a_few_times_a_minute():
    async with lab() as here:
        machine = await here.awake()
        machine.device.on(
            "connection", lambda connection: connection.cancel_on_disconnection(drop(connection))
        )

        async def drop(connection):
            await connection.disconnect()

        end = now() + 10 * 60
        while now() < end:
            await refused(here, machine)
        tries = [when for what, when in here.central.did if what == "connect"]
        assert 20 <= len(tries) <= 10 * ATTEMPTS + 1
        assert all(later - first >= WITHIN_S for first, later in zip(tries, tries[ATTEMPTS:], strict=False))


@leaping
async def test_a_machine_that_lets_go_by_itself_each_time_is_caught_each_time():
    """Each contact ends as a lost link; that is how most cuffs end one, and no reason to wait longer."""
    async with lab() as here:
        machine = await here.awake()
        for _ in range(10):
            woken = now()
            link = await here.radio.connect(machine.address, BP)
            assert now() - woken < 3
            assert await link.subscribe("2A35")
            await machine.sleep()
            with pytest.raises(LinkError):
                await link.read()
            await link.close()
            await passed(20)
            await machine.advertise()


@leaping
async def test_a_machine_that_has_said_all_is_left_alone_unless_it_slept_in_between():
    async with lab() as here:
        machine = await here.awake()

        async def conversation():
            link = await here.radio.connect(machine.address, BP)
            begun = now()
            await link.subscribe("2A35")
            await link.close()
            return begun

        first, second = await conversation(), await conversation()
        assert second - first >= REST_S
        await passed(1)  # it advertises anew once it has heard of the end
        await machine.hide()
        await passed(15)
        await machine.advertise()
        woken = now()
        assert await conversation() - woken < 5


@leaping
async def test_only_one_waits_for_a_machine_and_may_give_up():
    async with lab() as here:
        machine = here.machine()
        waiting = asyncio.create_task(here.radio.connect(machine.address, BP))
        await passed(1)
        with pytest.raises(Busy):
            await here.radio.connect(machine.address, BP)
        waiting.cancel()
        await passed(1)
        await machine.start()
        await passed(30)
        assert machine.connections == 0, "nobody waits for it any more"
        assert await here.radio.connect(machine.address, BP)


@leaping
async def test_whoever_gives_up_while_the_connection_is_made_leaves_none_behind():
    async with lab() as here:
        machine = await here.awake()
        waiting = asyncio.create_task(here.radio.connect(machine.address, BP))
        while "connect" not in dict(here.central.did):
            await passed(0.001)
        waiting.cancel()
        await passed(60)
        assert machine.connections <= 1
        assert not machine.device.connections


@leaping
async def test_another_machine_than_the_driver_s():
    async with lab() as here:
        machine = await here.awake()
        machine.device.gatt_server.attributes[:] = [
            one for one in machine.device.gatt_server.attributes if "2A35" not in str(one.type)
        ]
        with pytest.raises(Unavailable) as fault:
            await here.radio.connect(machine.address, BP.__class__(("FFB1", "2A18"), default="FFB1"))
        assert fault.value.code == "ble.other_device"
        assert "FFB1" in fault.value.detail
        await passed(1)
        assert not machine.device.connections


async def says(device, *told: tuple[int, bytes]) -> None:
    """Let *device* advertise this, until it is told something else."""
    await device.stop_advertising()
    device.advertising_data = bytes(AdvertisingData([(AdvertisingData.FLAGS, b"\6"), *told]))
    await device.start_advertising()


@leaping
async def test_what_a_machine_advertises_is_told_each_change_once():
    kind = AdvertisingData.SERVICE_DATA_16_BIT_UUID
    async with lab() as here:
        scale, other = here.machine(), here.machine()
        for machine in (scale, other):
            await machine.device.power_on()
        link = here.radio.listen(scale.address, SCALE)
        await says(other.device, (kind, b"\x1d\x18other"))
        for weight in (b"40.0", b"62.5"):
            await says(scale.device, (kind, b"\x1d\x18" + weight), (kind, b"\x0f\x18battery"))
            await passed(20)
        told = [await link.read() for _ in range(2)]
        assert [(bytes(value), value.source) for value in told] == [(b"40.0", "ADV"), (b"62.5", "ADV")]
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(link.read(), 30)
        await scale.device.stop_advertising()
        await passed(AGAIN_S + ROUND_S)
        await says(scale.device, (kind, b"\x1d\x1862.5"))
        assert await link.read() == b"62.5", "after a sleep the same weight is another weighing"
        with pytest.raises(Unavailable):
            await link.write(b"\1")
        await link.close()
        with pytest.raises(Lost):
            await link.read()


@leaping
async def test_maker_s_data_are_told_without_the_company_number():
    async with lab() as here:
        scale = here.machine()
        await scale.device.power_on()
        link = here.radio.listen(scale.address, SCALE)
        await says(scale.device, (AdvertisingData.MANUFACTURER_SPECIFIC_DATA, b"\x57\x01\xaa\xbb"))
        assert await link.read() == b"\xaa\xbb"


@leaping
async def test_a_flood_of_advertisements_keeps_the_newest():
    async with lab() as here:
        scale = here.machine()
        await scale.device.power_on()
        link = here.radio.listen(scale.address, SCALE)
        for number in range(ADVERTS + 20):
            await says(
                scale.device,
                (AdvertisingData.SERVICE_DATA_16_BIT_UUID, b"\x1d\x18" + number.to_bytes(2, "big")),
            )
            await passed(0.5)
        got = [int.from_bytes(await link.read(), "big") for _ in range(ADVERTS)]
        assert (got[-1], len(got)) == (ADVERTS + 19, ADVERTS)
        assert got == sorted(got)


@leaping
async def test_who_is_about_is_known_and_bounded():
    async with lab() as here:
        machine = await here.awake(name="HC-Machine")
        await passed(1)
        advert = here.radio.heard[machine.address]
        assert (advert.name, advert.services) == ("HC-Machine", ("1810", "1808", "181D"))
        assert -75 <= advert.strength <= -45
        for number in range(2 * KNOWN):
            here.radio._hear(advert.__class__(f"AA:AA:AA:AA:{number // 256:02X}:{number % 256:02X}"))
        assert len(here.radio.heard) == KNOWN


@leaping
async def test_without_an_adapter_everybody_is_told_until_there_is_one():
    async with lab() as here:
        machine = here.machine()
        scale = here.radio.listen("F0:F1:F2:F3:F4:99", SCALE)
        waiting = asyncio.create_task(refused(here, machine))
        await passed(20)
        here.host.fault = Unavailable("pulled out", code="radio.none")
        here.central.scan_fault = Unavailable("no adapter", code="radio.stuck")
        assert (await waiting).code == "radio.none"
        with pytest.raises(LinkError) as lost:
            await scale.read()
        assert lost.value.code == "radio.none"
        assert (await refused(here, machine)).code == "radio.none", "at once, as long as it lasts"
        await passed(DAY)
        assert here.host.did == [], "no remedy helps where a person has to plug something in"
        here.host.fault = here.central.scan_fault = None
        await passed(10)
        assert here.radio.fault is None
        await machine.start()
        assert await here.radio.connect(machine.address, BP)


@leaping
async def test_a_short_hiccup_is_told_to_nobody():
    async with lab() as here:
        machine = here.machine()
        waiting = asyncio.create_task(here.radio.connect(machine.address, BP))
        await passed(20)
        here.central.scan_faults = [Unavailable("InProgress", code="radio.stuck") for _ in range(2)]
        await passed(30)
        assert (here.central.scan_faults, here.host.did) == ([], [])
        await machine.start()
        assert await waiting


@leaping
async def test_trouble_is_met_by_stronger_and_stronger_remedies_and_at_last_by_a_person():
    async with lab() as here:
        machine = here.machine()
        here.central.scan_fault = Unavailable("InProgress", code="radio.stuck")
        assert (await refused(here, machine)).code == "radio.stuck"
        await passed(120)
        assert here.host.did == ["power cycle", "restart"]
        assert (await refused(here, machine)).code == "radio.reboot"
        here.central.scan_fault = None
        await passed(60)
        assert here.radio.fault is None, "it may come back by itself all the same"
        await machine.start()
        assert await here.radio.connect(machine.address, BP)
        await passed(WELL_S)
        here.central.scan_fault = Unavailable("InProgress", code="radio.stuck")
        await passed(30)
        assert here.host.did == ["power cycle", "restart"] * 2, "after a good time it begins at the mildest"


@leaping
async def test_a_bluetooth_service_that_dies_takes_every_link_with_it():
    async with lab() as here:
        machine = await here.awake()
        link = await here.radio.connect(machine.address, BP)
        here.host.gone()
        with pytest.raises(Lost) as lost:
            await link.read()
        assert lost.value.code == "radio.no_service"
        await link.close()
        assert (await refused(here, machine)).code == "radio.no_service", "the round is over at once"
        await passed(10)
        assert await here.radio.connect(machine.address, BP)


@leaping
async def test_scans_are_active():
    """BlueZ refuses passive ones, unless it runs with --experimental."""
    async with lab() as here:
        await passed(2 * ROUND_S)
        assert len(here.emulated.scans) > 1
        assert set(here.emulated.scans) == {"active"}


@leaping
async def test_silence_is_met_twice_and_then_believed():
    """A village at night: nobody advertises, and nothing is wrong."""
    async with lab() as here:
        page = Bringing(lambda: here.radio, lambda: None)
        page.own = here.radio
        assert page.fault is None
        await passed(2 * QUIET[0][0])
        assert here.host.did == ["power cycle"]
        assert page.fault == "radio.quiet", "and then it is said"
        await passed(10 * QUIET[1][0])
        assert here.host.did == ["power cycle", "restart"]
        assert here.radio.fault is None
        machine = await here.awake()
        await passed(60)
        assert page.fault is None
        await machine.hide()
        await passed(2 * QUIET[0][0])
        assert here.host.did == ["power cycle", "restart", "power cycle"]


@leaping
async def test_a_stumble_of_ours_does_not_end_the_scanning():
    async with lab() as here:
        machine = here.machine()
        here.central.scan_faults = [ValueError("a fault nobody thought of")]
        await passed(30)
        assert here.central.scan_faults == []
        await machine.start()
        assert await here.radio.connect(machine.address, BP)


@leaping
async def test_at_the_end_every_link_is_closed():
    async with lab() as here:
        machine = await here.awake()
        await here.radio.connect(machine.address, BP)
        assert machine.device.connections
        here.did = here.host.did
    assert not machine.device.connections
    assert here.did == ["close"]
