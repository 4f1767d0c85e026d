"""Asks the running service over its own HTTP interface, at the address the configuration names."""

from collections.abc import Mapping
from ipaddress import ip_address
from typing import Any

import httpx2

from gateway.config import HttpConfig
from protocol.errors import DeliveryError, RequestRefused

TIMEOUT_S = 5.0


def address(http: HttpConfig) -> str:
    """Return the base address at which this box reaches the service itself."""
    try:
        host = ip_address(http.host)
    except ValueError:
        return f"http://{http.host}:{http.port}"
    if host.is_unspecified:
        return f"http://127.0.0.1:{http.port}"
    return f"http://[{host}]:{http.port}" if host.version == 6 else f"http://{host}:{http.port}"


def ask(base: str, path: str) -> Any:
    """Return the JSON at *path*. Raises DeliveryError `service.unreachable` without a usable answer."""
    return _answer(base, path, None)


def tell(base: str, path: str, body: Mapping[str, str]) -> Any:
    """Send *body* to *path* and return the answer. Raises as `ask`; RequestRefused with its code."""
    return _answer(base, path, body)


def _answer(base: str, path: str, body: Mapping[str, str] | None) -> Any:
    method = "GET" if body is None else "POST"
    try:
        answer = httpx2.request(method, f"{base}{path}", json=body, timeout=TIMEOUT_S, trust_env=False)
        if answer.is_client_error and (code := answer.json().get("code")):
            raise RequestRefused(str(answer.json().get("detail", path)), code=code)
        answer.raise_for_status()
        return answer.json()
    except (httpx2.HTTPError, httpx2.InvalidURL, ValueError, AttributeError) as error:
        raise DeliveryError(f"{base}{path}: {error}", code="service.unreachable") from None
