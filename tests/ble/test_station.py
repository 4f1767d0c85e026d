"""A Bluetooth machine's station: asleep is no fault, what it tells is stored, nobody else gets it."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
from lab import Lab, lab
from room import Room, here_and_now, result, until
from room import room as running_room

from protocol.errors import Unavailable


@pytest.fixture
async def here() -> AsyncIterator[Lab]:
    async with lab() as made:
        yield made


@pytest.fixture
async def room(here: Lab, tmp_path: Path) -> AsyncIterator[Room]:
    """Yield a cuff that says it has a clock."""
    async with running_room(tmp_path, here.radio, here.machine(clock=here_and_now)) as made:
        yield made


async def test_asleep_is_waiting_and_a_result_is_stored_and_the_machine_sleeps_again(room: Room):
    await until(lambda: room.station.state.condition == "waiting")
    assert room.station.state.code is None
    exam = await room.opens_exam()
    await room.wakes_and_tells(result(here_and_now() + timedelta(seconds=2)))
    await until(lambda: room.station.state.readings == 1)
    await until(lambda: room.station.state.condition == "waiting")
    assert room.station.state.code is None, "that it went to sleep is no fault"
    assert "ble.lost" not in room.told()
    [stored] = room.measured()
    assert (stored.values["systolic"].value, stored.exam, stored.stored) == ("128", exam, False)


async def test_what_was_measured_before_the_person_sat_down_is_not_theirs(room: Room):
    """Fresh by the machine's own clock, and yet somebody else's: the exam was opened after it."""
    taken = here_and_now() - timedelta(seconds=20)
    await room.opens_exam()
    await room.wakes_and_tells(result(taken))
    await until(lambda: room.station.state.readings == 1)
    [stored] = room.measured()
    assert (stored.exam, stored.stored) == (None, False)
    assert stored.bind_reason == "tray.before_exam"


async def test_late_records_never_attach_to_the_person_in_the_chair(room: Room):
    now = here_and_now()
    await room.opens_exam()
    await room.wakes_and_tells(result(now - timedelta(days=6), 171), result(now - timedelta(hours=1), 172))
    await until(lambda: room.station.state.readings == 2)
    assert [(one.values["systolic"].value, one.exam, one.stored) for one in room.measured()] == [
        ("171", None, True),
        ("172", None, True),
    ]
    assert {one.bind_reason for one in room.measured()} == {"tray.stored"}


async def test_a_connection_that_breaks_before_a_word_is_a_fault_until_it_is_awaited_again(room: Room):
    await until(lambda: room.station.state.condition == "waiting")
    machine = room.machine
    machine.device.on("connection", lambda connection: connection.cancel_on_disconnection(drop(connection)))

    async def drop(connection):
        await connection.disconnect()

    await machine.start()
    await until(lambda: any(code.startswith("ble.") for code in room.told()))
    await machine.hide()
    await until(lambda: (room.station.state.condition, room.station.state.code) == ("waiting", None))


async def test_a_dead_radio_is_told_and_over_when_it_works_again(room: Room, here: Lab):
    await until(lambda: room.station.state.condition == "waiting")
    here.host.fault = Unavailable("pulled out", code="radio.none")
    here.host.gone()
    here.central.scan_fault = here.host.fault
    await until(lambda: room.station.state.code == "radio.none")
    assert room.station.state.condition == "lost"
    here.host.fault = here.central.scan_fault = None
    await until(lambda: (room.station.state.condition, room.station.state.code) == ("waiting", None))


async def test_a_machine_that_refuses_to_pair_says_so_while_it_is_awaited(room: Room):
    for attribute in room.machine.device.gatt_server.attributes:
        if "2902" in str(attribute.type):
            attribute.permissions |= attribute.permissions.WRITE_REQUIRES_ENCRYPTION
    await room.machine.start()
    await until(lambda: room.station.state.code == "pairing.needed")
    await room.machine.hide()
    await until(lambda: room.station.state.condition == "waiting")
    assert room.station.state.code == "pairing.needed", "a person has to do something"
