"""News for open pages, as server-sent events: one topic a message; the page then fetches what is old."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Header
from fastapi.responses import StreamingResponse

from gateway.api.context import Here
from gateway.broadcast import News

KEEP_ALIVE_S = 15.0
router = APIRouter(include_in_schema=False)


@router.get("/events")
async def events(
    here: Here, after: int | None = None, last_event_id: Annotated[int | None, Header()] = None
) -> StreamingResponse:
    """Stream topics until the client leaves or the server stops; first what its page missed."""
    news = stream(here.service.changes(after if last_event_id is None else last_event_id), here.closing)
    return StreamingResponse(news, media_type="text/event-stream")


async def stream(
    news: AsyncIterator[News], closing: asyncio.Event, keep_alive_s: float = KEEP_ALIVE_S
) -> AsyncGenerator[bytes, None]:
    """Yield one event a topic, a comment where it was quiet; ends with *news* or when *closing* is set."""
    closed = asyncio.create_task(closing.wait())
    following = asyncio.create_task(_next(news))
    try:
        await asyncio.sleep(0)
        yield b"retry: 2000\n\n"
        while True:
            await asyncio.wait({following, closed}, timeout=keep_alive_s, return_when=asyncio.FIRST_COMPLETED)
            if closed.done():
                return
            if not following.done():
                yield b": still here\n\n"
                continue
            if (said := following.result()) is None:
                return
            following = asyncio.create_task(_next(news))
            yield b"id: %d\ndata: %s\n\n" % (said.number, said.topic.encode())
    finally:
        closed.cancel()
        following.cancel()
        await asyncio.gather(closed, following, return_exceptions=True)
        if isinstance(news, AsyncGenerator):
            await news.aclose()


async def _next(news: AsyncIterator[News]) -> News | None:
    return await anext(news, None)
