"""The machines' ports and what else touches them. No port is opened: that could wake a machine."""

import grp
import os
import pwd
import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from drivers import catalogue
from drivers.catalogue import Hid, Serial
from gateway import messages
from gateway.config import DeviceConfig
from gateway.links.ports import PortInfo, candidates, ports, resolve
from protocol.errors import LinkError
from tools.checks.report import Box, Check, Fact, told
from tools.holders import Held, held

SCAN = "checkup-gateway devices scan"
SPEAKERS = {
    "ModemManager": (
        "It speaks to every new serial port to find modems; a machine may take that amiss.",
        "Without a modem remove it; else see 60-checkup-gateway.rules.",
        "apt remove modemmanager",
    ),
    "brltty": (
        "It takes some serial adapters away, because braille displays use the same chip.",
        "Without a braille display remove it, then plug the adapter in again.",
        "apt remove brltty",
    ),
}
"""Programs that touch ports nobody gave them: what that means, what to do, the command."""


@dataclass(frozen=True, slots=True)
class Found:
    """A device's port as it stands now."""

    name: str
    device: DeviceConfig
    path: Path
    by: Held
    info: PortInfo | None
    """What the kernel lists of it; None for what is no port of its own (a pseudo-terminal)."""

    @property
    def facts(self) -> dict[str, Fact]:
        """Return what may be told of the port: its adapter, not its name."""
        usb = self.info and self.info.vid is not None and self.info.pid is not None
        return {
            "driver": self.device.driver,
            "adapter": f"{self.info.vid:04x}:{self.info.pid:04x}" if usb and self.info else "",
            "held_by": " ".join(holder.program for holder in self.by.by),
        }


def port(box: Box, device: DeviceConfig) -> Check:
    """The device's port is there, may be opened by the service, and nobody else holds it."""
    name, listed = f"port of {device.name}", _listed(device)
    try:
        target = resolve(device.port, box.root, listed)
    except LinkError as error:
        return told(name, error, SCAN)
    if "://" in target:
        return Check(
            name, "ok", f"{target}, not tried: only opening it tells", facts={"driver": device.driver}
        )
    path = Path(target)
    if not path.exists():
        means = messages.text("link.unavailable", "en")
        return Check(
            name, "fail", f"{target} is not there", means, "", SCAN, {"driver": device.driver, "there": False}
        )
    infos = (info for info in listed(box.root) if Path(info.device).resolve() == path.resolve())
    found = Found(name, device, path, held(path, box.root), next(infos, None))
    return (
        _held_by_another(found)
        or _forbidden(box, found)
        or _shared(box, found)
        or _fleeting(found)
        or _good(found)
    )


def _listed(device: DeviceConfig) -> Callable[[Path], list[PortInfo]]:
    driver = catalogue.every().get(device.driver)
    return candidates(driver.link) if driver is not None and isinstance(driver.link, Serial | Hid) else ports


def _held_by_another(found: Found) -> Check | None:
    other = next((holder for holder in found.by.by if not holder.gateway), None)
    if other is None:
        return None
    means, do = messages.text("link.busy", "en"), f"Stop {other.program}."
    said = f"{found.path} is held by {other}"
    return Check(found.name, "fail", said, means, do, f"ps {other.process}", found.facts)


def _forbidden(box: Box, found: Found) -> Check | None:
    """Return the failed check where the user whom the service runs as may not open the port."""
    user = box.unit("User").strip()
    may = _may(user, found.path)
    if may is None:
        user, may = "", os.access(found.path, os.R_OK | os.W_OK)
    if may:
        return None
    said = f"{found.path} may not be opened by {user or 'this user'}"
    facts = {**found.facts, "forbidden": True}
    means = messages.text("link.permission", "en")
    if found.path.stat().st_gid == 0 or not found.path.stat().st_mode & stat.S_IWGRP:
        do = "No group may open it: install 60-checkup-gateway.rules and plug the machine in again."
        return Check(found.name, "fail", said, means, do, "udevadm control --reload", facts)
    run = f"sudo usermod -aG {_group(found.path)} {user or os.environ.get('USER', '$USER')}"
    do = "Join its group, then start the service (or log in) again."
    return Check(found.name, "fail", said, means, do, run, facts)


def _may(user: str, path: Path) -> bool | None:
    """Say whether *user* may read and write *path* by its mode; None where there is no such user."""
    try:
        known = pwd.getpwnam(user)
    except KeyError:
        return None
    status = path.stat()
    if known.pw_uid in {0, status.st_uid}:
        return known.pw_uid == 0 or status.st_mode & 0o600 == 0o600
    if status.st_gid in os.getgrouplist(user, known.pw_gid):
        return status.st_mode & 0o060 == 0o060
    return status.st_mode & 0o006 == 0o006


def _group(path: Path) -> str:
    number = path.stat().st_gid
    try:
        return grp.getgrgid(number).gr_name
    except KeyError:
        return str(number)


def _shared(box: Box, found: Found) -> Check | None:
    """Return the failed check where another device of the configuration is the same port by another name."""
    for other in box.config.devices:
        if other.name == found.device.name:
            continue
        try:
            path = Path(resolve(other.port, box.root, _listed(other)))
        except LinkError:
            continue
        if path.exists() and path.resolve() == found.path.resolve():
            means = "Two devices cannot share a port: one of them will never be read."
            said, do = f"{other.name} has the same port", "Correct the port of one of them."
            return Check(found.name, "fail", said, means, do, SCAN, {**found.facts, "shared": True})
    return None


def _fleeting(found: Found) -> Check | None:
    """Return the warning where a name was chosen that another adapter may have tomorrow."""
    lasting = found.info and found.info.by_id
    if not lasting or found.device.port.startswith(("usb:", "/dev/serial/")) or found.path.is_symlink():
        return None
    means = "The name changes when adapters are plugged in another order; then another machine is read here."
    do = f'Write port = "{lasting}" instead.'
    return Check(found.name, "warn", f"{found.path}", means, do, SCAN, {**found.facts, "fleeting": True})


def _good(found: Found) -> Check:
    gateway = ", open by the gateway" if found.by.by else ""
    said = f"{found.device.port} is {found.path.resolve()}{gateway}"
    if found.info and found.info.vid is not None and found.info.pid is not None:
        said += f", USB {found.info.vid:04x}:{found.info.pid:04x}"
    return Check(found.name, "ok", said, facts=found.facts)


def other_speakers(box: Box) -> Check:
    """Nothing on this box speaks to serial ports by itself."""
    name, programs = "other speakers", box.programs()
    for program, (means, do, run) in SPEAKERS.items():
        if program in programs:
            return Check(name, "warn", f"{program} runs", means, do, run, {"program": program})
    return Check(name, "ok", "nobody else speaks to new serial ports")


def hot_plug(box: Box) -> Check:
    """Machines that are plugged in are noticed."""
    if (box.root / "run/udev/control").exists():
        return Check("hot-plug", "ok", "udev tells at once", facts={"udev": True})
    means = "A machine plugged in is found within two seconds instead of at once."
    return Check("hot-plug", "warn", "no udev here, ports are looked up", means, facts={"udev": False})
