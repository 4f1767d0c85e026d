"""The disk, the journal, what lies in it, and what waits to be sent."""

import os
import shutil
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TypeVar

from gateway import messages, space
from protocol.errors import GatewayError
from store import aside
from store.outbox import Counts
from store.queries import Queries
from tools.checks.report import Box, Check, Fact, Result, told

LITTLE_ROOM = 1_000_000_000
NO_ROOM = 100_000_000
"""Bytes free under the state folder: what is worth a warning, and what a bad week of readings may need."""
FEW_FILES = 1000
"""Ours: file numbers left on the disk below which a warning is given."""
LONG_WAIT = timedelta(days=1)
LONG_OPEN = timedelta(hours=12)
"""Ours: an exam open for longer was forgotten."""
NETWORK_DISKS = {"nfs", "nfs4", "cifs", "smb3", "fuse.sshfs", "9p", "glusterfs", "ceph"}
MEMORY_DISKS = {"tmpfs", "ramfs"}
EMERGENCY = "emergency_ro"
"""How an ext4 that met an error says that it takes no more writing; its mount still looks writable."""
WORN = {"0x02": "warn", "0x03": "fail"}
"""An eMMC's own word on its spare blocks (pre_eol_info): 0x01 normal, 0x02 80 % used up, 0x03 nearly all."""
VERIFY = "checkup-gateway journal verify"

Answer = TypeVar("Answer")


def state_folder(box: Box) -> Check:
    """The state folder is there, private and has room."""
    name, folder = "state folder", box.config.state
    if not folder.is_dir():
        means = "The first start makes it."
        return Check(name, "warn", f"{folder} is not there", means, facts={"there": False})
    if not seen(box):
        do = "Ask as root, or the journal and the outbox stay unseen."
        found = f"{folder} is closed to this user"
        return Check(
            name, "warn", found, "So it should be.", do, "sudo checkup-gateway doctor", {"there": True}
        )
    free, reserve = shutil.disk_usage(folder).free, _bytes_of(folder / space.NAME)
    found = f"{folder}, {free / 1e9:.1f} GB free"
    mode = stat.S_IMODE(folder.stat().st_mode)
    facts: dict[str, Fact] = {"there": True, "free_bytes": free, "reserve": reserve, "mode": f"{mode:03o}"}
    if mode & 0o077:
        means = "Other users of this box can read residents' values."
        run = f"chmod 700 {folder}"
        return Check(name, "fail", f"{found}, mode {mode:03o}", means, "", run, facts)
    if free < LITTLE_ROOM:
        means = "What is stored is safe; when nothing is free, no new reading is taken."
        result: Result = "fail" if free < NO_ROOM else "warn"
        return Check(name, result, found, means, "Make room on this disk.", f"df -h {folder}", facts)
    return Check(name, "ok", found, facts=facts)


def _bytes_of(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def seen(box: Box) -> bool:
    """Say whether what lies in the state folder, if there is one, may be read by this user."""
    return not box.config.state.is_dir() or os.access(box.config.state, os.R_OK | os.X_OK)


@dataclass(frozen=True, slots=True)
class Disk:
    """What the kernel tells of the disk that the state folder lies on."""

    system: str
    read_only: bool
    files_left: int
    errors: int | None
    """Errors that ext4 met since the disk was last checked; None where the file system counts none."""
    wear: str
    """An eMMC's own word on its spare blocks, nothing where it has none."""


def disk(box: Box) -> Check:
    """The state folder lies on a disk of this box that can be written, keeps everything and is whole."""
    name, folder = "disk", box.config.state
    while not folder.is_dir():
        folder = folder.parent
    found = looked_at(box.root, folder)
    words = f"{found.system or 'unknown file system'}, {'read-only' if found.read_only else 'writable'}"
    words += "" if found.errors is None else f", {found.errors} error(s) met"
    facts: dict[str, Fact] = {
        "file_system": found.system,
        "read_only": found.read_only,
        "files_left": found.files_left,
        "errors": -1 if found.errors is None else found.errors,
        "wear": found.wear,
    }
    for result, means, do, run in _disk_faults(found, folder):
        return Check(name, result, words, means, do, run, facts)
    return Check(name, "ok", words, facts=facts)


def _disk_faults(found: Disk, folder: Path) -> Iterator[tuple[Result, str, str, str]]:
    if found.read_only:
        means = "Nothing can be stored: the kernel makes a disk read-only when it meets errors."
        do = "Back the journal up to another disk, then check this one."
        yield "fail", means, do, "dmesg --level=err,warn | tail -50"
    if found.system in MEMORY_DISKS:
        yield "fail", "Everything stored is gone with the power.", "Set the key state to a real disk.", ""
    if found.system in NETWORK_DISKS:
        means = "A journal on a network disk can be damaged, and is away when the network is."
        yield "fail", means, "Set the key state to a disk of this box.", ""
    if found.errors or found.wear in WORN:
        means = "The medium fails: what is stored may become unreadable."
        do = "Back the journal up to another disk today, and replace this one."
        result: Result = "fail" if found.errors or WORN.get(found.wear) == "fail" else "warn"
        yield result, means, do, "checkup-gateway journal backup /media/stick/journal.db"
    if found.files_left < FEW_FILES:
        means = "The disk has hardly any file numbers left: soon nothing new can be stored."
        yield "warn", means, "Remove files that nobody needs.", f"df -i {folder}"


def looked_at(root: Path, folder: Path) -> Disk:
    """Return what the kernel tells of the disk under *folder*."""
    room = os.statvfs(folder)
    number = folder.stat().st_dev
    block = root / f"sys/dev/block/{os.major(number)}:{os.minor(number)}"
    whole = block.resolve().parent if (block / "partition").exists() else block.resolve()
    errors = _word(root / "sys/fs/ext4" / block.resolve().name / "errors_count")
    system, options = _file_system(root, folder.resolve())
    return Disk(
        system=system,
        read_only=bool(room.f_flag & os.ST_RDONLY) or EMERGENCY in options.split(","),
        files_left=room.f_favail if room.f_files else FEW_FILES,
        errors=int(errors) if errors.isdecimal() else None,
        wear=_word(whole / "device/pre_eol_info"),
    )


def _file_system(root: Path, folder: Path) -> tuple[str, str]:
    """Return the file system *folder* lies in, and its options, from /proc/self/mountinfo."""
    best, system, options = -1, "", ""
    try:
        lines = (root / "proc/self/mountinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return "", ""
    for line in lines:
        before, _, after = line.partition(" - ")
        fields = before.split()
        point = Path(fields[4].replace("\\040", " ")) if len(fields) > 4 else Path("-")
        if folder.is_relative_to(point) and len(point.parts) >= best:
            best, system, options = len(point.parts), after.split()[0], after.split()[-1]
    return system, options


def _word(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""


def journal(box: Box) -> Check:
    """The journal is what was written: SQLite's structure, the whole chain, every version."""
    path = box.journal
    if not path.exists():
        means = "Nothing was ever stored; the first start makes it."
        return Check("journal", "warn", f"{path} is not there", means, facts={"there": False})
    try:
        report = asked(box, Queries.check)
    except GatewayError as error:
        return told("journal", error, f"{VERIFY} --config {box.loaded.path}")
    found = f"{path}, {report.facts} facts, end of chain {report.head[:16] or '-'}"
    facts = {"facts": report.facts, "problems": len(report.problems), "bytes": path.stat().st_size}
    if not report.problems:
        return _aside(box, Check("journal", "ok", found, facts=facts))
    first = report.problems[0]
    means = "The file is not what was written. Nothing is deleted."
    do = "Leave the box alone, copy the folder, compare with the last backup."
    found = f"{path}: {len(report.problems)} problem(s), first at fact {first.seq}: {first.what}"
    return Check("journal", "fail", found, means, do, VERIFY, {**facts, "first": first.seq})


def _aside(box: Box, sound: Check) -> Check:
    """Say so where a damaged journal was moved aside and nobody has looked at it yet."""
    files = aside.damaged_files(box.config.state)
    if not files:
        return sound
    found = f"{sound.found}; made anew after damage, the old file is {files[-1].name}"
    means, do = (
        "What could not be proven was left out; the audit says which facts.",
        "Copy the old file, then remove it.",
    )
    return Check("journal", "warn", found, means, do, "checkup-gateway journal audit", sound.facts)


def asked(box: Box, question: Callable[[Queries], Answer]) -> Answer:
    """Return what the journal answers. Raises GatewayError where it cannot be read."""
    queries = Queries(box.journal)
    try:
        return question(queries)
    finally:
        queries.close()


def people(box: Box) -> Check:
    """No exam was forgotten open, and every measurement has found its person."""
    name = "exams"
    if not box.journal.exists():
        return Check(name, "ok", "none yet")
    try:
        counts = asked(box, Queries.counts)
        opened = [exam.opened.utc for exam in asked(box, lambda journal: journal.exams(open=True))]
    except GatewayError as error:
        return told(name, error, VERIFY)
    found = f"{counts.open_exams} open, {counts.tray} measurement(s) that belong to nobody yet"
    facts = {"open": counts.open_exams, "tray": counts.tray}
    if opened and box.now() - min(opened) > LONG_OPEN:
        means = "An exam that stays open takes the next person's measurements."
        found = f"{found}, one open since {min(opened).isoformat(timespec='minutes')}"
        return Check(
            name, "warn", found, means, "Close it on the clinic page.", "", {**facts, "forgotten": True}
        )
    if counts.tray:
        means = "They are stored and not sent until somebody says whose they are."
        return Check(name, "warn", found, means, "Bind them on the clinic page.", "", facts)
    return Check(name, "ok", found, facts=facts)


def outbox(box: Box) -> Check:
    """Nothing waits for long, nothing is parked."""
    if not box.journal.exists():
        return Check("outbox", "ok", "empty")
    try:
        counts = asked(box, Queries.outbox_counts)
    except GatewayError as error:
        return told("outbox", error, VERIFY)
    found = "; ".join(f"{name}: {_count(one)}" for name, one in counts.items()) or "no forwarder"
    oldest = [one.oldest_waiting.utc for one in counts.values() if one.oldest_waiting]
    facts = {
        "waiting": sum(one.waiting for one in counts.values()),
        "parked": sum(one.parked for one in counts.values()),
        "delivered": sum(one.delivered for one in counts.values()),
        "oldest_h": round((box.now() - min(oldest)).total_seconds() / 3600) if oldest else 0,
    }
    run = "checkup-gateway outbox list"
    if facts["parked"]:
        return Check("outbox", "warn", found, messages.text("delivery.parked", "en"), "", run, facts)
    if oldest and box.now() - min(oldest) > LONG_WAIT:
        means, do = messages.text("delivery.unreachable", "en"), "See the centre's line below."
        return Check("outbox", "warn", found, means, do, run, facts)
    return Check("outbox", "ok", found, facts=facts)


def _count(counts: Counts) -> str:
    since = (
        f" since {counts.oldest_waiting.utc.isoformat(timespec='minutes')}" if counts.oldest_waiting else ""
    )
    return f"{counts.waiting} waiting{since}, {counts.parked} parked, {counts.delivered} delivered"
