"""Who asks over HTTP, as far as anybody can know: nobody signs in here, so nothing is called proven.

A program is its address and the name it gives itself; a page is the operator who signed in that browser, else
its address.
"""

import re
from urllib.parse import unquote

from fastapi import Request

from gateway.audit import Caller

_PRODUCT = re.compile(r"[A-Za-z][A-Za-z._-]{0,31}")
"""What may be kept of a program's own name: no digits, so that no number of a person can lie in it."""


def signed_in(request: Request) -> str:
    """Return the operator's name as it was last typed in this browser; empty where it was not."""
    return unquote(request.cookies.get("operator", ""))[:64]


def program(request: Request) -> Caller:
    """Return the program that asks an interface."""
    named = _PRODUCT.match(request.headers.get("user-agent", ""))
    return Caller(f"api:{_address(request)}", named[0] if named else "")


def page(request: Request) -> Caller:
    """Return whoever looks at a page."""
    seen = f"page:{_address(request)}"
    operator = signed_in(request)
    return Caller(operator, seen) if operator.strip() and operator.isprintable() else Caller(seen)


def _address(request: Request) -> str:
    return request.client.host if request.client else "local"
