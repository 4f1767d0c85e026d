"""What one transaction must write, given what the server holds already.

Exactly once rests on three things. Every Observation is created under its identifier only if none has it.
What is there already is looked up first, so a version that arrived is not sent again and an older one is
replaced in place. A version's Provenance travels in the same all-or-nothing transaction as its
Observations, so it is there if and only if they are; where the server honours tags it is conditional too.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from gateway.fhir import bundle, observations, provenance
from gateway.fhir.bundle import Held, Written
from gateway.fhir.codes import Unmappable
from gateway.fhir.elements import Json, identifier
from gateway.fhir.observations import Around, named, observation, parts
from gateway.fhir.setting import Setting
from gateway.forwarders import Outgoing
from store.facts import Measurement

PROVENANCE = "Provenance"
"""The key in a receipt that is not the name of an Observation."""


@dataclass(frozen=True, slots=True)
class Ends:
    """What every Observation of one item points to."""

    subject: Json
    gateway: Json
    machine: Json | None


@dataclass(frozen=True, slots=True)
class Line:
    """One entry of the transaction: whose it is and which part of it."""

    item: int
    part: str
    entry: Json

    @property
    def creates(self) -> bool:
        """Whether an Observation is to be made, which a 200 would say was there already."""
        return self.part != PROVENANCE and self.entry["request"]["method"] == "POST"


@dataclass
class Plan:
    """The lines to write and, for every item, what a receipt will say of what is there already."""

    lines: list[Line] = field(default_factory=list)
    receipts: list[dict[str, str]] = field(default_factory=list)


def asked(item: Outgoing) -> list[str]:
    """Return every identifier value to look up for *item*: its own, those it had, and its sources'."""
    own = [named(item.measurement.id, part) for part in parts(item.measurement)]
    had = [named(item.measurement.id, part) for part in item.receipt if part != PROVENANCE]
    return [*own, *had, *observations.sources(item.measurement, _others(item))]


def planned(
    items: Sequence[Outgoing],
    ends: Sequence[Ends],
    found: Mapping[str, Held],
    setting: Setting,
    *,
    base: str,
    tagged: bool,
) -> Plan:
    """Return the transaction that brings the server to these versions. Raises Unmappable.

    *ends* stands beside *items*; *found* is what the server holds, by identifier value; no two items are
    the same measurement. *tagged* says that the server honours `_tag`.
    """
    held = {**_receipts(items), **found}
    new = {
        named(item.measurement.id, part)
        for item in items
        for part in parts(item.measurement)
        if named(item.measurement.id, part) not in held
    }

    def refer(value: str) -> Json:
        if value in new:
            return {"reference": bundle.full_url(setting.measurement_system, value)}
        if value in held:
            return {"reference": held[value].reference}
        return {"type": "Observation", "identifier": identifier(setting.measurement_system, value)}

    if bare := [item.measurement.id for item in items if not parts(item.measurement)]:
        raise Unmappable(f"nothing measured in {bare[0]}")
    plan = Plan()
    for number, (item, end) in enumerate(zip(items, ends, strict=True)):
        around = Around(end.subject, end.gateway, end.machine, refer)
        written = [Line(number, part, entry) for part, entry in _entries(item, around, held, setting, base)]
        plan.lines += written
        if written:
            plan.lines.append(Line(number, PROVENANCE, _provenance(item, around, tagged)))
        plan.receipts.append(_known(item, held))
    return plan


def settled(plan: Plan, written: Sequence[Written]) -> list[dict[str, str]] | None:
    """Return each item's receipt, None where the server must be asked again.

    That is where a conditional create met a resource that the look-up had not seen: its content may be
    of an older version. And where the server does not say what it made.
    """
    receipts = [dict(receipt) for receipt in plan.receipts]
    for line, answer in zip(plan.lines, written, strict=True):
        if line.creates and (answer.status == 200 or answer.reference is None):
            return None
        if answer.reference:
            receipts[line.item][line.part] = answer.reference
    return receipts


def landed(plan: Plan, written: Sequence[Written]) -> dict[str, Held]:
    """Return what the server holds since this transaction, by identifier value."""
    return {
        line.entry["resource"]["identifier"][0]["value"]: Held(
            answer.reference, answer.etag, line.entry["resource"]
        )
        for line, answer in zip(plan.lines, written, strict=True)
        if line.part != PROVENANCE and answer.reference
    }


def _entries(
    item: Outgoing, around: Around, held: Mapping[str, Held], setting: Setting, base: str
) -> list[tuple[str, Json]]:
    measurement, system = item.measurement, setting.measurement_system
    entries: list[tuple[str, Json]] = []
    for part in parts(measurement):
        value = named(measurement.id, part)
        there = held.get(value)
        if there and bundle.version(there.resource) >= measurement.version:
            continue
        resource = observation(measurement, part, around, _others(item), setting)
        if there:
            entries.append((part, bundle.update(resource, there, base)))
        else:
            query = bundle.search("identifier", [bundle.token(system, value)])
            entries.append((part, bundle.create(resource, query, bundle.full_url(system, value))))
    return entries + _withdrawn(item, held, base)


def _withdrawn(item: Outgoing, held: Mapping[str, Held], base: str) -> list[tuple[str, Json]]:
    """Mark what an earlier version had and this one has no more: a record stays, but nobody may use it."""
    gone = [part for part in item.receipt if part != PROVENANCE and part not in parts(item.measurement)]
    entries: list[tuple[str, Json]] = []
    for part in gone:
        there = held[named(item.measurement.id, part)]
        if there.resource and there.resource.get("status") != "entered-in-error":
            kept = {key: value for key, value in there.resource.items() if key != "meta"}
            entries.append((part, bundle.update({**kept, "status": "entered-in-error"}, there, base)))
    return entries


def _provenance(item: Outgoing, around: Around, tagged: bool) -> Json:
    measurement = item.measurement
    targets = [around.refer(named(measurement.id, part)) for part in parts(measurement)]
    tag = provenance.tag(measurement)
    query = bundle.search("_tag", [bundle.token(provenance.TAG_SYSTEM, tag)]) if tagged else None
    resource = provenance.provenance(measurement, targets, around)
    return bundle.create(resource, query, bundle.full_url(provenance.TAG_SYSTEM, tag))


def _known(item: Outgoing, held: Mapping[str, Held]) -> dict[str, str]:
    values = {part: named(item.measurement.id, part) for part in parts(item.measurement)}
    return {part: held[value].reference for part, value in values.items() if value in held}


def _receipts(items: Sequence[Outgoing]) -> dict[str, Held]:
    """Return what receipts of earlier versions name, as a place whose content is not known."""
    return {
        named(item.measurement.id, part): Held(reference, None, {})
        for item in items
        for part, reference in item.receipt.items()
        if part != PROVENANCE
    }


def _others(item: Outgoing) -> Mapping[str, Measurement]:
    return {one.id: one for one in item.sources}
