"""Is every value equal at the machine, in the journal, on the page, in the pull API, at the FHIR server?"""

import html
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any

import httpx2

from store.queries import Queries
from tools.stage import Stage
from tools.visit import Shown, Visit

LOINC = {
    "8480-6": "systolic",
    "8462-4": "diastolic",
    "8478-0": "mean_pressure",
    "8867-4": "pulse_rate",
    "8302-2": "body_height",
    "29463-7": "body_weight",
    "39156-5": "bmi",
    "14743-9": "glucose",
}
"""The codes the demonstration's values travel under, written down apart from the forwarder's own table."""

NOT_ON_PAGE = frozenset({"mean_pressure"})
"""The clinic page shows what the doctor writes down; the mean is in the record only."""


@dataclass
class Agreement:
    """What was compared and what was wrong; sound where nothing was."""

    values: int = 0
    faults: list[str] = field(default_factory=list)

    def check(self, place: str, shown: Shown, found: Mapping[str, str]) -> None:
        """Compare what a machine showed with what one place holds, number by number."""
        for measure, value in shown.values.items():
            if measure not in found:
                self.faults.append(f"{place}: {shown.measurement} {measure} is missing")
            elif Decimal(found[measure]) != Decimal(value):
                self.faults.append(
                    f"{place}: {shown.measurement} {measure} {found[measure]}, machine {value}"
                )
            else:
                self.values += 1


async def agreement(stage: Stage, visits: Sequence[Visit]) -> Agreement:
    """Compare every value of every visit in all places."""
    result = Agreement()
    pulled = await _pulled(stage)
    remote = await observations(stage.fhir.base_url)
    queries = Queries(stage.home / "state" / "journal.db")
    try:
        for visit in visits:
            for shown in visit.shown:
                _journal(result, queries, shown)
                _page(result, shown)
                _pull(result, shown, pulled)
                _fhir(result, shown, remote)
    finally:
        queries.close()
    return result


def _journal(result: Agreement, queries: Queries, shown: Shown) -> None:
    held = queries.measurement(shown.measurement)
    values = {name: value.value for name, value in held.values.items()} if held else {}
    result.check("journal", shown, values)


def _page(result: Agreement, shown: Shown) -> None:
    text = html.unescape(re.sub(r"<[^>]*>", " ", shown.page))
    tokens = set(re.findall(r"\d+(?:\.\d+)?", text))
    printed = {measure: value for measure, value in shown.values.items() if measure not in NOT_ON_PAGE}
    on_page = {measure: value for measure, value in printed.items() if value in tokens}
    result.check("page", replace(shown, values=printed), on_page)


def _pull(result: Agreement, shown: Shown, pulled: Mapping[str, Any]) -> None:
    row = pulled.get(shown.measurement, {"values": {}, "status": "absent"})
    if row["status"] != "final":
        result.faults.append(f"pull: {shown.measurement} is {row['status']}")
    result.check("pull", shown, {name: value["value"] for name, value in row["values"].items()})


def _fhir(result: Agreement, shown: Shown, remote: Mapping[str, list[Mapping[str, Any]]]) -> None:
    found: dict[str, str] = {}
    for identifier, copies in remote.items():
        if identifier.rpartition(".")[0] != shown.measurement:
            continue
        if len(copies) != 1:
            result.faults.append(f"fhir: {len(copies)} copies of {identifier}")
        if copies[0]["status"] != "final":
            result.faults.append(f"fhir: {identifier} is {copies[0]['status']}")
        for part in [copies[0], *copies[0].get("component", [])]:
            for coding in part["code"]["coding"]:
                if coding["code"] in LOINC and "valueQuantity" in part:
                    found[LOINC[coding["code"]]] = str(part["valueQuantity"]["value"])
    result.check("fhir", shown, found)


async def _pulled(stage: Stage) -> dict[str, Any]:
    """Return the newest version of every measurement, read page by page as a central system would."""
    newest: dict[str, Any] = {}
    cursor: dict[str, str] = {}
    more = True
    while more:
        page = await stage.get("/v1/measurements", limit=50, **cursor)
        newest.update({row["id"]: row for row in page["measurements"]})
        cursor, more = {"after": str(page["next"])}, bool(page["more"])
    return newest


async def observations(base_url: str) -> dict[str, list[Mapping[str, Any]]]:
    """Return every Observation the FHIR server holds, by identifier."""
    by_identifier: dict[str, list[Mapping[str, Any]]] = {}
    async with httpx2.AsyncClient(timeout=60) as http:
        url: str | None = f"{base_url}/Observation?_count=200"
        while url:
            bundle = (await http.get(url)).raise_for_status().json()
            for observation in _resources(bundle.get("entry", [])):
                for identifier in observation.get("identifier", []):
                    by_identifier.setdefault(identifier["value"], []).append(observation)
            url = next((link["url"] for link in bundle.get("link", []) if link["relation"] == "next"), None)
    return by_identifier


def _resources(entries: Iterable[Mapping[str, Any]]) -> Iterable[Mapping[str, Any]]:
    return (entry["resource"] for entry in entries)
