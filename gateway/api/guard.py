"""The door: which hosts and sites may ask, what every answer carries, and the access log.

A page on another site must not reach this box through the visitor's browser: Host is checked against DNS
rebinding, Origin and Sec-Fetch-Site against cross-site posts. The log line holds no query value.
"""

import ipaddress
import logging
import socket
import time
import traceback
from collections.abc import Awaitable, Callable
from http import HTTPStatus

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.api.problems import problem
from gateway.config import HttpConfig

LOOPBACK = frozenset({"localhost", "127.0.0.1", "[::1]"})
WILDCARD = frozenset({"0.0.0.0", "::"})  # noqa: S104 - compared with, never bound
READING = frozenset({"GET", "HEAD", "OPTIONS"})
BODY_LIMIT = 64 * 1024
HEADERS = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}
access = logging.getLogger("gateway.access")
log = logging.getLogger(__name__)


def host_allowed(header: str | None, http: HttpConfig) -> bool:
    """Return whether a Host header names this box.

    Loopback names and the configured host; where the configured host is "every interface", any address
    literal and this machine's own name (a rebinding attack needs a name of the attacker's).
    """
    name = _without_port(header or "").lower()
    if name in LOOPBACK or name.strip("[]") == http.host.lower():
        return True
    return http.host in WILDCARD and (_is_address(name) or name == socket.gethostname().lower())


def _without_port(header: str) -> str:
    name, colon, port = header.rpartition(":")
    return name if colon and port.isdecimal() else header


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name.strip("[]"))
    except ValueError:
        return False
    return True


def from_elsewhere(headers: Headers) -> bool:
    """Return whether a browser says that another site's page sends this; programs send neither header."""
    site, origin = headers.get("sec-fetch-site"), headers.get("origin")
    if site is not None and site not in {"same-origin", "none"}:
        return True
    return origin is not None and origin.partition("://")[2] != headers.get("host")


def refusal(method: str, headers: Headers, http: HttpConfig) -> tuple[int, str] | None:
    """Return status and code of what is wrong with a request before any endpoint sees it, or None."""
    if not host_allowed(headers.get("host"), http):
        return HTTPStatus.MISDIRECTED_REQUEST, "http.host"
    if method not in READING and from_elsewhere(headers):
        return HTTPStatus.FORBIDDEN, "http.cross_site"
    length = headers.get("content-length", "0")
    if not length.isdecimal() or int(length[:12]) > BODY_LIMIT:
        return HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "http.too_large"
    return None


class Guard:
    """ASGI middleware around everything: refuse, add headers, log one line, keep an error's inside in."""

    def __init__(self, app: ASGIApp, http: HttpConfig) -> None:
        self.app = app
        self.http = http

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        answer = _Answer(send)
        began = time.monotonic()
        try:
            await self._answer(scope, receive, answer)
        finally:
            took = round((time.monotonic() - began) * 1000)
            access.info("%s %s %s %d ms", scope["method"], scope["path"], answer.status, took)

    async def _answer(self, scope: Scope, receive: Receive, answer: "_Answer") -> None:
        wrong = refusal(scope["method"], Headers(scope=scope), self.http)
        if wrong is not None:
            await problem(Request(scope), *wrong)(scope, receive, answer)
            return
        try:
            await self.app(scope, _bounded(receive), answer)
        except Exception as error:  # the last stop; its message may hold an identity, so it is not logged
            log.error("%s\n%s", type(error).__name__, "".join(traceback.format_tb(error.__traceback__)))
            if answer.status is None:
                reply = problem(Request(scope), HTTPStatus.INTERNAL_SERVER_ERROR, "http.internal")
                await reply(scope, receive, answer)


def _bounded(receive: Receive) -> Receive:
    """Return *receive* that gives up on a body that was not announced and grows too large."""
    heard = 0

    async def bounded() -> Message:
        nonlocal heard
        message = await receive()
        heard += len(message.get("body", b""))
        if heard > BODY_LIMIT:
            raise HTTPException(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        return message

    return bounded


class _Answer:
    """`send` that adds the security headers and remembers the status."""

    def __init__(self, send: Callable[[Message], Awaitable[None]]) -> None:
        self.send = send
        self.status: int | None = None

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = MutableHeaders(scope=message)
            for name, value in HEADERS.items():
                headers.setdefault(name, value)
            headers.setdefault("cache-control", "no-store")
        await self.send(message)
