"""Exams: one resident's visit at the machines, opened and closed by a person."""

from datetime import date
from typing import Annotated, Any, Literal

import msgspec
from fastapi import APIRouter, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from pydantic import Field

from gateway.api import callers
from gateway.api.context import Asked, Context, Here, Line, Operator, PathId
from gateway.service import ExamRequest
from protocol.errors import RequestRefused
from store.exams import Exam
from store.queries import Queries
from store.residents import Identifier

JSON = "application/json"
router = APIRouter(prefix="/v1/exams", tags=["exams"])


class Numbered(Asked):
    """A number somebody gave the resident; `system` is `cn-id` or another short word."""

    system: Line
    value: Line


class Person(Asked):
    """Who sits down; an identifier or a name at least."""

    identifiers: Annotated[tuple[Numbered, ...], Field(max_length=8)] = ()
    name: Line | None = None
    sex: Literal["male", "female"] | None = None
    birth_date: date | None = None


class Opening(Asked):
    """Open an exam for this person."""

    resident: Person
    operator: Operator


class Closing(Asked):
    """Who closes it; the one who opened it if nobody is named."""

    operator: Operator | None = None


@router.post("", status_code=201, response_class=Response, responses={201: {"content": {JSON: {}}}})
async def open_exam(here: Here, request: Request, asked: Opening) -> Response:
    """Open an exam and return it with its address."""
    exam = await here.service.open_exam(wanted(asked))
    where = str(request.app.url_path_for("exam", id=exam))
    return await document(here, exam, 201, {"location": where})


def wanted(asked: Opening) -> ExamRequest:
    """Return the gateway's form of the request."""
    person = asked.resident
    return ExamRequest(
        identifiers=[Identifier(number.system, number.value) for number in person.identifiers],
        name=person.name,
        operator=asked.operator,
        sex=person.sex,
        birth_date=person.birth_date.isoformat() if person.birth_date else None,
    )


@router.get("")
async def exams(
    request: Request,
    here: Here,
    open: Annotated[bool, Query(description="only those not closed yet")] = True,  # noqa: A002 - the contract's word
) -> Response:
    """Return the exams, newest first, without their measurements."""
    listed = await run_in_threadpool(_listed, here.queries, open)
    here.service.audit.read(callers.program(request), "exams", None, "listed")
    return listed


def _listed(queries: Queries, only_open: bool) -> Response:
    found = [_outline(queries, exam) for exam in queries.exams(open=only_open)]
    return Response(msgspec.json.encode({"exams": found}), media_type=JSON)


@router.get("/{id}", name="exam", response_class=Response, responses={200: {"content": {JSON: {}}}})
async def exam(request: Request, here: Here, id: PathId) -> Response:  # noqa: A002 - the path's own word
    """Return an exam with its resident and its measurements."""
    found = await document(here, id)
    resident = (await run_in_threadpool(known, here.queries, id)).resident
    here.service.audit.read(callers.program(request), id, resident)
    return found


@router.post("/{id}/close", response_class=Response, responses={200: {"content": {JSON: {}}}})
async def close(here: Here, id: PathId, asked: Closing | None = None) -> Response:  # noqa: A002
    """Close an exam; closing a closed one changes nothing."""
    operator = asked.operator if asked else None
    if operator is None:
        operator = (await run_in_threadpool(known, here.queries, id)).operator
    await here.service.close_exam(id, operator)
    return await document(here, id)


def known(queries: Queries, exam: str) -> Exam:
    """Return an exam; raises RequestRefused `exam.unknown`."""
    found = queries.exam(exam)
    if found is None:
        raise RequestRefused(exam, code="exam.unknown")
    return found


async def document(
    here: Context, exam: str, status: int = 200, headers: dict[str, str] | None = None
) -> Response:
    """Answer with one exam's document; raises RequestRefused `exam.unknown`."""
    body = await run_in_threadpool(_whole, here.queries, exam)
    return Response(body, status, headers, JSON)


def _whole(queries: Queries, exam: str) -> bytes:
    outline = _outline(queries, known(queries, exam))
    documents = [queries.measurement_document(one.id) for one in queries.exam_measurements(exam)]
    return msgspec.json.encode(outline | {"measurements": [msgspec.Raw(one) for one in documents if one]})


def _outline(queries: Queries, exam: Exam) -> dict[str, Any]:
    resident = queries.resident(exam.resident)
    return {
        "id": exam.id,
        "state": "closed" if exam.closed else "open",
        "opened": exam.opened.utc,
        "closed": exam.closed.utc if exam.closed else None,
        "operator": exam.operator,
        "resident": resident,
    }
