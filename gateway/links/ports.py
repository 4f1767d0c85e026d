"""Which ports, HID devices and bare USB devices there are, and which is meant: by path, URL or USB identity.

A USB port's number changes when it is plugged again, its vendor, product and serial number do not.
"""

import errno
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from drivers.catalogue import Hid, Serial
from protocol.errors import Busy, LinkError, Unavailable

ROOT = Path("/")
_USB = re.compile(r"usb:([0-9A-Fa-f]{4}):([0-9A-Fa-f]{4})(?::(.+))?")

_HID_ID = re.compile(r"([0-9A-Fa-f]{4}):([0-9A-Fa-f]{8}):([0-9A-Fa-f]{8})")
_BUS_USB = 3
_HELD = {errno.EBUSY, errno.EAGAIN}
_FORBIDDEN = {errno.EACCES, errno.EPERM}
BRIDGES = ((0x10C4, 0xEA80), (0x10C4, 0x8A32))
"""HID devices with a line behind them: the CP2110 as it is sold, and inside i-SENS's cable."""


@dataclass(frozen=True, slots=True)
class PortInfo:
    """One serial port or device that exists now. USB fields are None for what is not on USB.

    `location` is the USB socket (`1-1.2`, with the interface where a device has several ports), `by_id`
    the link that keeps its name when the device is plugged again; only a port has one. `hid`: reports.
    `bulk`: bulk endpoints, and no port.
    """

    device: str
    vid: int | None = None
    pid: int | None = None
    serial: str | None = None
    location: str | None = None
    description: str = ""
    by_id: str | None = None
    hid: bool = False
    bulk: "Bulk | None" = None

    @property
    def bridge(self) -> bool:
        """Say whether this is a HID device with a line behind it."""
        return self.hid and (self.vid, self.pid) in BRIDGES


@dataclass(frozen=True, slots=True)
class Bulk:
    """Where a USB device without a port takes and gives bytes: its node, an interface and two endpoints."""

    node: Path
    interface: int
    ins: int
    outs: int


def ports(root: Path = ROOT) -> list[PortInfo]:
    """Return every serial port there is, in the order of their names, from the kernel's list under *root*."""
    links = {link.resolve(): str(link) for link in _entries(root / "dev/serial/by-id")}
    found = [
        _described(entry, root / "dev" / entry.name, links)
        for entry in _entries(root / "sys/class/tty")
        if (entry / "device").exists() and _line(entry / "type") != "0"  # 0: a UART that is not there
    ]
    return sorted(found, key=lambda port: _natural(port.device))


def hids(root: Path = ROOT) -> list[PortInfo]:
    """Return every HID device on USB, in the order of their names; keyboards and mice are among them."""
    found = [_hid(entry, root / "dev" / entry.name) for entry in _entries(root / "sys/class/hidraw")]
    return sorted((port for port in found if port is not None), key=lambda port: _natural(port.device))


def bulks(root: Path = ROOT) -> list[PortInfo]:
    """Return every USB device with a pair of bulk endpoints that no driver of the kernel has taken."""
    found = [_bulk(entry, root) for entry in _entries(root / "sys/bus/usb/devices")]
    return sorted((port for port in found if port is not None), key=lambda port: _natural(port.device))


def lines(root: Path = ROOT) -> list[PortInfo]:
    """Return the ports and the lines behind HID devices."""
    return [*ports(root), *(one for one in hids(root) if one.bridge)]


def candidates(link: Serial | Hid) -> Callable[[Path], list[PortInfo]]:
    """Return the list among which a device with this link may be."""
    if isinstance(link, Hid):
        return hids
    return bulks if link.bulk else lines


def resolve(port: str, root: Path = ROOT, among: Callable[[Path], list[PortInfo]] = ports) -> str:
    """Return the path or URL to open for *port* as configured, looked up now in the list *among*.

    Raises Unavailable: `link.unavailable` where no such USB device is plugged in, `link.ambiguous`
    where several fit and choosing one would be a guess.
    """
    if not port.startswith("usb:"):
        return port
    wanted = _USB.fullmatch(port)
    if wanted is None:
        raise Unavailable(f"{port}: not usb:VID:PID[:SERIAL]")
    vid, pid, serial = int(wanted[1], 16), int(wanted[2], 16), wanted[3]
    fitting = [
        found.device
        for found in among(root)
        if (found.vid, found.pid) == (vid, pid) and serial in {None, found.serial}
    ]
    if len(fitting) > 1:
        raise Unavailable(f"{port}: {', '.join(fitting)}", code="link.ambiguous")
    if not fitting:
        raise Unavailable(f"{port}: not plugged in")
    return fitting[0]


def seen(port: str, root: Path = ROOT) -> str | None:
    """Return what stands at *port* now, None where nothing does; another answer means it was plugged anew.

    A URL is always taken as there: only opening it tells.
    """
    for among in (ports, hids, bulks):
        with suppress(Unavailable, OSError):
            name = resolve(port, root, among)
            if "://" in name:
                return name
            target = Path(name).resolve()
            return f"{target} {target.stat().st_ino}"
    return None


def _described(entry: Path, device: Path, links: dict[Path, str]) -> PortInfo:
    interface, usb = _usb(entry / "device")
    by_id = links.get(device.resolve())
    if interface is None or usb is None:
        return PortInfo(str(device), by_id=by_id)
    several = _line(usb / "bNumInterfaces") not in {None, "1"}
    location = interface.name if several else usb.name
    return replace(_of_usb(device, usb), location=location, by_id=by_id)


def _of_usb(device: Path, usb: Path) -> PortInfo:
    words = (_line(usb / "manufacturer"), _line(usb / "product"))
    return PortInfo(
        device=str(device),
        vid=int(_line(usb / "idVendor") or "0", 16),
        pid=int(_line(usb / "idProduct") or "0", 16),
        serial=_line(usb / "serial"),
        location=usb.name,
        description=" ".join(word for word in words if word),
    )


def _hid(entry: Path, device: Path) -> PortInfo | None:
    """Return a hidraw device of the USB bus as its own uevent names it, None for another bus."""
    told = dict(line.partition("=")[::2] for line in (_line(entry / "device/uevent") or "").splitlines())
    identity = _HID_ID.fullmatch(told.get("HID_ID", ""))
    if identity is None or int(identity[1], 16) != _BUS_USB:
        return None
    return replace(
        _described(entry, device, {}),
        vid=int(identity[2], 16),
        pid=int(identity[3], 16),
        serial=told.get("HID_UNIQ") or None,
        description=told.get("HID_NAME", ""),
        hid=True,
    )


def _bulk(entry: Path, root: Path) -> PortInfo | None:
    """Return a USB interface with bulk endpoints both ways and no driver, as its device; None for another."""
    if (entry / "driver").exists() and (entry / "driver").resolve().name != "usbfs":
        return None  # nearly all there are; their endpoints need not be read
    ends = [int(_line(end / "bEndpointAddress") or "0", 16) for end in entry.glob("ep_*") if _is_bulk(end)]
    ins, outs = [end for end in ends if end & 0x80], [end for end in ends if not end & 0x80]
    if not ins or not outs:
        return None
    usb = entry.resolve().parent
    bus, number = (int(_line(usb / name) or "0") for name in ("busnum", "devnum"))
    node = root / f"dev/bus/usb/{bus:03}/{number:03}"
    interface = int(_line(entry / "bInterfaceNumber") or "0", 16)
    return replace(_of_usb(node, usb), bulk=Bulk(node, interface, min(ins), min(outs)))


def _is_bulk(end: Path) -> bool:
    return _line(end / "type") == "Bulk"


def _usb(device: Path) -> tuple[Path | None, Path | None]:
    """Return the USB interface and the USB device that *device* hangs on, however deep."""
    below = device.resolve()
    for above in below.parents:
        if (above / "idVendor").exists():
            return below, above
        below = above
    return None, None


def refusal(detail: str, number: int | None) -> LinkError:
    """Return what it means that a port could not be opened with this error number."""
    if number in _HELD:
        return Busy(detail)
    return Unavailable(detail, code="link.permission" if number in _FORBIDDEN else None)


def _entries(folder: Path) -> Iterator[Path]:
    if folder.is_dir():
        yield from folder.iterdir()


def _line(path: Path) -> str | None:
    """Return a sysfs attribute; None where there is none, also when its device has just been pulled."""
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip() or None
    except OSError:
        return None


def _natural(name: str) -> list[tuple[int, str]]:
    """Return a sorting key that puts ttyUSB2 before ttyUSB10."""
    return [(int(part), "") if part.isdigit() else (0, part) for part in re.split(r"(\d+)", name)]
