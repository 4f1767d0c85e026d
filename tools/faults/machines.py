"""Simulated machines played inside the harness, so that the moment a gateway acknowledges one is known."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from random import Random

from tools.simulators import (
    Attached,
    Await,
    Cue,
    Heard,
    Measure,
    Pause,
    Say,
    Setup,
    Values,
    Violation,
    simulator,
)
from tools.terminal import Terminal

LOOK_S = 0.005
ACK = b"\x06"


class Machine:
    """One machine on a pseudo-terminal that stays there through every life of the gateway.

    *acknowledged* is called with a measurement's values when the gateway has acknowledged the message that
    carried it: never for a machine whose protocol has no acknowledgement.
    """

    def __init__(self, driver: str, link: Path, acknowledged: Callable[[str, Values], None]) -> None:
        self.driver = driver
        self.terminal = Terminal(link)
        self.violations: list[str] = []
        self._acknowledged = acknowledged
        self._cues: asyncio.Queue[Cue] = asyncio.Queue()
        self._measured: list[Values] = []
        self._result_said = False
        made = simulator(driver)
        options = {name: choices[0] for name, choices in made.options.items()}
        self._device = made.device(Setup(options, datetime.now, Random(1)))  # noqa: S311

    async def run(self) -> None:
        """Be that machine until cancelled."""
        self.terminal.plug()
        handle = self.terminal.fileno()
        assert handle is not None
        watching = asyncio.create_task(self._watch())
        try:
            await self._play()
        finally:
            watching.cancel()
            with suppress(asyncio.CancelledError):
                await watching
            self.terminal.unplug()

    def measure(self, values: Values) -> None:
        """Let a person use the machine."""
        self._measured.append(values)
        self._cues.put_nowait(Measure(values))

    async def _watch(self) -> None:
        """Notice when a host opens the port, and what it says."""
        attached = False
        while True:
            if self.terminal.attached() != attached:
                attached = not attached
                if attached:
                    self._cues.put_nowait(Attached())
                else:
                    self.terminal.forget_unread()
            if data := self.terminal.read():
                self._hear(data)
            await asyncio.sleep(LOOK_S)

    def _hear(self, data: bytes) -> None:
        if self._result_said and ACK in data and self._measured:
            self._result_said = False
            self._acknowledged(self.driver, self._measured.pop(0))
        self._cues.put_nowait(Heard(data))

    async def _play(self) -> None:
        answer: Cue | None = None
        while True:
            act = self._device.send(answer)
            answer = None
            match act:
                case Await(timeout):
                    answer = await self._next(timeout)
                case Pause(seconds):
                    await asyncio.sleep(seconds)
                case Say(data, result):
                    self._result_said = self.terminal.write(data) and result
                case Violation(what):
                    self.violations.append(what)
                case _:
                    pass

    async def _next(self, seconds: float | None) -> Cue | None:
        if not self._cues.empty():
            return self._cues.get_nowait()
        with suppress(TimeoutError):
            return await asyncio.wait_for(self._cues.get(), seconds)
        return None
