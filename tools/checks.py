"""What doctor looks at, one function a check. Every check reads; none opens a device's port or writes."""

import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

import httpx2

from gateway import messages
from gateway.clock import kernel_synchronised
from gateway.config import Config, DeviceConfig, Loaded
from gateway.links.ports import resolve
from protocol.errors import DeliveryError, GatewayError, LinkError
from store import version
from store.outbox import Counts
from store.queries import Queries
from tools import running

Result = Literal["ok", "warn", "fail"]
LITTLE_ROOM = 1_000_000_000
NO_ROOM = 100_000_000
"""Bytes free under the state folder: what is worth a warning, and what a bad week of readings may need."""
LONG_WAIT = timedelta(days=1)
CENTRE_TIMEOUT_S = 5.0
ONLY_ITSELF = {"127.0.0.0/8", "::1/128"}


@dataclass(frozen=True, slots=True)
class Check:
    """One line of the report: what was found, what it means, what to do, and the command for it."""

    name: str
    result: Result
    found: str
    means: str = ""
    do: str = ""
    run: str = ""


def unit_property(name: str) -> str:
    """Return a property of the installed unit; empty where systemd does not run here."""
    if not Path("/run/systemd/system").is_dir():
        return ""
    words = ["systemctl", "show", "--value", f"--property={name}", "checkup-gateway.service"]
    return subprocess.run(words, capture_output=True, text=True, check=False).stdout


@dataclass(frozen=True, slots=True)
class Box:
    """The machine looked at: `root` stands before /dev, /proc and /run; `unit` gives the unit's property."""

    loaded: Loaded
    root: Path = Path("/")
    unit: Callable[[str], str] = unit_property

    @property
    def config(self) -> Config:
        """Return the configuration."""
        return self.loaded.config


def versions() -> Check:
    """Python and SQLite are of versions this release was tried with."""
    python, library = ".".join(map(str, sys.version_info[:3])), ".".join(map(str, version.sqlite()))
    found = f"Python {python}, SQLite {library}"
    if not (3, 11) <= sys.version_info[:2] <= (3, 13):
        return Check("versions", "warn", found, "Untried with this Python.", "Use Python 3.11, 3.12 or 3.13.")
    if version.two_writers_are_safe():
        return Check("versions", "ok", found)
    means = "This SQLite can damage a file that two programs write. The gateway alone writes, so it is fine."
    return Check("versions", "ok", found, means, "Never open the journal with another program for writing.")


def configuration(box: Box) -> Check:
    """The file was read."""
    found = f"{box.loaded.path}, {len(box.config.devices)} device(s)"
    if box.config.devices:
        return Check("configuration", "ok", found)
    do = "Paste the stanzas of your machines into the file."
    return Check(
        "configuration", "warn", found, "No machine will be read.", do, "checkup-gateway devices scan"
    )


def state_folder(box: Box) -> Check:
    """The state folder is there, private and has room."""
    folder = box.config.state
    if not folder.is_dir():
        return Check("state folder", "warn", f"{folder} is not there", "The first start makes it.")
    if not os.access(folder, os.R_OK | os.X_OK):
        do = "Ask as root, or the journal and the outbox stay unseen."
        found = f"{folder} is closed to this user"
        return Check("state folder", "warn", found, "So it should be.", do, "sudo checkup-gateway doctor")
    free = shutil.disk_usage(folder).free
    found = f"{folder}, {free / 1e9:.1f} GB free"
    mode = stat.S_IMODE(folder.stat().st_mode)
    if mode & 0o077:
        means = "Other users of this box can read residents' values."
        return Check("state folder", "fail", f"{found}, mode {mode:03o}", means, "", f"chmod 700 {folder}")
    if free < LITTLE_ROOM:
        means = "What is stored is safe; when nothing is free, no new reading is taken."
        do = "Make room on this disk."
        return Check(
            "state folder", "fail" if free < NO_ROOM else "warn", found, means, do, f"df -h {folder}"
        )
    return Check("state folder", "ok", found)


def journal(box: Box) -> Check:
    """The journal is what was written: SQLite's structure, the whole chain, every version."""
    path = box.config.state / "journal.db"
    if not path.exists():
        return Check(
            "journal", "warn", f"{path} is not there", "Nothing was ever stored; the first start makes it."
        )
    queries = Queries(path)
    try:
        report = queries.check()
    except GatewayError as error:
        return _told("journal", error, f"checkup-gateway journal verify --config {box.loaded.path}")
    finally:
        queries.close()
    found = f"{path}, {report.facts} facts, end of chain {report.head[:16] or '-'}"
    if not report.problems:
        return Check("journal", "ok", found)
    first = report.problems[0]
    means = "The file is not what was written. Nothing is deleted."
    do = "Leave the box alone, copy the folder, compare with the last backup."
    found = f"{path}: {len(report.problems)} problem(s), first at fact {first.seq}: {first.what}"
    return Check("journal", "fail", found, means, do, "checkup-gateway journal verify")


def port(box: Box, device: DeviceConfig) -> Check:
    """The device's port is there, may be opened, and nobody else holds it. The port itself is not touched."""
    name = f"port of {device.name}"
    try:
        target = resolve(device.port, box.root)
    except LinkError as error:
        return _told(name, error, "checkup-gateway devices scan")
    if "://" in target:
        return Check(name, "ok", f"{target}, not tried: only opening it tells")
    path = Path(target)
    if not path.exists():
        means = messages.text("link.unavailable", "en")
        return Check(name, "fail", f"{target} is not there", means, "", "checkup-gateway devices scan")
    holders = list(_holders(box.root, path))
    gateways = [holder for holder in holders if holder[1] == "checkup-gateway"]
    if len(holders) > len(gateways):
        process, program = next(holder for holder in holders if holder not in gateways)
        found = f"{target} is held by {program} (process {process})"
        return Check(
            name, "fail", found, messages.text("link.busy", "en"), f"Stop {program}.", f"ps {process}"
        )
    if not os.access(path, os.R_OK | os.W_OK):
        run = f"sudo usermod -aG {path.group()} {os.environ.get('USER', '$USER')}"
        return Check(name, "fail", f"{target} may not be opened by this user", "", "Join its group.", run)
    found = f"{device.port} is {path.resolve()}" + (", open by the gateway" if gateways else "")
    return Check(name, "ok", found)


def _holders(root: Path, port_path: Path) -> Iterator[tuple[int, str]]:
    """Yield process and program of everyone who has *port_path* open, as far as this user may see."""
    wanted = str(port_path.resolve())
    for process in (root / "proc").glob("[0-9]*"):
        try:
            if any(str(link.readlink()) == wanted for link in (process / "fd").iterdir()):
                yield int(process.name), (process / "comm").read_text().strip()
        except OSError:
            continue  # it ended meanwhile, or belongs to somebody else


def modem_manager(box: Box) -> Check:
    """Nothing on this box speaks to serial ports by itself."""
    for comm in (box.root / "proc").glob("[0-9]*/comm"):
        try:
            if comm.read_text().strip() == "ModemManager":
                means = "It speaks to every new serial port to find modems; a machine may take that amiss."
                do = "Without a modem remove it; else see 60-checkup-gateway.rules."
                return Check(
                    "other speakers", "warn", "ModemManager runs", means, do, "apt remove modemmanager"
                )
        except OSError:
            continue
    return Check("other speakers", "ok", "nobody else speaks to new serial ports")


def hot_plug(box: Box) -> Check:
    """Machines that are plugged in are noticed."""
    if (box.root / "run/udev/control").exists():
        return Check("hot-plug", "ok", "udev tells at once")
    means = "A machine plugged in is found within two seconds instead of at once."
    return Check("hot-plug", "warn", "no udev here, ports are looked up", means)


def clock() -> Check:
    """The kernel calls the wall clock synchronised."""
    now = datetime.now(UTC).isoformat(timespec="seconds")
    if kernel_synchronised():
        return Check("clock", "ok", f"{now}, synchronised")
    do = "Connect to a network with a time server, or set up chrony or systemd-timesyncd."
    means = messages.text("clock.unsynchronised", "en")
    return Check("clock", "warn", f"{now}, not synchronised", means, do, "timedatectl")


def outbox(box: Box) -> Check:
    """Nothing waits for long, nothing is parked."""
    path = box.config.state / "journal.db"
    if not path.exists():
        return Check("outbox", "ok", "empty")
    queries = Queries(path)
    try:
        counts = queries.outbox_counts()
    except GatewayError as error:
        return _told("outbox", error, "checkup-gateway journal verify")
    finally:
        queries.close()
    found = "; ".join(f"{name}: {_count(one)}" for name, one in counts.items()) or "no forwarder"
    if any(one.parked for one in counts.values()):
        means = messages.text("delivery.parked", "en")
        return Check("outbox", "warn", found, means, "", "checkup-gateway outbox list")
    oldest = [one.oldest_waiting.utc for one in counts.values() if one.oldest_waiting]
    if oldest and datetime.now(UTC) - min(oldest) > LONG_WAIT:
        means = messages.text("delivery.unreachable", "en")
        return Check(
            "outbox", "warn", found, means, "See the centre's line below.", "checkup-gateway outbox list"
        )
    return Check("outbox", "ok", found)


def _count(counts: Counts) -> str:
    since = (
        f" since {counts.oldest_waiting.utc.isoformat(timespec='minutes')}" if counts.oldest_waiting else ""
    )
    return f"{counts.waiting} waiting{since}, {counts.parked} parked, {counts.delivered} delivered"


def centre(box: Box) -> Check:
    """The central record answers as a FHIR server. Being offline is a state, a wrong answer a mistake."""
    fhir = box.config.fhir
    if fhir is None:
        means = "Measurements stay on this box; other systems may fetch them by the pull API."
        return Check("centre", "ok", "none configured", means)
    url = f"{fhir.url}/metadata"
    run = f"curl -i {url}"
    try:
        answer = httpx2.get(url, timeout=CENTRE_TIMEOUT_S, headers={"Accept": "application/fhir+json"})
        kind = answer.json().get("resourceType") if answer.is_success else None
    except (httpx2.HTTPError, httpx2.InvalidURL) as error:
        found = f"{fhir.url} does not answer ({type(error).__name__})"
        return Check(
            "centre", "warn", found, messages.text("delivery.unreachable", "en"), "Check the network.", run
        )
    except (ValueError, AttributeError):
        kind = None
    if kind == "CapabilityStatement":
        return Check("centre", "ok", f"{fhir.url} answers as a FHIR server")
    found = f"{url} answers {answer.status_code}, not with a FHIR CapabilityStatement"
    means = "This is not the base address of a FHIR server, or something stands in between."
    return Check("centre", "fail", found, means, "Correct fhir.url.", run)


def way_out(box: Box) -> Check:
    """The unit's address filter lets the service reach the centre."""
    name = "address filter"
    allowed = box.unit("IPAddressAllow").split()
    fhir = box.config.fhir
    host = httpx2.URL(fhir.url).host if fhir else "localhost"
    if not allowed or set(allowed) - ONLY_ITSELF or host in {"localhost", "127.0.0.1", "::1"}:
        return Check(name, "ok", " ".join(allowed) or "systemd filters no address of the service")
    means = f"systemd lets the service reach this box only, so never {host}."
    do = f"Add IPAddressAllow= with the address of {host} and of the name server, in [Service]."
    return Check(name, "fail", " ".join(allowed), means, do, "systemctl edit checkup-gateway")


def service(box: Box) -> Check:
    """The service answers and can take readings."""
    base = running.address(box.config.http)
    run = "systemctl status checkup-gateway"
    try:
        answer: Mapping[str, object] = running.ask(base, "/readyz")
    except DeliveryError:
        do = "Start it if it should run."
        means = "It does not run, is starting, or cannot take readings."
        return Check("service", "warn", f"{base}/readyz does not say that it is ready", means, do, run)
    return Check("service", "ok", f"{base} is ready" if answer.get("ready") else f"{base} answers")


def _told(name: str, error: GatewayError, run: str) -> Check:
    return Check(name, "fail", str(error), messages.text(error.code, "en"), "", run)


def every(box: Box) -> Iterator[Check]:
    """Yield each check's outcome as it is known, in the order of the report."""
    yield versions()
    yield configuration(box)
    yield state_folder(box)
    seen = not box.config.state.is_dir() or os.access(box.config.state, os.R_OK | os.X_OK)
    if seen:
        yield journal(box)
    yield from (port(box, device) for device in box.config.devices)
    yield modem_manager(box)
    yield hot_plug(box)
    yield clock()
    if seen:
        yield outbox(box)
    yield centre(box)
    yield way_out(box)
    yield service(box)
