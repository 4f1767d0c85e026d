"""A TCP proxy on loopback that loses what it is told to lose; it also keeps what the client sent."""

import asyncio
import socket
import struct
from collections.abc import Callable
from typing import Literal

Fault = Literal["pass", "lose_request", "lose_answer"]
"""`lose_request`: the server never got it. `lose_answer`: the server did it, and nobody is told."""

Choose = Callable[[bytes], Fault]
"""The first bytes of a request to what becomes of it."""


class TcpFault:
    """Between a client and 127.0.0.1:`target`; use as an async context manager, connect to `port`."""

    def __init__(self, target: int, choose: Choose = lambda head: "pass") -> None:
        self.choose = choose
        self.sent = bytearray()
        self.port = 0
        self.target = target
        self._open: set[asyncio.StreamWriter] = set()

    async def __aenter__(self) -> "TcpFault":
        self._server = await asyncio.start_server(self._client, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for writer in list(self._open):
            _reset(writer)
        await self._server.wait_closed()

    async def _client(self, up: asyncio.StreamReader, down: asyncio.StreamWriter) -> None:
        try:
            answer, request = await asyncio.open_connection("127.0.0.1", self.target)
        except OSError:
            _reset(down)
            return
        self._open |= {down, request}
        state: list[Fault] = ["pass"]
        pumps = [
            asyncio.create_task(self._up(up, request, state)),
            asyncio.create_task(self._down(answer, down, state)),
        ]
        await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        for pump in pumps:
            pump.cancel()
        await asyncio.gather(*pumps, return_exceptions=True)
        for writer in (down, request):
            self._open.discard(writer)
            _reset(writer)

    async def _up(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, state: list[Fault]
    ) -> None:
        while chunk := await _read(reader):
            if chunk.startswith((b"GET ", b"POST ", b"PUT ", b"DELETE ")):
                state[0] = self.choose(chunk)
            if state[0] == "lose_request":
                return
            self.sent += chunk
            writer.write(chunk)
            await writer.drain()

    async def _down(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, state: list[Fault]
    ) -> None:
        while chunk := await _read(reader):
            if state[0] == "lose_answer":
                return
            writer.write(chunk)
            await writer.drain()


async def _read(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.read(65536)
    except OSError:
        return b""


def _reset(writer: asyncio.StreamWriter) -> None:
    """Close with a reset, as a pulled cable or a dead router looks to the other side."""
    sock = writer.get_extra_info("socket")
    if sock is not None and sock.fileno() >= 0:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
