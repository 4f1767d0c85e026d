"""Machines with the real drivers, stations and journal on the real stack (`tests/ble/air_scenarios.py`)."""

import asyncio
import sys
from pathlib import Path
from types import SimpleNamespace

import air_scenarios as scenarios
import pytest
from box import KERNEL, box
from bumble.pairing import PairingConfig, PairingDelegate
from peripheral import Machine
from room import Room, here_and_now, result, room, until

from drivers.catalogue import Gatt
from gateway.config import Config, DeviceConfig, Loaded
from gateway.links import GattLink
from gateway.links.ble import Central
from gateway.links.ble_bluez import Bluez
from gateway.links.ble_radio import Radio
from protocol.errors import LinkError, ProtocolError
from protocol.transcript import Gives
from tests.play import TRANSCRIPTS, driver_of, read
from tools.checks import bluetooth
from tools.checks.report import Box
from tools.machines import BluetoothCuff
from tools.people import Vitals
from tools.peripherals import ADDRESS, why_not
from tools.recital import recited

BP = Gatt(("2A35",), default="2A35", services=("1810",))


async def known(_address: str) -> int:
    return scenarios.PASSKEY


async def test_a_memory_of_two_hundred_records_over_a_link_that_breaks(tmp_path: Path):
    async with box(known) as here:
        meter = await here.machine(secure="authenticated", passkey=scenarios.PASSKEY)
        await scenarios.two_hundred_records(here.radio, meter, tmp_path)


async def test_oversized_values_and_wrong_flags_give_nothing(tmp_path: Path):
    async with box() as here:
        await scenarios.rubbish(here.radio, await here.machine(clock=here_and_now), tmp_path)


async def test_a_machine_that_never_stops_hides_no_other(tmp_path: Path):
    async with box(known) as here:
        meter = await here.machine(secure="authenticated", passkey=scenarios.PASSKEY)
        cuff = await here.machine(clock=here_and_now)
        await scenarios.a_flood_beside(here.radio, meter, cuff, tmp_path)


async def test_a_name_cannot_write_into_a_configuration_or_a_terminal():
    async with box() as here:
        machine = await here.awake(name=scenarios.NAME)
        await until(lambda: "cuff" in _name(here, machine.address), scenarios.PATIENCE_S)
        assert _name(here, machine.address).isprintable()


def _name(here, address: str) -> str:
    advert = here.radio.heard.get(address)
    return advert.name if advert else ""


async def test_a_window_of_five_seconds(tmp_path: Path):
    """Each at another moment of the radio's rounds; the kernel alone is deaf for 6 of 16 seconds."""
    async with box() as here:
        machine = await here.machine(clock=here_and_now)
        async with room(tmp_path, here.radio, machine) as made:
            await _six_windows(machine, made)


async def _six_windows(machine: Machine, made: Room) -> None:
    told = 0

    async def tell(connection) -> None:
        nonlocal told
        told += 1
        await machine.send_blood_pressure(result(here_and_now(), 120 + told))
        await connection.disconnect()

    machine.bp_measurement.on(
        "subscription",
        lambda connection, notify, indicate: (
            indicate and connection.cancel_on_disconnection(tell(connection))
        ),
    )
    await machine.device.power_on()
    for window in range(6):
        await machine.advertise()
        await asyncio.sleep(5)
        await machine.hide()
        await asyncio.sleep(8 + window)
    await until(lambda: len(made.measured()) == told, scenarios.PATIENCE_S)
    values = [one.values["systolic"].value for one in made.measured()]
    assert values == [str(120 + number) for number in range(1, told + 1)]
    assert told >= 4, "an emulated processor may be late; a real one is not"


class Owned(PairingDelegate):
    async def accept(self) -> bool:
        return False


async def test_a_subscription_that_can_never_be_made_ends():
    """BlueZ may answer it never: the driver asks for no bond, the machine wants one and grants none."""
    async with box() as here:
        machine = await here.awake(secure="encrypted")
        machine.device.pairing_config_factory = lambda connection: PairingConfig(delegate=Owned())
        link = await here.radio.connect(machine.address, BP)
        with pytest.raises((LinkError, ProtocolError)) as ended:
            await listened_to(link)
        assert ended.value.code in {"pairing.needed", "ble.no_time", "ble.lost", "ble.refused"}
        await link.close()


async def listened_to(link: GattLink) -> None:
    await link.subscribe("2A35")
    print("BlueZ said yes")  # which it does where the link has gone
    await link.read()


async def test_doctor_says_whether_this_kernel_is_safe(tmp_path: Path):
    device = DeviceConfig(name="bp-1", driver="sig_blood_pressure", port="ble:F0:F1:F2:F3:F4:01")
    looked = Box(Loaded(Config(devices=(device,)), tmp_path / "gateway.toml", {}), Path("/"))
    async with box():
        check = await asyncio.to_thread(bluetooth.adapter, looked)
        assert check is not None
        assert check.result == ("ok" if KERNEL >= (6, 12) else "warn")


async def test_the_demonstration_s_cuff(tmp_path: Path):
    """`make run` shows it where a box has what this one has."""
    assert why_not() == ""
    radio = Radio(Central(), Bluez(), lambda address: None)
    async with BluetoothCuff() as cuff:
        running = asyncio.create_task(radio.run())
        async with room(tmp_path, radio, SimpleNamespace(address=ADDRESS)) as made:
            exam = await made.opens_exam()
            shown = await cuff.measure(Vitals(1).blood_pressure())
            await until(made.measured, scenarios.PATIENCE_S)
            [stored] = made.journal.queries.exam_measurements(exam)
            assert {name: value.value for name, value in stored.values.items()} == shown
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def test_a_recording_is_a_machine_on_this_box(tmp_path: Path):
    """What `simulate DRIVER --transcript FILE` does for a Bluetooth driver."""
    path = next(path for path in TRANSCRIPTS if path.stem == "sig_blood_pressure-live")
    stated, there = read(path), asyncio.get_running_loop().create_future()
    cuff = driver_of(path)
    playing = asyncio.create_task(recited(cuff.link, stated, there.set_result, print))
    port = await there
    radio = Radio(Central(), Bluez(), lambda address: None)
    running = asyncio.create_task(radio.run())
    async with room(tmp_path, radio, SimpleNamespace(address=port.removeprefix("ble:"))) as made:
        assert await playing == []
        given = [turn for turn in stated.turns if isinstance(turn, Gives)]
        await until(lambda: len(made.measured()) == len(given), scenarios.PATIENCE_S)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_a_machine_of_this_box_is_recorded_and_the_recording_plays_back(tmp_path: Path):
    """What `record` and `replay` do for a Bluetooth machine."""
    path = tmp_path / "sig_blood_pressure-here.txt"
    async with BluetoothCuff() as cuff:
        recording = await program("record", str(cuff.link), "--driver", cuff.driver, "--output", str(path))
        shown = await cuff.measure(Vitals(1).blood_pressure())
        await recording.communicate()
    assert path.exists()
    assert f"systolic {shown['systolic']} mm[Hg]" in path.read_text(encoding="utf-8")
    replayed = await program("replay", str(path))
    await replayed.communicate()
    assert replayed.returncode == 0


async def program(*words: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(sys.executable, "-m", "tools.main", *words)
