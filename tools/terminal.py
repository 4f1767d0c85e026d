"""A pseudo-terminal that stands in for a device's port: plugged in, pulled out, plugged in again.

A symbolic link keeps one name for it, as udev's by-id links do for a real port.
"""

import os
import select
import termios
import tty
from pathlib import Path

from protocol.errors import Unavailable


class Terminal:
    """The device's end of a port. Bytes said while no host has the port open are lost, as on a real line."""

    def __init__(self, link: Path | None) -> None:
        self.link = link
        self._end: int | None = None
        self.path = ""

    def plug(self) -> None:
        """Make a new port and point the link at it. Raises Unavailable where the link's name is taken."""
        if self._end is not None:
            return
        self._end, host_end = os.openpty()
        os.set_blocking(self._end, False)
        tty.setraw(host_end)
        self.path = os.ttyname(host_end)
        os.close(host_end)
        if self.link is not None:
            self._point(self.link)

    def _point(self, link: Path) -> None:
        if link.exists() and not link.is_symlink():
            self.unplug()
            raise Unavailable(f"{link} is there and is not a link")
        link.parent.mkdir(parents=True, exist_ok=True)
        fresh = link.with_name(f".{link.name}.{os.getpid()}")
        fresh.symlink_to(self.path)
        fresh.replace(link)

    def unplug(self) -> None:
        """Take the port away with its link; the host sees its line hang up. May be called twice."""
        if self._end is None:
            return
        if self.link is not None and self.link.is_symlink() and str(self.link.readlink()) == self.path:
            self.link.unlink()
        os.close(self._end)
        self._end = None

    def attached(self) -> bool:
        """Say whether a host has the port open."""
        return bool(self._end is not None and not self._events(0) & select.POLLHUP)

    def fileno(self) -> int | None:
        """Return the descriptor to wait on for the host's bytes, None while unplugged."""
        return self._end

    def read(self) -> bytes:
        """Return what the host has sent, nothing where there is nothing."""
        if self._end is None:
            return b""
        try:
            return os.read(self._end, 4096)
        except OSError:
            return b""

    def write(self, data: bytes) -> bool:
        """Put *data* on the line and say whether a host could take all of it."""
        if self._end is None or not self.attached():
            return False
        try:
            return os.write(self._end, data) == len(data)
        except OSError:
            return False

    def forget_unread(self) -> None:
        """Lose what a host that has gone did not read, as a real line does."""
        if self._end is None:
            return
        host_end = os.open(self.path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC)
        termios.tcflush(host_end, termios.TCIFLUSH)
        os.close(host_end)

    def _events(self, timeout_ms: int) -> int:
        assert self._end is not None
        poll = select.poll()
        poll.register(self._end, select.POLLIN)
        return next((found for _, found in poll.poll(timeout_ms)), 0)


def garbled(data: bytes, bit: float = 1.6) -> bytes:
    """Return what a receiver hears of *data* (8N1) when it takes each bit for *bit* bits of the sender's."""
    line = [level for byte in data for level in (0, *(byte >> place & 1 for place in range(8)), 1)]

    def level(at: float) -> int:
        return line[int(at)] if at < len(line) else 1

    heard, at = bytearray(), 0.0
    while at < len(line):
        if level(at):
            at += 0.25
            continue
        heard.append(sum(level(at + bit * (1.5 + place)) << place for place in range(8)))
        at += bit * 9.5
    return bytes(heard)
