"""What an HTTP answer means for a delivery: accepted, refused for what it says, or no usable answer at all.

The difference matters: what is refused is shown to a person after a few tries, what is unreachable waits
for ever. A wrong clock, a dead token, a throttled or broken server never cost a measurement.
"""

import re
from collections.abc import Mapping
from datetime import datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus

from gateway.fhir.bundle import reason
from protocol.errors import Refused, Unreachable

LATER = frozenset({408, 425, 429})
IDENTITY = frozenset({401, 403, 407})
NO_SUCH_PLACE = frozenset({404, 405, 410})


class Broken(Refused):
    """500: the server fell over. On one item alone it is that item's fault, on all it is the server's."""


def judge(status: int, headers: Mapping[str, str], body: bytes) -> None:
    """Return where *status* is 2xx. Raises Refused, Broken for a 500, Unreachable with the wait asked for."""
    if status // 100 == 2:
        return
    words = reason(body)
    said = f"{status} {_phrase(status)}: {words}" if words else f"{status} {_phrase(status)}"
    if status in IDENTITY:
        raise unreachable("delivery.unauthorised", said)
    if status in LATER or status > HTTPStatus.INTERNAL_SERVER_ERROR:
        code = "delivery.throttled" if status == HTTPStatus.TOO_MANY_REQUESTS else "delivery.unreachable"
        raise unreachable(code, said, wait(headers))
    if status == HTTPStatus.INTERNAL_SERVER_ERROR:
        raise Broken(said)
    if status // 100 != 4 or (status in NO_SUCH_PLACE and words is None):
        raise unreachable("delivery.not_fhir", said)
    raise Refused(said)


def unreachable(code: str, detail: str, retry_after: float | None = None) -> Unreachable:
    """Return an Unreachable whose *code* says what kind of no answer it was."""
    error = Unreachable(detail, retry_after=retry_after)
    error.code = code
    return error


def wait(headers: Mapping[str, str]) -> float | None:
    """Return how many seconds the server asks us to wait, None where it does not say.

    `Retry-After` in seconds or as a date (against the server's own `Date`, never our clock), or the
    `t=` of a `RateLimit` header.
    """
    asked = headers.get("retry-after", "").strip()
    if asked.isdigit():
        return float(asked)
    until, now = _date(asked), _date(headers.get("date", ""))
    if until and now:
        return max(0.0, (until - now).total_seconds())
    left = re.search(r"(?:^|;)\s*t=(\d+)", headers.get("ratelimit", ""))
    return float(left[1]) if left else None


def _date(text: str) -> datetime | None:
    try:
        return parsedate_to_datetime(text)
    except ValueError:
        return None


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "unknown status"
