"""The other end of a link: pseudo-terminals that can be pulled and plugged."""

import asyncio
import os
import threading
import time
import tty
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

DEADLINE_S = 20.0
T = TypeVar("T")


async def soon(wanted: Awaitable[T]) -> T:
    """Await *wanted*; no test waits for ever."""
    return await asyncio.wait_for(wanted, DEADLINE_S)


class Cable:
    """A device's end of a pseudo-terminal under a name that stays when it is plugged again."""

    def __init__(self, name: Path) -> None:
        self.name = name
        self.master = self.slave = -1
        self.plug()

    @property
    def port(self) -> str:
        return str(self.name)

    def plug(self) -> None:
        self.master, self.slave = os.openpty()
        tty.setraw(self.slave)
        fresh = self.name.with_suffix(".new")
        fresh.symlink_to(os.ttyname(self.slave))
        fresh.replace(self.name)

    def pull(self) -> None:
        if self.master >= 0:
            os.close(self.master)
            os.close(self.slave)
            self.master = -1
            self.name.unlink()

    def says(self, data: bytes) -> None:
        while data:
            data = data[os.write(self.master, data) :]

    async def hears(self, count: int) -> bytes:
        heard = b""
        while len(heard) < count:
            heard += await asyncio.to_thread(os.read, self.master, count - len(heard))
        return heard


async def becomes(true: Callable[[], bool], what: str) -> None:
    """Wait until *true* holds; fail at the deadline."""
    deadline = time.monotonic() + DEADLINE_S
    while not true():
        assert time.monotonic() < deadline, what
        await asyncio.sleep(0.01)


def descriptors() -> set[str]:
    """Return what this process holds open, by number and target."""
    found = set()
    for entry in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):
            found.add(f"{entry.name} {entry.readlink()}")
    return found


def link_threads() -> list[str]:
    return [one.name for one in threading.enumerate() if one.name.startswith(("read ", "write "))]
