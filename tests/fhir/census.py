"""Counts what the real server holds of a measurement, past the forwarder and whatever stands in front."""

from collections import Counter
from typing import Any

import httpx2

from store.facts import Measurement

Json = dict[str, Any]
EVERYTHING = 1000


async def resources(url: str, kind: str, **query: str) -> list[Json]:
    """Return what a search finds, as the server gives it."""
    async with httpx2.AsyncClient(timeout=30, trust_env=False, verify=False) as client:
        answer = await client.get(f"{url}/{kind}", params={**query, "_count": str(EVERYTHING)})
        found = [entry["resource"] for entry in answer.json().get("entry", [])]
        assert len(found) < EVERYTHING
        return [one for one in found if one["resourceType"] == kind]


async def observations(url: str, one: Measurement) -> dict[str, list[Json]]:
    """Return every copy of every Observation of *one*, by part."""
    found: dict[str, list[Json]] = {}
    for resource in await resources(url, "Observation"):
        value = resource["identifier"][0]["value"]
        if value.startswith(f"{one.id}."):
            found.setdefault(value.removeprefix(f"{one.id}."), []).append(resource)
    return found


async def provenances(url: str, one: Measurement) -> dict[int, int]:
    """Return how many Provenances every version of *one* has."""
    tags = [tag["code"] for found in await resources(url, "Provenance") for tag in found["meta"]["tag"]]
    versions = [tag.removeprefix(f"{one.id}.") for tag in tags if tag.startswith(f"{one.id}.")]
    return dict(Counter(int(version) for version in versions))


async def devices(url: str, word: str) -> list[int]:
    """Return how often each Device occurs whose identifier contains *word*."""
    values = [found["identifier"][0]["value"] for found in await resources(url, "Device")]
    return sorted(Counter(value for value in values if word in value).values())


async def check_once(url: str, one: Measurement, *versions: int) -> None:
    """Assert exactly one copy of everything of *one*, and one Provenance for each of *versions*."""
    held = await observations(url, one)
    assert held
    assert {part: len(copies) for part, copies in held.items()} == dict.fromkeys(held, 1)
    assert await provenances(url, one) == dict.fromkeys(versions or (one.version,), 1)
