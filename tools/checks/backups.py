"""The copies of the journal on a second medium."""

from collections.abc import Iterator
from datetime import timedelta

from gateway import messages
from gateway.config import BackupConfig
from store import backup
from store.backup import Copy
from tools.checks.report import Box, Check, Fact, Result

LATE = 3
"""Ours: so many times the agreed hours without a new copy are worth a warning."""
HAND = "checkup-gateway journal backup /media/stick/journal.db"


def copies(box: Box) -> Check:
    """A second medium is configured, there, and holds a copy that is not old."""
    name, config = "copies", box.config.backup
    if config is None:
        means = "A card that fails takes everything with it that the centre does not hold."
        do = "Name a folder on a stick in [backup], or copy by hand."
        return Check(name, "warn", "no second medium is configured", means, do, HAND, {"configured": False})
    try:
        there = backup.copies(config.folder, box.config.gateway)
        state = box.config.state
        same = state.exists() and config.folder.stat().st_dev == state.stat().st_dev
    except OSError as error:
        means = messages.text("backup.medium_missing", "en")
        found = f"{config.folder}: {error.strerror}"
        return Check(name, "fail", found, means, "", f"ls {config.folder}", {"configured": True})
    found = f"{len(there)} in {config.folder}"
    facts: dict[str, Fact] = {"configured": True, "copies": len(there), "same_disk": same}
    for result, means, do in _faults(box, config, there[-1] if there else None, same=same):
        return Check(name, result, found, means, do, HAND, facts)
    return Check(name, "ok", f"{found}, up to fact {there[-1].seq}", facts=facts)


def _faults(
    box: Box, config: BackupConfig, latest: Copy | None, *, same: bool
) -> Iterator[tuple[Result, str, str]]:
    if same:
        yield "fail", messages.text("backup.medium_missing", "en"), ""
    if latest is None:
        yield "warn", "Nothing was copied yet.", "Look again an hour after the service was started."
    elif box.now() - latest.made > timedelta(hours=config.every_h * LATE):
        yield "warn", f"The latest was made {latest.made:%Y-%m-%d %H:%M} UTC.", "Is the service running?"
