"""The pull API over measurements: ready JSON documents from the projections, joined, never re-made."""

import json
from typing import Annotated

import msgspec
from fastapi import APIRouter, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from pydantic import Field

from gateway.api import callers
from gateway.api.context import Asked, Context, Here, Id, Line, Operator, PathId, Text
from gateway.correcting import Correction
from protocol.errors import RequestRefused
from protocol.readings import Kind
from store.facts import Status

JSON = "application/json"
router = APIRouter(prefix="/v1/measurements", tags=["measurements"])
Cursor = Annotated[str | None, Query(max_length=200, description="`next` of an earlier answer; opaque")]
Limit = Annotated[int, Query(ge=1, le=1000)]


class Binding(Asked):
    """Whose measurement it is: an exam, or none to send it back to the tray."""

    exam: Id | None
    operator: Operator
    reason: Text


class Stated(Asked):
    """What a value should be; the unit, if named, is the one it has."""

    value: Line
    unit: Line | None = None


class Correcting(Asked):
    """Other values than were measured, by measure; those left out stay as they are."""

    values: Annotated[dict[Line, Stated], Field(min_length=1, max_length=16)]
    operator: Operator
    reason: Text
    unusual: bool = False
    """Looked at again: right although people hardly have such a value."""


@router.get("", response_class=Response, responses={200: {"content": {JSON: {}}}})
async def pull(
    request: Request,
    here: Here,
    *,
    after: Cursor = None,
    limit: Limit = 100,
    status: Status | None = None,
    kind: Kind | None = None,
    resident: Annotated[str | None, Query(max_length=200, description="an identifier's value")] = None,
) -> Response:
    """Return versions of measurements after a cursor, in journal order; without one, from the beginning."""
    begun = await run_in_threadpool(here.queries.resumed, after)
    documents, cursor, more = await run_in_threadpool(
        here.queries.page, begun, limit, status=status, kind=kind, resident_identifier=resident
    )
    caller, audit = callers.program(request), here.service.audit
    if resident is None:
        audit.pulled(caller, begun, cursor, len(documents))
    else:
        audit.searched(caller, {owner(one) for one in documents})
    tail = json.dumps({"next": cursor, "more": more})
    return Response(b'{"measurements":[' + b",".join(documents) + b"]," + tail[1:].encode(), media_type=JSON)


@router.get("/{id}", response_class=Response, responses={200: {"content": {JSON: {}}}})
async def one(request: Request, here: Here, id: PathId) -> Response:  # noqa: A002 - the path's own word
    """Return one measurement as it stands, with all its times and findings."""
    found = await document(here, id)
    here.service.audit.read(callers.program(request), id, owner(found.body))
    return found


class _Resident(msgspec.Struct):
    id: str


class _Owned(msgspec.Struct):
    resident: _Resident | None = None


def owner(document: bytes | memoryview) -> str | None:
    """Return the key of the resident whose measurement a document is."""
    found = msgspec.json.decode(document, type=_Owned).resident
    return found.id if found else None


async def document(here: Context, measurement: str) -> Response:
    """Answer with one measurement's document; raises RequestRefused `measurement.unknown`."""
    found = await run_in_threadpool(here.queries.measurement_document, measurement)
    if found is None:
        raise RequestRefused(measurement, code="measurement.unknown")
    return Response(found, media_type=JSON)


@router.get("/{id}/evidence", response_class=Response, responses={200: {"content": {JSON: {}}}})
async def evidence(request: Request, here: Here, id: PathId) -> Response:  # noqa: A002 - the path's own word
    """Return its raw frames in hex, their hash, its place in the chain, and the signature that covers it."""
    found = await run_in_threadpool(here.queries.evidence, id)
    whose = await run_in_threadpool(here.queries.measurement, id)
    if found is None or whose is None:
        raise RequestRefused(id, code="measurement.unknown")
    here.service.audit.read(callers.program(request), id, whose.resident, part="evidence")
    return Response(json.dumps(found), media_type=JSON)


@router.post("/{id}/bind", response_class=Response, responses={200: {"content": {JSON: {}}}})
async def bind(here: Here, id: PathId, asked: Binding) -> Response:  # noqa: A002 - the path's own word
    """Bind, re-bind or send back to the tray; returns the measurement that now stands."""
    stands = await here.service.bind(id, asked.exam, asked.operator, asked.reason)
    return await document(here, stands)


@router.post("/{id}/correct", response_class=Response, responses={200: {"content": {JSON: {}}}})
async def correct(here: Here, id: PathId, asked: Correcting) -> Response:  # noqa: A002 - the path's own word
    """State other values, with a reason; the machine's own stay in the evidence. Returns the new version."""
    units = {name: stated.unit for name, stated in asked.values.items() if stated.unit}
    values = {name: stated.value for name, stated in asked.values.items()}
    correction = Correction(values, units, asked.operator, asked.reason, asked.unusual)
    return await document(here, await here.service.correct(id, correction))
