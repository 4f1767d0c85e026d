"""Plays a simulated machine on a pseudo-terminal, in real time, and takes a person's orders for it."""

import math
import os
import select
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from random import Random

from tools.forms import Json
from tools.orders import cues_in, parsed, seconds_of
from tools.simulators import (
    Attached,
    Await,
    Cue,
    Device,
    Heard,
    Measure,
    Pause,
    Refuse,
    Say,
    Show,
    ShowFailure,
    Values,
    Violation,
)
from tools.terminal import Terminal, garbled

TICK_S = 0.03
"""How often a port that nobody has open is looked at."""
SETTLE_S = 0.5
"""Some hosts throw away what they hear while they still open the port; no machine is that quick."""


class MachineClock:
    """The machine's own clock, naive, `offset_s` seconds ahead of the true time."""

    def __init__(self, offset_s: float) -> None:
        self.offset_s = offset_s

    def __call__(self) -> datetime:
        """Return what the machine takes for now."""
        return datetime.now() + timedelta(seconds=self.offset_s)  # noqa: DTZ005


class Player:
    """One machine on one port.

    *tell* is called with a JSON object for everything a person at the machine would see: `pty` (with
    `link`) each time it is plugged in, `host` true or false when one opens or leaves the port, `shown` or
    `failed` for an outcome that the host could hear, `unsent` for one that it could not, `violation`,
    `refused`. *orders* is the descriptor that orders come from, one JSON object a line; the play ends
    when it does. Without it *person* uses the machine every *interval* seconds.
    """

    def __init__(
        self,
        device: Device,
        terminal: Terminal,
        tell: Callable[[Json], None],
        *,
        person: Callable[[Random], Values] | None,
        chance: Random,
        clock: MachineClock | None = None,
        orders: int | None = None,
        interval: float | None = None,
        pace: int | None = None,
    ) -> None:
        self._device = device
        self._terminal = terminal
        self._tell = tell
        self._person = person
        self._chance = chance
        self._clock = clock
        self._orders = orders
        self._interval = interval if person else None
        self._pace = pace
        self._cues: deque[Cue] = deque()
        self._typed = b""
        self._settled: float | None = None
        self._attached = False
        self._next_person = time.monotonic() + self._interval if self._interval else math.inf
        self._wrong_baud = self._silent = self._half = self._lost = self._over = self._corrupt = False
        self._resume = 0.0

    def play(self) -> None:
        """Play until the orders end, or for ever."""
        answer: Cue | None = None
        while not self._over:
            act = self._device.send(answer)
            answer = None
            match act:
                case Await(timeout):
                    answer = self._wait(timeout, cues=True)
                case Pause(seconds):
                    self._wait(seconds, cues=False)
                case Say():
                    self._say(act)
                case _:
                    self._show(act)

    def _show(self, act: Show | ShowFailure | Violation | Refuse) -> None:
        match act:
            case Show(values):
                self._tell({"unsent" if self._lost else "shown": dict(values)})
                self._lost = False
            case ShowFailure(failed):
                self._tell({"unsent": {"failed": failed}} if self._lost else {"failed": failed})
                self._lost = False
            case Violation(what):
                self._tell({"violation": what})
            case Refuse(why):
                self._tell({"refused": why})

    def _say(self, say: Say) -> None:
        cut = self._half and say.result
        data = say.data[: len(say.data) // 2] if cut else say.data
        if self._corrupt and say.result:
            data, self._corrupt = _damaged(data), False
        sent = not self._silent and self._write(garbled(data) if self._wrong_baud else data)
        if cut:
            self._half = False
            time.sleep(TICK_S)
            self._terminal.unplug()
        self._lost |= say.result and (cut or not sent)

    def _write(self, data: bytes) -> bool:
        if self._pace is None:
            return self._terminal.write(data)
        taken = True
        for byte in data:
            taken &= self._terminal.write(bytes([byte]))
            time.sleep(10 / self._pace)
        return taken

    def _wait(self, seconds: float | None, *, cues: bool) -> Cue | None:
        deadline = math.inf if seconds is None else time.monotonic() + seconds
        while not self._over:
            if cues and self._cues:
                return self._cues.popleft()
            left = deadline - time.monotonic()
            if left <= 0:
                return None
            self._look(left)
        return None

    def _look(self, seconds: float) -> None:
        """Wait at most *seconds* for the host, an order or the next person."""
        before, until_next = len(self._cues), self._next_person - time.monotonic()
        if self._interval is not None and until_next <= 0:
            self._next_person += self._interval
            self._cues.append(Measure(self._someone()))
        self._watch_host()
        if len(self._cues) > before:
            return
        steady = self._attached and self._settled is None
        waits = self._resume - time.monotonic()
        ends = [self._terminal.fileno() if self._attached else None, None if waits > 0 else self._orders]
        until_next = min(until_next, waits) if waits > 0 else until_next
        _ready(ends, max(0.0, min(seconds, until_next, math.inf if steady else TICK_S)))
        self._take_orders()
        self._hear()

    def _someone(self) -> Values:
        if self._person is None:
            raise ValueError("a recording measures nobody")
        return self._person(self._chance)

    def _watch_host(self) -> None:
        now, attached = time.monotonic(), self._terminal.attached()
        if attached != self._attached:
            self._settled = now + SETTLE_S if attached else None
            self._tell({"host": attached})
            if not attached:
                self._terminal.forget_unread()
        self._attached = attached
        if self._settled is not None and now >= self._settled:
            self._settle()

    def _settle(self) -> None:
        self._settled = None
        self._cues.append(Attached())

    def _hear(self) -> None:
        """Take in what the host said, after its coming and after every order that was given before it."""
        while data := self._terminal.read():
            self._take_orders()
            self._watch_host()
            if self._silent:
                continue
            if self._settled is not None:
                self._settle()
            self._cues.append(Heard(data))

    def _take_orders(self) -> None:
        """Follow the orders that are there now; the play is over once their source has ended."""
        if self._orders is None or self._over or self._waits():
            return
        if b"\n" not in self._typed:
            if not _ready([self._orders], 0):
                return
            typed = os.read(self._orders, 65536)
            self._over = not typed
            self._typed += typed
        while b"\n" in self._typed and not self._waits():
            line, _, self._typed = self._typed.partition(b"\n")
            try:
                self._follow(parsed(line)) if line.strip() else None
            except ValueError as error:
                self._tell({"refused": str(error)})

    def _waits(self) -> bool:
        """Say whether the person at the machine still waits, as an order told them to."""
        return time.monotonic() < self._resume

    def _follow(self, given: Mapping[str, object]) -> None:
        if "silence" in given:
            self._silent = bool(given["silence"])
        if "wrong_baud" in given:
            self._wrong_baud = bool(given["wrong_baud"])
        if given.get("unplug"):
            self._terminal.unplug()
        if given.get("replug"):
            self.plug()
        if "noise" in given:
            self._write(bytes.fromhex(str(given["noise"])))
        if "clock" in given and self._clock is not None:
            self._clock.offset_s = seconds_of(given["clock"])
        if "wait" in given:
            self._resume = time.monotonic() + seconds_of(given["wait"])
        self._corrupt |= bool(given.get("corrupt"))
        self._half |= bool(given.get("half"))
        self._cues += cues_in(given, self._someone)

    def plug(self) -> None:
        """Plug the machine in and tell where."""
        self._terminal.plug()
        link = self._terminal.link
        self._tell({"pty": self._terminal.path, "link": str(link) if link else None})


def _damaged(data: bytes) -> bytes:
    """Return *data* with one bit in its middle turned over, as a bad cable does."""
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 0x01]) + data[middle + 1 :]


def _ready(ends: Sequence[int | None], seconds: float) -> bool:
    """Wait at most *seconds*, possibly for ever, and say whether one of *ends* has something to read."""
    poll = select.poll()
    for end in ends:
        if end is not None:
            poll.register(end, select.POLLIN)
    return bool(poll.poll(None if seconds == math.inf else seconds * 1000))
