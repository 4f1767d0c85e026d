"""The room the journal has: a reserve that lets the open exam end on a full disk, and what is wrong, if any.

The reserve is a file beside the journal. A commit that finds no room takes a slice of it and is done again,
so that what a person just measured is stored and not refused; new exams are refused from then on. Only when
the reserve is used up, or the disk cannot be written for another reason, are readings refused. Every few
seconds it is tried whether writing works again and whether the reserve can be filled up: nobody need restart
anything.
"""

import asyncio
import logging
import os
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from protocol.errors import DiskFull, RequestRefused, StoreError
from store.journal import Journal
from store.room import Room
from store.transaction import Transaction

log = logging.getLogger(__name__)

RESERVE = 8 * 1024 * 1024
"""Bytes: an exam of twelve measurements, 2 kB of frames and a delivery each, writes 0.47 MB; so seventeen."""
SHARE = 32
"""The reserve is at most this part of a small disk."""
SLICES = 8
"""It is given back in parts, so that another program that fills the disk cannot take it all at once."""
LOOK_S = 30.0
"""How often it is looked whether all is well."""
RETRY_S = 3.0
"""How often it is tried whether something that is wrong is over."""
NAME = "reserve"
IN_USE = "store.reserve_in_use"


class Space(Room):
    """The room of one state folder."""

    def __init__(self, folder: Path, changed: Callable[[], None] = lambda: None) -> None:
        """Do nothing yet; *changed* is called on the loop when `faults` says something else."""
        super().__init__(folder)
        self._changed = changed
        self._file = folder / NAME
        self._door = threading.Lock()
        self._whole = 0
        self._held = 0
        self._fault: str | None = None
        self._home: tuple[int, int] | None = None
        self._path = folder
        self._news: Callable[[], object] = lambda: None

    def opened(self, path: Path, start: Callable[[], Journal]) -> Journal:
        """Return the journal at *path* that *start* opens, with room from the reserve where there is none."""
        self._count()
        while True:
            try:
                journal = start()
                break
            except DiskFull:
                if not self.relieve():
                    raise
        self._path, self._home = path, _identity(path)
        self.refill()
        return journal

    def faults(self) -> list[str]:
        """Return, as codes, what keeps the journal from being written, or soon will."""
        return [self._fault] if self._fault else [IN_USE] if self._held < self._whole else []

    def must_have_room(self) -> None:
        """Refuse a new exam where what it would measure may not be stored.

        Raises StoreError with the code of what keeps the journal from being written, RequestRefused
        `exam.no_room` where the room that is left is for those who sit at the machines.
        """
        if self._fault is not None:
            raise StoreError("no exam is opened", code=self._fault)
        if self.faults():
            raise RequestRefused(self.faults()[0], code="exam.no_room")

    def relieve(self) -> bool:
        """Give a slice of the reserve back to the disk; False where nothing is left of it."""
        with self._door:
            if not self._held:
                return False
            smaller = max(0, self._held - self._slice)
            try:
                self._resize(smaller)
            except OSError as error:
                log.error("the reserve could not be given back", extra={"cause": error.strerror})
                return False
        log.error("the disk is full, the reserve is in use", extra={"code": IN_USE, "bytes": smaller})
        self._news()
        return True

    def _resize(self, size: int) -> None:
        descriptor = os.open(self._file, os.O_RDWR | os.O_CLOEXEC)
        try:
            os.ftruncate(descriptor, size)
            os.fsync(descriptor)  # ext4 lends out freed blocks only after this
        finally:
            os.close(descriptor)
        self._held = size

    def wrote(self) -> None:
        """Note that writing works; a full disk stays one as long as no more than crumbs are free."""
        if self._fault is not None and not (self._fault == DiskFull.code and self._crumbs()):
            log.warning("the journal can be written again", extra={"code": self._fault})
            self._fault = None
            self._news()

    def _crumbs(self) -> bool:
        try:
            return self._free() < self._slice
        except OSError:
            return True

    @property
    def _slice(self) -> int:
        return max(1, self._whole // SLICES)

    def failed(self, error: StoreError) -> None:
        """Note what keeps the journal from being written."""
        if self._fault != error.code:
            self._fault = error.code
            self._news()

    def refill(self) -> None:
        """Fill the reserve up where as much again stays free; else leave it as it is."""
        with self._door:
            try:
                self._whole = self._wanted()
                missing = self._whole - self._held
                if missing > 0 and self._free() >= missing + self._whole:
                    self._fill()
                    log.info("the reserve is whole", extra={"bytes": self._whole})
            except OSError as error:
                log.warning("the reserve could not be filled up", extra={"cause": error.strerror})

    def _wanted(self) -> int:
        disk = os.statvfs(self.folder)
        return min(RESERVE, disk.f_blocks * disk.f_frsize // SHARE)

    def _free(self) -> int:
        disk = os.statvfs(self.folder)
        return disk.f_bavail * disk.f_frsize

    def _fill(self) -> None:
        descriptor = os.open(self._file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.posix_fallocate(descriptor, 0, self._whole)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        self._held = self._whole

    def _count(self) -> None:
        """Learn how much of the reserve an earlier run left, and how much there is to be."""
        with suppress(OSError):
            self._held = self._file.stat().st_size
            self._whole = self._wanted()

    async def watch(self, journal: Journal) -> None:
        """Look after the room for ever. Raises StoreError `store.moved` where the journal is gone.

        Then what is written goes nowhere: the service ends, and systemd starts it anew on what is there.
        """
        loop, news = asyncio.get_running_loop(), asyncio.Event()

        def tell() -> None:
            with suppress(RuntimeError):  # the loop has ended: nobody watches any more
                loop.call_soon_threadsafe(news.set)

        self._news = tell
        before = list[str]()
        while True:
            await self._mended(journal)
            news.clear()
            if (now := self.faults()) != before:
                before = now
                self._changed()
            with suppress(TimeoutError):
                await asyncio.wait_for(news.wait(), RETRY_S if now else LOOK_S)

    async def _mended(self, journal: Journal) -> None:
        """Try whether what was wrong is over."""
        self.must_be_there()
        if self._fault is not None:
            with suppress(StoreError):
                await journal.run(Transaction.touch)
        if self._held < self._whole:
            await asyncio.to_thread(self.refill)

    def must_be_there(self) -> None:
        """Raise StoreError `store.moved` where the path no longer leads to the file that was opened."""
        if self._home is not None and _identity(self._path) != self._home:
            raise StoreError(f"{self._path} is not the file that was opened", code="store.moved")


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino
