"""The pull API over measurements: ready JSON documents from the projections, joined, never re-made."""

import json
from typing import Annotated

from fastapi import APIRouter, Query, Response
from fastapi.concurrency import run_in_threadpool

from gateway.api.context import Asked, Here, Id, Line, PathId, Text
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
    operator: Line
    reason: Text


@router.get("", response_class=Response, responses={200: {"content": {JSON: {}}}})
async def pull(
    here: Here,
    *,
    after: Cursor = None,
    limit: Limit = 100,
    status: Status | None = None,
    kind: Kind | None = None,
    resident: Annotated[str | None, Query(max_length=200, description="an identifier's value")] = None,
) -> Response:
    """Return versions of measurements after a cursor, in journal order; without one, from the beginning."""
    documents, cursor, more = await run_in_threadpool(
        here.queries.page, after, limit, status=status, kind=kind, resident_identifier=resident
    )
    tail = json.dumps({"next": cursor, "more": more})
    return Response(b'{"measurements":[' + b",".join(documents) + b"]," + tail[1:].encode(), media_type=JSON)


@router.get("/{id}", response_class=Response, responses={200: {"content": {JSON: {}}}})
async def one(here: Here, id: PathId) -> Response:  # noqa: A002 - the path's own word
    """Return one measurement as it stands, with all its times and findings."""
    return await document(here, id)


async def document(here: Here, measurement: str) -> Response:
    """Answer with one measurement's document; raises RequestRefused `measurement.unknown`."""
    found = await run_in_threadpool(here.queries.measurement_document, measurement)
    if found is None:
        raise RequestRefused(measurement, code="measurement.unknown")
    return Response(found, media_type=JSON)


@router.get("/{id}/evidence", response_class=Response, responses={200: {"content": {JSON: {}}}})
async def evidence(here: Here, id: PathId) -> Response:  # noqa: A002 - the path's own word
    """Return its raw frames in hex, their hash, and its place in the journal's chain."""
    found = await run_in_threadpool(here.queries.evidence, id)
    if found is None:
        raise RequestRefused(id, code="measurement.unknown")
    return Response(json.dumps(found), media_type=JSON)


@router.post("/{id}/bind", response_class=Response, responses={200: {"content": {JSON: {}}}})
async def bind(here: Here, id: PathId, asked: Binding) -> Response:  # noqa: A002 - the path's own word
    """Bind, re-bind or send back to the tray; returns the measurement that now stands."""
    stands = await here.service.bind(id, asked.exam, asked.operator, asked.reason)
    return await document(here, stands)
