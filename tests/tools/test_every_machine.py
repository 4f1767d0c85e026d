"""Every simulated machine, a process of its own, read by its own driver: on a terminal and behind ser2net."""

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path
from random import Random

import pytest

from drivers.catalogue import Hid, every
from protocol.errors import LinkError
from protocol.readings import Identified
from tests.rig import STARTING, Way, start_of, way
from tests.ser2net import Ser2net
from tests.tools.host import DEADLINE_S, Host, talking, told
from tools.machines import Machine
from tools.simulators import names, simulator

pytestmark = pytest.mark.filterwarnings(r"ignore:set(Daemon|Name)\(\):DeprecationWarning:serial")
WAYS: dict[str, Way] = {name: way(name) for name in names()}
MEASURING = [name for name in names() if WAYS[name] != "card"]
LINES = [name for name in MEASURING if not isinstance(every()[name].link, Hid)]
ASKED = {path.stem for path in (Path(__file__).parents[1] / "unasked").glob("*.txt")}
"""Machines whose driver asks: they show a result when it was fetched, not when it was measured."""
FORGETS = {"dba310"}
"""Machines that forget what they measured when a host comes: the host must have come before."""
AT = "2026-01-01T08:00:00"


def test_every_simulated_machine_gives_its_driver_something():
    assert [name for name, found in WAYS.items() if found == "none"] == []


async def read(name: str, machine: Machine, host: Host, values: dict[str, str]) -> dict[str, str]:
    """Let the machine measure in its own way and return what its driver reports."""
    if WAYS[name] == "memory":
        return told(await host.reading())
    if name in FORGETS:
        await host.event(Identified)
    measuring = asyncio.create_task(machine.measure(values))
    if WAYS[name] == "order":
        await asyncio.sleep(0)
        host.orders.put_nowait(start_of(host.driver))
    shown = await asyncio.wait_for(measuring, DEADLINE_S)
    said = told(await host.reading())
    assert said == shown
    return said


def assert_same(name: str, values: dict[str, str], said: dict[str, str]) -> None:
    equal = [measure for measure, value in said.items() if values.get(measure) == value]
    assert equal, f"{name}: of {values} the driver says {said}"


@pytest.mark.parametrize("name", MEASURING)
async def test_the_driver_reads_its_machine_on_a_terminal(name: str, tmp_path: Path) -> None:
    """A pulled cable in the middle of a result, then the same person again: one reading, and it is whole."""
    host, values = Host(name, {}), dict(simulator(name).person(Random(3)))
    async with Machine(name, tmp_path / "port", seed=7) as machine:
        machine.order({"stored": [{**values, "at": AT}]} if WAYS[name] == "memory" else {"wait": 0})
        if WAYS[name] == "push" and name not in ASKED:
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
                group.create_task(through(machine, f"{scheme}://127.0.0.1:{server.ports[machine.driver]}"))


async def through(machine: Machine, port: str) -> None:
    name = machine.driver
    host, values = Host(name, {}), dict(simulator(name).person(Random(3)))
    if WAYS[name] == "memory":
        machine.order({"stored": [{**values, "at": AT}]})
    async with talking(host, port):
        assert_same(name, values, await read(name, machine, host, values))
    assert machine.violations == []


def test_the_table_of_orders_is_needed():
    assert STARTING.keys() <= set(names())
