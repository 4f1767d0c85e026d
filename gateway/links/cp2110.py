"""Cables with a CP2110 inside: a UART behind a USB HID device, here a line like any other.

A report's number is how many bytes it carries, 1 to 63; the line is set by feature reports. Source: Silicon
Labs AN434, the chip's interface specification, as pyserial's `cp2110://` speaks it. Never tried on a cable:
shown on a real kernel's hidraw with an emulated chip (tests/bluetooth_vm/test_hidraw.py).
"""

import struct
from typing import Self

from gateway.links.hid import HidLink
from gateway.links.serial import LineSettings

MOST = 63
"""Bytes one report carries."""
ENABLE, CONFIGURE = 0x41, 0x50
_PARITIES = {"N": 0, "O": 1, "E": 2}
_SIZES = {7: 2, 8: 3}
_STOPS = {1: 0, 2: 1}
_NO_FLOW_CONTROL = 0


class Cp2110Link(HidLink):
    """The line behind one chip; see HidLink for what is always true."""

    @classmethod
    async def opened(cls, name: str, descriptor: int, line: LineSettings) -> Self:
        """Take over *descriptor*, open and not blocking, set the line and switch the UART on. Raises Lost."""
        link = cls(name, descriptor, MOST)
        try:
            await link.set_report(settings(line))
            await link.set_report(bytes((ENABLE, 1)))
        except BaseException:
            await link.close()
            raise
        return link

    async def read(self) -> bytes:
        """Return the next bytes of the line; safe to cancel, nothing is dropped then."""
        while True:
            report = await super().read()
            if data := report[1 : 1 + report[0]] if report[0] <= MOST else b"":
                return data

    async def write(self, data: bytes) -> None:
        """Send *data* over the line; returns when the chip has all of it."""
        for at in range(0, len(data), MOST):
            part = data[at : at + MOST]
            await self.give_report(bytes((len(part),)) + part)


def settings(line: LineSettings) -> bytes:
    """Return the feature report that sets *line*: rate, parity, flow control, data bits, stop bits."""
    return struct.pack(
        ">BLBBBB",
        CONFIGURE,
        line.baudrate,
        _PARITIES[line.parity],
        _NO_FLOW_CONTROL,
        _SIZES[line.bytesize],
        _STOPS[line.stopbits],
    )
