"""Every error as `application/problem+json` (RFC 9457) with our code and a text for who reads it."""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from fastapi import APIRouter, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException

from gateway import messages
from gateway.api.context import Context, PathId
from protocol.errors import GatewayError, LinkError, RequestRefused, StoreError

LANGUAGES = ("zh-CN", "en")
router = APIRouter(tags=["errors"])


class ProblemResponse(JSONResponse):
    """A problem document."""

    media_type = "application/problem+json"


def preferred(accept: str, default: str) -> str:
    """Return the supported language an Accept-Language header likes best, else *default*."""
    liked: list[tuple[float, str]] = []
    for part in accept.split(","):
        tag, _, weight = part.strip().partition(";q=")
        language = {"zh": "zh-CN", "en": "en"}.get(tag.strip().lower().partition("-")[0])
        if language:
            liked.append((_weight(weight), language))
    return max(liked, key=lambda one: one[0])[1] if liked else default


def _weight(text: str) -> float:
    try:
        return float(text) if text else 1.0
    except ValueError:
        return 0.0


def language_of(request: Request) -> str:
    """Return the language this client reads: Accept-Language, else the configured one."""
    context: Context = request.app.state.context
    return preferred(request.headers.get("accept-language", ""), context.config.language)


def problem(
    request: Request, status: int, code: str, headers: Mapping[str, str] | None = None, **more: Any
) -> Response:
    """Return the problem document: type, title, status, detail, code, and what *more* holds."""
    phrase = HTTPStatus(status)
    body = {
        "type": f"/problems/{code}",
        "title": phrase.phrase,
        "status": int(status),
        "detail": messages.text(code, language_of(request)),
        "code": code,
    }
    return ProblemResponse(body | more, status, dict(headers or {}))


BY_CODE = {
    "request.cursor": HTTPStatus.BAD_REQUEST,
    "order.not_now": HTTPStatus.CONFLICT,
    "exam.closed": HTTPStatus.CONFLICT,
    "correct.not_final": HTTPStatus.CONFLICT,
    "exam.no_room": HTTPStatus.INSUFFICIENT_STORAGE,
}


def status_of(error: GatewayError) -> HTTPStatus:
    """Return the HTTP status of one of our errors."""
    if error.code in BY_CODE:
        return BY_CODE[error.code]
    if error.code.startswith("vault."):
        return HTTPStatus.SERVICE_UNAVAILABLE
    if error.code.endswith(".unknown"):
        return HTTPStatus.NOT_FOUND
    if isinstance(error, RequestRefused):
        return HTTPStatus.UNPROCESSABLE_ENTITY
    if isinstance(error, StoreError | LinkError):
        return HTTPStatus.SERVICE_UNAVAILABLE
    return HTTPStatus.INTERNAL_SERVER_ERROR


async def on_gateway_error(request: Request, error: Exception) -> Response:
    """Answer one of our own errors; its detail stays in the log."""
    assert isinstance(error, GatewayError)
    return problem(request, status_of(error), error.code)


async def on_http_error(request: Request, error: Exception) -> Response:
    """Answer 404, 405 and the other errors the framework raises."""
    assert isinstance(error, HTTPException)
    codes = {404: "http.not_found", 405: "http.method", 413: "http.too_large"}
    code = codes.get(error.status_code, "http.invalid" if error.status_code < 500 else "http.internal")
    return problem(request, error.status_code, code, error.headers)


async def on_invalid(request: Request, error: Exception) -> Response:
    """Answer a request whose form is wrong: where and what, never the value itself."""
    assert isinstance(error, RequestValidationError)
    errors: Sequence[Mapping[str, Any]] = error.errors()
    where = [{"at": "/".join(str(step) for step in one["loc"]), "reason": one["type"]} for one in errors]
    return problem(request, HTTPStatus.UNPROCESSABLE_ENTITY, "http.invalid", errors=where)


@router.get("/problems/{code}", summary="What an error code means, in every language")
async def explain(request: Request, code: PathId) -> Response:
    """Return the texts of one code; it is where a problem's `type` leads."""
    if code not in messages.known_codes():
        return problem(request, HTTPStatus.NOT_FOUND, "http.not_found")
    return JSONResponse({"code": code, "texts": {one: messages.text(code, one) for one in LANGUAGES}})
