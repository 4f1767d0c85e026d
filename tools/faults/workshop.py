"""Where lives are lived and cut: one parent of processes, one mount of disks that can lose their power."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tools.faults.nursery import Nursery
from tools.faults.plugfs import PlugFs, mounted

MEMORY = Path("/dev/shm")  # noqa: S108 - no file of anybody's: folders of our own, made safely
"""Where crash states are laid out, if it is there: a disk would be slow and worn."""


@dataclass(frozen=True, slots=True)
class Workshop:
    """What boxes share; `folder` lies in memory."""

    folder: Path
    mount: Path
    plugs: PlugFs
    nursery: Nursery

    def room(self, name: str) -> Path:
        """Return a new folder."""
        return Path(tempfile.mkdtemp(prefix=f"{name}-", dir=self.folder))


@contextmanager
def workshop() -> Iterator[Workshop]:
    """Set up a workshop and leave nothing of it behind. Raises NoFuse."""
    folder = Path(tempfile.mkdtemp(prefix="faults-", dir=MEMORY if MEMORY.is_dir() else None))
    try:
        with mounted(folder / "mount") as plugs, Nursery() as nursery:
            yield Workshop(folder, folder / "mount", plugs, nursery)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
