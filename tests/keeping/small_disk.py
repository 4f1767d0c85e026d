"""A small file system of a test's own, in a mount namespace of its own, and programs that run in it."""

import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

Kind = Literal["tmpfs", "ext4"]
ROOT = os.geteuid() == 0


class SmallDisk:
    """A file system of *kind* at *point*, seen by what runs `inside`; everything ends with the block."""

    def __init__(self, point: Path, kind: Kind, megabytes: int) -> None:
        self.point, self.kind = point, kind
        self.image = point.with_suffix(".img")
        self._megabytes = megabytes
        self._holder: subprocess.Popen[bytes] | None = None

    @property
    def seen(self) -> Path:
        """Where the test itself finds the file system."""
        assert self._holder is not None
        return Path(f"/proc/{self._holder.pid}/root{self.point}")

    def inside(self, *command: str | Path) -> list[str]:
        """Return *command* so that it runs where the file system is mounted."""
        assert self._holder is not None
        user = () if ROOT else ("-U", "--preserve-credentials")
        return ["nsenter", "-t", str(self._holder.pid), "-m", *user, "--", *map(str, command)]

    def run(self, *command: str | Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(self.inside(*command), capture_output=True, text=True, check=False)

    def mount(self) -> None:
        assert not self.run(*self._mounting()).returncode

    def _mounting(self) -> Sequence[str]:
        if self.kind == "tmpfs":
            return ("mount", "-t", "tmpfs", "-o", f"size={self._megabytes}m", "none", str(self.point))
        return ("mount", "-o", "loop,errors=remount-ro", str(self.image), str(self.point))

    def make(self) -> bool:
        """Make and mount it; False where this machine lets nobody do that."""
        self.point.mkdir()
        if self.kind == "ext4":
            with self.image.open("wb") as file:
                file.truncate(self._megabytes * 2**20)
            subprocess.run(["mkfs.ext4", "-q", "-m", "0", self.image], check=True)
        own = ["unshare", "--mount"] if ROOT else ["unshare", "--mount", "--map-root-user"]
        hold = ["sh", "-c", "echo there; exec sleep infinity"]
        self._holder = subprocess.Popen([*own, *hold], stdout=subprocess.PIPE)
        assert self._holder.stdout is not None
        if self._holder.stdout.readline() != b"there\n":
            return False
        return not self.run(*self._mounting()).returncode

    def end(self) -> None:
        if self._holder is not None:
            self.run("umount", "-l", self.point)
            self._holder.kill()
            self._holder.communicate()

    def fill(self) -> Path:
        """Leave no byte free; return the file that takes the room."""
        ballast = self.seen / "ballast"
        with ballast.open("ab", buffering=0) as file:
            for size in (2**20, 4096, 1):
                try:
                    while True:
                        file.write(bytes(size))
                except OSError:
                    continue
        return ballast

    def force_read_only(self) -> None:
        """Let the kernel meet an error on an ext4, after which it takes no more writing."""
        device = self.run("findmnt", "-no", "SOURCE", self.point).stdout.strip().rpartition("/")[2]
        Path(f"/sys/fs/ext4/{device}/trigger_fs_error").write_text("test")


@contextmanager
def small_disk(point: Path, kind: Kind, megabytes: int = 24) -> Iterator[SmallDisk | None]:
    """Lend a small disk; None where this machine lets nobody mount one."""
    disk = SmallDisk(point, kind, megabytes)
    try:
        yield disk if disk.make() else None
    finally:
        disk.end()
