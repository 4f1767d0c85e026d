"""Who has a port open, as far as this user may see: open files, the kernel's list of locks, lock files.

Only root sees every process's open files. The kernel's list of locks names the gateway and every other
program that locks its port to anybody; lock files under /run/lock are left by terminal programs.
"""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path("/")
GATEWAY = "checkup-gateway"
_LOCK = re.compile(r"\d+: \S+ +\S+ +\S+ (\d+) ([0-9a-f]+):([0-9a-f]+):(\d+) ")


@dataclass(frozen=True, slots=True)
class Holder:
    """A process that has the port open; `program` is its name as the kernel has it."""

    process: int
    program: str

    @property
    def gateway(self) -> bool:
        """Say whether it is this gateway's service or one of its commands."""
        return self.program == GATEWAY

    def __str__(self) -> str:
        return f"{self.program} (process {self.process})"


@dataclass(frozen=True, slots=True)
class Held:
    """Who holds a port; `whole` is false where processes of others could not be looked into."""

    by: tuple[Holder, ...]
    whole: bool

    def __str__(self) -> str:
        if self.by:
            return "held by " + ", ".join(map(str, self.by))
        return "free" if self.whole else "nobody seen to hold it (only root sees every process)"


def held(port: Path, root: Path = ROOT) -> Held:
    """Return who holds *port*, a path that exists; the port itself is not opened."""
    wanted = port.resolve()
    hidden: list[int] = []
    found = {
        *_by_open_files(root, wanted, hidden),
        *_by_locks(root, wanted),
        *_by_lock_files(root, wanted.name),
    }
    named = [Holder(process, name) for process in sorted(found) if (name := _program(root, process))]
    return Held(tuple(named), whole=not hidden)


def _by_open_files(root: Path, wanted: Path, hidden: list[int]) -> Iterator[int]:
    for process in (root / "proc").glob("[0-9]*"):
        try:
            if any(_target(link) == str(wanted) for link in (process / "fd").iterdir()):
                yield int(process.name)
        except PermissionError:
            hidden.append(int(process.name))
        except OSError:
            continue  # it ended meanwhile


def _target(link: Path) -> str:
    try:
        return str(link.readlink())
    except OSError:
        return ""


def _by_locks(root: Path, wanted: Path) -> Iterator[int]:
    """Yield who locked the file, by its number: /proc/locks may be read by everybody."""
    try:
        file = wanted.stat()
        lines = (root / "proc/locks").read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return
    for found in filter(None, map(_LOCK.match, lines)):
        process, major, minor, inode = found.groups()
        if (os.makedev(int(major, 16), int(minor, 16)), int(inode)) == (file.st_dev, file.st_ino):
            yield int(process)


def _by_lock_files(root: Path, name: str) -> Iterator[int]:
    """Yield who left a lock file for the port, a process number as text (UUCP's custom)."""
    for folder in ("run/lock", "var/lock"):
        try:
            yield int((root / folder / f"LCK..{name}").read_text(encoding="ascii"))
        except (OSError, ValueError):
            continue


def _program(root: Path, process: int) -> str:
    """Return the name of a process that runs now, nothing where there is none."""
    try:
        return (root / "proc" / str(process) / "comm").read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""
