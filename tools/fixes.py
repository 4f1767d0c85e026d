"""What `doctor --fix` may change: rights and the missing state folder, nothing else, each told in a line.

Safe means: nothing is lost, nothing that runs is disturbed, and doing it twice changes nothing. Groups,
packages, the clock, parked deliveries, ports, links and the journal's contents are never touched.
"""

import os
import pwd
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tools.checks.report import Box

FOLDER = 0o700
SERVICE_USER = "checkup-gateway"


@dataclass(frozen=True, slots=True)
class Mended:
    """One thing that was done, or could not be."""

    what: str
    done: bool


def mend(box: Box) -> Iterator[Mended]:
    """Do what is safe and needed; yield each thing as it is done."""
    for what, work in _needed(box):
        try:
            work()
        except OSError as error:
            yield Mended(f"{what}: {error.strerror}", done=False)
        else:
            yield Mended(what, done=True)


def _needed(box: Box) -> Iterator[tuple[str, Callable[[], None]]]:
    folder = box.config.state
    if not folder.exists():
        yield from _missing(box, folder)
    elif folder.is_dir():
        yield from _narrower(folder, 0o077)
        if os.access(folder, os.R_OK | os.X_OK):
            for file in sorted(folder.iterdir()):
                yield from _narrower(file, 0o077)
    if box.config.fhir and box.config.fhir.token_file:
        yield from _narrower(box.config.fhir.token_file, 0o007)
    yield from _narrower(box.loaded.path, stat.S_IWOTH)


def _missing(box: Box, folder: Path) -> Iterator[tuple[str, Callable[[], None]]]:
    """Offer to make the state folder, for the user whom the service runs as; its parent must be there."""
    owner = _owner(box)
    if folder.parent.is_dir() and (owner is not None or os.geteuid() != 0):
        yield f"made {folder}, mode {FOLDER:o}", lambda: _make(folder, owner)


def _owner(box: Box) -> tuple[int, int] | None:
    """Return the service's user and group, None where it has no user of its own here."""
    try:
        user = pwd.getpwnam(box.unit("User").strip() or SERVICE_USER)
    except KeyError:
        return None
    return user.pw_uid, user.pw_gid


def _make(folder: Path, owner: tuple[int, int] | None) -> None:
    folder.mkdir(mode=FOLDER)
    if owner is not None and os.geteuid() == 0:
        os.chown(folder, *owner)


def _narrower(path: Path, unwanted: int) -> Iterator[tuple[str, Callable[[], None]]]:
    """Offer to take the *unwanted* rights from *path*; what a link points to is somebody else's."""
    try:
        mode = stat.S_IMODE(path.lstat().st_mode)
    except OSError:
        return
    if mode & unwanted and not path.is_symlink():
        yield f"chmod {mode & ~unwanted:03o} {path} (was {mode:03o})", lambda: path.chmod(mode & ~unwanted)
