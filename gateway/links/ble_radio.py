"""One adapter and everybody who wants something of it: who scans, who is connected to, what is tried next.

One task does all scanning and connecting, one after the other: two attempts at once both fail, and a scan
disturbs a connection that is being made. Links that stand already go on beside it, for a machine that is
spoken to for minutes must not hide another that is awake for seconds. bleak is in `ble.py`, not here.
"""

import asyncio
import logging
from collections.abc import Callable

from drivers.catalogue import Advertisement, Gatt
from gateway.links import Link
from gateway.links.ble_adverts import Advert
from gateway.links.ble_connector import Connector, Want
from gateway.links.ble_inbox import AdvertLink
from gateway.links.ble_ladder import Ladder, Rung
from gateway.links.ble_parts import Central, DeviceLink, Found, Host, Passkey
from protocol.errors import Busy, LinkError, Lost, Unavailable

log = logging.getLogger(__name__)

ROUND_S = 8.0
"""The kernel ends a scan after 10 s and begins it again 5 s later; a round is over before that."""
PAUSE_S = 2.0
LONG_PAUSE_S = 30.0
LINKS = 4
"""Ours: so many machines at once; cheap adapters carry five or more."""
KNOWN = 256
"""So many devices are remembered for whoever asks who is about; phones change their address all the time."""


class Radio:
    """The host policy of one adapter; `run` is its one task.

    `fault` says why nothing can be reached now, None as long as machines that are not heard merely sleep.
    """

    def __init__(self, central: Central, host: Host, passkeys: Callable[[str], Passkey | None]) -> None:
        """*passkeys* returns for an address how its six digits are learned, None where nobody knows them."""
        self.fault: LinkError | None = None
        self.quiet = False
        """Nobody at all was heard for so long that a remedy was tried; a silent room is no fault."""
        self.heard: dict[str, Advert] = {}
        """Who advertised lately, by address."""
        self.told: Callable[[Advert], None] = lambda advert: None
        """Called with every advertisement."""
        self._central, self._host = central, host
        self._connector = Connector(central, host, passkeys)
        self._wants: dict[str, Want] = {}
        self._adverts: dict[str, AdvertLink] = {}
        self._links: set[DeviceLink] = set()
        self._ladder = Ladder()
        self._listened = 0.0
        self._heard_at = 0.0
        """Seconds of listening, in all and when somebody was last heard."""
        self._scan_began: float | None = None
        self._sighted: asyncio.Future[Found] | None = None
        """Whom this round is to find."""
        self._loop = asyncio.get_running_loop()
        host.gone = self._service_gone

    async def connect(self, address: str, device: Gatt) -> Link:
        """Return a link once the machine wakes, which may take days. Raises LinkError."""
        if self.fault is not None:
            raise _again(self.fault)
        want = self._wants.setdefault(address, Want(device))
        if want.waiting is not None:
            raise Busy(f"{address}: somebody waits for it already")
        want.device, want.waiting = device, self._loop.create_future()
        waiting = want.waiting
        try:
            return await waiting
        except asyncio.CancelledError:
            if waiting.done() and not waiting.cancelled() and waiting.exception() is None:
                await waiting.result().close()
            raise
        finally:
            want.waiting = None

    def listen(self, address: str, device: Advertisement) -> Link:
        """Return a link that tells what the machine advertises. Raises LinkError."""
        if self.fault is not None:
            raise _again(self.fault)
        self._adverts[address] = link = AdvertLink(address, device)
        return link

    async def run(self) -> None:
        """Scan and connect for ever; every link is closed at the end."""
        try:
            while True:
                try:
                    adapter = await self._host.adapter()
                    while not _cancelled():
                        await self._go_on(adapter)
                    raise asyncio.CancelledError
                except LinkError as fault:
                    await self._trouble(fault)
                except Exception as error:  # nobody else would ever scan again
                    log.exception("Bluetooth stumbled")
                    await self._trouble(Unavailable(type(error).__name__, code="radio.stuck"))
        finally:
            for link in list(self._links):
                await link.close()
            await self._host.close()

    async def _go_on(self, adapter: str) -> None:
        """Listen for a round, connect to whom was waited for."""
        found = await self._round(adapter)
        if found is not None:
            await self._take_up(found)
        elif not self._links and (rung := self._ladder.quiet(self._listened - self._heard_at)):
            log.warning("no device is heard at all", extra={"cause": rung.name})
            self.quiet = True
            await self._climb(rung)

    async def _round(self, adapter: str) -> Found | None:
        sighted = self._sighted = self._loop.create_future()

        def hear(found: Found) -> None:
            self._hear(found.advert)
            if not sighted.done() and self._is_wanted(found.advert.address):
                sighted.set_result(found)

        async with self._central.scan(adapter, hear):
            self._scan_began = self._loop.time()
            if self.fault is not None:
                log.info("Bluetooth works again")
                self.fault = None
            await asyncio.wait({sighted}, timeout=ROUND_S)
            self._listened, self._scan_began = self._listening(), None
        return sighted.result() if sighted.done() else None

    def _listening(self) -> float:
        """Return for how long there was somebody listening, up to now."""
        began = self._scan_began
        return self._listened + (self._loop.time() - began if began is not None else 0.0)

    def _hear(self, advert: Advert) -> None:
        self._heard_at = self._listening()
        self._ladder.heard()
        self.quiet = False
        self.heard.pop(advert.address, None)
        self.heard[advert.address] = advert
        if len(self.heard) > KNOWN:
            del self.heard[next(iter(self.heard))]
        if (link := self._adverts.get(advert.address)) is not None:
            link.hear(advert, self._loop.time())
        if (want := self._wants.get(advert.address)) is not None:
            want.pace.heard(self._heard_at)
        self.told(advert)

    def _is_wanted(self, address: str) -> bool:
        want = self._wants.get(address)
        if want is None or want.waiting is None or len(self._links) >= LINKS:
            return False
        return want.pace.may(self._loop.time())

    async def _take_up(self, found: Found) -> None:
        """Connect, and give the link, or why there is none, to whoever waits."""
        want = self._wants[found.advert.address]
        want.pace.tried(self._loop.time())
        try:
            link = await self._connector.link(want, found)
        except LinkError as fault:
            want.pace.failed(self._loop.time())
            if want.waiting is not None and not want.waiting.done():
                want.waiting.set_exception(fault)
            return
        self._links.add(link)
        link.closed = self._closed
        if want.waiting is None or want.waiting.done():
            await link.close()
        else:
            want.waiting.set_result(link)

    def _closed(self, link: DeviceLink) -> None:
        """Take note that a link was let go of, and how it went."""
        self._links.discard(link)
        self._wants[link.address].ended(link, self._loop.time())

    def _service_gone(self) -> None:
        """End every link and this round: bleak would go on as if nothing had happened."""
        detail, code = "the Bluetooth service ended", "radio.no_service"
        for link in self._links:
            link.end(Lost(f"{link.address}: {detail}", code=code))
        if self._sighted is not None and not self._sighted.done():
            self._sighted.set_exception(Unavailable(detail, code=code))

    async def _trouble(self, fault: LinkError) -> None:
        """Do what may help, tell whoever waits if it is not over in a moment, and pause."""
        rung = self._ladder.fault(fault.code, self._loop.time())
        log.warning("Bluetooth does not work", extra={"code": fault.code, "cause": fault.detail})
        if rung is Rung.REBOOT:
            fault = Unavailable(fault.detail, code="radio.reboot")
        if rung is not Rung.RESCAN or self.fault is not None or fault.code != "radio.stuck":
            self._tell(fault)
        await self._climb(rung)
        await asyncio.sleep(LONG_PAUSE_S if rung is Rung.REBOOT else PAUSE_S)

    def _tell(self, fault: LinkError) -> None:
        self.fault = fault
        for want in self._wants.values():
            if want.waiting is not None and not want.waiting.done():
                want.waiting.set_exception(_again(fault))
        for link in self._adverts.values():
            link.end(_again(fault))
        self._adverts.clear()

    async def _climb(self, rung: Rung) -> None:
        try:
            match rung:
                case Rung.POWER_CYCLE:
                    await self._host.power_cycle()
                case Rung.RESTART:
                    await self._host.restart()
                case _:
                    pass
        except LinkError as fault:  # what it should have mended shows again in the next round
            log.warning("no remedy", extra={"code": fault.code, "cause": f"{rung.name}: {fault.detail}"})


def _cancelled() -> bool:
    """Say whether our task was cancelled, even if a library below waited with wait_for and swallowed it."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _again(fault: LinkError) -> LinkError:
    """Return *fault* to be raised once more, elsewhere."""
    return type(fault)(fault.detail, code=fault.code)
