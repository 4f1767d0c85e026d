"""An all-in-one machine: several modules, each on a port of its own as in real ones, used by one person."""

import asyncio
import json
import sys
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack, suppress
from pathlib import Path

import click

from drivers import catalogue
from drivers.catalogue import Driver
from gateway.stanza import stanza_of
from protocol.errors import Lost
from protocol.readings import Kind
from tools import simulators
from tools.forms import Json
from tools.machines import Machine
from tools.parameters import DriverName

TAKES: Mapping[Kind, frozenset[str]] = {
    Kind.BLOOD_PRESSURE: frozenset({"systolic", "diastolic", "mean_pressure", "pulse_rate"}),
    Kind.GLUCOSE: frozenset({"glucose"}),
    Kind.BODY_SIZE: frozenset({"body_height", "body_weight"}),
    Kind.TEMPERATURE: frozenset({"body_temperature"}),
    Kind.OXIMETRY: frozenset({"spo2", "pulse_rate"}),
    Kind.BODY_COMPOSITION: frozenset({"body_height", "body_weight", "body_fat"}),
}
"""What a module of each kind finds on a person; the pulse is whichever module's that has it."""


class AllInOne:
    """The modules by driver name, each a process with its port under *folder*."""

    def __init__(self, folder: Path, drivers: list[Driver], seed: int = 0) -> None:
        self.modules = {
            driver.name: Machine(driver.name, folder / driver.name, seed=seed + number)
            for number, driver in enumerate(drivers)
        }
        self._drivers = {driver.name: driver for driver in drivers}
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> "AllInOne":
        """Switch every module on."""
        for module in self.modules.values():
            await self._stack.enter_async_context(module)
        return self

    async def __aexit__(self, *_: object) -> None:
        """Switch every module off."""
        await self._stack.aclose()

    def follow(self, order: Mapping[str, object]) -> None:
        """Do at the machine what a person does: `module` names one module, without it all are meant.

        A whole person's values are handed to the modules that find them. Raises ValueError where the order
        names no module or leaves none anything to do, Lost where a module is off.
        """
        name = order.get("module")
        if name is not None and name not in self.modules:
            raise ValueError(f"no module {name}; there are {', '.join(self.modules)}")
        given = {key: value for key, value in order.items() if key != "module"}
        wanted = self.modules if name is None else [str(name)]
        parts = {driver: part for driver in wanted if (part := self._part(driver, given))}
        if not parts:
            raise ValueError("no module has anything to do with that")
        for driver, part in parts.items():
            self.modules[driver].order(part)

    def _part(self, driver: str, given: Mapping[str, object]) -> Json:
        values = given.get("measure")
        if not isinstance(values, dict):
            return dict(given)
        kinds = self._drivers[driver].kinds
        mine = frozenset[str]().union(*(TAKES[kind] for kind in kinds))
        found = {measure: value for measure, value in values.items() if measure in mine}
        return {**given, "measure": found} if found else {}

    async def watch(self, show: Callable[[Json], None]) -> None:
        """Show what the modules' displays show, with the module's name, until all are off."""

        async def one(name: str, module: Machine) -> None:
            async for told in module.says():
                show({"module": name, **told})

        async with asyncio.TaskGroup() as group:
            for name, module in self.modules.items():
                group.create_task(one(name, module))

    def stanzas(self) -> str:
        """Return the configuration that connects a gateway to every module."""
        return "\n".join(
            stanza_of(driver, driver.name.replace("_", "-"), str(self.modules[name].link))
            for name, driver in self._drivers.items()
        )


@click.command(name="all-in-one")
@click.option("--module", "drivers", type=DriverName(), multiple=True, help="A module; may be repeated.")
@click.option("--folder", type=click.Path(path_type=Path), required=True, help="Where the ports are linked.")
@click.option("--seed", type=int, default=0, help="Other people for another number.")
@click.option("--config", "as_config", is_flag=True, help="Print the stanzas of the modules and end.")
def all_in_one(*, drivers: tuple[Driver, ...], folder: Path, seed: int, as_config: bool) -> None:
    """Be an all-in-one machine: one process and one port a module, one person at them all.

    Orders on standard input are those of `simulate --script`; "module" names one module, else all are meant.
    """
    chosen = list(drivers) or [catalogue.every()[name] for name in ("omron_hbp", "sinocare_sn", "gtech_gl")]
    for driver in chosen:
        if driver.name not in simulators.names():
            raise click.UsageError(f"{driver.name} has no simulated machine")
    machine = AllInOne(folder, chosen, seed)
    if as_config:
        click.echo(machine.stanzas(), nl=False)
        return
    with suppress(KeyboardInterrupt):
        asyncio.run(_play(machine))


async def _play(machine: AllInOne) -> None:
    """Follow the orders typed until they end, and print what the displays show."""
    async with machine:
        for name, module in machine.modules.items():
            _say({"module": name, "pty": str(module.link)})
        watching = asyncio.create_task(machine.watch(_say))
        while line := await asyncio.to_thread(sys.stdin.readline):
            try:
                machine.follow(_order(line))
            except (ValueError, Lost) as error:
                _say({"refused": str(error)})
        for module in machine.modules.values():
            module.no_more()
        await watching


def _order(line: str) -> Mapping[str, object]:
    order = json.loads(line)
    if not isinstance(order, dict):
        raise ValueError("an order is a JSON object")
    return order


def _say(told: Json) -> None:
    click.echo(json.dumps(told, ensure_ascii=False))
    sys.stdout.flush()
