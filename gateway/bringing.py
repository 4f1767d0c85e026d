"""The page's way of bringing in a Bluetooth machine, one at a time, beside the running service.

A radio is run for it where no configured device needs one, and let go of again when nobody looks any more.
"""

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING

from drivers import catalogue
from gateway.stanza import stanza_with
from protocol.errors import GatewayError, RequestRefused

if TYPE_CHECKING:
    from gateway.links.ble_adverts import Advert
    from gateway.links.ble_radio import Radio
    from gateway.pairing import Told, Wish

log = logging.getLogger(__name__)

LOOK_S = 300.0
"""So long a radio of our own runs after somebody looked."""
SHOW_S = 2.0
"""Between two times that the page is told who is about."""
PATIENCE_S = 180.0
MOST = 200
"""Steps kept of one pairing."""
ADDRESS = re.compile(r"[0-9A-F]{2}(:[0-9A-F]{2}){5}")
DIGITS = re.compile(r"\d{6}")


@dataclass(slots=True)
class Attempt:
    """One machine that is, or was, brought in: what was done, and how it ended."""

    address: str
    operator: str
    steps: "list[Told]" = field(default_factory=list)
    fault: str | None = None
    """The code of why it could not be."""
    stanza: str = ""
    """Ready for the configuration once it is done."""
    running: bool = True


class Bringing:
    """Who is about, and the one pairing that is under way; to be used on the service's event loop only."""

    def __init__(self, make: "Callable[[], Radio]", changed: Callable[[], None]) -> None:
        """*make* makes a radio that nobody else uses."""
        self.own: Radio | None = None
        """The service's own, if a configured device needs one."""
        self._make, self._changed = make, changed
        self._door = asyncio.Lock()
        self._lent: Radio | None = None
        self._running: asyncio.Task[None] | None = None
        self._pairing: asyncio.Task[None] | None = None
        self._looked = 0.0
        self._digits: dict[str, int] = {}
        self.attempt: Attempt | None = None

    @property
    def fault(self) -> str | None:
        """The code of why nobody can be heard, `radio.quiet` where nobody was for long."""
        radio = self.own or self._lent
        if radio is None or (radio.fault is None and not radio.quiet):
            return None
        return radio.fault.code if radio.fault is not None else "radio.quiet"

    def adverts(self) -> "list[Advert]":
        """Return who was heard, the strongest first."""
        radio = self.own or self._lent
        return sorted(radio.heard.values(), key=lambda one: -one.strength) if radio is not None else []

    async def look(self) -> None:
        """Somebody looks who is about: run a radio for a while where none runs."""
        self._looked = asyncio.get_running_loop().time()
        async with self._door:
            if self._running is None or self._running.done():
                if self.own is None:
                    # Half a second on a small box, and machines with a cable are to be heard meanwhile.
                    await asyncio.to_thread(import_module, "gateway.links.ble")
                    self._lent = self._make()
                self._running = asyncio.create_task(self._watch(), name="bringing in")

    async def _watch(self) -> None:
        loop = asyncio.get_running_loop()
        radio = asyncio.create_task(self._lent.run()) if self._lent is not None else None
        try:
            while loop.time() - self._looked < LOOK_S or (self.attempt and self.attempt.running):
                self._changed()
                await asyncio.sleep(SHOW_S)
        finally:
            if radio is not None:
                radio.cancel()
                await asyncio.gather(radio, return_exceptions=True)
                self._lent = None

    def passkey(self, address: str) -> Callable[[str], Awaitable[int | None]] | None:
        """Return what tells the digits that a person typed for this machine, if one did."""
        if address not in self._digits:
            return None

        async def typed(_address: str) -> int | None:
            return self._digits.get(address)

        return typed

    async def begin(self, address: str, driver: str, passkey: str, operator: str, *, test: bool) -> None:
        """Begin to bring in a machine. Codes `pair.busy`, `request.refused`."""
        if self.attempt is not None and self.attempt.running:
            raise RequestRefused(address, code="pair.busy")
        known: Mapping[str, catalogue.Driver] = catalogue.every()
        if not ADDRESS.fullmatch(address) or (driver and driver not in known):
            raise RequestRefused(f"{address} {driver}", code="request.refused")
        if passkey and not DIGITS.fullmatch(passkey):
            raise RequestRefused("six digits", code="request.refused")
        if passkey:
            self._digits[address] = int(passkey)
        await self.look()
        from gateway.pairing import Wish  # noqa: PLC0415 - only where somebody pairs

        self.attempt = Attempt(address, operator)
        wish = Wish(address, known.get(driver), {}, bool(passkey), test, PATIENCE_S)
        self._pairing = asyncio.create_task(self._bring(wish, self.attempt), name="pairing")

    async def _bring(self, wish: "Wish", attempt: Attempt) -> None:
        from gateway.pairing import Step, paired  # noqa: PLC0415

        radio = self.own or self._lent
        try:
            if radio is None:
                raise RequestRefused(wish.address, code="radio.none")
            driver, settings = await paired(wish, radio, lambda piece: self._told(attempt, piece))
            self._told(attempt, Step("pair.done"))
            attempt.stanza = stanza_with(driver, settings, f"ble:{wish.address}")
        except GatewayError as fault:
            log.warning("a machine could not be brought in", extra={"code": fault.code})
            attempt.fault = fault.code
        finally:
            attempt.running = False
            self._digits.pop(wish.address, None)
            self._changed()

    def _told(self, attempt: Attempt, piece: "Told") -> None:
        attempt.steps = [*attempt.steps[-MOST:], piece]
        self._changed()

    async def close(self) -> None:
        """End what is under way."""
        tasks = [task for task in (self._pairing, self._running) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
