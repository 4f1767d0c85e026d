"""What only this box's administrator may ask of the running service: over a socket in the state folder.

The socket (0600, in a folder of 0700) lets in the service's own user and root, and nobody over the network.
One line of JSON asks, one answers.
"""

import asyncio
import logging
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from struct import calcsize, unpack
from typing import Literal

import msgspec

from gateway.audit import Audit, Caller
from gateway.names import Names
from protocol.errors import GatewayError, RequestRefused
from store.facts import Audited

log = logging.getLogger(__name__)

NAME = "control.sock"


What = Literal["exported", "backed_up", "bundled", "audit_read"]
"""What a command takes out or does to the whole journal."""


class Erase(msgspec.Struct, frozen=True, tag_field="do", tag="erase", forbid_unknown_fields=True):
    """Make one resident unknown for ever."""

    resident: str
    operator: str
    reason: str


class Renew(msgspec.Struct, frozen=True, tag_field="do", tag="renew", forbid_unknown_fields=True):
    """Seal everything with the key file's first key, which must be *wanted*."""

    wanted: str
    operator: str
    reason: str
    over_lost: bool = False


class Ping(msgspec.Struct, frozen=True, tag_field="do", tag="ping", forbid_unknown_fields=True):
    """Say which key file the service reads, and what is wrong with it."""


class Note(msgspec.Struct, frozen=True, tag_field="do", tag="note", forbid_unknown_fields=True):
    """Write down what a command is about to do; who runs it the kernel says."""

    what: What
    subject: str
    detail: dict[str, str] = {}


Asked = Erase | Renew | Ping | Note


class Answer(msgspec.Struct, frozen=True, omit_defaults=True):
    """What came of it: `code` and `detail` where it was refused, else what was asked for."""

    code: str = ""
    detail: str = ""
    resident: str = ""
    fact: int = 0
    key: str = ""
    left: int = 0
    key_file: str = ""
    credential: bool = False
    fault: str | None = None


_decode = msgspec.json.Decoder(Asked).decode


async def serve(names: Names, audit: Audit, state: Path) -> None:
    """Answer until cancelled; where the socket cannot be had, say so and answer nothing."""
    path = state / NAME
    try:
        with _bound(path) as listening:
            server = await asyncio.start_unix_server(lambda r, w: _answer(names, audit, r, w), sock=listening)
            async with server:
                await server.serve_forever()
    except OSError as error:
        log.warning("no control socket", extra={"cause": error.strerror})
        await asyncio.Event().wait()
    finally:
        path.unlink(missing_ok=True)


@contextmanager
def _bound(path: Path) -> Iterator[socket.socket]:
    path.unlink(missing_ok=True)  # left by a process that was killed; the journal's lock proves it is gone
    listening = socket.socket(socket.AF_UNIX)
    with listening, address(path) as short:
        listening.bind(short)
        path.chmod(0o600)
        yield listening


@contextmanager
def address(path: Path) -> Iterator[str]:
    """Lend a name of the socket that is short enough, however deep its folder lies."""
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)


async def _answer(
    names: Names, audit: Audit, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    """Answer one question; a question begun is finished whoever goes away."""
    with suppress(OSError, ValueError):  # a line too long, or nobody there any more
        line = await reader.readline()
        answer = await asyncio.shield(asyncio.ensure_future(_done(names, audit, _caller(writer), line)))
        writer.write(msgspec.json.encode(answer) + b"\n")
        await writer.drain()
    writer.close()


def _caller(writer: asyncio.StreamWriter) -> Caller:
    """Return which user of this box asks, as the kernel knows it."""
    asking: socket.socket = writer.get_extra_info("socket")
    _, user, _ = unpack("3i", asking.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, calcsize("3i")))
    return Caller.of_user(user)


async def _done(names: Names, audit: Audit, caller: Caller, line: bytes) -> Answer:
    try:
        asked: Asked = _decode(line)
    except msgspec.MsgspecError:
        return Answer(code=RequestRefused.code, detail="not a question")
    try:
        match asked:
            case Erase():
                resident, fact = await names.erase(asked.resident, asked.operator, asked.reason)
                return Answer(resident=resident, fact=fact)
            case Renew():
                key, left = await names.renew(
                    asked.operator, asked.reason, wanted=asked.wanted, over_lost=asked.over_lost
                )
                return Answer(key=key, left=left)
            case Note():
                entry = Audited(caller.who, asked.what, asked.subject, detail=asked.detail)
                return Answer(fact=await audit.noted(entry))
            case Ping():
                return Answer(
                    key_file=str(names.key_file),
                    credential=names.credential,
                    fault=await asyncio.to_thread(names.fault),
                )
    except GatewayError as error:
        return Answer(code=error.code, detail=error.detail)


def ask(state: Path, asked: Asked) -> Answer:
    """Ask the running service. Raises OSError where none answers, RequestRefused with its code."""
    path = state / NAME
    with socket.socket(socket.AF_UNIX) as calling:
        with address(path) as short:
            calling.connect(short)
        calling.sendall(msgspec.json.encode(asked) + b"\n")
        with calling.makefile("rb") as heard:
            line = heard.readline()
    if not line:
        raise ConnectionResetError("the service went away")
    answer = msgspec.json.decode(line, type=Answer)
    if answer.code:
        raise RequestRefused(answer.detail, code=answer.code)
    return answer
