"""USB devices that pass bytes over bulk endpoints and have no port: through Linux's usbfs, as links.

Transfers are handed to the kernel and taken back when they are done (linux/usbdevice_fs.h), so nothing here
blocks and nothing that came is lost. Never tried on hardware: a device is emulated on a real kernel's USB
(tests/bluetooth_vm/test_usb.py).
"""

import asyncio
import ctypes
import errno
import os
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Self

from gateway.links.ports import Bulk, refusal
from gateway.links.unread import Unread
from protocol.errors import Lost

WAITING = 2
"""Reads that lie with the kernel, so that one is there while the other is taken."""
ROOM = 16 * 1024
"""Bytes one read takes at most; a multiple of every packet size."""
STATUS_MS = 1000
_BULK = 3
_GET_STATUS = (0x80, 0x00, 0, 0, 2)
_libc = ctypes.CDLL(None, use_errno=True)


class _Transfer(ctypes.Structure):
    """A struct usbdevfs_urb."""

    _fields_ = (
        ("type", ctypes.c_ubyte),
        ("endpoint", ctypes.c_ubyte),
        ("status", ctypes.c_int),
        ("flags", ctypes.c_uint),
        ("buffer", ctypes.c_void_p),
        ("buffer_length", ctypes.c_int),
        ("actual_length", ctypes.c_int),
        ("start_frame", ctypes.c_int),
        ("number_of_packets", ctypes.c_int),
        ("error_count", ctypes.c_int),
        ("signr", ctypes.c_uint),
        ("usercontext", ctypes.c_void_p),
    )


class _Control(ctypes.Structure):
    """A struct usbdevfs_ctrltransfer."""

    _fields_ = (
        ("request_type", ctypes.c_uint8),
        ("request", ctypes.c_uint8),
        ("value", ctypes.c_uint16),
        ("index", ctypes.c_uint16),
        ("length", ctypes.c_uint16),
        ("timeout", ctypes.c_uint32),
        ("data", ctypes.c_void_p),
    )


def _request(way: int, number: int, size: int) -> int:
    return way << 30 | size << 16 | ord("U") << 8 | number


_CONTROL = _request(3, 0, ctypes.sizeof(_Control))
_SUBMIT = _request(2, 10, ctypes.sizeof(_Transfer))
_REAP = _request(1, 13, ctypes.sizeof(ctypes.c_void_p))
_CLAIM = _request(2, 15, ctypes.sizeof(ctypes.c_uint))


def _ask(descriptor: int, request: int, argument: object) -> None:
    """Call ioctl; fcntl's own would hand the kernel a copy. Raises OSError."""
    if _libc.ioctl(descriptor, ctypes.c_ulong(request), argument) < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


@dataclass(eq=False)
class _Running:
    """A transfer with its bytes, kept where they are until the kernel gives them back."""

    transfer: _Transfer
    data: "ctypes.Array[ctypes.c_char]"
    done: asyncio.Future[None] | None = field(default=None)

    @classmethod
    def of(cls, endpoint: int, data: bytes | int, done: asyncio.Future[None] | None = None) -> Self:
        buffer = ctypes.create_string_buffer(data, len(data)) if isinstance(data, bytes) else None
        held = buffer or ctypes.create_string_buffer(ROOM)
        address = ctypes.cast(held, ctypes.c_void_p)
        return cls(_Transfer(_BULK, endpoint, buffer=address, buffer_length=len(held)), held, done)


async def open_bulk(port: str, device: Bulk) -> "BulkLink":
    """Open *device* for us alone and ask for its status, as hosts do.

    Raises Unavailable (`link.unavailable`, `link.permission`) or Busy where another program holds it.
    """
    opening = asyncio.ensure_future(asyncio.to_thread(_claimed, device))
    try:
        descriptor = await asyncio.shield(opening)
        return BulkLink(port, descriptor, device)
    except OSError as fault:
        raise refusal(f"{port}: {fault}", fault.errno) from fault
    except asyncio.CancelledError:
        opening.add_done_callback(_given_up)
        raise


class BulkLink:
    """One open device.

    Always true: bytes that arrived before the link was lost are read before `Lost` is raised.
    """

    def __init__(self, name: str, descriptor: int, device: Bulk) -> None:
        """Take over *descriptor*, its interface claimed, and begin to listen."""
        self._name = name
        self._descriptor = descriptor
        self._device = device
        self._loop = asyncio.get_running_loop()
        self._unread = Unread[bytes]()
        self._writing = asyncio.Lock()
        self._running: dict[int, _Running] = {}
        self._loop.add_writer(descriptor, self._reap)
        try:
            for _ in range(WAITING):
                self._submit(_Running.of(device.ins, ROOM))
        except OSError as fault:
            self._end(str(fault))

    async def read(self) -> bytes:
        """Return the next bytes, waiting for them; safe to cancel, nothing is dropped then."""
        return await self._unread.take()

    async def write(self, data: bytes) -> None:
        """Send *data* as one transfer; returns when the device has taken it."""
        async with self._writing:
            self._unread.must_go_on()
            sending = _Running.of(self._device.outs, data, self._loop.create_future())
            assert sending.done is not None
            try:
                self._submit(sending)
            except OSError as fault:
                self._end(str(fault))
                raise Lost(f"{self._name}: {fault}") from fault
            await sending.done

    async def feature(self, data: bytes) -> None:
        """Send the bytes as they are: there are no reports here."""
        await self.write(data)

    async def close(self) -> None:
        """Let go of the device; may be called twice."""
        self._end("closed")
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            # The kernel waits for the device to stop what still runs; its bytes must stay where they are.
            await asyncio.shield(asyncio.to_thread(os.close, descriptor))
            self._running.clear()

    def _submit(self, one: _Running) -> None:
        self._running[ctypes.addressof(one.transfer)] = one
        try:
            _ask(self._descriptor, _SUBMIT, ctypes.byref(one.transfer))
        except OSError:
            del self._running[ctypes.addressof(one.transfer)]
            raise

    def _reap(self) -> None:
        """Take back what is done, and listen on."""
        try:
            while True:
                address = ctypes.c_void_p()
                _ask(self._descriptor, _REAP, ctypes.byref(address))
                self._done(self._running.pop(address.value or 0))
        except BlockingIOError:
            return
        except OSError as fault:
            self._end("pulled out" if fault.errno == errno.ENODEV else str(fault))

    def _done(self, one: _Running) -> None:
        if one.done is not None:
            self._written(one.done, one.transfer.status)
            return
        if one.transfer.actual_length:
            self._unread.put(one.data.raw[: one.transfer.actual_length])
        if one.transfer.status:
            raise OSError(-one.transfer.status, os.strerror(-one.transfer.status))
        self._submit(one)

    def _written(self, done: asyncio.Future[None], status: int) -> None:
        if done.done():
            return
        if status:
            done.set_exception(Lost(f"{self._name}: {os.strerror(-status)}"))
        else:
            done.set_result(None)

    def _end(self, why: str) -> None:
        if self._unread.lost is not None:
            return
        self._unread.end(Lost(f"{self._name}: {why}"))
        self._loop.remove_writer(self._descriptor)
        for one in self._running.values():
            if one.done is not None:
                self._written(one.done, -errno.ENODEV)


def _claimed(device: Bulk) -> int:
    """Open and claim the device and ask for its status; each may wait for it. Raises OSError."""
    descriptor = os.open(device.node, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        _ask(descriptor, _CLAIM, ctypes.byref(ctypes.c_uint(device.interface)))
    except OSError:
        os.close(descriptor)
        raise
    with suppress(OSError):  # a device that does not answer this may still speak
        _status(descriptor)
    return descriptor


def _given_up(opening: "asyncio.Future[int]") -> None:
    if opening.exception() is None:
        os.close(opening.result())


def _status(descriptor: int) -> None:
    answer = ctypes.create_string_buffer(2)
    asked = _Control(*_GET_STATUS, STATUS_MS, ctypes.cast(answer, ctypes.c_void_p))
    _ask(descriptor, _CONTROL, ctypes.byref(asked))
