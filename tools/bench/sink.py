"""A FHIR server that keeps nothing: finds nothing, takes every transaction at once.

`python -m tools.bench.sink`, a program of its own, so that its work is not counted as the gateway's.
"""

import asyncio
import json
from itertools import count
from typing import Any
from urllib.parse import unquote

NOTHING = b'{"resourceType":"Bundle","type":"searchset","total":0}'


class Sink:
    """Devices are found once they were sent, as a gateway checks that; Observations never."""

    def __init__(self) -> None:
        self._ids = count(1)
        self._devices: list[dict[str, Any]] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one connection's requests until it ends."""
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                body = await reader.readexactly(_length(head))
                answer = self._take(body) if head.startswith(b"POST") else self._find(head)
                size = str(len(answer)).encode()
                kind = b"HTTP/1.1 200 OK\r\nContent-Type: application/fhir+json\r\nContent-Length: "
                writer.write(kind + size + b"\r\n\r\n" + answer)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    def _find(self, head: bytes) -> bytes:
        if not head.startswith(b"GET /fhir/Device?"):
            return NOTHING
        query = head.split(b" ")[1].decode("ascii").partition("identifier=")[2].partition("&")[0]
        asked = {_value(token) for token in query.split(",")}
        entries = [{"resource": one} for one in self._devices if one["identifier"][0]["value"] in asked]
        return json.dumps({"resourceType": "Bundle", "type": "searchset", "entry": entries}).encode()

    def _take(self, body: bytes) -> bytes:
        answers = []
        for entry in json.loads(body)["entry"]:
            resource, key = entry["resource"], str(next(self._ids))
            if resource["resourceType"] == "Device":
                self._devices.append({**resource, "id": key})
            place = f"{resource['resourceType']}/{key}/_history/1"
            answers.append({"response": {"status": "201 Created", "location": place}})
        return json.dumps(
            {"resourceType": "Bundle", "type": "transaction-response", "entry": answers}
        ).encode()


def _value(token: str) -> str:
    """Return the value of an identifier token `system|value`, percent-encoded and escaped as FHIR asks."""
    return unquote(token).partition("|")[2].replace("\\", "")


def _length(head: bytes) -> int:
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return int(line.partition(b":")[2])
    return 0


async def main() -> None:
    """Serve on a free port of the loopback, said on stdout, until ended."""
    server = await asyncio.start_server(Sink().serve, "127.0.0.1", 0, limit=1 << 20)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/fhir", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
