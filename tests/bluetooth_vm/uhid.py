"""USB HID devices that a real kernel sees: made through /dev/uhid, their bytes passed to a simulated machine.

Layouts: linux/uhid.h. The report descriptors are written here (no device's own are known); they have reports
of the sizes that the drivers' sheets and the CP2110's interface specification say.
"""

import asyncio
import os
import struct
import tty
from pathlib import Path

DESTROY, OUTPUT, CREATE, INPUT, SET_REPORT, SET_REPORT_REPLY = 1, 6, 11, 12, 13, 14
USB = 3
EVENT = 4380
MOST = 4096
VENDOR_PAGE, USAGE, COLLECTION, END = b"\x06\x00\xff", b"\x09\x01", b"\xa1\x01", b"\xc0"
BYTES = b"\x15\x00\x26\xff\x00\x75\x08"
IN, OUT, FEATURE = b"\x81\x02", b"\x91\x02", b"\xb1\x02"
CONFIGURE, ENABLE = 0x50, 0x41


def plain(size: int) -> bytes:
    """Return the descriptor of reports without a number, *size* bytes each way."""
    count = b"\x95" + bytes((size,))
    feature = b"\x95\x02" + USAGE + FEATURE
    return VENDOR_PAGE + USAGE + COLLECTION + BYTES + count + USAGE + IN + USAGE + OUT + feature + END


def cp2110() -> bytes:
    """Return the descriptor of a chip whose reports 1 to 63 carry as many bytes."""
    lines = b"".join(
        b"\x85" + bytes((n,)) + b"\x95" + bytes((n,)) + USAGE + IN + USAGE + OUT for n in range(1, 64)
    )
    settings = b"".join(
        b"\x85" + bytes((n,)) + b"\x95" + bytes((size,)) + USAGE + FEATURE
        for n, size in ((ENABLE, 1), (CONFIGURE, 8))
    )
    return VENDOR_PAGE + USAGE + COLLECTION + BYTES + lines + settings + END


class Device:
    """One HID device, plugged in while the context lasts, in front of *machine*, a terminal."""

    def __init__(self, usb: tuple[int, int], descriptor: bytes, machine: Path, size: int = 0) -> None:
        """*size* is that of reports without a number, 0: a report's number is its length."""
        self.features: list[bytes] = []
        """The feature reports that were set, their numbers first."""
        self._usb, self._descriptor, self._size = usb, descriptor, size
        self._machine = machine
        self._rest = b""

    async def __aenter__(self) -> "Device":
        self._node = os.open("/dev/uhid", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        self._line = os.open(self._machine, os.O_RDWR | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
        tty.setraw(self._line)
        loop = asyncio.get_running_loop()
        loop.add_reader(self._node, self._asked)
        loop.add_reader(self._line, self._said)
        head = struct.pack(
            "<I128s64s64sHHIIII", CREATE, b"Test", b"", b"", len(self._descriptor), USB, *self._usb, 0, 0
        )
        os.write(self._node, head + self._descriptor)
        return self

    async def __aexit__(self, *_: object) -> None:
        loop = asyncio.get_running_loop()
        loop.remove_reader(self._node)
        loop.remove_reader(self._line)
        os.close(self._node)
        os.close(self._line)

    @property
    def port(self) -> str:
        return "usb:{:04x}:{:04x}".format(*self._usb)

    def _asked(self) -> None:
        """Take one thing the kernel asks of the device."""
        event = os.read(self._node, EVENT)
        kind = int.from_bytes(event[:4], "little")
        if kind == OUTPUT:
            report = event[4 : 4 + int.from_bytes(event[4 + MOST : 6 + MOST], "little")]
            told = report[1:] if self._size else report[1 : 1 + report[0]]
            os.write(self._line, told)
        elif kind == SET_REPORT:
            number, _number, _kind, size = struct.unpack_from("<IBBH", event, 4)
            self.features.append(event[12 : 12 + size])
            os.write(self._node, struct.pack("<IIH", SET_REPORT_REPLY, number, 0))

    def _said(self) -> None:
        """Pass on what the machine says, in whole reports."""
        self._rest += os.read(self._line, MOST)
        if not self._size:
            whole = [self._rest[at : at + 63] for at in range(0, len(self._rest), 63)]
            reports, self._rest = [bytes((len(part),)) + part for part in whole], b""
        else:
            end = len(self._rest) // self._size * self._size
            reports = [self._rest[at : at + self._size] for at in range(0, end, self._size)]
            self._rest = self._rest[end:]
        for report in reports:
            os.write(self._node, struct.pack("<IH", INPUT, len(report)) + report)
