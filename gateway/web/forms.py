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
from gateway.audit import a_person
from gateway.correcting import Correction
from gateway.service import ExamRequest
from gateway.web.change_view import TRAY
from gateway.web.pages import page, remember_operator, viewer
from protocol.errors import GatewayError, RequestRefused
from store.residents import Identifier

router = APIRouter(include_in_schema=False)
Field = Annotated[str, Form(max_length=500)]
VALUE = "value-"
"""Before a measure, in the name of the field its value is typed into."""


def signed(operator: str) -> str:
    """Return the operator's name; raises RequestRefused where nobody signs for what is asked."""
    name = operator.strip()
    if not name or len(name) > 64 or not name.isprintable() or not a_person(name):
        raise RequestRefused("nobody signed", code="operator.missing")
    return name


async def follow(
    request: Request,
    here: Context,
    asked: Awaitable[str],
    *,
    operator: str,
    back: str,
    wanted: str | None = None,
    typed: Mapping[str, str] | None = None,
) -> Response:
    """Do what is *asked* (it returns where to go next); refused, show page *back* with the reason on top."""
    try:
        where = await asked
    except GatewayError as error:
        notice = messages.text(error.code, viewer(request, here).language.tag)
        status = status_of(error)
        return await page(request, here, back, wanted=wanted, status=status, notice=notice, typed=typed)
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


@router.post("/bringing")
async def bring_in(
    request: Request,
    here: Here,
    *,
    address: Field = "",
    driver: Field = "",
    passkey: Field = "",
    without_test: Field = "",
    operator: Field = "",
) -> Response:
    """Pair with a Bluetooth machine and let it tell a result, which is shown and kept nowhere."""

    async def asked() -> str:
        who = signed(operator)
        await here.service.bringing.begin(address, driver, passkey, who, test=not without_test)
        return "/bringing"

    return await follow(request, here, asked(), operator=operator, back="bringing")


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
    shown: Field = "",
) -> Response:
    """Assign a measurement to an open exam, or send it back to the tray; *shown* is the exam it stands in."""

    async def asked() -> str:
        await here.service.bind(measurement, None if exam in {"", TRAY} else exam, signed(operator), reason)
        return exam_address(shown) if shown else "/tray"

    back = "change" if shown else "tray"
    return await follow(request, here, asked(), operator=operator, back=back, wanted=measurement)


@router.post("/correct")
async def correct(
    request: Request,
    here: Here,
    *,
    measurement: Field = "",
    exam: Field = "",
    reason: Field = "",
    unusual: Field = "",
    operator: Field = "",
) -> Response:
    """Correct a measurement's values."""
    fields = (await request.form()).items()
    values = {name.removeprefix(VALUE): str(text) for name, text in fields if name.startswith(VALUE)}

    async def asked() -> str:
        correction = Correction(values, {}, signed(operator), reason, bool(unusual))
        await here.service.correct(measurement, correction)
        return exam_address(exam)

    typed = {**values, "reason": reason}
    return await follow(
        request, here, asked(), operator=operator, back="change", wanted=measurement, typed=typed
    )


@router.post("/resend")
async def resend(
    request: Request, here: Here, forwarder: Field = "", measurement: Field = "", operator: Field = ""
) -> Response:
    """Send a parked delivery again."""

    async def asked() -> str:
        await here.service.resend(forwarder, measurement, signed(operator))
        return "/outbox"

    return await follow(request, here, asked(), operator=operator, back="outbox")
