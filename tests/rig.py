"""A driver and its simulated machine in one process, in time of its own, on a line cut at any byte."""

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cache
from random import Random
from typing import Literal

from drivers.catalogue import Driver, every
from drivers.dialogue import Answer, Dialogue, Known, Listen, Observe, Order, Report, Send, Settings, Step
from gateway.conductor import GAP_S
from protocol.errors import ProtocolError
from protocol.framing import Frame, Framer
from protocol.readings import Event, Reading
from tools.simulators import (
    Attached,
    Await,
    Cue,
    Heard,
    Measure,
    Pause,
    Refuse,
    Say,
    Setup,
    Show,
    ShowFailure,
    Simulator,
    Store,
    Violation,
    simulator,
)

NOON = datetime(2026, 3, 1, 12)
FOREVER = float("inf")
CONTACT_S = 30.0
Way = Literal["memory", "push", "order", "card", "none"]
"""Stored records are downloaded, results pushed, measurements ordered, cards read; none: it gives nothing."""
STARTING: dict[str, dict[str, str]] = {}
"""What a person must tell beside the order to start, by driver."""


@dataclass
class Journal:
    """What a gateway would have kept: a record that it holds already is not kept twice."""

    readings: list[Reading] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)

    def report(self, reading: Reading) -> None:
        if reading.record is None or not self.holds(reading.record):
            self.readings.append(reading)

    def holds(self, record: str) -> bool:
        return any(reading.record == record for reading in self.readings)


class Bench:
    """One machine on one line; the host comes and goes, the machine stays as it is."""

    def __init__(self, simulator: Simulator, options: dict[str, str] | None = None) -> None:
        chosen = {name: choices[0] for name, choices in simulator.options.items()} | (options or {})
        self.now = 0.0
        self.told: list[Show | ShowFailure | Violation | Refuse] = []
        self.said = 0
        """Bytes that the machine has put on the line to a host."""
        self.host: Host | None = None
        self._cues: deque[Cue] = deque()
        self._until = 0.0
        self._takes_cues = False
        setup = Setup(chosen, lambda: NOON + timedelta(seconds=self.now), Random(1))
        self._device = simulator.device(setup)
        self._act = next(self._device)
        self._settle()

    def cue(self, cue: Cue) -> None:
        """Let something happen to the machine; it notices once it waits."""
        self._cues.append(cue)

    def attach(self, host: "Host") -> None:
        """Put *host* on the line."""
        self.host = host
        self.cue(Attached())

    def run(self, until: Callable[[], bool] = lambda: False, seconds: float = 600.0) -> None:
        """Let both go on until *until*, the line is cut, or nothing has happened for *seconds*."""
        end = self.now + seconds
        while self.now < end and not until():
            host = self.host
            if host is None or host.over:
                return
            stirred = self._machine_goes_on() or host.goes_on()
            if not stirred:
                self.now = min(self._until, host.until, end)
                host.now = self.now

    def take(self, data: bytes) -> None:
        """Hear what the host says."""
        self.cue(Heard(data))

    def _machine_goes_on(self) -> bool:
        if self._takes_cues and self._cues:
            self._send(self._cues.popleft())
        elif self.now >= self._until:
            self._send(None)
        else:
            return False
        return True

    def _send(self, cue: Cue | None) -> None:
        self._act = self._device.send(cue)
        self._settle()

    def _settle(self) -> None:
        """Take what the machine does until it waits."""
        while True:
            match self._act:
                case Await(timeout):
                    self._takes_cues, self._until = True, self.now + (FOREVER if timeout is None else timeout)
                    return
                case Pause(seconds):
                    self._takes_cues, self._until = False, self.now + seconds
                    return
                case Say(data):
                    if self.host is not None:
                        self.said += len(data)
                        self.host.hear(data)
                case done:
                    self.told.append(done)
            self._act = next(self._device)


class Host:
    """The gateway's side of one contact. After *cut* bytes from the machine the line is lost."""

    def __init__(
        self, bench: Bench, driver: Driver, journal: Journal, settings: Settings, cut: int | None = None
    ) -> None:
        self.now = bench.now
        self.over = False
        self.until = FOREVER
        self.fault: ProtocolError | None = None
        self._bench, self._journal, self._cut = bench, journal, cut
        shaped = driver.under(settings)
        self._framer: Framer = shaped.framer()
        self._dialogue: Dialogue = shaped.talk(settings)
        self._frames: deque[Frame] = deque()
        self._orders: deque[Order] = deque()
        self._quiet_at = FOREVER
        self._sent_at = self.now
        self._began = self.now
        self._wait: Listen | None = None
        bench.attach(self)
        self._go(None)

    def order(self, order: Order) -> None:
        """Let a person order something."""
        self._orders.append(order)

    def hear(self, data: bytes) -> None:
        """Take what the machine says, up to where the line is cut."""
        if self._cut is not None and len(data) >= self._cut:
            data = data[: self._cut]
            self._lose()
        if self._cut is not None:
            self._cut -= len(data)
        if not self.over:
            self._sort(self._framer.feed(data))
            self._quiet_at = self.now + GAP_S
            self._look()

    def goes_on(self) -> bool:
        """Give the dialogue what it waits for, if it is there or its time is up; return whether it was."""
        if self.over or self._wait is None:
            return False
        if self.now >= self._quiet_at:
            self._quiet_at = FOREVER
            self._sort(self._framer.finish())
        if self._wait.orders and self._orders:
            self._go(self._orders.popleft())
        elif self._bound is not None and self.now >= self._bound:
            self._go(None)
        elif self._frames:
            self._go(self._frames.popleft())
        elif self._alone is not None and self.now >= self._alone:
            self._go(None)
        else:
            self._look()
            return False
        return True

    @property
    def _bound(self) -> float | None:
        wait = self._wait
        return None if wait is None or wait.within is None else self._sent_at + wait.within

    @property
    def _alone(self) -> float | None:
        wait = self._wait
        return None if wait is None or wait.timeout is None else self._began + wait.timeout

    def _look(self) -> None:
        moments = (self._bound, self._alone, self._quiet_at)
        self.until = min(moment for moment in moments if moment is not None)

    def _lose(self) -> None:
        self.over, self._bench.host = True, None
        self._dialogue.close()

    def _sort(self, pieces: Iterable[object]) -> None:
        self._frames.extend(piece for piece in pieces if isinstance(piece, Frame))

    def _go(self, answer: Answer) -> None:
        try:
            while not isinstance(step := self._dialogue.send(answer), Listen):
                answer = self._do(step)
        except (StopIteration, ProtocolError) as end:
            self.fault = end if isinstance(end, ProtocolError) else None
            self._lose()
            return
        self._wait, self._began = step, self.now
        self._look()

    def _do(self, step: Step) -> Answer:
        match step:
            case Send(data):
                self._sent_at = self.now
                self._bench.take(data)
            case Report(reading):
                self._journal.report(reading)
            case Known(record):
                return self._journal.holds(record)
            case Observe(event):
                self._journal.events.append(event)
            case Listen():
                raise AssertionError(step)
        return None


def whole_person(name: str, seed: int = 0) -> dict[str, str]:
    """Return what the machine *name* finds on a plausible person."""
    return dict(simulator(name).person(Random(seed)))


@cache
def way(name: str) -> Way:
    """Return how a result is had from the machine *name*, found out by trying."""
    return obtained(Bench(simulator(name)), name, Journal()) if every()[name].kinds else "card"


def obtained(bench: Bench, name: str, journal: Journal) -> Way:
    """Get a result from the machine into *journal*, and say by which way it came."""
    driver = every()[name]
    bench.cue(Store(({**whole_person(name), "at": "2026-01-01T08:00:00"},)))
    host = Host(bench, driver, journal, driver.settings)
    bench.run(lambda: bool(journal.readings), seconds=CONTACT_S)
    if journal.readings:
        return "memory"
    bench.cue(Measure(whole_person(name)))
    bench.run(lambda: bool(journal.readings), seconds=CONTACT_S)
    if journal.readings:
        return "push"
    if start := start_of(driver):
        host.order(start)
        bench.run(lambda: bool(journal.readings), seconds=CONTACT_S * 10)
    return "order" if journal.readings else "none"


def start_of(driver: Driver) -> Order | None:
    """Return the order that starts a measurement, with the arguments a simulated person needs."""
    name = next((name for name in driver.orders if name.startswith("start")), None)
    return Order(name, STARTING.get(driver.name, {})) if name else None
