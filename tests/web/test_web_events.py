"""Server-sent events: a topic a change, comments where it is quiet, an end when the server stops."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

from gateway.broadcast import Broadcast, News
from gateway.web.events import stream
from tests.web.live import Live, pressure


async def test_topics_then_the_end_when_they_end():
    news = Broadcast()
    heard = stream(news.news(), asyncio.Event())
    assert (await anext(heard)).startswith(b"retry:")
    news.publish("tray")
    assert await anext(heard) == b"id: 1\ndata: tray\n\n"
    news.close()
    assert [one async for one in heard] == []


async def test_news_between_the_page_and_its_stream_are_not_missed():
    broadcast = Broadcast()
    broadcast.publish("tray")
    seen = broadcast.number
    broadcast.publish("card")
    heard = stream(broadcast.news(seen), asyncio.Event())
    await anext(heard)
    assert await anext(heard) == b"id: 2\ndata: card\n\n"
    broadcast.publish("exam")
    assert await anext(heard) == b"id: 3\ndata: exam\n\n"
    await heard.aclose()


async def test_quiet_is_filled_with_comments_and_closing_ends_it():
    closing = asyncio.Event()
    heard = stream(Broadcast().news(), closing, keep_alive_s=0.01)
    await anext(heard)
    assert (await anext(heard)).startswith(b":")
    closing.set()
    assert [one async for one in heard] == []


async def test_nothing_is_left_running_when_the_client_goes():
    gone = asyncio.Event()

    async def news() -> AsyncIterator[News]:
        try:
            await asyncio.Event().wait()
            yield News(1, "never")
        finally:
            gone.set()

    before = len(asyncio.all_tasks())
    heard = stream(news(), asyncio.Event())
    await anext(heard)
    await heard.aclose()
    assert gone.is_set()
    assert len(asyncio.all_tasks()) == before


def test_a_measurement_is_news_over_the_wire(live):
    with live.client() as client, client.stream("GET", "/events") as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        lines = answer.iter_lines()
        assert next(lines).startswith("retry:")
        live.report("bp-1", pressure())
        assert next(line for line in lines if line.startswith("data:")) in {
            "data: measurement",
            "data: tray",
            "data: device",
        }


def test_an_open_stream_does_not_hold_the_server_up(tmp_path: Path):
    with Live(tmp_path) as live, live.client() as client, client.stream("GET", "/events") as answer:
        lines = answer.iter_lines()
        next(lines)
        live.stop()
        assert [line for line in lines if line.startswith("data:")] == []
