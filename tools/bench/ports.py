"""Sixteen ports that never fall silent, each at its real baud rate, on one gateway: is anything lost or late?

The service's own stations, real pseudo-terminals, the real journal. The baseline is a loop that reads the
same ports and does nothing with the bytes.
"""

import asyncio
import json
import os
import subprocess
import sys
import time
import tty
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from drivers import catalogue
from drivers.catalogue import Driver
from gateway.clock import Clock
from gateway.config import DeviceConfig
from gateway.links.hotplug import Hotplug
from gateway.supervisor import Station, Surroundings
from protocol.framing import Frame, Framer, Noise
from protocol.readings import Reading
from store.journal import Journal
from tools.bench import stock
from tools.bench.feeder import ROUNDS, heard
from tools.bench.figures import Line, Scale, Target

BUSY_S = 30.0
BEAT_S = 0.005
LATE_MS = 50.0
START_S = 30.0
QUIET_S = 2.0
"""After the last byte every station has cut and stored what it heard."""
EACH_COUNTS = ("omron_hbp", "gtech_gl")
"""Drivers each of whose lines is a reading, whatever came before."""


class Counted:
    """A driver's framer that counts what it gives out."""

    def __init__(self, framer: Framer) -> None:
        self._framer = framer
        self.frames = 0
        self.noise = 0

    def feed(self, chunk: bytes) -> Iterator[Frame | Noise]:
        """Cut as the driver's framer does."""
        return self._count(self._framer.feed(chunk))

    def finish(self) -> Iterator[Frame | Noise]:
        """End as the driver's framer does."""
        return self._count(self._framer.finish())

    def _count(self, pieces: Iterator[Frame | Noise]) -> Iterator[Frame | Noise]:
        for piece in pieces:
            self.frames += isinstance(piece, Frame)
            self.noise += isinstance(piece, Noise) and bool(piece.reason)
            yield piece


@dataclass(slots=True)
class Port:
    """One machine of the feeder and the station that listens to it."""

    driver: Driver
    framer: Counted
    station: Station


class Feeder:
    """The program at the other end of every port."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tools.bench.feeder"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.ports: list[tuple[str, str]] = [(name, path) for name, path in self._hears()]

    def say(self) -> None:
        """Let it begin, end, or leave."""
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()

    def _hears(self) -> list[list[str]]:
        assert self._process.stdout is not None
        found: list[list[str]] = json.loads(self._process.stdout.readline())
        return found

    def said(self) -> list[tuple[int, float]]:
        """Return, for each port, the rounds it said and the longest wait of a byte in seconds."""
        return [(int(rounds), float(late)) for rounds, late in self._hears()]

    def leave(self) -> None:
        """End the program."""
        self._process.communicate("\n")


def measure(scale: Scale, folder: Path) -> Iterator[Line]:
    """Let sixteen ports talk without a pause; say what was lost, how late the loop was, what it cost."""
    seconds = max(2.0, BUSY_S * scale.of(100, 1) / 100)
    bare = _bare(seconds)
    journal = stock.opened(folder)
    feeder = Feeder()
    try:
        yield from asyncio.run(_busy(feeder, journal, seconds, bare))
    finally:
        feeder.leave()
        journal.close()


def _bare(seconds: float) -> float:
    """Return the share of one core that only reading the same ports takes."""
    feeder = Feeder()
    ends = [os.open(path, os.O_RDWR | os.O_NOCTTY) for _, path in feeder.ports]
    for end in ends:
        tty.setraw(end)
    share = asyncio.run(_read_only(feeder, ends, seconds))
    for end in ends:
        os.close(end)
    feeder.leave()
    return share


async def _read_only(feeder: Feeder, ends: list[int], seconds: float) -> float:
    loop = asyncio.get_running_loop()
    for end in ends:
        loop.add_reader(end, os.read, end, 65536)
    feeder.say()
    began, cpu = time.perf_counter(), time.process_time()
    await asyncio.sleep(seconds)
    share = (time.process_time() - cpu) / (time.perf_counter() - began)
    feeder.say()
    await asyncio.to_thread(feeder.said)
    for end in ends:
        loop.remove_reader(end)
    return share


async def _busy(feeder: Feeder, journal: Journal, seconds: float, bare: float) -> list[Line]:
    changed = asyncio.Event()
    shared = Surroundings(journal, Clock(), Hotplug(), stock.ZONE, changed.set)
    ports = [_port(number, name, path, shared) for number, (name, path) in enumerate(feeder.ports)]
    tasks = [asyncio.create_task(port.station.run()) for port in ports]
    async with asyncio.timeout(START_S):
        while not all(port.station.state.condition != "starting" for port in ports):
            changed.clear()
            await changed.wait()
    feeder.say()
    began, cpu = time.perf_counter(), time.process_time()
    late = await _latest(seconds)
    share = (time.process_time() - cpu) / (time.perf_counter() - began)
    feeder.say()
    said = await asyncio.to_thread(feeder.said)
    await asyncio.sleep(QUIET_S)
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    kept = journal.queries.counts().measurements
    return list(_lines(ports, said, sum(kept.values()), Cost(late, share, bare)))


def _port(number: int, name: str, path: str, shared: Surroundings) -> Port:
    driver = catalogue.every()[name]
    framer = Counted(driver.framer())
    config = DeviceConfig(name=f"{name}-{number}", driver=name, port=path)
    return Port(driver, framer, Station(config, replace(driver, framer=lambda: framer), shared))


async def _latest(seconds: float) -> float:
    """Return the longest, in seconds, that the loop came back later than it was asked to."""
    end, late = time.perf_counter() + seconds, 0.0
    while (now := time.perf_counter()) < end:
        await asyncio.sleep(BEAT_S)
        late = max(late, time.perf_counter() - now - BEAT_S)
    return late


@dataclass(frozen=True, slots=True)
class Cost:
    """What it took: the loop's longest absence in seconds, and shares of one core."""

    late: float
    share: float
    bare: float

    def lines(self) -> Iterator[Line]:
        """Return the lines that tell it."""
        target = Target(LATE_MS, on="ours")
        yield Line("the loop's longest absence", "ms", self.late * 1e3, target=target)
        yield Line("share of one core", "%", self.share * 100, self.bare * 100, "only reading the ports")


def _lines(ports: list[Port], said: list[tuple[int, float]], kept: int, cost: Cost) -> Iterator[Line]:
    due = [
        tuple(rounds * each for each in _in_a_round(port.driver))
        for (rounds, _), port in zip(said, ports, strict=True)
    ]
    sure = [number for number, port in enumerate(ports) if port.driver.name in EACH_COUNTS]
    frames, readings = sum(one[0] for one in due), sum(due[number][1] for number in sure)
    lost = frames - sum(port.framer.frames for port in ports)
    missing = readings - sum(ports[number].station.state.readings for number in sure)
    nothing = Target(0, on="ours")
    yield Line(f"messages lost of {frames}", "", float(lost), target=nothing)
    yield Line(f"readings lost of {readings}", "", float(missing), target=nothing)
    yield Line("pieces of noise", "", float(sum(one.framer.noise for one in ports)), target=nothing)
    yield from cost.lines()
    yield Line("a byte's longest wait", "ms", max(wait for _, wait in said) * 1e3)
    yield Line("measurements durable", "", float(kept))


def _in_a_round(driver: Driver) -> tuple[int, int]:
    """Return how many messages and readings one round of a machine holds."""
    framer = driver.framer()
    words = heard(ROUNDS[driver.name][0])
    frames = [piece for piece in framer.feed(words) if isinstance(piece, Frame)]
    return len(frames), sum(isinstance(item, Reading) for item in driver.decode(frames))
