"""Hands measurements to the central record's FHIR R4 server, exactly once in effect.

Bundles are bounded and split when the server refuses them, down to single measurements: some servers take
eight entries, and one bad measurement must not hold up the others. One request is under way at a time.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from importlib.metadata import version
from zoneinfo import ZoneInfo

from drivers import catalogue
from gateway.config import Config, FhirConfig
from gateway.fhir import bundle, devices, subjects
from gateway.fhir.bundle import Held
from gateway.fhir.codes import Unmappable
from gateway.fhir.elements import Json
from gateway.fhir.observations import parts
from gateway.fhir.plan import Ends, Plan, asked, landed, planned, settled
from gateway.fhir.setting import Setting
from gateway.fhir.verdict import Broken, unreachable
from gateway.forwarders import Accepted, Forwarder, Kind, Outcome, Outgoing, Rejected
from gateway.forwarders.central import Central
from gateway.forwarders.shared import Shared, key
from protocol.errors import Refused, Unreachable

MAX_BYTES = 500_000
ROUNDS = 3
"""Times a bundle is planned anew where somebody else wrote in between."""
GROW_AFTER = 100
"""Bundles accepted at a lowered size before the configured size is tried again."""


@dataclass
class _Run:
    """One call of `deliver`: what was asked for, what is known of the server, and how each item fared."""

    batch: Sequence[Outgoing]
    asked: set[str] = field(default_factory=set)
    found: dict[str, Held] = field(default_factory=dict)
    outcomes: dict[int, Outcome] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)
    """The words of every item the server fell over."""

    def forget(self, items: Sequence[Outgoing]) -> None:
        """Have *items* looked up again."""
        for value in (value for item in items for value in asked(item)):
            self.asked.discard(value)
            self.found.pop(value, None)


class FhirForwarder:
    """Implements `gateway.forwarders.Forwarder`."""

    name = "fhir"

    def __init__(self, config: FhirConfig, setting: Setting) -> None:
        self._config = config
        self._setting = setting
        self._central = Central(config.url, timeout_s=config.timeout_s, token_file=config.token_file)
        self._shared = Shared(self._central)
        self._tagged: bool | None = None
        self._room = config.max_entries
        self._calm = 0
        self._one = asyncio.Lock()

    async def deliver(self, batch: Sequence[Outgoing]) -> list[Outcome]:
        """Return one outcome per item, in order; raise Unreachable where the server gave no usable answer.

        What was accepted before an Unreachable is found again by its identifier and not written twice.
        """
        run = _Run(batch)
        async with self._one:
            try:
                with suppress(Refused):  # then each bundle asks for itself, and the culprit is found
                    await self._look_up(run, batch)
                for group in _groups(batch, self._room):
                    await self._settle(run, group)
            except Unreachable:
                self._shared.forget()
                raise
        if batch and len(run.faults) == len(batch):
            raise unreachable("delivery.unreachable", run.faults[0])
        return [run.outcomes[number] for number in range(len(batch))]

    async def close(self) -> None:
        """Close connections."""
        await self._central.close()

    async def _settle(self, run: _Run, group: list[int]) -> None:
        """Fill in the outcome of every item of *group*, halving it while the server refuses the whole."""
        items = [run.batch[number] for number in group]
        try:
            receipts = await self._send(run, items)
        except Refused as refusal:
            self._shared.forget()
            run.forget(items)
            if len(group) == 1:
                run.outcomes[group[0]] = Rejected(refusal.detail)
                run.faults += [refusal.detail] if isinstance(refusal, Broken) else []
                return
            for half in (group[: len(group) // 2], group[len(group) // 2 :]):
                await self._settle(run, half)
            self._learn(items, [run.outcomes[number] for number in group])
        else:
            run.outcomes |= {
                number: Accepted(receipt) for number, receipt in zip(group, receipts, strict=True)
            }
            self._recover()

    async def _send(self, run: _Run, items: Sequence[Outgoing]) -> list[dict[str, str]]:
        """Bring the server to these versions in one transaction; return a receipt for each."""
        for _ in range(ROUNDS):
            plan = await self._plan(run, items)
            if not plan.lines:
                return plan.receipts
            transaction = bundle.transaction([line.entry for line in plan.lines])
            if len(transaction) > MAX_BYTES and len(items) > 1:
                raise Refused(f"{len(transaction)} bytes in one bundle")
            written = await self._central.transact(transaction, len(plan.lines))
            if (receipts := settled(plan, written)) is not None:
                run.found |= landed(plan, written)
                return receipts
            run.forget(items)
        raise Refused("the server holds what it does not find by identifier")

    async def _plan(self, run: _Run, items: Sequence[Outgoing]) -> Plan:
        if self._tagged is None:
            self._tagged = await self._central.honours_tags()
        ends = await self._ends(items)
        await self._look_up(run, items)
        base, tagged = self._central.base, bool(self._tagged)
        try:
            return planned(items, ends, run.found, self._setting, base=base, tagged=tagged)
        except (LookupError, ValueError, ArithmeticError) as error:
            raise Unmappable(f"{type(error).__name__}: {error}") from error

    async def _look_up(self, run: _Run, items: Sequence[Outgoing]) -> None:
        """Ask what the server holds of *items*, for as many at once as possible, and only once."""
        values = {value for item in items for value in asked(item)} - run.asked
        run.found |= await self._central.find("Observation", self._setting.measurement_system, values)
        run.asked |= values

    async def _ends(self, items: Sequence[Outgoing]) -> list[Ends]:
        """Return what each item's Observations point to, once the server has it."""
        gateway = devices.gateway(self._setting)
        machines = [self._machine(item) for item in items]
        people = [self._person(item) for item in items]
        wanted = [one for one in (gateway, *machines, *people) if one]
        places = await self._shared.places(wanted, self._room)

        def refer(resource: Json) -> Json:
            return {"reference": places[key(resource)]}

        return [
            Ends(
                refer(person) if person else subjects.reference(item.resident, self._setting),
                refer(gateway),
                refer(machine) if machine else None,
            )
            for item, machine, person in zip(items, machines, people, strict=True)
        ]

    def _machine(self, item: Outgoing) -> Json | None:
        measurement = item.measurement
        if measurement.device is None or measurement.source != "machine":
            return None
        driver = catalogue.every().get(measurement.driver or "")
        title, kinds = (driver.title, driver.kinds) if driver else ("", ())
        return devices.machine(measurement, self._setting, title, kinds)

    def _person(self, item: Outgoing) -> Json | None:
        if self._config.subject == "identifier":
            return None
        return subjects.patient(item.resident, self._setting)

    def _learn(self, items: Sequence[Outgoing], outcomes: Sequence[Outcome]) -> None:
        """Lower the size of bundles where all went through in pieces: it was the size that was refused."""
        if all(isinstance(outcome, Accepted) for outcome in outcomes):
            self._room = max(2, min(self._room, (_entries(items) + 1) // 2))
            self._calm = 0

    def _recover(self) -> None:
        self._calm += 1
        if self._calm >= GROW_AFTER:
            self._room, self._calm = self._config.max_entries, 0


def _entries(items: Sequence[Outgoing]) -> int:
    return sum(len(parts(item.measurement)) + 1 for item in items)


def _groups(batch: Sequence[Outgoing], room: int) -> list[list[int]]:
    """Cut *batch* into bundles of at most *room* entries, in order, each measurement once in a bundle."""
    groups: list[list[int]] = []
    taken: set[str] = set()
    filled = 0
    for number, item in enumerate(batch):
        needs = _entries([item])
        if not groups or filled + needs > room or item.measurement.id in taken:
            groups.append([])
            taken, filled = set(), 0
        groups[-1].append(number)
        taken.add(item.measurement.id)
        filled += needs
    return groups


def _build(config: Config) -> Forwarder | None:
    if config.fhir is None:
        return None
    setting = Setting(
        gateway=config.gateway,
        release=version("checkup-gateway"),
        zone=ZoneInfo(config.timezone),
        measurement_system=config.fhir.identifier_system,
        identifier_systems=config.fhir.identifier_systems,
    )
    return FhirForwarder(config.fhir, setting)


FORWARDER = Kind("fhir", _build)
