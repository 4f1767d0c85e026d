"""A USB device with bulk endpoints that a real kernel sees: over USB/IP, in front of a simulated machine.

Layouts: the kernel's Documentation/usb/usbip_protocol. Of a machine's own descriptors only its ids are known,
the rest is written here.
"""

import asyncio
import os
import socket
import struct
import tty
from collections import deque
from pathlib import Path

ATTACH = Path("/sys/devices/platform/vhci_hcd.0/attach")
SUBMIT, UNLINK, SUBMITTED, UNLINKED = 1, 2, 3, 4
HEAD = 48
FULL_SPEED, DEVICE_ID = 2, 1 << 16 | 2
GET_STATUS, GET_DESCRIPTOR, PACKET = 0, 6, 64
PULLED = -104


class BulkDevice:
    """One USB device, plugged in while the context lasts, in front of *machine*, a terminal."""

    def __init__(self, usb: tuple[int, int], machine: Path) -> None:
        self.asked: list[tuple[int, int]] = []
        """The control requests that were not for a descriptor: type and request."""
        self._usb, self._machine = usb, machine
        self._line = -1
        self._said = b""
        self._waiting: deque[tuple[int, int]] = deque()

    @property
    def port(self) -> str:
        return "usb:{:04x}:{:04x}".format(*self._usb)

    async def __aenter__(self) -> "BulkDevice":
        ours, theirs = socket.socketpair()
        self._reader, self._writer = await asyncio.open_connection(sock=ours)
        self._serving = asyncio.create_task(self._serve())
        with theirs:
            attached = f"0 {theirs.fileno()} {DEVICE_ID} {FULL_SPEED}"
            await asyncio.to_thread(ATTACH.write_text, attached)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._serving.cancel()
        await asyncio.wait({self._serving})
        self._writer.close()
        if self._line >= 0:
            asyncio.get_running_loop().remove_reader(self._line)
            os.close(self._line)

    async def _serve(self) -> None:
        while True:
            head = await self._reader.readexactly(HEAD)
            command, number, _device, inward, end = struct.unpack_from(">5I", head)
            if command == UNLINK:
                self._unlink(number, int.from_bytes(head[20:24], "big"))
                continue
            length = int.from_bytes(head[24:28], "big")
            sent = b"" if inward else await self._reader.readexactly(length)
            if end == 0:
                self._control(number, head[40:48])
            elif inward:
                self._waiting.append((number, length))
                self._tell()
            else:
                os.write(self._line, sent)
                self._answer(number, taken=len(sent))

    def _unlink(self, number: int, victim: int) -> None:
        was = [one for one in self._waiting if one[0] == victim]
        for one in was:
            self._waiting.remove(one)
        status = PULLED if was else 0
        self._writer.write(struct.pack(">5Ii24x", UNLINKED, number, 0, 0, 0, status))

    def _control(self, number: int, setup: bytes) -> None:
        kind, request, value, _index, length = struct.unpack("<BBHHH", setup)
        if request == GET_DESCRIPTOR:
            self._answer(number, self._descriptor(value)[:length])
            return
        self.asked.append((kind, request))
        if request == GET_STATUS:
            self._wake()
        self._answer(number, b"\x01\x00"[:length] if kind & 0x80 else b"")

    def _wake(self) -> None:
        """Let the machine notice its host now; before, it might have given up waiting for one."""
        if self._line < 0:
            self._line = os.open(self._machine, os.O_RDWR | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
            tty.setraw(self._line)
            asyncio.get_running_loop().add_reader(self._line, self._hear)

    def _descriptor(self, value: int) -> bytes:
        kind, index = value >> 8, value & 0xFF
        if kind == 1:
            return struct.pack(
                "<BBHBBBBHHHBBBB", 18, 1, 0x0110, 0, 0, 0, PACKET, *self._usb, 0x0100, 1, 2, 3, 1
            )
        if kind == 2:
            interface = struct.pack("<9B", 9, 4, 0, 0, 2, 0xFF, 0, 0, 0)
            ends = [struct.pack("<BBBBHB", 7, 5, address, 2, PACKET, 0) for address in (0x81, 0x02)]
            parts = interface + b"".join(ends)
            return struct.pack("<BBHBBBBB", 9, 2, 9 + len(parts), 1, 1, 0, 0x80, 50) + parts
        text = b"\x09\x04" if index == 0 else ("", "Test", "Meter", "SN7")[index].encode("utf-16-le")
        return bytes((2 + len(text), 3)) + text

    def _hear(self) -> None:
        self._said += os.read(self._line, 4096)
        self._tell()

    def _tell(self) -> None:
        """Answer the host's reads with what the machine said, a transfer for each."""
        while self._waiting and self._said:
            number, length = self._waiting.popleft()
            told, self._said = self._said[:length], self._said[length:]
            self._answer(number, told)

    def _answer(self, number: int, data: bytes = b"", taken: int = 0) -> None:
        length = len(data) or taken
        self._writer.write(struct.pack(">5IiI20x", SUBMITTED, number, 0, 0, 0, 0, length) + data)
