"""A server in front of the real one with habits of its own: limits, throttling, refusals, laxness, slowness.

Everything a rule does not answer goes to the real server and back; all that was asked is kept.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx2


@dataclass(frozen=True)
class Asked:
    """One request as it came in."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes

    @property
    def entries(self) -> list[dict[str, Any]]:
        """The entries of a transaction, none for anything else."""
        return json.loads(self.body).get("entry", []) if self.method == "POST" else []

    @property
    def query(self) -> list[tuple[str, str]]:
        """The query's parameters, decoded."""
        return parse_qsl(urlsplit(self.target).query)

    def writes(self, word: str) -> bool:
        """Whether this is a transaction in which *word* occurs."""
        return self.method == "POST" and word.encode() in self.body


@dataclass(frozen=True)
class Reply:
    """An answer; status 0 closes the line without one."""

    status: int
    words: str = ""
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def body(self) -> bytes:
        """An OperationOutcome where there are words."""
        issue = {"severity": "error", "code": "processing", "diagnostics": self.words}
        outcome = {"resourceType": "OperationOutcome", "issue": [issue]}
        return json.dumps(outcome).encode() if self.words else b""


Pass = Callable[[Asked], Awaitable[tuple[int, bytes]]]
Rule = Callable[[Asked, Pass], Awaitable[Reply | tuple[int, bytes] | None]]


async def only_pass(asked: Asked, forward: Pass) -> None:
    """A rule that changes nothing."""


class StandIn:
    """Use as an async context manager; `url` is what a client is given."""

    def __init__(self, real: str, rule: Rule) -> None:
        self.asked: list[Asked] = []
        self._real, self.rule = real, rule
        self._lines: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> "StandIn":
        self._client = httpx2.AsyncClient(timeout=30, trust_env=False, verify=False)
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/fhir"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for line in self._lines:
            line.cancel()
        await asyncio.gather(*self._lines, return_exceptions=True)
        await self._server.wait_closed()
        await self._client.aclose()

    @property
    def transactions(self) -> list[Asked]:
        """The transactions asked for, in order."""
        return [one for one in self.asked if one.method == "POST"]

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._lines.add(asyncio.create_task(self._serve(reader, writer)))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with suppress(asyncio.IncompleteReadError, OSError):
                while await self._answered(reader, writer):
                    pass
        finally:
            writer.transport.abort()

    async def _answered(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        asked = await _request(reader)
        self.asked.append(asked)
        answer = await self.rule(asked, self._forward) or await self._forward(asked)
        if isinstance(answer, Reply) and answer.status == 0:
            return False
        writer.write(_response(answer))
        await writer.drain()
        return True

    async def _forward(self, asked: Asked) -> tuple[int, bytes]:
        url = self._real.removesuffix("/fhir") + asked.target
        kept = {name: asked.headers[name] for name in ("content-type", "prefer") if name in asked.headers}
        answer = await self._client.request(asked.method, url, content=asked.body, headers=kept)
        return answer.status_code, answer.content


async def _request(reader: asyncio.StreamReader) -> Asked:
    head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
    method, target, _ = head[0].split(" ")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:] if line)}
    return Asked(method, target, headers, await reader.readexactly(int(headers.get("content-length", "0"))))


def _response(answer: Reply | tuple[int, bytes]) -> bytes:
    status, body, extra = (
        (answer.status, answer.body, answer.headers) if isinstance(answer, Reply) else (*answer, {})
    )
    lines = [f"HTTP/1.1 {status} x", f"Content-Length: {len(body)}", "Content-Type: application/fhir+json"]
    lines += [f"{name}: {value}" for name, value in extra.items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + body
