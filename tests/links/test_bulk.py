"""USB devices without a port: which there are, and what is refused. Bytes: tests/bluetooth_vm/test_usb.py."""

import os
from pathlib import Path

import pytest
from cables import soon

from drivers.catalogue import Serial
from gateway.links.opening import open_link
from gateway.links.ports import Bulk, bulks, lines, resolve, seen
from protocol.errors import Unavailable

METER = Serial(bulk=True)


def plug(
    root: Path, name: str, number: int, ends: dict[str, str], product: str = "21d5", driver: str = ""
) -> Path:
    """Let the kernel under *root* list a USB device with one interface; return its node."""
    usb = root / "sys/devices/usb1" / name
    interface = usb / f"{name}:1.0"
    for end, kind in ends.items():
        (interface / f"ep_{end}").mkdir(parents=True)
        (interface / f"ep_{end}/bEndpointAddress").write_text(f"{end}\n")
        (interface / f"ep_{end}/type").write_text(f"{kind}\n")
    told = {
        "idVendor": "173a",
        "idProduct": product,
        "busnum": "1",
        "devnum": str(number),
        "product": "Meter",
    }
    for attribute, value in told.items():
        (usb / attribute).write_text(f"{value}\n")
    (interface / "bInterfaceNumber").write_text("00\n")
    if driver:
        (root / "sys/bus/usb/drivers" / driver).mkdir(parents=True, exist_ok=True)
        (interface / "driver").symlink_to(root / "sys/bus/usb/drivers" / driver)
    listed = root / "sys/bus/usb/devices"
    listed.mkdir(parents=True, exist_ok=True)
    (listed / usb.name).symlink_to(usb)
    (listed / interface.name).symlink_to(interface)
    node = root / f"dev/bus/usb/001/{number:03}"
    node.parent.mkdir(parents=True, exist_ok=True)
    node.touch()
    return node


BOTH = {"81": "Bulk", "02": "Bulk", "83": "Interrupt"}


def test_a_device_with_bulk_endpoints_both_ways_is_listed_unless_the_kernel_has_a_driver(
    tmp_path: Path,
) -> None:
    node = plug(tmp_path, "1-1", 4, BOTH)
    plug(tmp_path, "1-2", 5, BOTH, driver="cp210x")
    plug(tmp_path, "1-3", 6, {"81": "Bulk"})
    plug(tmp_path, "1-4", 7, {"81": "Interrupt", "02": "Interrupt"})
    held = plug(tmp_path, "1-5", 8, BOTH, "21d7", driver="usbfs")
    [meter, another] = bulks(tmp_path)
    assert (meter.device, meter.vid, meter.pid, meter.description) == (str(node), 0x173A, 0x21D5, "Meter")
    assert meter.bulk == Bulk(node, 0, 0x81, 0x02)
    assert another.device == str(held)
    assert resolve("usb:173a:21d5", tmp_path, bulks) == str(node)
    assert (seen("usb:173a:21d5", tmp_path) or "").startswith(str(node))


async def test_a_line_s_ids_never_take_a_device_whose_driver_is_still_to_come(tmp_path: Path) -> None:
    """A serial chip has no driver for a moment after it was plugged in: taken then, it never gets one."""
    plug(tmp_path, "1-1", 4, BOTH)
    assert lines(tmp_path) == []
    with pytest.raises(Unavailable) as refused:
        await soon(open_link("usb:173a:21d5", Serial(), root=tmp_path))
    assert refused.value.code == "link.unavailable"


async def test_what_is_no_usb_device_after_all_is_unavailable_and_nothing_stays_open(tmp_path: Path) -> None:
    plug(tmp_path, "1-1", 4, BOTH)
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
    with pytest.raises(Unavailable):
        await soon(open_link("usb:173a:21d5", METER, root=tmp_path))
    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208
    (tmp_path / "dev/bus/usb/001/004").unlink()
    with pytest.raises(Unavailable):
        await soon(open_link("usb:173a:21d5", METER, root=tmp_path))
