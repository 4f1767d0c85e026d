"""What BlueZ is asked over a real D-Bus, against a stand-in for it: adapters, power, bonds, the agent."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from bus import Bluetoothd, bus_daemon, system_bus_at
from dbus_fast import MessageType

from gateway.links import ble_bluez
from gateway.links.ble_bluez import Bluez
from protocol.errors import LinkError

METER = "F0:F1:F2:F3:F4:F5"
PATH = "/org/bluez/hci0/dev_F0_F1_F2_F3_F4_F5"
DENIED = "org.freedesktop.DBus.Error.AccessDenied"


@pytest.fixture
def bus(tmp_path: Path) -> Iterator[str]:
    with bus_daemon(tmp_path / "bus") as address, system_bus_at(address):
        yield address


@pytest.fixture
async def bluetoothd(bus: str) -> AsyncIterator[Bluetoothd]:
    started = await Bluetoothd().start()
    yield started
    await started.end()


@pytest.fixture
async def bluez(bus: str, tmp_path: Path) -> AsyncIterator[Bluez]:
    host = Bluez(root=tmp_path)
    yield host
    await host.close()


async def fails(call) -> str:
    with pytest.raises(LinkError) as caught:
        await call
    return caught.value.code


async def test_the_only_adapter_is_used_and_our_agent_is_the_one_that_is_asked(bluetoothd, bluez):
    assert await bluez.adapter() == "hci0"
    assert bluetoothd.agent[1:] == ("/checkup_gateway/agent", "NoInputNoOutput")
    assert bluetoothd.calls == ["RequestDefaultAgent /checkup_gateway/agent"]
    assert await bluez.adapter() == "hci0"
    assert len(bluetoothd.calls) == 1, "registered once"


async def test_an_adapter_that_is_off_is_switched_on(bluetoothd, bluez):
    bluetoothd.adapters["hci0"]["Powered"] = False
    assert await bluez.adapter() == "hci0"
    assert bluetoothd.calls[0] == "Powered = True"


async def test_no_adapter(bluetoothd, bluez):
    bluetoothd.adapters.clear()
    assert await fails(bluez.adapter()) == "radio.none"


async def test_of_two_adapters_none_is_guessed(bluetoothd, bluez, tmp_path):
    bluetoothd.adapters["hci1"] = {"Address": "00:00:5E:00:53:01", "Powered": True}
    assert await fails(bluez.adapter()) == "radio.several"
    for wanted in ("hci1", "00:00:5E:00:53:01"):
        host = Bluez(wanted, tmp_path)
        assert await host.adapter() == "hci1"
        await host.close()
    host = Bluez("00:00:5E:00:53:99", tmp_path)
    assert await fails(host.adapter()) == "radio.none"
    await host.close()


def rfkill(root: Path, kind: str, soft: str, hard: str) -> None:
    switch = root / "sys/class/rfkill/rfkill0"
    switch.mkdir(parents=True)
    for name, text in {"type": kind, "name": "hci0", "soft": soft, "hard": hard}.items():
        (switch / name).write_text(f"{text}\n")


@pytest.mark.parametrize(
    ("kind", "soft", "hard", "code"),
    [
        ("bluetooth", "1", "0", "radio.blocked"),
        ("bluetooth", "0", "1", "radio.blocked"),
        ("bluetooth", "0", "0", "radio.off"),
        ("wlan", "1", "1", "radio.off"),
    ],
)
async def test_an_adapter_that_cannot_be_switched_on(bluetoothd, bluez, tmp_path, kind, soft, hard, code):
    rfkill(tmp_path, kind, soft, hard)
    bluetoothd.adapters["hci0"]["Powered"] = False
    bluetoothd.refuses["Set"] = "org.bluez.Error.Failed"
    assert await fails(bluez.adapter()) == code


async def test_a_blocked_adapter_that_is_not_even_there(bluetoothd, bluez, tmp_path):
    rfkill(tmp_path, "bluetooth", "1", "0")
    bluetoothd.adapters.clear()
    assert await fails(bluez.adapter()) == "radio.blocked"


async def test_an_adapter_that_is_still_being_set_up_is_waited_for(bluetoothd, bluez, monkeypatch):
    bluetoothd.adapters["hci0"]["Powered"] = False
    bluetoothd.refuses["Set"] = "org.bluez.Error.Busy"
    waiting = asyncio.create_task(bluez.adapter())
    while "Set" in bluetoothd.refuses:
        if bluetoothd.refused.count("Set") == 2:
            del bluetoothd.refuses["Set"]
        await asyncio.sleep(0.01)
    assert await waiting == "hci0"
    monkeypatch.setattr(ble_bluez, "SETTLE_S", 0.0)
    bluetoothd.adapters["hci0"]["Powered"] = False
    bluetoothd.refuses["Set"] = "org.bluez.Error.Busy"
    assert await fails(bluez.adapter()) == "radio.stuck"


async def test_bluez_itself_says_that_it_is_blocked(bluetoothd, bluez):
    bluetoothd.adapters["hci0"]["Powered"] = False
    bluetoothd.refuses["Set"] = "org.bluez.Error.Blocked"
    assert await fails(bluez.adapter()) == "radio.blocked"


async def test_no_bluetooth_service(bus, bluez):
    assert await fails(bluez.adapter()) == "radio.no_service"


async def test_no_bus(tmp_path):
    with system_bus_at(f"unix:path={tmp_path}/nothing"):
        assert await fails(Bluez(root=tmp_path).adapter()) == "radio.no_service"


async def test_a_user_who_may_not_speak_to_bluez(bluetoothd, bluez):
    bluetoothd.refuses["GetManagedObjects"] = DENIED
    assert await fails(bluez.adapter()) == "radio.denied"


async def test_a_service_that_hangs(bluetoothd, bluez, monkeypatch):
    monkeypatch.setattr(ble_bluez, "CALL_S", 0.2)
    bluetoothd.refuses["GetManagedObjects"] = ""
    assert await fails(bluez.adapter()) == "radio.stuck"


async def test_bonds_are_asked_for_and_removed(bluetoothd, bluez):
    await bluez.adapter()
    assert not await bluez.bonded(METER), "a machine that BlueZ has never heard of"
    bluetoothd.devices[PATH] = {"Paired": False}
    assert not await bluez.bonded(METER)
    bluetoothd.devices[PATH] = {"Paired": True}
    assert await bluez.bonded(METER)
    await bluez.forget(METER)
    assert (bluetoothd.devices, bluetoothd.calls[-1]) == ({}, f"RemoveDevice {PATH}")
    await bluez.forget(METER)


async def test_a_machine_without_screen_and_keys_is_paired(bluetoothd, bluez):
    await bluez.adapter()
    await bluez.expect(METER, None)
    reply = await bluetoothd.ask("RequestAuthorization", "o", PATH)
    assert reply.message_type == MessageType.METHOD_RETURN
    assert await bluez.asked(METER) == ["RequestAuthorization"]
    await bluez.expect(METER, None)
    assert await bluez.asked(METER) == []


async def test_the_passkey_is_told_for_the_machine_that_has_it(bluetoothd, bluez):
    async def passkey(address: str) -> int | None:
        return {METER: 12345}.get(address)

    await bluez.adapter()
    await bluez.expect(METER, passkey)
    assert bluetoothd.agent[2] == "KeyboardDisplay"
    reply = await bluetoothd.ask("RequestPasskey", "o", PATH)
    assert (reply.signature, reply.body) == ("u", [12345])
    await bluez.expect(METER, None)
    assert bluetoothd.agent[2] == "NoInputNoOutput"


@pytest.mark.parametrize(
    ("member", "signature", "body"),
    [
        ("RequestPasskey", "o", [PATH]),
        ("RequestPinCode", "o", [PATH]),
        ("RequestConfirmation", "ou", [PATH, 123456]),
        ("RequestAuthorization", "o", [PATH.replace("F5", "99")]),
        ("RequestAuthorization", "", []),
    ],
)
async def test_what_nobody_can_answer_is_refused(bluetoothd, bluez, member, signature, body):
    async def nobody(_address: str) -> int | None:
        return None

    await bluez.adapter()
    await bluez.expect(METER, nobody)
    reply = await bluetoothd.ask(member, signature, *body)
    assert (reply.message_type, reply.error_name) == (MessageType.ERROR, "org.bluez.Error.Rejected")
    reply = await bluetoothd.ask("Cancel", "")
    assert reply.message_type == MessageType.METHOD_RETURN


async def test_the_remedies(bluetoothd, bluez):
    await bluez.adapter()
    bluetoothd.calls.clear()
    await bluez.power_cycle()
    await bluez.restart()
    assert bluetoothd.calls == ["Powered = False", "Powered = True", "RestartUnit bluetooth.service replace"]
    bluetoothd.refuses["RestartUnit"] = "org.freedesktop.DBus.Error.InteractiveAuthorizationRequired"
    assert await fails(bluez.restart()) == "radio.denied"


async def test_a_service_that_dies_is_noticed_and_the_agent_is_registered_with_the_next(bluetoothd, bluez):
    gone = asyncio.Semaphore(0)
    bluez.gone = gone.release
    await bluez.adapter()
    await bluetoothd.end()
    await gone.acquire()
    assert await fails(bluez.adapter()) == "radio.no_service"
    await bluetoothd.start()
    bluetoothd.agent = None
    assert await bluez.adapter() == "hci0"
    assert bluetoothd.agent is not None
    assert gone.locked(), "told once"


async def test_a_bus_that_dies_is_joined_again(tmp_path):
    host = Bluez(root=tmp_path)
    for number in range(2):
        with bus_daemon(tmp_path / f"bus{number}") as address, system_bus_at(address):
            bluetoothd = await Bluetoothd().start()
            assert await host.adapter() == "hci0"
            assert bluetoothd.agent is not None
            await bluetoothd.end()
        assert await fails(host.adapter()) == "radio.no_service"
    await host.close()
