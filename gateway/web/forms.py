"""What a person does on the page: each form is one request to the gateway, answered with a page."""

from collections.abc import Awaitable, Mapping
from http import HTTPStatus
from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Form, Request
from fastapi.responses import RedirectResponse, Response

from gateway import messages
from gateway.api.context import Context, Here, PathId
from gateway.api.problems import status_of
from gateway.service import ExamRequest
from gateway.web.pages import page, remember_operator, viewer
from protocol.errors import GatewayError, RequestRefused
from store.residents import Identifier

router = APIRouter(include_in_schema=False)
Field = Annotated[str, Form(max_length=500)]


def signed(operator: str) -> str:
    """Return the operator's name; raises RequestRefused where nobody signs for what is asked."""
    name = operator.strip()
    if not name or len(name) > 64 or not name.isprintable():
        raise RequestRefused("nobody signed", code="operator.missing")
    return name


async def follow(
    request: Request,
    here: Context,
    asked: Awaitable[str],
    *,
    operator: str,
    back: str,
    typed: Mapping[str, str] | None = None,
) -> Response:
    """Do what is *asked* (it returns where to go next); refused, show page *back* with the reason on top."""
    try:
        where = await asked
    except GatewayError as error:
        notice = messages.text(error.code, viewer(request, here).language.tag)
        return await page(request, here, back, status=status_of(error), notice=notice, typed=typed)
    answer = RedirectResponse(where, HTTPStatus.SEE_OTHER)
    remember_operator(answer, operator.strip())
    return answer


def exam_address(exam: str) -> str:
    """Return the page of one exam; it names no person."""
    return f"/?exam={quote(exam, safe='')}" if exam else "/"


@router.post("/exams")
async def open_exam(
    request: Request,
    here: Here,
    *,
    system: Field = "",
    number: Field = "",
    name: Field = "",
    operator: Field = "",
) -> Response:
    """Open an exam for the person of the form."""

    async def asked() -> str:
        numbers = [Identifier(system, number.strip())] if number.strip() else []
        wanted = ExamRequest(numbers, name.strip()[:64] or None, signed(operator))
        return exam_address(await here.service.open_exam(wanted))

    typed = {"system": system, "number": number, "name": name}
    return await follow(request, here, asked(), operator=operator, back="person", typed=typed)


@router.post("/exams/{exam}/close")
async def close_exam(request: Request, here: Here, exam: PathId, operator: Field = "") -> Response:
    """Finish a person; the page is then free for the next."""

    async def asked() -> str:
        await here.service.close_exam(exam, signed(operator))
        return "/"

    return await follow(request, here, asked(), operator=operator, back="exam")


@router.post("/devices/{device}/order")
async def order(
    request: Request, here: Here, *, device: PathId, order: Field = "", exam: Field = "", operator: Field = ""
) -> Response:
    """Give a machine a person's order."""

    async def asked() -> str:
        await here.service.order(device, order, {}, signed(operator))
        return exam_address(exam)

    return await follow(request, here, asked(), operator=operator, back="exam")


@router.post("/point")
async def point(
    request: Request, here: Here, device: Field = "", exam: Field = "", operator: Field = ""
) -> Response:
    """Let a machine measure this person while several are open."""

    async def asked() -> str:
        await here.service.point(device, exam or None, signed(operator))
        return exam_address(exam)

    return await follow(request, here, asked(), operator=operator, back="exam")


@router.post("/bind")
async def bind(
    request: Request,
    here: Here,
    *,
    measurement: Field = "",
    exam: Field = "",
    reason: Field = "",
    operator: Field = "",
) -> Response:
    """Assign a measurement of the tray to an open exam."""

    async def asked() -> str:
        await here.service.bind(measurement, exam or None, signed(operator), reason)
        return "/tray"

    return await follow(request, here, asked(), operator=operator, back="tray")


@router.post("/resend")
async def resend(
    request: Request, here: Here, forwarder: Field = "", measurement: Field = "", operator: Field = ""
) -> Response:
    """Send a parked delivery again."""

    async def asked() -> str:
        await here.service.resend(forwarder, measurement, signed(operator))
        return "/outbox"

    return await follow(request, here, asked(), operator=operator, back="outbox")
