"""From the last byte on the wire to a durable measurement: real port, the service's own station, real disk.

The baseline is what no journal can go below: 200 bytes appended and synced in the same folder, in turn with
the measurements.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from drivers import catalogue
from gateway.clock import Clock
from gateway.config import DeviceConfig
from gateway.links.hotplug import Hotplug
from gateway.supervisor import Station, Surroundings
from protocol.readings import Reading
from store.journal import Journal
from tools.bench import stock
from tools.bench.figures import Line, Scale, Target, percentile, seconds_of
from tools.bench.raw import RawFile
from tools.terminal import Terminal

PORTS = 16
STREAM = 20
"""Lines that wait in every port at once where the rate is measured."""
NEEDED = 64 * 48.0
"""64 ports with 48 results a second each."""
START_S = 30.0


class Timed(Station):
    """The service's station; `durable` gets the moment in which each report came back, after COMMIT."""

    def __init__(self, config: DeviceConfig, shared: Surroundings) -> None:
        super().__init__(config, catalogue.every()[config.driver], shared)
        self.durable: asyncio.Queue[float] = asyncio.Queue()

    async def report(self, reading: Reading) -> None:
        """Make *reading* durable as the service does, and note when that was done."""
        await super().report(reading)
        self.durable.put_nowait(time.perf_counter())


@dataclass(slots=True)
class Clinic:
    """Some ports of one gateway whose exam is open, and what was sent through them."""

    terminals: Sequence[Terminal]
    stations: Sequence[Timed]
    sent: int = 0

    def send(self, port: int, lines: int = 1) -> float:
        """Write whole lines to one port; return the moment before the write."""
        text = b"".join(stock.omron_line(self.sent + number) for number in range(lines))
        self.sent += lines
        began = time.perf_counter()
        assert self.terminals[port].write(text)
        return began

    async def round(self) -> list[float]:
        """Let every port say one line at once; return the seconds until each was durable."""
        began = [self.send(port) for port in range(len(self.terminals))]
        ended = [await station.durable.get() for station in self.stations]
        return [end - begin for begin, end in zip(began, ended, strict=True)]

    async def stream(self) -> None:
        """Let every port say STREAM lines at once; return when all are durable."""
        for port in range(len(self.terminals)):
            self.send(port, STREAM)
        for station in self.stations:
            for _ in range(STREAM):
                await station.durable.get()


def measure(scale: Scale, folder: Path) -> Iterator[Line]:
    """Measure one port alone, then several at once, then how many a second they can be."""
    journal = stock.opened(folder)
    raw = RawFile(folder / "raw")
    try:
        lines, sent = asyncio.run(_measured(scale, journal, raw))
        yield from lines
        lost = sent - sum(journal.queries.counts().measurements.values())
        yield Line(f"lines lost of {sent}", "", float(lost), target=Target(0, on="ours"))
    finally:
        raw.close()
        journal.close()


async def _measured(scale: Scale, journal: Journal, raw: RawFile) -> tuple[list[Line], int]:
    await journal.run(stock.open_exam(0))
    async with _clinic(journal, 1) as alone:
        ours, bare = await _latencies(alone, raw, scale.of(600, 5))
    lines = _compared("1 port", ours, bare)
    async with _clinic(journal, PORTS, first=alone.sent) as many:
        ours, bare = await _latencies(many, raw, scale.of(120, 2))
        lines += _compared(f"{PORTS} ports at once", ours, bare)
        lines += await _without_a_pause(many, scale.of(10, 1), len(bare) / sum(bare))
    return lines, many.sent


async def _without_a_pause(clinic: Clinic, rounds: int, bare_rate: float) -> list[Line]:
    began, cpu = time.perf_counter(), time.process_time()
    for _ in range(rounds):
        await clinic.stream()
    count = rounds * STREAM * len(clinic.terminals)
    rate, each = count / (time.perf_counter() - began), (time.process_time() - cpu) / count
    what, target = f"{len(clinic.terminals)} ports without a pause", Target(NEEDED, on="ours", most=False)
    against = "one raw append + fdatasync after the other"
    return [
        Line(f"{what}: measurements durable", "/s", rate, bare_rate, against, target),
        Line(f"{what}: CPU a measurement", "ms", each * 1e3, note="port, driver, rules and journal together"),
    ]


async def _latencies(clinic: Clinic, raw: RawFile, rounds: int) -> tuple[list[float], list[float]]:
    """Return the seconds of every measurement, and of a raw append before each round."""
    ours: list[float] = []
    bare: list[float] = []
    for _ in range(rounds):
        bare.append(seconds_of(raw.append))
        ours += await clinic.round()
    return ours, bare


def _compared(what: str, ours: Sequence[float], bare: Sequence[float]) -> list[Line]:
    against = "raw append + fdatasync"
    middle, late = Target(3), Target(1.5, spare=2.0)
    return [
        Line(f"{what}: last byte to durable, {name}", "ms", *_ms(ours, bare, share), against, target)
        for name, share, target in (("p50", 0.5, middle), ("p99", 0.99, late))
    ]


def _ms(ours: Sequence[float], bare: Sequence[float], share: float) -> tuple[float, float]:
    return percentile(ours, share) * 1e3, percentile(bare, share) * 1e3


@asynccontextmanager
async def _clinic(journal: Journal, ports: int, first: int = 0) -> AsyncIterator[Clinic]:
    """Open *ports* pseudo-terminals, a station at each; they are listening when this begins."""
    terminals = [Terminal(None) for _ in range(ports)]
    for terminal in terminals:
        terminal.plug()
    changed = asyncio.Event()
    shared = Surroundings(journal, Clock(), Hotplug(), stock.ZONE, changed.set)
    configs = [
        DeviceConfig(name=f"bp-{number}", driver="omron_hbp", port=terminal.path)
        for number, terminal in enumerate(terminals)
    ]
    stations = [Timed(config, shared) for config in configs]
    tasks = [asyncio.create_task(station.run()) for station in stations]
    try:
        async with asyncio.timeout(START_S):
            while not all(station.state.condition == "waiting" for station in stations):
                changed.clear()
                await changed.wait()
        yield Clinic(terminals, stations, first)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        for terminal in terminals:
            terminal.unplug()
