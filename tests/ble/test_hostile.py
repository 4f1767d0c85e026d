"""Machines that misbehave on an emulated air; the same ones as in the virtual box (`air_scenarios.py`)."""

from pathlib import Path

import air_scenarios as scenarios
from lab import BP, lab, leaping
from room import here_and_now


async def known(_address: str) -> int:
    return scenarios.PASSKEY


async def test_a_memory_of_two_hundred_records_over_a_link_that_breaks(tmp_path: Path):
    async with lab(lambda address: known) as here:
        meter = here.machine(secure="authenticated", passkey=scenarios.PASSKEY)
        meter.record_interval = 0
        await scenarios.two_hundred_records(here.radio, meter, tmp_path)


async def test_oversized_values_and_wrong_flags_give_nothing(tmp_path: Path):
    async with lab() as here:
        await scenarios.rubbish(here.radio, here.machine(clock=here_and_now), tmp_path)


async def test_a_machine_that_never_stops_hides_no_other(tmp_path: Path):
    async with lab(lambda address: known) as here:
        meter = here.machine(secure="authenticated", passkey=scenarios.PASSKEY)
        await scenarios.a_flood_beside(here.radio, meter, here.machine(clock=here_and_now), tmp_path)


@leaping
async def test_a_name_cannot_write_into_a_configuration_or_a_terminal():
    async with lab() as here:
        machine = await here.awake(name=scenarios.NAME)
        await here.radio.connect(machine.address, BP)
        name = here.radio.heard[machine.address].name
        assert name == "cuff?[[d]]?[2J?"
