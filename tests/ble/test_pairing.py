"""Bonds: made, kept, refused, forgotten by the machine; and what a person is told."""

from dataclasses import replace
from pathlib import Path

import pytest
from bumble.pairing import PairingConfig, PairingDelegate
from lab import BP, NOON, Lab, lab, leaping, passed
from peripheral import Machine, blood_pressure

from gateway.links.ble_agent import passkeys_from
from gateway.links.ble_connector import STALE
from protocol.errors import LinkError

RESULT = blood_pressure(128, 82, 97, 71, NOON)
JUST_WORKS = replace(BP, pairing="just_works")
PASSKEY = replace(BP, pairing="passkey")


async def works(here: Lab, machine: Machine, device=JUST_WORKS) -> None:
    """The machine is connected to and tells a result over a link that it holds for secure."""
    link = await here.radio.connect(machine.address, device)
    assert await link.subscribe("2A35")
    await machine.send_blood_pressure(RESULT)
    assert await link.read() == RESULT
    await link.close()


async def refused(here: Lab, machine: Machine, device=JUST_WORKS) -> str:
    with pytest.raises(LinkError) as caught:
        await here.radio.connect(machine.address, device)
    return caught.value.code


def told(digits: int | None):
    async def passkey(_address: str) -> int | None:
        return digits

    return lambda address: passkey


@pytest.mark.parametrize("secure_connections", [True, False], ids=["secure connections", "legacy"])
def test_a_bond_is_made_once_and_kept(secure_connections):
    @leaping
    async def scenario():
        async with lab() as here:
            machine = await here.awake(secure="encrypted", secure_connections=secure_connections)
            for _ in range(3):
                await works(here, machine)
            assert machine.pairings == 1

    scenario()


@leaping
async def test_a_machine_that_needs_no_bond_gets_none():
    async with lab() as here:
        machine = await here.awake()
        await works(here, machine, BP)
        assert (machine.pairings, await here.host.bonded(machine.address)) == (0, False)


@leaping
async def test_the_passkey_is_that_of_the_machine():
    async with lab(told(135790)) as here:
        machine = await here.awake(secure="authenticated", passkey=135790)
        await works(here, machine, PASSKEY)
        await works(here, machine, PASSKEY)
        assert (machine.pairings, machine.delegate.shown) == (1, [135790])


@leaping
async def test_a_wrong_passkey_is_called_that():
    async with lab(told(111111)) as here:
        machine = await here.awake(secure="authenticated", passkey=135790)
        assert await refused(here, machine, PASSKEY) == "pairing.wrong_passkey"
        assert machine.pairings == 0


@leaping
async def test_a_machine_whose_passkey_nobody_knows_is_not_even_connected_to():
    async with lab() as here:
        machine = await here.awake(secure="authenticated", passkey=135790)
        assert await refused(here, machine, PASSKEY) == "pairing.no_passkey"
        assert machine.connections == 0


class Owned(PairingDelegate):
    """A machine that belongs to a phone, or is not in its pairing mode."""

    async def accept(self) -> bool:
        return False


@leaping
async def test_a_machine_that_advertises_but_lets_nobody_pair_belongs_to_another():
    async with lab() as here:
        machine = await here.awake(secure="encrypted")
        machine.device.pairing_config_factory = lambda connection: PairingConfig(delegate=Owned())
        assert await refused(here, machine) == "pairing.refused"
        assert not machine.device.connections or (await passed(2)) is None
        assert not machine.device.connections, "a refused machine is let go of"
        machine.device.pairing_config_factory = lambda connection: PairingConfig()
        await works(here, machine)


@leaping
async def test_a_machine_that_lost_its_bond_is_paired_anew_and_that_is_said():
    async with lab() as here:
        machine = await here.awake(secure="encrypted")
        await works(here, machine)
        await machine.forget_bonds()
        codes = [await refused(here, machine) for _ in range(STALE)]
        assert codes == ["ble.connect"] * (STALE - 1) + ["pairing.stale"]
        assert here.host.did == [f"forget {machine.address}"]
        await works(here, machine)
        assert machine.pairings == 2


@leaping
async def test_a_bond_is_removed_only_once_until_the_machine_was_reached():
    async with lab() as here:
        machine = await here.awake(secure="encrypted")
        await works(here, machine)
        bonds = here.emulated.device.keystore
        peer = here.host.peer(machine.address)
        dead = await bonds.get(peer)
        await machine.forget_bonds()
        codes = []
        for _ in range(3 * STALE):
            codes.append(await refused(here, machine))
            await bonds.update(peer, dead)  # something brings the dead bond back each time
        assert codes.count("pairing.stale") > 1, "it is said each time"
        assert here.host.did == [f"forget {machine.address}"]


@leaping
async def test_a_machine_far_away_is_not_taken_for_one_that_lost_its_bond():
    async with lab() as here:
        machine = await here.awake(secure="encrypted")
        await works(here, machine)
        await machine.forget_bonds()
        here.emulated.controller.strength = -93
        assert {await refused(here, machine) for _ in range(2 * STALE)} == {"ble.connect"}
        assert here.host.did == []


def test_passkeys_are_read_from_files_when_they_are_needed(tmp_path: Path):
    @leaping
    async def scenario():
        path = tmp_path / "passkey"
        known = passkeys_from({"F0:F1:F2:F3:F4:01": path})
        assert known("F0:F1:F2:F3:F4:02") is None
        passkey = known("F0:F1:F2:F3:F4:01")
        assert await passkey("F0:F1:F2:F3:F4:01") is None, "no file"
        for text, digits in (("012345\n", 12345), ("12345", None), ("1234567", None), ("abcdef", None)):
            path.write_text(text)
            assert await passkey("F0:F1:F2:F3:F4:01") == digits
        path.write_bytes(b"\xff\xfe")
        assert await passkey("F0:F1:F2:F3:F4:01") is None

    scenario()
