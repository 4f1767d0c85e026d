"""The page that shows who did what; looking at it is written down too."""

from datetime import date
from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import HTMLResponse

from gateway.api import callers
from gateway.api.context import Here
from gateway.web.audit_view import Filter, audit
from gateway.web.outbox_view import bar
from gateway.web.pages import viewer
from gateway.web.views import Views

router = APIRouter(include_in_schema=False)
Word = Annotated[str, Query(max_length=200)]


@router.get("/audit")
async def audit_page(
    request: Request,
    here: Here,
    *,
    who: Word = "",
    what: Word = "",
    resident: Word = "",
    since: Word = "",
    until: Word = "",
    names: Word = "",
    before: Word = "",
) -> HTMLResponse:
    """Show entries newest first, by the filter of the form; an empty or impossible day filters nothing."""
    wanted = Filter(who.strip(), what, resident, _day(since), _day(until), bool(names), before)
    looks = viewer(request, here)
    shown = await run_in_threadpool(_shown, Views(here, looks), wanted)
    how = {"names": "yes"} if wanted.names else {}
    here.service.audit.read(callers.page(request), "audit", None, "audit_read", **how)
    frame = {"part": "audit", "title": looks.language.say("Who did what"), "topics": "", "address": ""}
    return HTMLResponse(looks.language.render("page.html", notice="", **frame, **shown))


def _shown(views: Views, wanted: Filter) -> dict[str, object]:
    return {"bar": bar(views), **views.card(), **audit(views, wanted)}


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None
