"""An air with our radio in it and as many emulated machines as a test wants, in time of its own."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from backend import Central as Emulated
from backend import in_process_central
from host import AirHost
from peripheral import Machine

from drivers.catalogue import Gatt
from gateway.links.ble import Backend, Central
from gateway.links.ble_link import BleLink
from gateway.links.ble_parts import Found, Passkey
from gateway.links.ble_radio import Radio
from gateway.links.replay import LeapingLoop
from protocol.errors import LinkError, Unavailable
from tools.air import Air, VirtualController

NOON = (2026, 11, 21, 12, 0, 0)
BP = Gatt(("2A35",), default="2A35", services=("1810",))
GLUCOSE = Gatt(("2A18", "2A52"), default="2A18", services=("1808",))


def leaping(scenario: Callable[[], Awaitable[None]]) -> Callable[[], None]:
    """Run a scenario in a loop whose clock leaps over every wait: hours pass at once."""

    def test() -> None:
        with asyncio.Runner(loop_factory=LeapingLoop) as runner:
            runner.run(scenario())

    test.__name__, test.__doc__ = scenario.__name__, scenario.__doc__
    return test


class Watched(Central):
    """The gateway's own Central, noting what it does and when."""

    def __init__(self, emulated: Emulated) -> None:
        super().__init__(Backend(emulated.scanner, emulated.client))
        self.did: list[tuple[str, float]] = []
        self.scan_fault: LinkError | None = None
        """Every scan fails with it."""
        self.scan_faults: list[Exception] = []
        """The next scans fail with these."""
        self.founds: list[Found] = []

    @contextlib.asynccontextmanager
    async def scan(self, adapter: str, hear: Callable[[Found], None]) -> AsyncIterator[None]:
        if self.scan_faults:
            raise self.scan_faults.pop(0)
        if self.scan_fault is not None:
            raise Unavailable(self.scan_fault.detail, code=self.scan_fault.code)
        async with super().scan(adapter, hear):
            self._note("scan")
            try:
                yield
            finally:
                self._note("no scan")

    async def connect(self, found: Found) -> BleLink:
        self.founds.append(found)
        self._note("connect")
        try:
            return await super().connect(found)
        finally:
            self._note("connected or not")

    def _note(self, what: str) -> None:
        self.did.append((what, asyncio.get_running_loop().time()))


class Lab:
    """Everything at hand: the air, the emulated central, our radio and its parts."""

    def __init__(self, air: Air, emulated: Emulated, passkeys: Callable[[str], Passkey | None]) -> None:
        self.air = air
        self.emulated = emulated
        self.host = AirHost(emulated)
        self.central = Watched(emulated)
        self.radio = Radio(self.central, self.host, passkeys)
        self.running: asyncio.Task[None]
        self._machines = 0

    def machine(self, **settings: Any) -> Machine:
        """Make a machine with an address of its own; it sleeps until it is started."""
        self._machines += 1
        controller = VirtualController(f"machine {self._machines}", link=self.air)
        address = settings.pop("address", f"F0:F1:F2:F3:F4:{self._machines:02X}")
        machine = Machine(controller, controller, address=address, **settings)
        machine.controller = controller
        return machine

    async def awake(self, **settings: Any) -> Machine:
        """Make a machine that advertises."""
        machine = self.machine(**settings)
        await machine.start()
        return machine


def nobody_knows(_address: str) -> Passkey | None:
    return None


@contextlib.asynccontextmanager
async def lab(passkeys: Callable[[str], Passkey | None] = nobody_knows) -> AsyncIterator[Lab]:
    air = Air()
    async with in_process_central(air) as emulated:
        here = Lab(air, emulated, passkeys)
        here.running = asyncio.create_task(here.radio.run())
        try:
            yield here
        finally:
            here.running.cancel()
            await asyncio.gather(here.running, return_exceptions=True)


async def passed(seconds: float) -> None:
    await asyncio.sleep(seconds)


def now() -> float:
    return asyncio.get_running_loop().time()
