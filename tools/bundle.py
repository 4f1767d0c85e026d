"""The diagnostics bundle: one zip file for whoever helps from afar, made by an allow-list, to be read before.

Nothing in it names a person, a clinic or a secret: no resident, value, frame, path, address, port or name
that somebody chose. Devices are numbered as in the configuration. Each part is built from the fields named.
"""

import io
import json
import os
import platform
import subprocess
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, requires
from importlib.metadata import version as installed
from pathlib import Path
from typing import Any

import click

from drivers import catalogue
from gateway import messages
from gateway.config import DeviceConfig
from gateway.links.ports import hids, ports
from protocol.errors import DeliveryError, GatewayError
from store.queries import Queries
from tools import allowed, running
from tools.allowed import LEFT_OUT, Passes, figure
from tools.checks.report import Box, Check
from tools.checks.storage import asked, seen
from tools.devices import looked_at

LINES = 2000
"""Log lines looked through at most."""
EVENTS = 200
DAYS = 120
UNIT = "checkup-gateway"
README = """\
Diagnostics of a checkup gateway, made by `checkup-gateway doctor --bundle`.

It was put together by an allow-list and holds no name, number or value of a person, no bytes that a machine
sent, no path, address, port, serial number or name that somebody chose, and no secret. Devices are numbered
as in the configuration; each code is explained in docs/errors.md.

machine.json   versions, memory, adapters at the ports
doctor.json    what each check found
config.json    the settings that name nobody
devices.json   what each device does now, its last events and its last days
journal.json   how much is stored and what waits to be sent
log.jsonl      the service's last lines of its own
"""
DEVICE: Mapping[str, Passes] = {
    "driver": allowed.driver,
    "condition": allowed.condition,
    "code": allowed.code,
    "last_heard": allowed.time,
    "readings": figure,
    "noise_bytes": figure,
    "clock_offset_s": figure,
}
"""Of a device's state as the service tells it."""
DAY: Mapping[str, Passes] = {
    "day": allowed.day,
    "contacts": figure,
    "orders": figure,
    "results": figure,
    "stored": figure,
    "offset_s": figure,
}
"""Of a device's day; causes and codes are added up under names of ours."""
LINE = ("baudrate", "bytesize", "parity", "stopbits")
SETTINGS = ("timezone", "language", "log_level")


def members(box: Box, checks: Sequence[Check], log: Iterable[str]) -> dict[str, bytes]:
    """Return every file of the bundle by name, in the order in which it is read."""
    states = {str(state.get("name")): state for state in _states(box)}
    devices = [_device(box, number, device, states) for number, device in enumerate(box.config.devices, 1)]
    return {
        "README.txt": README.encode(),
        "machine.json": _json(machine(box)),
        "doctor.json": _json([_check(box, number, check) for number, check in enumerate(checks, 1)]),
        "config.json": _json(configuration(box)),
        "devices.json": _json(devices),
        "journal.json": _json(journal(box)),
        "log.jsonl": _log(box, log),
    }


def zipped(files: Mapping[str, bytes]) -> bytes:
    """Return *files* as a zip file; the same files give the same bytes."""
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)
    return whole.getvalue()


def written(path: Path, content: bytes) -> None:
    """Write the new file *path*, for its owner alone. Raises click.UsageError where it is there already."""
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise click.UsageError(f"{path}: {error.strerror}") from None
    with os.fdopen(handle, "wb") as file:
        file.write(content)


def preview(files: Mapping[str, bytes]) -> str:
    """Return everything that *files* hold, as text, each under its name."""
    return "\n".join(f"=== {name} ===\n{content.decode('utf-8')}" for name, content in files.items())


def service_log(path: Path | None) -> list[str]:
    """Return the last lines of the service's log: of the file *path*, else of systemd's journal."""
    if path is not None:
        return path.read_text(encoding="utf-8", errors="replace").splitlines()[-LINES:]
    words = ["journalctl", "--unit", UNIT, "--output", "cat", "--lines", str(LINES), "--no-pager", "--quiet"]
    try:
        return subprocess.run(words, capture_output=True, text=True, check=False).stdout.splitlines()
    except OSError:
        return []


def machine(box: Box) -> dict[str, object]:
    """Return versions and hardware."""
    release = dict(line.partition("=")[::2] for line in box.text("etc/os-release").splitlines())
    memory = dict(line.partition(":")[::2] for line in box.text("proc/meminfo").splitlines())
    return {
        "gateway": _shaped(_installed(UNIT), allowed.version),
        "system": _shaped(release.get("VERSION_ID", "").strip('"'), allowed.version),
        "debian": "debian" in f"{release.get('ID', '')} {release.get('ID_LIKE', '')}",
        "kernel": _shaped(platform.release(), allowed.version),
        "machine": platform.machine(),
        "python": platform.python_version(),
        "packages": {name: _shaped(_installed(name), allowed.version) for name in _required()},
        "processors": os.cpu_count(),
        "memory_kb": int(memory.get("MemTotal", "0 kB").split()[0]),
        "up_s": int(float(box.text("proc/uptime").split()[0])) if box.text("proc/uptime") else None,
        "ports": [_port(box, port) for port in (*ports(box.root), *hids(box.root))],
    }


def _port(box: Box, port: Any) -> dict[str, object]:
    seen_now = looked_at(port, box.root)
    ids = f"{port.vid:04x}:{port.pid:04x}" if port.vid is not None and port.pid is not None else ""
    holders = seen_now.held.by if seen_now.held else ()
    return {
        "usb": ids,
        "hid": port.hid,
        "adapter": seen_now.adapter,
        "held_by": [_program(box, holder.program) for holder in holders],
    }


def _program(box: Box, name: str) -> str:
    return name if name == UNIT or allowed.program(name, box.root) else "another program"


def _required() -> list[str]:
    names = [words.split(";")[0] for words in requires(UNIT) or () if "extra ==" not in words]
    return sorted(
        "".join(char if char.isalnum() or char in "-_" else " " for char in name).split()[0] for name in names
    )


def _installed(name: str) -> str:
    try:
        return installed(name)
    except PackageNotFoundError:
        return ""


def _shaped(value: str, passes: Passes) -> str:
    return value if passes(value) else LEFT_OUT if value else ""


def _check(box: Box, number: int, check: Check) -> dict[str, object]:
    """Return a check's result and facts; which device it is about by its number."""
    sort, _, name = check.name.partition(" of ")
    numbers = _numbers(box)
    facts = {key: _fact(box, key, value) for key, value in check.facts.items()}
    about = {"device": numbers[name]} if name in numbers else {}
    return {"number": number, "check": sort, **about, "result": check.result, "facts": facts}


def _fact(box: Box, key: str, value: object) -> object:
    """Return a fact; those that hold words of others are looked at once more."""
    if key == "held_by":
        return " ".join(_program(box, word) for word in str(value).split())
    short = isinstance(value, str) and len(value) <= 40 and value.isascii()
    digits = sum(char.isdigit() for char in value) if isinstance(value, str) else 0
    return value if figure(value) or (short and digits <= 8) else LEFT_OUT


def _numbers(box: Box) -> dict[str, int]:
    return {device.name: number for number, device in enumerate(box.config.devices, 1)}


def configuration(box: Box) -> dict[str, object]:
    """Return the settings that name nobody; of the others, whether they are there."""
    config, fhir = box.config, box.config.fhir
    known = {name: getattr(config, name) for name in SETTINGS}
    centre = fhir and {
        "secure": fhir.url.startswith("https:"),
        "subject": fhir.subject,
        "identifier_systems": len(fhir.identifier_systems),
        "max_entries": fhir.max_entries,
        "max_attempts": fhir.max_attempts,
        "timeout_s": fhir.timeout_s,
        "token": fhir.token_file is not None,
    }
    page = {"port": config.http.port, "loopback": config.http.host in {"127.0.0.1", "::1", "localhost"}}
    devices = [_configured(number, device) for number, device in enumerate(config.devices, 1)]
    return {**known, "http": page, "fhir": centre, "devices": devices}


def _configured(number: int, device: DeviceConfig) -> dict[str, object]:
    line = {name: getattr(device, name) for name in LINE if getattr(device, name) is not None}
    known = catalogue.every()[device.driver].settings
    settings = {
        name: value if isinstance(value, int) or value == known.get(name) else LEFT_OUT
        for name, value in device.settings.items()
        if name in known
    }
    return {
        "device": number,
        "driver": device.driver,
        "port": _sort_of(device.port),
        **line,
        "settings": settings,
    }


def _sort_of(port: str) -> str:
    """Return what sort of name a port has; of USB the vendor and product."""
    scheme = port.partition("://")[0]
    if scheme in {"socket", "rfc2217"}:
        return scheme
    if port.startswith("usb:"):
        return port[: len("usb:0000:0000")].lower()
    return "by-id" if port.startswith("/dev/serial/by-id/") else "path"


def _device(
    box: Box, number: int, device: DeviceConfig, states: Mapping[str, Mapping[str, object]]
) -> dict[str, object]:
    """Return a device's state as the service tells it, its last events and its last days."""
    state = states.get(device.name)
    if state is None:
        return {"device": number, "now": None, **_history(box, device.name)}
    now = allowed.picked(state, DEVICE) | {"serial_known": bool(state.get("serial"))}
    return {"device": number, "now": now, **_history(box, device.name)}


def _states(box: Box) -> list[dict[str, object]]:
    try:
        found = running.ask(running.address(box.config.http), "/v1/devices")["devices"]
    except (DeliveryError, KeyError, TypeError):
        return []
    return [one for one in found if isinstance(one, dict)]


def _history(box: Box, name: str) -> dict[str, object]:
    if not seen(box) or not box.journal.exists():
        return {"events": [], "days": []}
    try:
        events = asked(box, lambda journal: journal.device_events(name, EVENTS))
        days = asked(box, lambda journal: journal.device_days(name, DAYS))
    except GatewayError as error:
        return {"events": [], "days": [], "fault": error.code}
    return {
        "events": [{"at": one.at.utc.isoformat(), "code": _code(one.code)} for one in events],
        "days": [
            allowed.picked({key: getattr(day, key) for key in DAY}, DAY)
            | {
                "failed": _coded(day.failed, "failed."),
                "faults": _coded(day.faults, ""),
                "seconds": _seconds(day),
            }
            for day in days
        ],
    }


def _code(word: str) -> str:
    return word if allowed.code(word) else LEFT_OUT


def _coded(counts: Mapping[str, int], prefix: str) -> dict[str, int]:
    """Return *counts* under codes of ours, all others added up."""
    kept: dict[str, int] = {}
    for word, count in counts.items():
        name = word if prefix + word in messages.known_codes() else LEFT_OUT
        kept[name] = kept.get(name, 0) + count
    return kept


def _seconds(day: Any) -> dict[str, int]:
    return {took: count for took, count in day.seconds.items() if took.isdecimal()}


def journal(box: Box) -> dict[str, object]:
    """Return how much is stored and what waits to be sent."""
    if not seen(box) or not box.journal.exists():
        return {"there": box.journal.exists() if seen(box) else None}
    try:
        counts, waiting = asked(box, Queries.counts), asked(box, Queries.outbox_counts)
    except GatewayError as error:
        return {"there": True, "fault": error.code}
    return {
        "there": True,
        "bytes": {name: _size(box.journal.with_name(name)) for name in ("journal.db", "journal.db-wal")},
        "facts": counts.facts,
        "measurements": {name: count for name, count in counts.measurements.items() if allowed.kind(name)},
        "tray": counts.tray,
        "open_exams": counts.open_exams,
        "outbox": {
            name if allowed.forwarder(name) else "another": {
                "waiting": one.waiting,
                "parked": one.parked,
                "delivered": one.delivered,
                "oldest": one.oldest_waiting.utc.isoformat() if one.oldest_waiting else None,
            }
            for name, one in waiting.items()
        },
    }


def _size(path: Path) -> int | None:
    return path.stat().st_size if path.exists() else None


def _log(box: Box, lines: Iterable[str]) -> bytes:
    """Return the lines that pass, and first how many did not."""
    numbers, kept, read = _numbers(box), [], 0
    for line in lines:
        read += 1
        try:
            told = json.loads(line)
        except ValueError:
            continue
        if isinstance(told, dict) and (passed := allowed.log_line(told, numbers)):
            kept.append(passed)
    rows = [{"lines": read, "left_out": read - len(kept)}, *kept]
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()


def _json(value: object) -> bytes:
    return (json.dumps(value, ensure_ascii=False, indent=2) + "\n").encode()
