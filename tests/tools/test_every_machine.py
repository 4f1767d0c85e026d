"""Every simulated machine, a process of its own, read by its own driver: on a terminal and behind ser2net."""

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path
from random import Random

import pytest

from drivers.catalogue import Hid, every
from protocol.errors import LinkError
from tests.rig import STARTING, way
from tests.ser2net import Ser2net
from tests.tools.host import DEADLINE_S, Host, assert_same, prepared, read, talking, told_by
from tools.machines import Machine
from tools.simulators import names, simulator

pytestmark = pytest.mark.filterwarnings(r"ignore:set(Daemon|Name)\(\):DeprecationWarning:serial")
MEASURING = [name for name in names() if every()[name].kinds]
LINES = [name for name in MEASURING if not isinstance(every()[name].link, Hid)]
ASKED = {path.stem for path in (Path(__file__).parents[1] / "unasked").glob("*.txt")}
"""Machines whose driver asks: they show a result when it was fetched, not when it was measured."""


def test_every_simulated_machine_gives_its_driver_something():
    assert [name for name in names() if way(name) == "none"] == []


@pytest.mark.parametrize("name", MEASURING)
async def test_the_driver_reads_its_machine_on_a_terminal(name: str, tmp_path: Path) -> None:
    """A pulled cable in the middle of a result, then the same person again: one reading, and it is whole."""
    host, values = Host(name, {}), dict(simulator(name).person(Random(3)))
    async with Machine(name, tmp_path / "port", seed=7) as machine:
        machine.order(prepared(name, values))
        if way(name) == "push" and name not in ASKED:
            await pulled_out(machine, Host(name, {}), values)
        async with talking(host, machine.link):
            assert_same(name, values, await read(name, machine, host, values))
            assert host.readings.empty()
        assert machine.violations == []


async def pulled_out(machine: Machine, host: Host, values: dict[str, str]) -> None:
    async with talking(host, machine.link) as conversation:
        machine.order({"half": True, "measure": values})
        await machine.unsent()
        with pytest.raises(LinkError):
            await asyncio.wait_for(asyncio.shield(conversation), DEADLINE_S)
    assert host.readings.empty()
    await machine.replug()


@pytest.mark.parametrize(("scheme", "accepter"), [("socket", "tcp"), ("rfc2217", "telnet(rfc2217),tcp")])
async def test_every_line_is_read_through_a_real_serial_server(
    scheme: str, accepter: str, tmp_path: Path
) -> None:
    """All machines at once, each behind its own port of one ser2net."""
    async with AsyncExitStack() as stack:
        machines = [Machine(name, tmp_path / name, seed=7) for name in LINES]
        async with asyncio.TaskGroup() as group:
            for machine in machines:
                stack.push_async_callback(machine.stop)
                group.create_task(machine.start())
        server = Ser2net(tmp_path, {one.driver: str(one.link) for one in machines}, accepter)
        stack.callback(server.stop)
        await server.listening()
        async with asyncio.TaskGroup() as group:
            for machine in machines:
                port = f"{scheme}://127.0.0.1:{server.ports[machine.driver]}"
                group.create_task(told_by(machine.driver, machine, port))


def test_the_table_of_orders_is_needed():
    assert STARTING.keys() <= set(names())
