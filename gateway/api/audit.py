"""Who read, took out, bound, corrected and set up what, as the journal holds it; reading it is in it too."""

from datetime import datetime
from typing import Annotated, Any
from zoneinfo import ZoneInfo

import msgspec
from fastapi import APIRouter, Query, Request, Response
from fastapi.concurrency import run_in_threadpool

from gateway.api import callers
from gateway.api.context import Here
from gateway.audit import documents
from store.audit import Wanted
from store.queries import Queries

JSON = "application/json"
router = APIRouter(prefix="/v1/audit", tags=["audit"])
Word = Annotated[str | None, Query(max_length=200)]


@router.get("", response_class=Response, responses={200: {"content": {JSON: {}}}})
async def audit(
    request: Request,
    here: Here,
    *,
    after: Annotated[str | None, Query(max_length=200, description="`next` of an earlier answer")] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    who: Word = None,
    what: Word = None,
    resident: Annotated[str | None, Query(max_length=200, description="a key (r-…) or a number")] = None,
    since: Annotated[datetime | None, Query(description="without a zone: the box's own")] = None,
    until: datetime | None = None,
    newest: Annotated[bool, Query(description="go back in time")] = False,
    names: Annotated[bool, Query(description="say who each resident is")] = False,
) -> Response:
    """Return entries in journal order, from the beginning or a cursor on; newest first, from the end."""
    zone = ZoneInfo(here.config.timezone)
    wanted = Wanted(who, what, since=_aware(since, zone), until=_aware(until, zone))
    which = {"position": after, "limit": limit, "resident": resident, "newest": newest}
    body = await run_in_threadpool(_page, here.queries, wanted, which, names=names)
    how = {"names": "yes"} if names else {}
    here.service.audit.read(callers.program(request), "audit", None, "audit_read", **how)
    return Response(body, media_type=JSON)


def _aware(moment: datetime | None, zone: ZoneInfo) -> datetime | None:
    return moment.replace(tzinfo=zone) if moment is not None and moment.tzinfo is None else moment


def _page(queries: Queries, wanted: Wanted, which: dict[str, Any], *, names: bool) -> bytes:
    entries, cursor, more = queries.audit(wanted, **which)
    shown = documents(queries, entries, names=names)
    return msgspec.json.encode({"entries": shown, "next": cursor, "more": more})
