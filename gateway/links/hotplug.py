"""Wakes whoever waits for a device when something serial or a HID device was plugged in or out.

udev tells at once where it runs; elsewhere, and for ports it knows nothing of (a pseudo-terminal's link),
the port is looked up every two seconds.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

from gateway.links.ports import ROOT, PortInfo, bulks, hids, ports, seen

LOOK_S = 2.0
LOOK_BESIDE_UDEV_S = 30.0
"""How often a port is looked up where udev tells: seldom, for a message that the kernel dropped."""
_TOLD_BY_UDEV = ("usb:", "/dev/serial/", "/dev/tty", "/dev/hidraw")

Mechanism = Literal["udev", "polling"]


class Hotplug:
    """An asynchronous context; inside it `mechanism` says how changes are noticed.

    Used outside its context it works too, by polling.
    """

    def __init__(self, root: Path = ROOT) -> None:
        """Watch the machine whose `dev`, `sys` and `run` are under *root*."""
        self._root = root
        self._stir = asyncio.Event()
        self._leave: Callable[[], None] | None = None

    async def __aenter__(self) -> Self:
        if (self._root / "run/udev/control").exists():  # else nobody sends udev's messages
            self._leave = _watch(self._stirred)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._leave is not None:
            self._leave()
            self._leave = None

    @property
    def mechanism(self) -> Mechanism:
        """Return how changes are noticed now, for the log and for doctor."""
        return "polling" if self._leave is None else "udev"

    async def wait_for(self, port: str, seconds: float) -> bool:
        """Return when *port* comes, or after *seconds*; say whether it is there then.

        A port that is there already ends the wait only by being plugged anew, so this is also the pause
        between two attempts to open it. *port* is as configured; a URL is always taken as there.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + seconds
        before = seen(port, self._root)
        while (left := deadline - loop.time()) > 0:
            await self._pause(min(left, self._look_s(port)))
            now = seen(port, self._root)
            if now is not None and now != before:
                return True
            before = now
        return before is not None

    async def changed(self, seconds: float | None = None) -> bool:
        """Return True when a port or HID device came or went, False after *seconds* without that."""
        before = self._there()
        loop = asyncio.get_running_loop()
        deadline = None if seconds is None else loop.time() + seconds
        while self._there() == before:
            left = LOOK_S if deadline is None else min(deadline - loop.time(), LOOK_S)
            if left <= 0:
                return False
            await self._pause(left)
        return True

    def _there(self) -> list[PortInfo]:
        return [*ports(self._root), *hids(self._root), *bulks(self._root)]

    def _look_s(self, port: str) -> float:
        told = self.mechanism == "udev" and port.startswith(_TOLD_BY_UDEV)
        return LOOK_BESIDE_UDEV_S if told else LOOK_S

    async def _pause(self, seconds: float) -> None:
        stir = self._stir
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await stir.wait()

    def _stirred(self) -> None:
        self._stir.set()
        self._stir = asyncio.Event()


def _watch(stirred: Callable[[], None]) -> Callable[[], None] | None:
    """Call *stirred* in the loop at udev's events of ports; return how to stop, None where it cannot be."""
    try:
        import pyudev  # noqa: PLC0415 - costs memory and a C library; only where udev runs

        monitor = pyudev.Monitor.from_netlink(pyudev.Context())
        monitor.filter_by("tty")
        monitor.filter_by("hidraw")
        monitor.filter_by("usb")
        monitor.start()
    except (ImportError, OSError):
        return None
    loop = asyncio.get_running_loop()

    def drain() -> None:
        while monitor.poll(timeout=0) is not None:
            pass
        stirred()

    descriptor: int = monitor.fileno()

    def leave() -> None:
        loop.remove_reader(descriptor)

    loop.add_reader(descriptor, drain)
    return leave
