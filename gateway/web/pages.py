"""The pages and their parts: a page is one part inside the frame; events fetch the part alone anew."""

from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Query, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import HTMLResponse, RedirectResponse
from starlette.exceptions import HTTPException

from gateway.api import callers
from gateway.api.context import Context, Here, PathId
from gateway.web.bringing_view import bringing
from gateway.web.change_view import change
from gateway.web.language import NAMES, language, mark
from gateway.web.outbox_view import bar, outbox
from gateway.web.views import Viewer, Views
from store.exams import Exam

HALF_A_DAY_S = 12 * 3600
router = APIRouter(include_in_schema=False)
Wanted = Annotated[str | None, Query(max_length=200, pattern=r"^[^\x00]+$")]
PARTS: Mapping[str, tuple[str, str, Callable[[Views, str | None], dict[str, object]]]] = {
    "exam": (mark("Exam"), "exam measurement device card", lambda views, exam: views.exam(exam)),
    "person": (mark("Person"), "", lambda views, _: views.person()),
    "tray": (mark("Tray"), "tray measurement exam", lambda views, _: views.tray()),
    "devices": (mark("Machines"), "device", lambda views, _: views.machines()),
    "bringing": (mark("Bring in a machine"), "bringing", lambda views, _: bringing(views)),
    "outbox": (mark("Sending"), "outbox measurement", lambda views, _: outbox(views)),
    "change": (mark("Change a measurement"), "", change),
    "bar": ("", "", lambda views, _: {"bar": bar(views)}),
    "card": ("", "", lambda views, _: views.card()),
}
"""A part's title, the topics that make it old, and what it shows."""


def viewer(request: Request, here: Context) -> Viewer:
    """Return who looks, by the cookies of this browser; the box's own language where none was chosen."""
    tag = request.cookies.get("language", "")
    return Viewer(language(tag if tag in NAMES else here.config.language), callers.signed_in(request))


def _seen(request: Request, here: Context, shown: Mapping[str, object], *, refreshed: bool = False) -> None:
    """Write down that somebody looks at an exam, if a page or part shows one."""
    if isinstance(shows := shown.get("shows"), Exam):
        here.service.audit.shown(callers.page(request), shows.id, shows.resident, refreshed=refreshed)


def remember_operator(response: RedirectResponse, operator: str) -> None:
    """Keep the operator's name in this browser for half a day."""
    response.set_cookie("operator", quote(operator), HALF_A_DAY_S, httponly=True, samesite="strict")


async def page(
    request: Request,
    here: Context,
    part: str,
    *,
    wanted: str | None = None,
    status: int = HTTPStatus.OK,
    notice: str = "",
    typed: Mapping[str, str] | None = None,
) -> HTMLResponse:
    """Return a whole page of the exam or measurement *wanted*, if of one.

    `notice` is said on top, `typed` is what a refused form held.
    """
    who = viewer(request, here)
    views = Views(here, who)
    news = here.service.latest()
    title, topics, _ = PARTS[part]
    address = f"/fragments/{part}" + (f"?exam={quote(wanted, safe='')}" if wanted else "") if topics else ""
    shown = await run_in_threadpool(_shown, views, part, wanted, typed)
    _seen(request, here, shown)
    frame = {"part": part, "title": who.language.say(title), "topics": topics, "address": address}
    return HTMLResponse(who.language.render("page.html", notice=notice, news=news, **frame, **shown), status)


def _shown(views: Views, part: str, wanted: str | None, typed: Mapping[str, str] | None) -> dict[str, object]:
    if part == "person":
        shown = views.person(typed)
    elif part == "change":
        shown = change(views, wanted, typed)
    else:
        shown = PARTS[part][2](views, wanted)
    return {"bar": bar(views), **views.card(), **shown}


@router.get("/")
async def exam_page(request: Request, here: Here, exam: Wanted = None) -> HTMLResponse:
    """Show the exam asked for, else the one opened last, else the form that opens one."""
    return await page(request, here, "exam", wanted=exam)


@router.get("/person")
async def person_page(request: Request, here: Here) -> HTMLResponse:
    """Show the form that opens an exam."""
    return await page(request, here, "person")


@router.get("/change")
async def change_page(request: Request, here: Here, measurement: Wanted = None) -> HTMLResponse:
    """Show the form that corrects a measurement's values, or assigns it to somebody else."""
    return await page(request, here, "change", wanted=measurement)


@router.get("/tray")
async def tray_page(request: Request, here: Here) -> HTMLResponse:
    """Show the measurements nobody was named for."""
    return await page(request, here, "tray")


@router.get("/devices")
async def devices_page(request: Request, here: Here) -> HTMLResponse:
    """Show the machines in words."""
    return await page(request, here, "devices")


@router.get("/bringing")
async def bringing_page(request: Request, here: Here) -> HTMLResponse:
    """Show which Bluetooth machines are about, and let one be brought in."""
    await here.service.bringing.look()
    return await page(request, here, "bringing")


@router.get("/outbox")
async def outbox_page(request: Request, here: Here) -> HTMLResponse:
    """Show what reached the central record and what did not."""
    return await page(request, here, "outbox")


@router.get("/fragments/{part}")
async def fragment(request: Request, here: Here, part: PathId, exam: Wanted = None) -> HTMLResponse:
    """Return one part without its frame."""
    if part not in PARTS:
        raise HTTPException(HTTPStatus.NOT_FOUND)
    who = viewer(request, here)
    views = Views(here, who)
    shown = await run_in_threadpool(PARTS[part][2], views, exam)
    _seen(request, here, shown, refreshed=True)
    return HTMLResponse(who.language.render(f"parts/{part}.html", **shown))


@router.get("/language/{tag}")
async def choose(tag: PathId) -> RedirectResponse:
    """Speak another language to this browser from now on."""
    if tag not in NAMES:
        raise HTTPException(HTTPStatus.NOT_FOUND)
    answer = RedirectResponse("/", HTTPStatus.SEE_OTHER)
    answer.set_cookie("language", tag, 365 * 86400, httponly=True, samesite="lax")
    return answer
