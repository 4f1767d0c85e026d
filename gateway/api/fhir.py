"""The same measurements as FHIR R4 Observations, read only: by identifier, person or code, in pages.

Every search walks the journal's order, so that `next` is as stable as the pull API's cursor.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from importlib import metadata
from typing import Annotated, Any
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

import msgspec
from fastapi import APIRouter, Query, Request, Response
from fastapi.concurrency import run_in_threadpool

from gateway.api import callers
from gateway.api.context import Context, Here, PathId
from gateway.api.problems import problem
from gateway.audit import Audit, Caller
from gateway.fhir import devices, subjects
from gateway.fhir.codes import Unmappable
from gateway.fhir.elements import OURS, Json
from gateway.fhir.observations import Around, named, observation, parts
from gateway.fhir.setting import Setting
from protocol.errors import RequestRefused
from store.facts import Measurement
from store.queries import Queries
from store.residents import Resident, Unnamed

MEDIA = "application/fhir+json"
PARAMETERS = ("identifier", "code", "patient.identifier", "subject:identifier", "_count", "_after", "_format")
router = APIRouter(prefix="/fhir", tags=["fhir"])
ANSWER: dict[int | str, dict[str, Any]] = {200: {"content": {MEDIA: {}}}}
encode = msgspec.json.Encoder(decimal_format="number").encode


class _Key(msgspec.Struct):
    """As much of a pulled document as tells which version of what it is."""

    id: str
    version: int


@dataclass(frozen=True, slots=True)
class Search:
    """What was asked for; tokens as FHIR writes them, `system|value` or `value`."""

    identifier: str | None
    person: str | None
    code: str | None
    count: int
    after: str | None


@dataclass(frozen=True, slots=True)
class Found:
    """One page: the resources, the measurements they are of, the cursor after them, whether more follow."""

    resources: list[Json]
    standing: list[Measurement]
    last: str
    more: bool


@router.get("/metadata", response_class=Response, responses=ANSWER)
async def capabilities(here: Here) -> Response:
    """Return what this endpoint can do, as a CapabilityStatement."""
    parameters = [{"name": "identifier", "type": "token"}, {"name": "code", "type": "token"}]
    parameters.append({"name": "patient", "type": "reference"})
    statement = {
        "resourceType": "CapabilityStatement",
        "status": "active",
        "date": "2026-11-21",
        "kind": "instance",
        "implementation": {"description": f"Checkup gateway {here.config.gateway}"},
        "fhirVersion": "4.0.1",
        "format": [MEDIA],
        "rest": [
            {
                "mode": "server",
                "resource": [
                    {
                        "type": "Observation",
                        "interaction": [{"code": "read"}, {"code": "search-type"}],
                        "searchParam": parameters,
                    }
                ],
            }
        ],
    }
    return _fhir(statement)


@router.get("/Observation", response_class=Response, responses=ANSWER)
async def search(
    request: Request,
    here: Here,
    *,
    identifier: Annotated[str | None, Query(max_length=200)] = None,
    code: Annotated[str | None, Query(max_length=200)] = None,
    person: Annotated[str | None, Query(alias="patient.identifier", max_length=200)] = None,
    subject: Annotated[str | None, Query(alias="subject:identifier", max_length=200)] = None,
    count: Annotated[int, Query(alias="_count", ge=1, le=500)] = 50,
    after: Annotated[str | None, Query(alias="_after", max_length=200)] = None,
) -> Response:
    """Return a searchset of the Observations that stand; an unknown parameter is refused, never ignored."""
    if unknown := sorted(set(request.query_params) - set(PARAMETERS)):
        where = [{"at": f"query/{name}", "reason": "unknown parameter"} for name in unknown]
        return problem(request, HTTPStatus.BAD_REQUEST, "http.invalid", errors=where)
    begun = await run_in_threadpool(here.queries.resumed, after)
    wanted = Search(identifier, person or subject, code, count, begun)
    found = await run_in_threadpool(_found, here, wanted)
    _written_down(here.service.audit, callers.program(request), wanted, found)
    asked = {name: value for name, value in request.query_params.items() if name != "_after"}
    links = [{"relation": "self", "url": f"Observation?{urlencode(request.query_params)}"}]
    if found.more:
        links.append({"relation": "next", "url": f"Observation?{urlencode({**asked, '_after': found.last})}"})
    entries = [{"resource": one, "search": {"mode": "match"}} for one in found.resources]
    return _fhir({"resourceType": "Bundle", "type": "searchset", "link": links, "entry": entries})


@router.get("/Observation/{id}", response_class=Response, responses=ANSWER)
async def read(request: Request, here: Here, id: PathId) -> Response:  # noqa: A002 - FHIR's own word
    """Return one Observation by the id it has here."""
    measurement = await run_in_threadpool(here.queries.measurement, id.rpartition(".")[0])
    found = await run_in_threadpool(_read, here, measurement, id) if measurement else None
    if measurement is None or found is None:
        raise RequestRefused(id, code="measurement.unknown")
    here.service.audit.read(callers.program(request), measurement.id, measurement.resident)
    return _fhir(found)


def _written_down(audit: Audit, caller: Caller, wanted: Search, found: Found) -> None:
    if wanted.identifier is not None:
        for one in found.standing:
            audit.read(caller, one.id, one.resident)
    elif wanted.person is not None:
        audit.searched(caller, {one.resident for one in found.standing})
    else:
        audit.pulled(caller, wanted.after, found.last, len(found.resources))


def _fhir(resource: Json) -> Response:
    trimmed = {name: value for name, value in resource.items() if value != []}
    return Response(encode(trimmed), media_type=MEDIA)


def _read(here: Context, measurement: Measurement, key: str) -> Json | None:
    return next((one for one in _written(here, measurement) if one["id"] == key), None)


def _found(here: Context, wanted: Search) -> Found:
    """Return one page."""
    if wanted.identifier is not None:
        system, _, value = wanted.identifier.rpartition("|")
        one = here.queries.measurement(value.rpartition(".")[0])
        ours = system in {"", _setting(here).measurement_system} and one is not None
        standing = [one] if ours and one else []
        found = [each for each in _all(here, standing) if each["identifier"][0]["value"] == value]
        last, more = "", False
    else:
        standing, last, more = _standing(here, wanted)
        found = list(_all(here, standing))
    coded = [one for one in found if wanted.code is None or _coded(one, wanted.code)]
    return Found(coded, standing, last, more)


def _standing(here: Context, wanted: Search) -> tuple[list[Measurement], str, bool]:
    """Return the measurements of one page that were not followed by a later version, cursor, and more."""
    person = _number(here, wanted.person) if wanted.person is not None else None
    documents, cursor, more = here.queries.page(wanted.after, wanted.count, resident_identifier=person)
    keys = [msgspec.json.decode(document, type=_Key) for document in documents]
    current = [(key.version, here.queries.measurement(key.id)) for key in keys]
    standing = [one for version, one in current if one is not None and one.version == version]
    return standing, cursor, more


def _number(here: Context, token: str) -> tuple[str, str] | str:
    """Return a person's number as the store knows it: our word for the system, if the token names one."""
    uri, separator, value = token.rpartition("|")
    if not separator:
        return value
    systems = _setting(here).identifier_systems
    words = {known: word for word, known in systems.items()}
    return words.get(uri, uri.removeprefix(f"{OURS}identifier:")), value


def _all(here: Context, measurements: list[Measurement]) -> Iterator[Json]:
    for measurement in measurements:
        yield from _written(here, measurement)


def _written(here: Context, measurement: Measurement) -> Iterator[Json]:
    """Yield a measurement's Observations; a preliminary one, or one of nobody, has none."""
    resident = here.queries.resident(measurement.resident) if measurement.resident else None
    if resident is None or measurement.status == "preliminary" or not _sure(resident):
        return
    setting = _setting(here)
    around = Around(
        subject=subjects.reference(resident, setting),
        gateway=_logical(devices.gateway(setting)),
        machine=_logical(devices.machine(measurement, setting, "", ())) if measurement.device else None,
        refer=lambda value: {"reference": f"Observation/{_id(value)}"},
    )
    others = _sources(here.queries, measurement)
    for part in parts(measurement):
        try:
            resource = observation(measurement, part, around, others, setting)
        except Unmappable:
            continue
        yield {**resource, "id": _id(named(measurement.id, part))}


def _sure(resident: Resident) -> bool:
    """Say whether nothing is missing of who this is but what was erased for good."""
    return not isinstance(resident, Unnamed) or resident.hidden == "erased"


def _sources(queries: Queries, measurement: Measurement) -> Mapping[str, Measurement]:
    found = {key: queries.measurement(key) for key in measurement.derived_from}
    return {key: one for key, one in found.items() if one is not None}


def _setting(here: Context) -> Setting:
    config = here.config
    systems = config.fhir.identifier_systems if config.fhir else {}
    release = metadata.version("checkup-gateway")
    return Setting(config.gateway, release, ZoneInfo(config.timezone), identifier_systems=systems)


def _logical(device: Json) -> Json:
    """Return a reference by identifier: this endpoint serves Observations only."""
    return {"type": "Device", "identifier": device["identifier"][0]}


def _id(value: str) -> str:
    """Return an identifier value as a FHIR id, whose letters know no underscore."""
    return value.replace("_", "-")


def _coded(resource: Json, token: str) -> bool:
    system, _, code = token.rpartition("|")
    codings = resource["code"].get("coding", [])
    return any(one["code"] == code and system in {"", one["system"]} for one in codings)
