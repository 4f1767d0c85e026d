"""One Bluetooth link against an emulated machine that speaks real ATT, GATT and SMP."""

import asyncio

import pytest
from bumble.att import ATT_Error
from bumble.gatt import CharacteristicValue
from lab import BP, GLUCOSE, NOON, lab, leaping, now, passed
from peripheral import blood_pressure, glucose

from gateway.links import GattLink
from gateway.links.ble_inbox import MOST_VALUES
from gateway.links.ble_link import CALL_S, LOOK_S, SILENCE_S
from protocol.errors import Lost, Unavailable, UnexpectedReply

RESULT = blood_pressure(128, 82, 97, 71, NOON)


@leaping
async def test_an_indication_is_a_value_of_its_characteristic():
    async with lab() as here:
        machine = await here.awake()
        link = await here.radio.connect(machine.address, BP)
        assert isinstance(link, GattLink)
        assert await link.subscribe("2A35")
        await machine.send_blood_pressure(RESULT)
        value = await link.read()
        assert (bytes(value), value.source) == (RESULT, "2A35")
        assert await link.read_value("2A24") == b"LAB-1"


@leaping
async def test_what_the_machine_does_not_have():
    async with lab() as here:
        machine = await here.awake()
        link = await here.radio.connect(machine.address, BP)
        assert not await link.subscribe("2A9C")
        assert not await link.subscribe("2A24"), "it can be read, but tells nothing by itself"
        assert await link.read_value("2A19") is None
        with pytest.raises(UnexpectedReply) as refused:
            await link.write_value("0000ffb2-0000-1000-8000-00805f9b34fc", b"\1", response=True)
        assert refused.value.code == "ble.other_device"
        assert await link.read_value("2A24") == b"LAB-1", "the link stands"


@leaping
async def test_a_line_s_words_are_refused():
    async with lab() as here:
        machine = await here.awake()
        link = await here.radio.connect(machine.address, BP)
        for word in (link.write, link.feature):
            with pytest.raises(Unavailable):
                await word(b"\1")


@leaping
async def test_a_link_lost_in_the_middle_gives_out_what_came_and_the_rest_is_fetched_later():
    async with lab() as here:
        machine = await here.awake()
        for number in range(1, 21):
            machine.records[number] = glucose(number, 50 + number, NOON)

        async def cut(number: int) -> None:
            if number == 8:
                machine.controller.lose_link()
                await asyncio.sleep(60)  # ended by the loss

        machine.before_record = cut
        link = await here.radio.connect(machine.address, GLUCOSE)
        await passed(0.1)
        for name in ("2A18", "2A52"):
            assert await link.subscribe(name)
        await link.write_value("2A52", b"\1\1", response=True)
        await passed(5)
        got = [await link.read() for _ in range(7)]
        with pytest.raises(Lost) as lost:
            await link.read()
        assert lost.value.code == "ble.lost"
        with pytest.raises(Lost):
            await link.read_value("2A24")
        await link.close()

        machine.before_record = None
        link = await here.radio.connect(machine.address, GLUCOSE)
        for name in ("2A18", "2A52"):
            assert await link.subscribe(name)
        await link.write_value("2A52", b"\1\3\1" + got[-1][1:3], response=True)
        while (value := await link.read()).source == "2A18":
            got.append(value)
        assert value == b"\6\0\1\1"
        numbers = [int.from_bytes(record[1:3], "little") for record in got]
        assert numbers == [*range(1, 8), *range(7, 21)]


@leaping
async def test_a_machine_that_never_stops_is_cut_off_and_what_it_said_is_kept():
    async with lab() as here:
        machine = await here.awake()
        link = await here.radio.connect(machine.address, GLUCOSE)
        await link.subscribe("2A18")
        for number in range(MOST_VALUES + 50):
            await machine.device.notify_subscribers(machine.glucose_measurement, number.to_bytes(4, "little"))
        await passed(1)
        got = [int.from_bytes(await link.read(), "little") for _ in range(MOST_VALUES)]
        assert got == list(range(MOST_VALUES))
        with pytest.raises(Lost) as lost:
            await link.read()
        assert lost.value.code == "ble.flood"
        await link.close()
        await passed(1)
        assert not machine.device.connections, "closed on our side too"


@leaping
async def test_a_value_longer_than_any_attribute_ends_the_link():
    async with lab() as here:
        machine = await here.awake()
        link = await here.radio.connect(machine.address, GLUCOSE)
        await link.subscribe("2A18")
        await machine.device.notify_subscribers(machine.glucose_measurement, bytes(512))
        await machine.device.notify_subscribers(machine.glucose_measurement, bytes(514))
        assert await link.read() == bytes(512)
        with pytest.raises(Lost) as lost:
            await link.read()
        assert lost.value.code == "ble.flood"


@leaping
async def test_an_empty_value_says_nothing():
    async with lab() as here:
        machine = await here.awake()
        link = await here.radio.connect(machine.address, GLUCOSE)
        await link.subscribe("2A18")
        for value in (b"", b"\7"):
            await machine.device.notify_subscribers(machine.glucose_measurement, value)
        assert await link.read() == b"\7"


@leaping
async def test_a_question_that_is_never_answered_ends():
    async with lab() as here:
        machine = await here.awake()

        async def never(connection: object, value: bytes) -> None:
            await asyncio.sleep(1e9)

        machine.racp.value = CharacteristicValue(write=never)
        link = await here.radio.connect(machine.address, GLUCOSE)
        began = now()
        with pytest.raises(Lost) as lost:
            await link.write_value("2A52", b"\1\1", response=True)
        assert lost.value.code == "ble.no_time"
        assert now() - began == pytest.approx(CALL_S, abs=1)
        with pytest.raises(Lost):
            await link.read()
        await link.close()


@leaping
async def test_a_write_that_the_machine_refuses_leaves_the_link():
    async with lab() as here:
        machine = await here.awake()

        def refuse(connection: object, value: bytes) -> None:
            raise ATT_Error(0x80)

        machine.racp.value = CharacteristicValue(write=refuse)
        link = await here.radio.connect(machine.address, GLUCOSE)
        with pytest.raises(UnexpectedReply) as refused:
            await link.write_value("2A52", b"\1\1", response=True)
        assert (refused.value.code, "0x80" in refused.value.detail) == ("ble.refused", True)
        assert await link.read_value("2A24") == b"LAB-1"


@leaping
async def test_a_machine_that_wants_a_bond_says_so():
    async with lab() as here:
        machine = await here.awake(secure="encrypted")
        link = await here.radio.connect(machine.address, BP)
        with pytest.raises(Unavailable) as refused:
            await link.subscribe("2A35")
        assert refused.value.code == "pairing.needed"


@leaping
async def test_subscriptions_are_ended_before_the_connection():
    async with lab() as here:
        machine = await here.awake()
        link = await here.radio.connect(machine.address, BP)
        await link.subscribe("2A35")
        seen: list[str] = []
        machine.bp_measurement.on(
            "subscription", lambda connection, notify, indicate: seen.append(f"subscribed: {indicate}")
        )
        machine.connection.on("disconnection", lambda reason: seen.append("disconnected"))
        await link.close()
        await passed(1)
        assert seen == ["subscribed: False", "disconnected"]
        await link.close()
        with pytest.raises(Lost):
            await link.read()


@leaping
async def test_a_dead_connection_is_noticed_though_nobody_tells():
    """As when bluetoothd was killed: bleak calls no callback."""
    async with lab() as here:
        machine = await here.awake()
        link = await here.radio.connect(machine.address, BP)
        await link.subscribe("2A35")
        link._client._backend._peer = None
        began = now()
        with pytest.raises(Lost):
            await link.read()
        assert now() - began <= LOOK_S + 1


@leaping
async def test_a_subscription_over_a_link_that_is_gone_is_none_though_bluez_says_yes():
    async with lab() as here:
        machine = await here.awake()
        link = await here.radio.connect(machine.address, BP)

        async def yes(*_: object) -> None:
            link._client._backend._peer = None

        link._client.start_notify = yes
        with pytest.raises(Lost) as lost:
            await link.subscribe("2A35")
        assert lost.value.code == "ble.lost"


@leaping
async def test_a_link_on_which_nothing_happens_is_given_up_in_the_end():
    async with lab() as here:
        machine = await here.awake()
        link = await here.radio.connect(machine.address, BP)
        await link.subscribe("2A35")
        await passed(SILENCE_S / 2)
        await machine.send_blood_pressure(RESULT)
        assert await link.read() == RESULT
        began = now()
        with pytest.raises(Lost) as lost:
            await link.read()
        assert "silent" in lost.value.detail
        assert now() - began >= SILENCE_S


@leaping
async def test_reading_is_safe_to_cancel():
    async with lab() as here:
        machine = await here.awake()
        link = await here.radio.connect(machine.address, BP)
        await link.subscribe("2A35")
        for _ in range(3):
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(link.read(), 1)
        await machine.send_blood_pressure(RESULT)
        assert await link.read() == RESULT
