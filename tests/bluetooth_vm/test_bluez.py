"""The gateway's own radio on the real bleak, bluetoothd and Linux kernel; only the air is emulated."""

import asyncio
import contextlib
import signal
from dataclasses import replace

import pytest
from box import (
    KERNEL,
    SECOND,
    Box,
    becomes,
    block,
    box,
    kill_bluetoothd,
    restart_dbus,
    start_bluetoothd,
)
from bumble.core import AdvertisingData
from bumble.pairing import PairingConfig, PairingDelegate
from dbus_fast import Variant
from peripheral import Machine, blood_pressure, glucose

from drivers.catalogue import Advertisement, Gatt
from gateway.links import ble_ladder
from protocol.errors import LinkError

NOON = (2026, 11, 21, 12, 0, 0)
RESULT = blood_pressure(128, 82, 97, 71, NOON)
BP = Gatt(("2A35",), default="2A35", services=("1810",))
BONDED = replace(BP, pairing="just_works")
PASSKEY = replace(BP, pairing="passkey")
GLUCOSE = Gatt(("2A18", "2A52"), default="2A18")


@pytest.fixture(autouse=True)
def _soon(monkeypatch):
    """Nobody waits half a minute between two contacts here."""
    monkeypatch.setattr(ble_ladder, "REST_S", 0.5)
    monkeypatch.setattr(ble_ladder, "ATTEMPTS", 100)


async def works(here: Box, machine: Machine, device: Gatt = BP) -> None:
    """Connect as the supervisor does, again where it fails, and take one indication."""
    while True:
        try:
            link = await here.radio.connect(machine.address, device)
            break
        except LinkError as fault:
            print(f"again: {fault}")
            await asyncio.sleep(1)
    try:
        assert await link.subscribe("2A35")
        await machine.send_blood_pressure(RESULT)
        assert await link.read() == RESULT
    finally:
        await link.close()


async def refused(here: Box, machine: Machine, device: Gatt) -> str:
    with pytest.raises(LinkError) as caught:
        await subscribed(here, machine, device)
    print(f"refused: {caught.value}")
    return caught.value.code


async def subscribed(here: Box, machine: Machine, device: Gatt) -> None:
    link = await here.radio.connect(machine.address, device)
    try:
        await link.subscribe("2A35")
    finally:
        await link.close()


async def test_quick_a_machine_wakes_and_tells_and_its_memory_is_fetched_over_a_lost_link():
    async with box() as here:
        machine = await here.machine()
        for number in range(1, 21):
            machine.records[number] = glucose(number, 50 + number, NOON)

        async def cut(number: int) -> None:
            if number == 8:
                machine.controller.lose_link()
                await asyncio.sleep(60)  # ended by the loss

        waiting = asyncio.create_task(here.radio.connect(machine.address, BP))
        await asyncio.sleep(5)
        await machine.start()
        link = await waiting
        assert await link.read_value("2A24") == b"LAB-1"
        assert await link.read_value("2A19") is None
        assert await link.subscribe("2A35")
        await machine.send_blood_pressure(RESULT)
        value = await link.read()
        assert (bytes(value), value.source) == (RESULT, "2A35")
        await link.close()

        machine.before_record = cut
        got: list[bytes] = []
        for request in (b"\1\1", b"\1\3\1\1\0"):
            link = await here.radio.connect(machine.address, GLUCOSE)
            for name in ("2A18", "2A52"):
                assert await link.subscribe(name)
            await link.write_value("2A52", request, response=True)
            with contextlib.suppress(LinkError):
                while (value := await link.read()).source == "2A18":
                    got.append(value)
            await link.close()
            machine.before_record = None
        assert value == b"\6\0\1\1"
        assert [int.from_bytes(one[1:3], "little") for one in got] == [*range(1, 8), *range(1, 21)]


@pytest.mark.parametrize("secure_connections", [True, False], ids=["quick secure", "legacy"])
async def test_a_bond_survives_reconnecting_and_a_restart_of_bluetoothd(secure_connections):
    async with box() as here:
        machine = await here.awake(secure="encrypted", secure_connections=secure_connections)
        await works(here, machine, BONDED)
        await works(here, machine, BONDED)
        kill_bluetoothd(signal.SIGTERM)
        await becomes(lambda: here.radio.fault is not None)
        assert here.radio.fault.code == "radio.no_service"
        await start_bluetoothd()
        await becomes(lambda: here.radio.fault is None)
        assert await here.bluez.bonded(machine.address)
        await works(here, machine, BONDED)
        assert machine.pairings == 1


async def test_quick_a_killed_bluetoothd_ends_the_link_and_the_radio_finds_the_next_one():
    async with box() as here:
        machine = await here.awake()
        link = await here.radio.connect(machine.address, BP)
        await link.subscribe("2A35")
        kill_bluetoothd(signal.SIGKILL)
        with pytest.raises(LinkError) as lost:
            await asyncio.wait_for(link.read(), 10)
        assert lost.value.code == "radio.no_service"
        await link.close()
        machine.controller.lose_link()
        await start_bluetoothd()
        await works(here, machine)


async def test_a_subscription_that_needs_a_bond_makes_it_by_our_agent():
    async with box() as here:
        machine = await here.awake(secure="encrypted")
        await works(here, machine, BP)
        assert machine.pairings == 1


async def test_the_passkey():
    digits = 111111

    async def passkey(_address: str) -> int:
        return digits

    async with box(passkey) as here:
        machine = await here.awake(secure="authenticated", passkey=135790)
        assert await refused(here, machine, PASSKEY) == "pairing.wrong_passkey"
        digits = 135790
        await works(here, machine, PASSKEY)
        await works(here, machine, PASSKEY)
        assert machine.pairings == 1


class Owned(PairingDelegate):
    """A machine that belongs to a phone."""

    async def accept(self) -> bool:
        return False


async def test_a_machine_that_refuses_to_pair():
    async with box() as here:
        machine = await here.awake(secure="encrypted")
        machine.device.pairing_config_factory = lambda connection: PairingConfig(delegate=Owned())
        assert await refused(here, machine, BONDED) == "pairing.refused"
        machine.device.pairing_config_factory = lambda connection: PairingConfig()
        await works(here, machine, BONDED)


if KERNEL >= (6, 12):  # Debian 12's kernel crashes here, and with it the virtual machine's Bluetooth

    async def test_a_machine_that_forgot_its_bond_is_recognised_and_paired_anew():
        async with box() as here:
            machine = await here.awake(secure="encrypted")
            await works(here, machine, BONDED)
            await machine.forget_bonds()
            codes = []
            while "pairing.stale" not in codes:
                codes.append(await refused(here, machine, BONDED))
            assert len(codes) <= 4, codes
            await works(here, machine, BONDED)
            assert machine.pairings == 2


async def test_an_absent_machine_and_a_fresh_scan():
    async with box() as here:
        machine = await here.awake()
        connect = here.radio._connector._central.connect

        async def asleep(found):
            await machine.hide()
            return await connect(found)

        here.radio._connector._central.connect = asleep
        assert await refused(here, machine, BP) in {"ble.no_time", "ble.connect"}
        here.radio._connector._central.connect = connect
        await machine.advertise()
        await works(here, machine)


async def test_two_machines_at_once():
    async with box() as here:
        machines = [await here.awake() for _ in range(2)]
        links = await asyncio.gather(*(here.radio.connect(one.address, BP) for one in machines))
        for machine, link in zip(machines, links, strict=True):
            assert await link.subscribe("2A35")
            await machine.send_blood_pressure(RESULT)
        assert [await link.read() for link in links] == [RESULT, RESULT]
        for link in links:
            await link.close()


async def test_an_adapter_that_somebody_switches_off():
    async with box() as here:
        machine = await here.awake()
        link = await here.radio.connect(machine.address, BP)
        path = here.bluez._path
        await here.bluez._set(path, "org.bluez.Adapter1", "Powered", Variant("b", False))
        with pytest.raises(LinkError):
            await asyncio.wait_for(link.read(), 30)
        for call in (link.read_value("2A24"), link.subscribe("2A9D")):
            with pytest.raises(LinkError):
                await call
        await link.close()
        await works(here, machine)


async def test_an_adapter_that_is_pulled_out_and_plugged_in_again():
    async with box(adapter=False) as here:
        machine = await here.awake()
        for _ in range(2):
            await becomes(lambda: here.radio.fault is not None)
            assert here.radio.fault.code == "radio.none"
            async with here.plugged():
                await works(here, machine)
                link = await here.radio.connect(machine.address, BP)
            with pytest.raises(LinkError):
                await asyncio.wait_for(link.read(), 30)
            await link.close()
            machine.controller.lose_link()


async def test_of_two_adapters_the_named_one_is_used():
    async with box(wanted=SECOND) as here:
        machine = await here.awake()
        await becomes(lambda: here.radio.fault is not None)
        assert here.radio.fault.code == "radio.none"
        async with here.plugged(SECOND):
            with pytest.raises(LinkError) as told:
                await here.bluez.adapter()
            assert told.value.code == "radio.several", "without a name none is guessed"
            await works(here, machine)
            assert machine.connection.peer_address.to_string(False) == SECOND


async def test_bluetooth_that_is_blocked_and_let_go_again():
    async with box() as here:
        machine = await here.awake()
        await works(here, machine)
        block(blocked=True)
        try:
            await becomes(lambda: here.radio.fault is not None)
            assert here.radio.fault.code == "radio.blocked"
        finally:
            block(blocked=False)
        await works(here, machine)


async def test_a_d_bus_that_is_restarted_under_a_link():
    async with box() as here:
        machine = await here.awake()
        link = await here.radio.connect(machine.address, BP)
        await link.subscribe("2A35")
        await restart_dbus()
        with pytest.raises(LinkError):
            await asyncio.wait_for(link.read(), 60)
        await link.close()
        machine.controller.lose_link()
        await works(here, machine)


async def test_the_services_of_a_bonded_machine_are_asked_for_once():
    async with box() as here:
        machine = await here.awake(secure="encrypted")
        server, asked = machine.device.gatt_server, []
        answer = server.on_att_read_by_group_type_request

        def counted(*request):
            asked.append(request)
            return answer(*request)

        server.on_att_read_by_group_type_request = counted
        await works(here, machine, BONDED)
        first = len(asked)
        await works(here, machine, BONDED)
        assert first > 0
        assert len(asked) == first


async def test_a_power_cycle_by_us_does_not_end_the_listening():
    async with box() as here:
        await asyncio.sleep(3)
        await here.bluez.power_cycle()
        machine = await here.awake()
        await works(here, machine)


FLAGS = (AdvertisingData.FLAGS, b"\6")


@pytest.mark.parametrize("flags", [(FLAGS,), ()], ids=["discoverable", "not discoverable"])
async def test_a_scale_that_only_advertises(flags):
    async with box() as here:
        scale = await here.machine()
        link = here.radio.listen(scale.address, Advertisement(services=("181D",)))
        await scale.device.power_on()
        for told in (b"weight 1", b"weight 2"):
            await scale.device.stop_advertising()
            weight = (AdvertisingData.SERVICE_DATA_16_BIT_UUID, b"\x1d\x18" + told)
            scale.device.advertising_data = bytes(AdvertisingData([*flags, weight]))
            await scale.device.start_advertising()
            assert await asyncio.wait_for(link.read(), 60) == told
