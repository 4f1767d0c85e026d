"""News for open pages, as server-sent events: one topic a message; the page then fetches what is old."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator

from fastapi import APIRouter
from fastapi.responses import StreamingResponse

from gateway.api.context import Here

KEEP_ALIVE_S = 15.0
router = APIRouter(include_in_schema=False)


@router.get("/events")
async def events(here: Here) -> StreamingResponse:
    """Stream topics until the client leaves or the server stops."""
    news = stream(here.service.changes(), here.closing)
    return StreamingResponse(news, media_type="text/event-stream")


async def stream(
    topics: AsyncIterator[str], closing: asyncio.Event, keep_alive_s: float = KEEP_ALIVE_S
) -> AsyncGenerator[bytes, None]:
    """Yield one event a topic, a comment where it was quiet; ends with *topics* or when *closing* is set."""
    closed = asyncio.create_task(closing.wait())
    topic = asyncio.create_task(_next(topics))
    try:
        await asyncio.sleep(0)
        yield b"retry: 2000\n\n"
        while True:
            await asyncio.wait({topic, closed}, timeout=keep_alive_s, return_when=asyncio.FIRST_COMPLETED)
            if closed.done():
                return
            if not topic.done():
                yield b": still here\n\n"
                continue
            if (said := topic.result()) is None:
                return
            topic = asyncio.create_task(_next(topics))
            yield b"data: " + said.encode() + b"\n\n"
    finally:
        closed.cancel()
        topic.cancel()
        await asyncio.gather(closed, topic, return_exceptions=True)
        if isinstance(topics, AsyncGenerator):
            await topics.aclose()


async def _next(topics: AsyncIterator[str]) -> str | None:
    return await anext(topics, None)
