"""What many Observations point to: this gateway, the machines, and where asked for the Patients.

They are made ahead of the measurements and remembered, so that a bundle of Observations stays as small as
the strictest server takes.
"""

from collections.abc import Mapping, Sequence

from gateway.fhir import bundle
from gateway.fhir.bundle import Held
from gateway.fhir.elements import Json
from gateway.forwarders.central import Central
from protocol.errors import Refused

KEPT = 4096
"""Places remembered at most: what is forgotten is looked up again."""

Key = tuple[str, str, str]
"""Resource type, identifier system and value."""


def key(resource: Json) -> Key:
    """Return what *resource* is found by: its type and its first identifier."""
    first = resource["identifier"][0]
    return resource["resourceType"], first["system"], first["value"]


class Shared:
    """Where the server holds the resources that measurements share."""

    def __init__(self, central: Central) -> None:
        self._central = central
        self._places: dict[Key, str] = {}

    def forget(self) -> None:
        """Look everything up again: the server may be another one than it was."""
        self._places.clear()

    async def places(self, resources: Sequence[Json], room: int) -> Mapping[Key, str]:
        """Return a reference to each of *resources*, making those the server lacks, *room* in one bundle."""
        wanted = {key(resource): resource for resource in resources}
        if len(self._places) > KEPT:
            self._places.clear()
        missing = [one for at, one in wanted.items() if at not in self._places]
        for start in range(0, len(missing), room):
            await self._settle(missing[start : start + room])
        return {at: self._places[at] for at in wanted}

    async def _settle(self, resources: Sequence[Json]) -> None:
        """Make or bring up to date what is missing, then see that the server finds it."""
        found = await self._found(resources)
        entries = [entry for one in resources if (entry := self._entry(one, found.get(key(one))))]
        if entries:
            await self._central.transact(bundle.transaction(entries), len(entries))
            found = await self._found(resources)
        for one in resources:
            if key(one) not in found:
                raise Refused(f"{one['resourceType']} was accepted but is not found by its identifier")
            self._places[key(one)] = found[key(one)].reference

    async def _found(self, resources: Sequence[Json]) -> dict[Key, Held]:
        found: dict[Key, Held] = {}
        for kind, system in dict.fromkeys(key(one)[:2] for one in resources):
            values = [at[2] for at in map(key, resources) if at[:2] == (kind, system)]
            held = await self._central.find(kind, system, values)
            found |= {(kind, system, value): one for value, one in held.items()}
        return found

    def _entry(self, resource: Json, held: Held | None) -> Json | None:
        _, system, value = key(resource)
        if held is None:
            query = bundle.search("identifier", [bundle.token(system, value)])
            return bundle.create(resource, query, bundle.full_url(system, value))
        if resource.get("version") and held.resource.get("version") != resource["version"]:
            return bundle.update(resource, held, self._central.base)
        return None
