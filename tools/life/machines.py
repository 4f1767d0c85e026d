"""Simulated machines on lines in memory: the very device sides that `simulate` plays on pseudo-terminals."""

import asyncio
from collections import deque
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from random import Random

from drivers.catalogue import AnyLink
from gateway.links.hotplug import Hotplug
from gateway.links.serial import Overrides
from protocol.errors import Lost, Unavailable
from tools.life.world import World
from tools.simulators import Attached, Await, Cue, Heard, Pause, Say, Setup, simulator

NOISE = bytes(range(0x80, 0x90))


class Line:
    """One end of a cable, the gateway's: a `gateway.links.Link`."""

    def __init__(self, machine: "Machine") -> None:
        self._machine = machine
        self._coming: asyncio.Queue[bytes] = asyncio.Queue()
        self.open = True

    async def write(self, data: bytes) -> None:
        """Say *data* to the machine."""
        self._must_be_open()
        self._machine.heard(data)

    async def feature(self, data: bytes) -> None:
        """Do the same."""
        await self.write(data)

    async def read(self) -> bytes:
        """Return the next chunk."""
        if self.open or not self._coming.empty():
            chunk = await self._coming.get()
            if chunk:
                return chunk
        raise Lost("the cable is out")

    async def close(self) -> None:
        """Let go."""
        self._machine.left(self)

    def hear(self, data: bytes) -> None:
        """Let *data* arrive."""
        if self.open:
            self._coming.put_nowait(data)

    def pull(self) -> None:
        """Be gone."""
        self.open = False
        self._coming.put_nowait(b"")

    def _must_be_open(self) -> None:
        if not self.open:
            raise Lost("the cable is out")


class Machine:
    """One machine for the whole life: it keeps its memory and its own clock through every crash."""

    def __init__(
        self,
        name: str,
        driver: str,
        world: World,
        *,
        options: Mapping[str, str] | None = None,
        settings: Mapping[str, str | int | bool] | None = None,
        acknowledges: bytes | None = None,
    ) -> None:
        """*acknowledges* is what its host says once a result is safe, where the protocol has such a word."""
        self.name, self.driver, self.port = name, driver, f"/dev/tty-{name}"
        self.settings = dict(settings or {})
        self.acknowledged: Callable[[], None] = lambda: None
        self.wrong_by = world.between(-300, 300)
        """The machine's clock minus true time in the clinic's zone, in seconds."""
        self._world = world
        self._simulator = simulator(driver)
        self._options = {key: first[0] for key, first in self._simulator.options.items()} | dict(
            options or {}
        )
        self._acknowledges, self._awaited = acknowledges, False
        self._cues: deque[Cue] = deque()
        self._stirred = asyncio.Event()
        self._on = asyncio.Event()
        self._line: Line | None = None

    def person(self) -> Mapping[str, str]:
        """Return what it would find on somebody."""
        return self._simulator.person(self._world.chance)

    def clock(self) -> datetime:
        """Return what the machine takes for now, naive."""
        return (self._world.true_time() + timedelta(hours=8, seconds=self.wrong_by)).replace(tzinfo=None)

    async def play(self) -> None:
        """Be the machine until cancelled."""
        chance = Random(self._world.chance.getrandbits(32))  # noqa: S311
        device = self._simulator.device(Setup(self._options, self.clock, chance))
        answer: Cue | None = None
        while True:
            match device.send(answer):
                case Await(seconds):
                    answer = await self._next(seconds)
                    continue
                case Pause(seconds):
                    await asyncio.sleep(seconds)
                case Say(data, result):
                    await self._say(data, result=result)
                case other:
                    self._world.note(self.name, other)
            answer = None

    async def _next(self, seconds: float | None) -> Cue | None:
        self._stirred.clear()
        if not self._cues:
            try:
                async with asyncio.timeout(seconds):
                    await self._stirred.wait()
            except TimeoutError:
                return None
        return self._cues.popleft()

    async def _say(self, data: bytes, *, result: bool) -> None:
        if self._line is None:
            return
        self._awaited = result
        if self._world.happens(0.02):
            self._line.hear(NOISE[: self._world.chance.randint(1, len(NOISE))])
        cut = self._world.chance.randint(0, len(data)) if self._world.happens(0.3) else 0
        for part in filter(None, (data[:cut], data[cut:])):
            if self._line is not None:
                self._line.hear(part)
            await asyncio.sleep(self._world.between(0.0, 0.05))

    def cue(self, cue: Cue) -> None:
        """Let something happen to it."""
        self._cues.append(cue)
        self._stirred.set()

    def heard(self, data: bytes) -> None:
        """Take what the host says."""
        if self._awaited and data == self._acknowledges:
            self._awaited = False
            self.acknowledged()
        self.cue(Heard(data))

    @property
    def on(self) -> bool:
        """Say whether it is switched on."""
        return self._on.is_set()

    def switch(self, *, on: bool) -> None:
        """Switch it on, or off, which takes the line away."""
        if on:
            self._on.set()
            return
        self._on.clear()
        self.cut()

    def cut(self) -> None:
        """Lose the host, if there is one."""
        if self._line is not None:
            self._line.pull()
            self._line = None
            self._awaited = False

    def left(self, line: Line) -> None:
        """The host closes its end."""
        if self._line is line:
            self.cut()

    async def opened(self) -> Line:
        """A host opens the port; Unavailable while the machine is off."""
        if not self.on:
            raise Unavailable(self.port)
        self.cut()
        self._line = Line(self)
        self.cue(Attached())
        return self._line

    async def until_on(self) -> None:
        """Return once it is switched on."""
        await self._on.wait()


class Ports(Hotplug):
    """All ports of the box; a port whose machine is off is not tried again before it is on."""

    def __init__(self, machines: Mapping[str, Machine]) -> None:
        """*machines* by port."""
        super().__init__()
        self._machines = machines

    async def open_link(
        self, port: str, device: AnyLink, configured: Overrides | None = None, radio: object = None
    ) -> Line:
        """Open one, as `gateway.links.opening.open_link` does."""
        del device, configured, radio
        return await self._machines[port].opened()

    async def wait_for(self, port: str, seconds: float) -> bool:
        """Wait *seconds*, and for a machine that is off until it is on."""
        machine = self._machines[port]
        if machine.on:
            await asyncio.sleep(seconds)
        await machine.until_on()
        return True
