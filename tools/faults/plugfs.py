"""A FUSE file system whose power can be cut: files in memory, and a log of everything it was asked, in order.

One mount holds many volumes, the folders at its top. Each has its own log and plug, so that a life after
a power cut is a new volume and the kernel remembers nothing of the one before.
"""

import errno
import os
import shutil
import stat
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import mfusepy

from tools.faults.disk import (
    Forgotten,
    Image,
    Named,
    Note,
    Op,
    Sync,
    SyncFolder,
    Truncate,
    Unnamed,
    Write,
    numbered,
    parent,
)

UNLOGGED = ("-shm", ".lock", ".sock", "/reserve")
"""Endings of files whose content no start reads: SQLite's index, made anew, locks, room kept free."""
MOUNT_S = 10.0
BLOCK = 4096
BLOCKS = 1 << 20


class NoFuse(RuntimeError):
    """FUSE cannot be had here, so nothing can be said about power cuts."""


class Inode:
    """A file or a folder."""

    def __init__(self, ino: int, mode: int, *, logged: bool) -> None:
        self.ino, self.mode, self.logged = ino, mode, logged
        self.data = bytearray()
        self.changed = time.time_ns()

    def attributes(self) -> dict[str, int]:
        """Return what stat tells."""
        links = 2 if stat.S_ISDIR(self.mode) else 1
        times = dict.fromkeys(("st_mtime", "st_ctime", "st_atime"), self.changed)
        size = {"st_size": len(self.data), "st_blocks": -(-len(self.data) // 512)}
        own = {"st_uid": os.getuid(), "st_gid": os.getgid()}
        return {"st_mode": self.mode, "st_ino": self.ino, "st_nlink": links, **size, **times, **own}


class Volume:
    """One disk. Its log and its plug are one: nothing is logged once the power is off, and nothing done."""

    def __init__(self, image: Image, cut_at: int | None = None) -> None:
        """*image* lies on the disk from the beginning; the power goes after *cut_at* operations."""
        self.image = dict(image)
        self.log: list[Op] = []
        self.off = threading.Event()
        self.cut_at = cut_at
        self.when_off: Callable[[], None] = lambda: None
        """Called by whoever asked for the operation too many, before it fails."""
        self.forgets: int | None = None
        """How many syncs of files go well before one fails and what it was for is forgotten."""
        self.when_forgotten: Callable[[], None] = lambda: None
        """Called when that has happened, before the program hears of it."""
        self.unread = range(0)
        """Which of the reads to come the disk fails, each being one less."""
        self.names: dict[str, Inode] = {"": Inode(1, stat.S_IFDIR | 0o755, logged=True)}
        numbers = numbered(image)
        self._next = len(numbers) + 2
        for path, ino in numbers.items():
            mode = stat.S_IFREG | 0o600 if path in image else stat.S_IFDIR | 0o700
            self.names[path] = Inode(ino, mode, logged=not path.endswith(UNLOGGED))
            self.names[path].data[:] = image.get(path, b"")

    def record(self, op: Op) -> None:
        """Log *op*, unless the power is off, or goes now. Raises the EIO that a program then gets."""
        if self.cut_at is not None and len(self.log) >= self.cut_at and not self.off.is_set():
            self.off.set()
            self.when_off()
        if self.off.is_set():
            raise mfusepy.FuseOSError(errno.EIO)
        self.log.append(op)

    def gives(self, file: Inode) -> bool:
        """Say whether the read that is asked for now succeeds; SQLite's index is mapped, so that always does.

        Whoever touches a mapped page that cannot be read is killed, and nothing can be said of its words.
        """
        if not file.logged:
            return not self.off.is_set()
        failing = 0 in self.unread
        self.unread = range(max(0, self.unread.start - 1), max(0, self.unread.stop - 1))
        return not failing and not self.off.is_set()

    def sync(self, file: Inode) -> None:
        """Make a file's bytes durable. Raises the EIO that a program gets when they are forgotten instead."""
        if self.forgets == 0:
            self.forgets = None
            self.record(Forgotten(file.ino))
            self.when_forgotten()
            raise mfusepy.FuseOSError(errno.EIO)
        self.record(Sync(file.ino))
        if self.forgets and file.logged:
            self.forgets -= 1

    def note(self, key: int) -> None:
        """Note that somebody outside was told something now; the world goes on without power."""
        self.log.append(Note(key))

    def make(self, path: str, mode: int) -> Inode:
        """Make a file or folder under a new name."""
        made = Inode(self._next, mode, logged=not path.endswith(UNLOGGED))
        if made.logged:
            self.record(Named(path, made.ino, folder=stat.S_ISDIR(mode)))
        self._next += 1
        self.names[path] = made
        return made

    def write(self, file: Inode, data: bytes, at: int) -> None:
        """Write bytes into a file."""
        if file.logged:
            self.record(Write(file.ino, at, data))
        file.data.extend(bytes(max(0, at - len(file.data))))
        file.data[at : at + len(data)] = data
        file.changed = time.time_ns()

    def truncate(self, file: Inode, size: int) -> None:
        """Give a file this size."""
        if file.logged:
            self.record(Truncate(file.ino, size))
        del file.data[size:]
        file.data.extend(bytes(size - len(file.data)))

    def remove(self, path: str) -> None:
        """Take a name away."""
        file = self.names[path]
        if file.logged:
            self.record(Unnamed(path, file.ino))
        del self.names[path]

    def rename(self, old: str, new: str) -> None:
        """Give a file another name, and take it from whatever had it."""
        file = self.names[old]
        self.record(Named(new, file.ino, old))
        del self.names[old]
        self.names[new] = file
        file.logged = not new.endswith(UNLOGGED)


class PlugFs(mfusepy.Operations):  # type: ignore[misc] # the package has no types
    """The operations libfuse asks for; every one answers for the volume its path begins with."""

    use_ns = True

    def __init__(self, *, ahead: bool = True) -> None:
        self._ahead = ahead
        self.volumes: dict[str, Volume] = {}
        self._lock = threading.Lock()
        self._open: dict[int, tuple[Volume, Inode]] = {}
        self._handle = 0

    def init_with_config(self, conn_info: Any, config_3: Any) -> None:
        """Say how this is to be mounted."""
        if not self._ahead:
            conn_info.max_readahead = 0

    def _at(self, path: str) -> tuple[Volume, str]:
        name, _, inside = path.strip("/").partition("/")
        try:
            return self.volumes[name], inside
        except KeyError:
            raise mfusepy.FuseOSError(errno.ENOENT) from None

    def _file(self, path: str, handle: int | None = None) -> tuple[Volume, Inode]:
        if handle in self._open:
            return self._open[handle]
        volume, inside = self._at(path)
        if inside not in volume.names:
            raise mfusepy.FuseOSError(errno.ENOENT)
        return volume, volume.names[inside]

    def _opened(self, volume: Volume, file: Inode) -> int:
        self._handle += 1
        self._open[self._handle] = (volume, file)
        return self._handle

    def getattr(self, path: str, fh: int | None = None) -> dict[str, int]:
        """Return a file's attributes."""
        if path == "/":
            return Inode(1, stat.S_IFDIR | 0o755, logged=False).attributes()
        return self._file(path, fh)[1].attributes()

    def readdir(self, path: str, fh: int) -> Iterator[str]:
        """Yield a folder's names."""
        yield from (".", "..")
        if path == "/":
            yield from list(self.volumes)
            return
        volume, inside = self._at(path)
        yield from [one.rpartition("/")[2] for one in list(volume.names) if one and parent(one) == inside]

    def read(self, path: str, size: int, offset: int, fh: int) -> bytes:
        """Return bytes of a file."""
        volume, file = self._file(path, fh)
        if not volume.gives(file):
            raise mfusepy.FuseOSError(errno.EIO)
        return bytes(file.data[offset : offset + size])

    def statfs(self, path: str) -> dict[str, int]:
        """Return a half-full disk."""
        free = BLOCKS // 2
        sizes = {"f_bsize": BLOCK, "f_frsize": BLOCK, "f_namemax": 255}
        return {**sizes, "f_blocks": BLOCKS, "f_bfree": free, "f_bavail": free}

    def open(self, path: str, flags: int) -> int:
        """Open a file."""
        with self._lock:
            volume, file = self._file(path)
            if flags & os.O_TRUNC:
                volume.truncate(file, 0)
            return self._opened(volume, file)

    def create(self, path: str, mode: int, fi: int | None = None) -> int:
        """Make and open a file."""
        with self._lock:
            volume, inside = self._at(path)
            return self._opened(volume, volume.make(inside, stat.S_IFREG | mode & 0o7777))

    def mknod(self, path: str, mode: int, dev: int) -> int:
        """Make a socket's name, or an empty file."""
        with self._lock:
            volume, inside = self._at(path)
            volume.make(inside, mode)
            return 0

    def release(self, path: str, fh: int) -> int:
        """Close a file."""
        self._open.pop(fh, None)
        return 0

    def write(self, path: str, data: bytes, offset: int, fh: int) -> int:
        """Write into a file."""
        with self._lock:
            volume, file = self._file(path, fh)
            volume.write(file, bytes(data), offset)
            return len(data)

    def truncate(self, path: str, length: int, fh: int | None = None) -> int:
        """Cut or lengthen a file."""
        with self._lock:
            volume, file = self._file(path, fh)
            volume.truncate(file, length)
            return 0

    def fsync(self, path: str, datasync: int, fh: int) -> int:
        """Make a file's bytes durable."""
        with self._lock:
            volume, file = self._file(path, fh)
            volume.sync(file)
            return 0

    def fsyncdir(self, path: str, datasync: int, fh: int) -> int:
        """Make a folder's names durable."""
        with self._lock:
            volume, inside = self._at(path)
            volume.record(SyncFolder(inside))
            return 0

    def fallocate(self, path: str, mode: int, offset: int, length: int, fh: int) -> int:
        """Give a file room up to where it is wanted; there is always room."""
        with self._lock:
            volume, file = self._file(path, fh)
            if offset + length > len(file.data):
                volume.truncate(file, offset + length)
            return 0

    def unlink(self, path: str) -> int:
        """Remove a file."""
        with self._lock:
            volume, inside = self._at(path)
            volume.remove(inside)
            return 0

    rmdir = unlink

    def rename(self, old: str, new: str) -> int:
        """Rename a file within its volume."""
        with self._lock:
            volume, before = self._at(old)
            volume.rename(before, self._at(new)[1])
            return 0

    def link(self, target: str, source: str) -> int:
        """Give the file *source* the second name *target*."""
        with self._lock:
            volume, file = self._file(source)
            inside = self._at(target)[1]
            if inside in volume.names:
                raise mfusepy.FuseOSError(errno.EEXIST)
            volume.record(Named(inside, file.ino))
            volume.names[inside] = file
            return 0

    def mkdir(self, path: str, mode: int) -> int:
        """Make a folder."""
        with self._lock:
            volume, inside = self._at(path)
            volume.make(inside, stat.S_IFDIR | mode & 0o7777)
            return 0

    def chmod(self, path: str, mode: int) -> int:
        """Change a file's mode; modes are durable at once."""
        file = self._file(path)[1]
        file.mode = stat.S_IFMT(file.mode) | stat.S_IMODE(mode)
        return 0

    def chown(self, path: str, uid: int, gid: int) -> int:
        """Take any owner for the same."""
        return 0


@contextmanager
def mounted(folder: Path, *, ahead: bool = True) -> Iterator[PlugFs]:
    """Mount a file system without volumes at *folder* until the block ends. Raises NoFuse.

    Unless it reads *ahead*, every read is one that somebody waits for.
    """
    _must_have_fuse()
    folder.mkdir(parents=True, exist_ok=True)
    plugs = PlugFs(ahead=ahead)
    quick = {"attr_timeout": 0, "entry_timeout": 0, "negative_timeout": 0}

    def serve() -> None:
        with suppress(RuntimeError):  # it says so when it is unmounted while something is open
            mfusepy.FUSE(plugs, str(folder), foreground=True, nothreads=True, **quick)

    serving = threading.Thread(target=serve, name="plugfs", daemon=True)
    serving.start()
    _until(lambda: folder.is_mount() or not serving.is_alive())
    if not folder.is_mount():
        raise NoFuse("the file system for power cuts could not be mounted: is /dev/fuse open to this user?")
    try:
        yield plugs
    finally:
        subprocess.run(["fusermount3", "-u", "-z", str(folder)], check=False)
        serving.join(MOUNT_S)


def _must_have_fuse() -> None:
    if not Path("/dev/fuse").exists() or not os.access("/dev/fuse", os.R_OK | os.W_OK):
        raise NoFuse("/dev/fuse is not there or not open to this user: power cuts cannot be tested here")
    if shutil.which("fusermount3") is None:
        raise NoFuse("fusermount3 is missing: on Debian, apt install fuse3")


def _until(come: Callable[[], bool]) -> None:
    deadline = time.monotonic() + MOUNT_S
    while not come() and time.monotonic() < deadline:
        time.sleep(0.005)
