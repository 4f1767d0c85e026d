"""Is the process alive, and can it take readings? For a monitor, or a technician with a browser."""

from collections.abc import Sequence

from fastapi import APIRouter, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse

from gateway import messages
from gateway.api.context import Context, Here
from gateway.api.problems import language_of
from protocol.errors import StoreError

router = APIRouter(tags=["health"])


@router.get("/livez")
async def livez() -> dict[str, bool]:
    """Say that the loop turns; nothing else is looked at."""
    return {"alive": True}


@router.get("/readyz", responses={503: {"description": "readings cannot be taken, with reasons"}})
async def readyz(request: Request, here: Here) -> JSONResponse:
    """Say whether readings can be taken now: the journal open, read and written; else why not.

    `notes` is there only if something else is wrong: names that cannot be shown stop no reading.
    """
    codes = await faults(here)
    language = language_of(request)
    reasons, notes = (
        [{"code": code, "detail": messages.text(code, language)} for code in found]
        for found in (codes, await _notes(here))
    )
    body = {"ready": not codes, "reasons": reasons} | ({"notes": notes} if notes else {})
    return JSONResponse(body, 503 if codes else 200)


async def _notes(here: Context) -> Sequence[str]:
    try:
        return await run_in_threadpool(here.notes)
    except StoreError:
        return ()


async def faults(here: Context) -> Sequence[str]:
    """Return the codes of what keeps the gateway from taking readings, after a real read of the store."""
    codes = list(here.faults())
    try:
        await run_in_threadpool(here.queries.counts)
    except StoreError as error:
        codes.append(error.code)
    return codes
