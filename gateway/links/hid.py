"""USB HID devices through Linux's hidraw as links: one read is one report, a write is whole reports.

The reports of most devices spoken to here carry no number; hidraw wants a number before what is written all
the same, and that is 0. Never tried on hardware: devices are emulated on a real kernel's hidraw
(tests/bluetooth_vm/test_hidraw.py).
"""

import asyncio
import fcntl
import os
import re
from collections.abc import Callable
from pathlib import Path

from drivers.catalogue import Hid
from gateway.links import Link
from gateway.links.ports import ROOT, hids, refusal, resolve
from gateway.links.serial import LineSettings, open_serial
from gateway.links.unread import Unread
from protocol.errors import Lost

LONGEST = 4096
"""More than any report; a shorter buffer would cut one."""
INBOX = 1024
"""Reports kept for a reader that is busy; beyond it they wait in the kernel, which keeps 64."""
NUMBER = b"\0"
_NODE = re.compile(r"hidraw\d+")


async def open_hid(port: str, device: Hid, root: Path = ROOT) -> Link:
    """Open `/dev/hidraw…`, a link to it, or `usb:VID:PID[:SERIAL]`, looked up now under *root*.

    What is no hidraw device (a pseudo-terminal, `socket://host:port`) stands in for one: bytes pass through
    as they are. Raises Unavailable (`link.unavailable` nothing there, `link.permission` not ours to open,
    `link.ambiguous` several devices fit) or Busy where another program holds it.
    """
    target = resolve(port, root, hids)
    if (path := node(target)) is None:
        return await open_serial(target, LineSettings())
    return HidLink(port, held(port, path), device.report)


class HidLink:
    """One open report device.

    Always true: reports that arrived before the link was lost are read before `Lost` is raised; the
    descriptor is closed once, after the last write.
    """

    def __init__(self, name: str, descriptor: int, size: int) -> None:
        """Take over *descriptor*, open and not blocking; output reports have *size* bytes."""
        self._name = name
        self._descriptor = descriptor
        self._size = size
        self._loop = asyncio.get_running_loop()
        self._unread = Unread[bytes]()
        self._writing = asyncio.Lock()
        self._listening = False
        self._listen()

    async def read(self) -> bytes:
        """Return the next report, waiting for it; safe to cancel, nothing is dropped then."""
        report = await self._unread.take()
        self._listen()
        return report

    async def write(self, data: bytes) -> None:
        """Send *data* in whole reports, the last filled up with zeros; returns when all are taken."""
        for at in range(0, len(data), self._size):
            await self.give_report(NUMBER + data[at : at + self._size].ljust(self._size, b"\0"))

    async def feature(self, data: bytes) -> None:
        """Set the feature report to *data*, over the control pipe."""
        await self.set_report(NUMBER + data)

    async def give_report(self, report: bytes) -> None:
        """Send one output report, its number first. Raises Lost."""
        await self._give(os.write, report)

    async def set_report(self, report: bytes) -> None:
        """Set one feature report, its number first, over the control pipe. Raises Lost."""
        await self._give(_set_feature, report)

    async def close(self) -> None:
        """Let go of the device; may be called twice."""
        self._end("closed")
        async with self._writing:
            if self._descriptor >= 0:
                os.close(self._descriptor)
                self._descriptor = -1

    async def _give(self, way: Callable[[int, bytes], int], report: bytes) -> None:
        """Hand *report* to the kernel, which waits for the device, in a thread. Raises Lost."""
        async with self._writing:
            self._unread.must_go_on()
            work = asyncio.ensure_future(asyncio.to_thread(way, self._descriptor, report))
            try:
                await asyncio.shield(work)
            except OSError as fault:
                self._end(str(fault))
                raise Lost(f"{self._name}: {fault}") from fault
            finally:
                await asyncio.wait({work})  # nobody may close the descriptor under it

    def _listen(self) -> None:
        """Hear the device while there is room for what it says."""
        room = self._unread.lost is None and len(self._unread) < INBOX
        if room and not self._listening:
            self._loop.add_reader(self._descriptor, self._take)
        elif self._listening and not room:
            self._loop.remove_reader(self._descriptor)
        self._listening = room

    def _take(self) -> None:
        try:
            report = os.read(self._descriptor, LONGEST)
        except BlockingIOError:
            return
        except OSError as fault:
            self._end(str(fault))
            return
        if not report:
            self._end("pulled out")
            return
        self._unread.put(report)
        self._listen()

    def _end(self, why: str) -> None:
        self._unread.end(Lost(f"{self._name}: {why}"))
        self._listen()


def node(target: str) -> Path | None:
    """Return the hidraw device that *target*, as `resolve` gives it, is; None for anything else."""
    path = Path(target).resolve()
    return path if _NODE.fullmatch(path.name) else None


def held(port: str, path: Path) -> int:
    """Open the device *path* of *port* for us alone, as far as the others ask; raises as `open_hid` does."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(descriptor)
            raise
    except OSError as fault:
        raise refusal(f"{port}: {fault}", fault.errno) from fault
    return descriptor


def _set_feature(descriptor: int, report: bytes) -> int:
    done: int = fcntl.ioctl(descriptor, set_feature_request(len(report)), bytearray(report))
    return done


def set_feature_request(length: int) -> int:
    """Return the request HIDIOCSFEATURE(*length*) of linux/hidraw.h: read and write, 'H', 6."""
    return 3 << 30 | length << 16 | ord("H") << 8 | 6
