"""A central record that forgets nothing: as much of FHIR as the gateway uses, and a history to rewind.

It keeps every resource it was ever given, so that a second copy of anything shows.
"""

import asyncio
import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, urlsplit

from gateway.fhir import bundle

Resource = dict[str, Any]
HEAD_END = b"\r\n\r\n"
OBSERVATION = "Observation"


class Holding(NamedTuple):
    """One Observation the centre was given: which measurement, which part of it, which version."""

    measurement: str
    part: str
    version: int


class Centre:
    """Use as an async context manager; `url` is a gateway's. *taken* hears of each transaction."""

    def __init__(self, taken: Callable[[Sequence[Holding]], None] = lambda holdings: None) -> None:
        self.history: list[bytes] = []
        """The transactions it took, in order."""
        self.url = ""
        self._taken = taken
        self._resources: list[Resource] = []
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> "Centre":
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, limit=1 << 20)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/fhir"
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()

    def rewind(self, history: Sequence[bytes]) -> None:
        """Hold what these transactions brought, and nothing else."""
        self._resources = []
        self.history = []
        for transaction in history:
            self._written(transaction)

    def twice(self) -> list[str]:
        """Return the identifiers under which it holds more than one Observation."""
        names = Counter(
            one["identifier"][0]["value"] for one in self._resources if one["resourceType"] == OBSERVATION
        )
        return sorted(name for name, copies in names.items() if copies > 1)

    def holdings(self) -> set[Holding]:
        """Return what it holds, in the version it holds now."""
        return {_holding(one) for one in self._resources if one["resourceType"] == OBSERVATION}

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError, OSError):
            while True:
                head = await reader.readuntil(HEAD_END)
                body = await reader.readexactly(_length(head))
                answer = self._take(body) if head.startswith(b"POST") else self._found(head)
                words = (
                    f"HTTP/1.1 200 OK\r\nContent-Type: application/fhir+json\r\nContent-Length: {len(answer)}"
                )
                writer.write(words.encode() + HEAD_END + answer)
                await writer.drain()
        writer.close()

    def _found(self, head: bytes) -> bytes:
        target = urlsplit(head.split(b" ")[1].decode("ascii"))
        kind = target.path.rpartition("/")[2]
        asked = dict(parse_qsl(target.query))
        entries = [{"resource": one} for one in self._matching(kind, asked)]
        return json.dumps({"resourceType": "Bundle", "type": "searchset", "entry": entries}).encode()

    def _matching(self, kind: str, asked: Mapping[str, str]) -> list[Resource]:
        wanted = {_plain(token) for token in asked.get("identifier", "").split(",") if token}
        tag = _plain(asked.get("_tag", ""))
        return [
            one
            for one in self._resources
            if one["resourceType"] == kind
            and (not wanted or wanted & {name["value"] for name in one.get("identifier", [])})
            and (not tag or tag in {name["code"] for name in one.get("meta", {}).get("tag", [])})
        ]

    def _take(self, body: bytes) -> bytes:
        answers, holdings = self._written(body)
        self._taken(holdings)
        response = {"resourceType": "Bundle", "type": "transaction-response", "entry": answers}
        return json.dumps(response).encode()

    def _written(self, body: bytes) -> tuple[list[Resource], list[Holding]]:
        self.history.append(body)
        entries = json.loads(body)["entry"]
        answers = [{"response": self._entry(entry["resource"], entry["request"])} for entry in entries]
        kinds = [entry["resource"] for entry in entries if entry["resource"]["resourceType"] == OBSERVATION]
        return answers, [_holding(one) for one in kinds]

    def _entry(self, resource: Resource, request: Mapping[str, str]) -> Resource:
        kind = resource["resourceType"]
        if request["method"] == "PUT":
            place = request["url"].rpartition("/")[2]
            number = next(at for at, one in enumerate(self._resources) if one["id"] == place)
            self._resources[number] = {**resource, "id": place}
            return {"status": "200 OK", "location": f"{kind}/{place}/_history/2"}
        asked = dict(parse_qsl(request.get("ifNoneExist", "")))
        for one in self._matching(kind, asked) if asked else []:
            return {"status": "200 OK", "location": f"{kind}/{one['id']}/_history/1"}
        place = str(len(self._resources) + 1)
        self._resources.append({**resource, "id": place})
        return {"status": "201 Created", "location": f"{kind}/{place}/_history/1"}


def _holding(resource: Resource) -> Holding:
    measurement, _, part = resource["identifier"][0]["value"].rpartition(".")
    return Holding(measurement, part, bundle.version(resource))


def _plain(token: str) -> str:
    """Return the value of a search token `system|value`, its escapes undone."""
    return token.partition("|")[2].replace("\\", "") if "|" in token else token


def _length(head: bytes) -> int:
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return int(line.partition(b":")[2])
    return 0
