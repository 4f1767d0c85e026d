"""The serial link on real pseudo-terminals, TCP and ser2net."""

import asyncio
import os
import socket
import struct
import subprocess
import sys
import termios
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path

import pytest
import serial
from cables import DEADLINE_S, Cable, becomes, descriptors, link_threads, soon
from serial import rfc2217

from drivers.catalogue import Serial
from gateway.config import DeviceConfig
from gateway.links import Link
from gateway.links.hotplug import Hotplug
from gateway.links.serial import INBOX, LineSettings, open_serial
from protocol.errors import Busy, LinkError, Lost, Unavailable
from tests.ser2net import Ser2net
from tools.stage import free_port

NOBODY = 65534
pytestmark = pytest.mark.filterwarnings(r"ignore:set(Daemon|Name)\(\):DeprecationWarning:serial")


async def opened(port: str, line: LineSettings | None = None) -> Link:
    return await soon(open_serial(port, line or LineSettings()))


@asynccontextmanager
async def link_to(port: str, line: LineSettings | None = None) -> AsyncIterator[Link]:
    link = await opened(port, line)
    try:
        yield link
    finally:
        await soon(link.close())


async def heard(link: Link, count: int) -> bytes:
    got = b""
    while len(got) < count:
        chunk = await soon(link.read())
        assert chunk, "a chunk is never empty"
        got += chunk
    return got


async def test_a_reading_thread_that_cannot_be_woken_at_once_is_woken_later(cable):
    """A full or failing disk has been seen to fail the write that wakes it."""
    link = await opened(str(cable.port))
    port = link._port
    woken, port.pipe_abort_read_w = port.pipe_abort_read_w, os.open("/dev/full", os.O_WRONLY)
    link.let_go("pulled")
    full, port.pipe_abort_read_w = port.pipe_abort_read_w, woken
    os.close(full)
    assert await soon(read_to_the_end(link)) == b""
    await soon(link.close())
    await becomes(lambda: not link_threads(), "its threads have ended")


async def test_a_link_closes_though_its_writes_cannot_be_ended(cable):
    link = await opened(str(cable.port))
    port = link._port
    kept, port.pipe_abort_write_w = port.pipe_abort_write_w, os.open("/dev/full", os.O_WRONLY)
    await soon(link.close())
    os.close(kept)
    await becomes(lambda: not link_threads(), "its threads have ended")


async def read_to_the_end(link: Link) -> bytes:
    got = b""
    with suppress(Lost):
        while True:
            got += await soon(link.read())
    return got


@contextmanager
def held_by_another(port: str) -> Iterator[None]:
    code = """import serial, sys
port = serial.Serial(sys.argv[1], exclusive=True)
print("held", flush=True)
sys.stdin.read()"""
    other = subprocess.Popen(
        [sys.executable, "-c", code, port], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        yield
    finally:
        other.communicate()


@contextmanager
def as_nobody() -> Iterator[None]:
    """Root may open everything; do it as somebody who may not."""
    before = os.geteuid()
    if before == 0:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(before)


EVERY_BYTE = bytes(range(256))
LINES = [
    LineSettings(2400, 8, "E", 2),
    LineSettings(9600, 7, "E", 1),
    LineSettings(9600, 7, "O", 2),
    LineSettings(115200),
    LineSettings(100000),
]


@pytest.mark.parametrize("line", LINES, ids=str)
async def test_every_byte_passes_both_ways(cable: Cable, line: LineSettings) -> None:
    async with link_to(cable.port, line) as link:
        cable.says(EVERY_BYTE)
        assert await heard(link, 256) == EVERY_BYTE
        await link.write(EVERY_BYTE)
        assert await soon(cable.hears(256)) == EVERY_BYTE


async def test_what_came_before_opening_is_read(cable: Cable) -> None:
    cable.says(b"first")
    async with link_to(cable.port) as link:
        assert await heard(link, 5) == b"first"


async def test_what_was_not_read_before_closing_is_not_lost_by_opening_again(cable: Cable) -> None:
    async with link_to(cable.port) as link:
        cable.says(b"one")
        assert await heard(link, 3) == b"one"
    cable.says(b"two")
    async with link_to(cable.port) as link:
        assert await heard(link, 3) == b"two"


async def test_a_read_that_is_given_up_loses_nothing(cable: Cable) -> None:
    sent = bytes(range(200))
    async with link_to(cable.port) as link:
        got = b""
        writing = asyncio.create_task(_slowly(cable, sent))
        while len(got) < len(sent):
            with suppress(TimeoutError):
                async with asyncio.timeout(0.0005):
                    got += await link.read()
        await writing
        assert got == sent


async def _slowly(cable: Cable, data: bytes) -> None:
    for byte in data:
        cable.says(bytes([byte]))
        await asyncio.sleep(0)


async def test_a_pulled_cable_is_seen_by_a_waiting_read(cable: Cable) -> None:
    async with link_to(cable.port) as link:
        waiting = asyncio.create_task(link.read())
        cable.says(b"half a fra")
        assert await soon(waiting) == b"half a fra"
        waiting = asyncio.create_task(link.read())
        cable.pull()
        with pytest.raises(Lost) as lost:
            await soon(waiting)
        assert lost.value.code == "link.lost"
        with pytest.raises(Lost):
            await soon(link.read())


async def test_writing_to_a_port_that_is_gone_raises_lost(cable: Cable) -> None:
    async with link_to(cable.port) as link:
        cable.pull()
        with pytest.raises(Lost):
            await soon(link.write(b"are you there?"))
        with pytest.raises(Lost):
            await soon(link.read())


async def test_pulled_and_plugged_again_under_the_same_name(cable: Cable) -> None:
    async with Hotplug() as hotplug:
        for round_ in (b"before", b"between", b"after"):
            async with link_to(cable.port) as link:
                cable.says(round_)
                assert await heard(link, len(round_)) == round_
                cable.pull()
                with pytest.raises(Lost):
                    await soon(link.read())
            with pytest.raises(Unavailable):
                await opened(cable.port)
            back = asyncio.create_task(hotplug.wait_for(cable.port, DEADLINE_S))
            await asyncio.sleep(0)
            cable.plug()
            assert await soon(back)


async def test_a_port_held_by_another_program_is_busy(cable: Cable) -> None:
    with held_by_another(cable.port), pytest.raises(Busy) as busy:
        await opened(cable.port)
    assert busy.value.code == "link.busy"
    async with link_to(cable.port) as link:
        cable.says(b"free")
        assert await heard(link, 4) == b"free"


async def test_two_links_cannot_share_a_port(cable: Cable) -> None:
    async with link_to(cable.port):
        with pytest.raises(Busy):
            await opened(cable.port)


async def test_a_port_that_may_not_be_opened(cable: Cable, tmp_path: Path) -> None:
    slave = cable.name.resolve()
    slave.chmod(0)
    with as_nobody(), pytest.raises(Unavailable) as refused:
        await opened(str(slave))
    assert refused.value.code == "link.permission"
    assert str(slave) in refused.value.detail


@pytest.mark.parametrize(
    ("port", "code"),
    [
        ("/dev/serial/by-id/nothing-here", "link.unavailable"),
        ("/dev/null", "link.unavailable"),
        ("/etc/hostname", "link.unavailable"),
        ("/", "link.unavailable"),
        ("usb:0ABC:0DEF:NOT-PLUGGED-IN", "link.unavailable"),
        ("usb:nonsense", "link.unavailable"),
        ("socket://127.0.0.1:1", "link.unavailable"),
        ("rfc2217://127.0.0.1:1", "link.unavailable"),
        ("socket://", "link.unavailable"),
        ("gopher://127.0.0.1:1", "link.unavailable"),
    ],
)
async def test_nothing_to_open(port: str, code: str) -> None:
    with pytest.raises(Unavailable) as refused:
        await opened(port)
    assert refused.value.code == code
    assert port in refused.value.detail


async def test_closing_ends_a_waiting_read_and_may_be_repeated(cable: Cable) -> None:
    link = await opened(cable.port)
    waiting = asyncio.create_task(link.read())
    await asyncio.sleep(0)
    await soon(link.close())
    await soon(link.close())
    with pytest.raises(Lost):
        await soon(waiting)
    with pytest.raises(Lost):
        await soon(link.write(b"x"))


async def test_200_times_open_and_closed_leave_nothing_behind(cable: Cable) -> None:
    before = descriptors()
    for number in range(200):
        async with link_to(cable.port) as link:
            if number % 2:
                await link.write(b"?")
                await soon(cable.hears(1))
    await becomes(lambda: descriptors() == before, "file descriptors were left open")
    await becomes(lambda: not link_threads(), "threads were left running")


async def test_refused_opens_leave_nothing_behind(cable: Cable) -> None:
    with held_by_another(cable.port):
        before = descriptors()
        for _ in range(50):
            for port in (cable.port, "/dev/nothing", "socket://127.0.0.1:1"):
                with pytest.raises(LinkError):
                    await opened(port)
        await becomes(lambda: descriptors() == before and not link_threads(), "something was left behind")


async def test_a_busy_reader_holds_the_line_up_and_gets_everything_in_order() -> None:
    data = os.urandom(INBOX * 16)
    async with (
        tcp_device(lambda far: far.sendall(data)) as port,
        link_to(f"socket://127.0.0.1:{port}") as link,
    ):
        got = b""
        while len(got) < len(data):
            chunk = await soon(link.read())
            assert len(chunk) <= 2 * INBOX
            got += chunk
    assert got == data


@asynccontextmanager
async def tcp_device(act: Callable[[socket.socket], object]) -> AsyncIterator[int]:
    """Serve one TCP client in a thread: *act* on its socket, then hold it until the test is over."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        over = asyncio.Event()
        loop = asyncio.get_running_loop()

        def serve() -> None:
            far, _ = server.accept()
            with far:
                act(far)
                asyncio.run_coroutine_threadsafe(over.wait(), loop).result()

        serving = asyncio.create_task(asyncio.to_thread(serve))
        try:
            yield port
        finally:
            over.set()
            await soon(serving)


async def test_tcp_says_everything_before_it_is_lost() -> None:
    def say_and_go(far: socket.socket) -> None:
        far.sendall(EVERY_BYTE * 40)
        far.close()

    async with tcp_device(say_and_go) as port, link_to(f"socket://127.0.0.1:{port}") as link:
        assert await read_to_the_end(link) == EVERY_BYTE * 40


async def test_rfc2217_says_everything_before_it_is_lost() -> None:
    """The device's last words and the end of the connection arrive together."""

    def say_and_go(far: socket.socket) -> None:
        telnet = rfc2217.PortManager(serial.serial_for_url("loop://"), Wire(far))
        asked = b""
        while not asked.endswith(b"?"):
            asked += b"".join(telnet.filter(far.recv(1024)))
        far.sendall(b"".join(telnet.escape(EVERY_BYTE)))
        far.close()

    for _ in range(5):
        async with tcp_device(say_and_go) as port, link_to(f"rfc2217://127.0.0.1:{port}") as link:
            await link.write(b"?")
            assert await read_to_the_end(link) == EVERY_BYTE


class Wire:
    """What pyserial's RFC 2217 server writes to."""

    def __init__(self, far: socket.socket) -> None:
        self.write = far.sendall


async def test_a_tcp_reset_is_a_loss_and_leaves_nothing_open() -> None:
    def reset(far: socket.socket) -> None:
        far.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        far.close()

    before = descriptors()
    for _ in range(5):
        async with tcp_device(reset) as port:
            with suppress(Unavailable):
                link = await opened(f"socket://127.0.0.1:{port}")
                with pytest.raises(Lost):
                    await soon(link.read())
                await soon(link.close())
    await becomes(lambda: descriptors() == before, "a socket was left open")


async def test_a_link_that_is_given_up_while_it_opens_leaves_nothing_behind() -> None:
    """A telnet server that never answers keeps pyserial busy for three seconds."""
    before = descriptors()
    async with tcp_device(lambda _far: None) as port:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await open_serial(f"rfc2217://127.0.0.1:{port}", LineSettings())
        await becomes(lambda: not link_threads(), "the opening thread did not end")
    await becomes(lambda: descriptors() == before, "a socket was left open")


async def through(server: Ser2net, scheme: str) -> Link:
    """Open once ser2net listens."""
    await server.listening()
    return await opened(f"{scheme}://127.0.0.1:{server.ports['device']}", LineSettings(2400, 8, "E", 1))


@pytest.mark.parametrize(("scheme", "accepter"), [("socket", "tcp"), ("rfc2217", "telnet(rfc2217),tcp")])
async def test_through_ser2net(
    cable: Cable, ser2net: Callable[[str], Ser2net], scheme: str, accepter: str
) -> None:
    server = ser2net(accepter)
    link = await through(server, scheme)
    try:
        await link.write(EVERY_BYTE)
        assert await soon(cable.hears(256)) == EVERY_BYTE
        cable.says(EVERY_BYTE)
        assert await heard(link, 256) == EVERY_BYTE
        if scheme == "rfc2217":
            assert speed_of(cable) == termios.B2400
        waiting = asyncio.create_task(link.read())
        server.stop()
        with pytest.raises(Lost):
            await soon(waiting)
    finally:
        await soon(link.close())
    await becomes(lambda: not link_threads(), "threads were left running")


def speed_of(cable: Cable) -> int:
    slave = os.open(cable.port, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
    try:
        return int(termios.tcgetattr(slave)[5])
    finally:
        os.close(slave)


async def test_nobody_waits_for_a_server_that_is_not_there() -> None:
    with pytest.raises(Unavailable):
        await opened(f"rfc2217://127.0.0.1:{free_port()}")


def test_the_configuration_stands_over_the_driver() -> None:
    driver = Serial(2400, 7, "E", 2)
    assert LineSettings.of(driver) == LineSettings(2400, 7, "E", 2)
    configured = DeviceConfig(
        name="bp", driver="omron_hbp", port="/dev/ttyS0", baudrate=9600, parity="N", stopbits=1
    )
    assert LineSettings.of(driver, configured) == LineSettings(9600, 7, "N", 1)
