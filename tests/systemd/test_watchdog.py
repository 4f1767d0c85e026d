"""The watchdog as systemd sees it: datagrams on a real notification socket."""

import asyncio
import os
import socket

import pytest

from gateway.watchdog import Watchdog
from protocol.errors import JournalDamaged

QUICK = "40000"
"""Microseconds systemd allows, so that a feeding is due every 20 ms."""


@pytest.fixture(params=["path", "abstract"])
def systemd(request, tmp_path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as inlet:
        name = (
            str(tmp_path / "notify")
            if request.param == "path"
            else f"@gateway-test-{os.getpid()}-{tmp_path.name}"
        )
        inlet.bind("\0" + name[1:] if name.startswith("@") else name)
        inlet.setblocking(False)
        yield inlet, {"NOTIFY_SOCKET": name, "WATCHDOG_USEC": QUICK, "WATCHDOG_PID": str(os.getpid())}


async def heard(inlet: socket.socket) -> str:
    async with asyncio.timeout(10):
        return (await asyncio.get_running_loop().sock_recv(inlet, 4096)).decode()


def nothing_waits(inlet: socket.socket) -> bool:
    try:
        inlet.recv(4096)
    except BlockingIOError:
        return True
    return False


async def yes() -> bool:
    return True


async def test_ready_status_and_stopping(systemd):
    inlet, environ = systemd
    dog = Watchdog([], environ)
    dog.ready("3 devices")
    assert await heard(inlet) == "READY=1\nSTATUS=3 devices"
    dog.status("2 devices")
    assert await heard(inlet) == "STATUS=2 devices"
    dog.stopping()
    assert await heard(inlet) == "STOPPING=1"


async def test_fed_again_and_again_while_every_proof_holds(systemd):
    inlet, environ = systemd
    dog = Watchdog([yes, yes], environ)
    assert dog.interval == 0.02
    running = asyncio.create_task(dog.run())
    assert [await heard(inlet) for _ in range(5)] == ["WATCHDOG=1"] * 5
    running.cancel()


@pytest.mark.parametrize("how", ["false", "late", "error"])
async def test_not_fed_when_a_proof_fails_and_fed_again_when_it_holds(systemd, how):
    inlet, environ = systemd
    asked = 0

    async def proof() -> bool:
        nonlocal asked
        asked += 1
        if asked > 3:
            return True
        assert nothing_waits(inlet)
        if how == "late":
            await asyncio.sleep(60)
        if how == "error":
            raise JournalDamaged("gone")
        return False

    running = asyncio.create_task(Watchdog([yes, proof], environ).run())
    assert await heard(inlet) == "WATCHDOG=1"
    assert asked >= 4
    running.cancel()


async def test_a_blocked_loop_is_not_fed(systemd):
    inlet, environ = systemd
    running = asyncio.create_task(Watchdog([yes], environ).run())
    assert await heard(inlet) == "WATCHDOG=1"
    while not nothing_waits(inlet):
        pass
    for _ in range(200_000):  # the loop is ours: nothing else can run
        pass
    assert nothing_waits(inlet)
    running.cancel()


@pytest.mark.parametrize(
    "change",
    [{"WATCHDOG_PID": "1"}, {"WATCHDOG_USEC": "0"}, {"NOTIFY_SOCKET": ""}],
    ids=lambda c: next(iter(c)),
)
async def test_not_watched_means_no_feeding_at_all(systemd, change):
    inlet, environ = systemd
    async with asyncio.timeout(10):
        await Watchdog([yes], environ | change).run()
    assert nothing_waits(inlet)


async def test_a_systemd_that_went_away_stops_nothing(tmp_path):
    Watchdog([], {"NOTIFY_SOCKET": str(tmp_path / "gone")}).ready("0 devices")
