"""Serial ports, on this machine or behind a network, as links.

pyserial blocks, so every open port has a thread that reads it and, once something is to be sent, one that
writes. An idle port costs no wake-up, one behind rfc2217:// one a second.
"""

import asyncio
import socket
import termios
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, Queue
from typing import TYPE_CHECKING, Literal, Protocol, Self, TypeVarTuple

import serial

from drivers.catalogue import Serial
from gateway.links import Link
from gateway.links.ports import refusal, resolve
from protocol.errors import LinkError, Lost, Unavailable

if TYPE_CHECKING:
    from serial import rfc2217

    Port = serial.Serial | rfc2217.Serial

SCHEMES = ("socket", "rfc2217")
INBOX = 65536
"""Bytes kept for a reader that is busy, 5 s of a full 115200 line; beyond it they wait in the kernel."""
WRITE_S = 5.0
"""A port that has not taken a command after so long is gone; no device here has flow control."""
ROUSE_S = 0.2
"""After so long it is tried again to wake a reading thread, where that failed: a kernel in trouble."""
REMOTE_LOOK_S = 1.0
"""pyserial's thread behind an RFC 2217 port can end without a word; so often it is asked."""

Args = TypeVarTuple("Args")


class Overrides(Protocol):
    """Line settings a configuration may state; None leaves the driver's."""

    @property
    def baudrate(self) -> int | None: ...  # noqa: D102
    @property
    def bytesize(self) -> Literal[7, 8] | None: ...  # noqa: D102
    @property
    def parity(self) -> Literal["N", "E", "O"] | None: ...  # noqa: D102
    @property
    def stopbits(self) -> Literal[1, 2] | None: ...  # noqa: D102


@dataclass(frozen=True, slots=True)
class LineSettings:
    """How a serial line is set. DTR and RTS are on while the port is open: some adapters live on them."""

    baudrate: int = 9600
    bytesize: Literal[7, 8] = 8
    parity: Literal["N", "E", "O"] = "N"
    stopbits: Literal[1, 2] = 1

    @classmethod
    def of(cls, device: Serial, configured: Overrides | None = None) -> Self:
        """Return the driver's line settings with the configuration's over them."""
        own = cls(device.baudrate, device.bytesize, device.parity, device.stopbits)
        if configured is None:
            return own
        return cls(
            configured.baudrate or own.baudrate,
            configured.bytesize or own.bytesize,
            configured.parity or own.parity,
            configured.stopbits or own.stopbits,
        )


async def open_serial(port: str, line: LineSettings) -> Link:
    """Open a path, `socket://host:port`, `rfc2217://host:port` or `usb:VID:PID[:SERIAL]`, looked up now.

    Raises Unavailable (`link.unavailable` nothing there, `link.permission` not ours to open,
    `link.settings` the port refuses these line settings, `link.ambiguous` several USB devices fit) or
    Busy where another program holds it.
    """
    link = SerialLink(port, line)
    try:
        await link.opened()
    except BaseException:
        link.let_go("not opened")
        raise
    return link


class SerialLink:
    """One port and its threads.

    Always true: bytes that arrived before the link was lost are read before `Lost` is raised; the port is
    closed by its own reading thread, after the last write, so no file descriptor is used by two owners.
    """

    def __init__(self, name: str, line: LineSettings) -> None:
        """Begin to open the port; `opened` tells how it went."""
        self._name = name
        self._line = line
        self._loop = asyncio.get_running_loop()
        self._port: Port | None = None
        self._inbox = bytearray()
        self._room = threading.Condition()
        self._stirred = asyncio.Event()
        self._opened: asyncio.Future[None] = self._loop.create_future()
        self._ended = asyncio.Event()
        self._why: str | None = None
        self._lost: str | None = None
        self._writer = ThreadPoolExecutor(1, thread_name_prefix=f"write {name}")
        threading.Thread(target=self._run, name=f"read {name}", daemon=True).start()

    async def opened(self) -> None:
        """Return when the port is open; raise Unavailable or Busy where it cannot be."""
        await self._opened

    async def read(self) -> bytes:
        """Return what has arrived, waiting for at least one byte; safe to cancel, nothing is dropped then."""
        while True:
            await self._stirred.wait()
            if chunk := self._take():
                return chunk
            if self._lost is not None:
                raise Lost(f"{self._name}: {self._lost}")

    async def write(self, data: bytes) -> None:
        """Send *data*; returns when the port has taken it all. After Lost the link has ended."""
        if self._lost is not None or self._port is None:
            raise Lost(f"{self._name}: {self._lost}")
        try:
            sent = await self._loop.run_in_executor(self._writer, self._port.write, data)
        except (OSError, RuntimeError) as fault:  # RuntimeError: the writing thread has ended with the link
            self.let_go(str(fault))
            raise Lost(f"{self._name}: {fault}") from fault
        if sent != len(data):
            raise Lost(f"{self._name}: {self._why}")

    async def feature(self, data: bytes) -> None:
        """Send *data* as it is: a line has no feature reports, but may stand in for a device that has."""
        await self.write(data)

    async def close(self) -> None:
        """Let go of the port and return when it is free; may be called twice."""
        self.let_go("closed")
        await self._ended.wait()

    def let_go(self, why: str) -> None:
        """Tell the reading thread to end, whatever it is waiting for; returns at once."""
        with self._room:
            self._why = self._why or why
            self._room.notify_all()
            self._rouse()

    def _rouse(self) -> None:
        """Make a read that waits return; where not even that can be written now, again a little later."""
        with self._room:
            if self._port is None:
                return
            try:
                _wake(self._port)
            except OSError:
                self._tell(self._loop.call_later, ROUSE_S, self._rouse)

    def _take(self) -> bytes:
        if self._lost is None:
            self._stirred.clear()
        with self._room:
            chunk = bytes(self._inbox)
            self._inbox.clear()
            self._room.notify_all()
        return chunk

    def _run(self) -> None:
        try:
            port = _open(self._name, self._line)
        except LinkError as fault:
            self._writer.shutdown()
            self._tell(self._refused, fault)
            return
        self._port = port
        self._tell(self._accepted)
        try:
            self._listen(port)
        except Exception as fault:  # a thread that died in silence would look like a silent device
            self.let_go(str(fault))
        self._tell(self._gone)
        self._shut(port)
        self._tell(self._ended.set)

    def _listen(self, port: "Port") -> None:
        while self._why is None:
            if chunk := _chunk(port):
                self._keep(chunk)

    def _keep(self, chunk: bytes) -> None:
        with self._room:
            self._room.wait_for(lambda: len(self._inbox) < INBOX or self._why is not None)
            self._inbox += chunk
        self._tell(self._stirred.set)

    def _shut(self, port: "Port") -> None:
        """Close the port once nothing uses it any more."""
        if isinstance(port, serial.Serial):
            with suppress(OSError):  # then it ends by itself, after WRITE_S
                port.cancel_write()
        self._writer.shutdown()
        with self._room:
            self._port = None
        kept = _socket(port)
        with suppress(OSError):  # the kernel has let go of it whatever it says
            port.close()
        if kept is not None:
            kept.close()  # pyserial forgets it unclosed where the other end was first

    def _tell(self, callback: Callable[[*Args], object], *args: *Args) -> None:
        with suppress(RuntimeError):  # the loop has ended; nobody is left to tell
            self._loop.call_soon_threadsafe(callback, *args)

    def _accepted(self) -> None:
        if not self._opened.done():
            self._opened.set_result(None)

    def _refused(self, fault: LinkError) -> None:
        if not self._opened.done():
            self._opened.set_exception(fault)
        self._gone()
        self._ended.set()

    def _gone(self) -> None:
        self._lost = self._why or "not opened"
        self._stirred.set()


def _open(name: str, line: LineSettings) -> "Port":
    target = resolve(name)
    scheme, remote, _ = target.partition("://")
    if remote and scheme not in SCHEMES:
        raise Unavailable(f"{name}: only {' and '.join(SCHEMES)} are spoken")
    pseudo = not remote and Path(target).resolve().is_relative_to("/dev/pts")
    try:
        port = serial.serial_for_url(
            _unconfirmed(target),
            do_not_open=True,
            baudrate=line.baudrate,
            # A pseudo-terminal has no line, and Debian's C library refuses to pretend that it has.
            bytesize=8 if pseudo else line.bytesize,
            parity="N" if pseudo else line.parity,
            stopbits=line.stopbits,
            exclusive=None if remote else True,
            timeout=REMOTE_LOOK_S if scheme == "rfc2217" else None,
            write_timeout=None if scheme == "rfc2217" else WRITE_S,  # pyserial's own is 5 s there
        )
        for emptied in ("reset_input_buffer", "_reset_input_buffer", "reset_output_buffer"):
            setattr(port, emptied, _nothing)  # else opening throws away what the device has already sent
        port.open()
    except Exception as fault:  # whatever a URL's reader finds wrong: nobody may wait for this port for ever
        raise _refusal(name, fault) from fault
    return port


def _unconfirmed(target: str) -> str:
    """Return *target* so that nobody waits for DTR and RTS: a server whose port has none never confirms."""
    if not target.startswith("rfc2217:"):
        return target
    return f"{target}{'&' if '?' in target else '?'}ign_set_control"


def _nothing() -> None:
    """Leave the buffers as they are."""


def _refusal(name: str, fault: Exception) -> LinkError:
    detail = f"{name}: {fault}"
    if isinstance(fault, termios.error | ValueError):
        return Unavailable(detail, code="link.settings")
    return refusal(detail, fault.errno if isinstance(fault, OSError) else None)


def _chunk(port: "Port") -> bytes:
    """Return what has arrived, waiting for the first byte; empty where the wait was ended without one."""
    try:
        chunk = port.read(1)
    except OSError:
        if chunk := _queued(port):
            return chunk
        raise
    if chunk:
        with suppress(OSError):  # what is here is given out first; a fault shows again at the next read
            chunk += _rest(port)
    return chunk


def _rest(port: "Port") -> bytes:
    if isinstance(port, serial.Serial):
        return port.read(port.in_waiting)
    if not _is(port, "socket"):
        return _queued(port)
    port.timeout = 0  # of a socket pyserial only knows whether, not how much, has arrived
    try:
        return port.read(INBOX)
    finally:
        port.timeout = None


def _queued(port: "Port") -> bytes:
    """Return what an RFC 2217 port has queued, which pyserial keeps to itself once the connection is gone."""
    queue: Queue[bytes | None] | None = getattr(port, "_read_buffer", None)
    found = b""
    with suppress(Empty):
        while queue is not None:
            found += queue.get_nowait() or b""
    return found


def _is(port: "Port", scheme: str) -> bool:
    return str(port.portstr).startswith(f"{scheme}:")


def _wake(port: "Port") -> None:
    """Make a read that waits return now."""
    if isinstance(port, serial.Serial):
        port.cancel_read()
    elif (remote := _socket(port)) is not None:
        with suppress(OSError):  # the other end was first
            remote.shutdown(socket.SHUT_RDWR)


def _socket(port: "Port") -> socket.socket | None:
    """Return the socket of a URL port, which pyserial offers no name for."""
    found = getattr(port, "_socket", None)
    return found if isinstance(found, socket.socket) else None
