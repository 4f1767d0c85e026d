"""From a machine that advertises to a link that is the right one and secure; bonds are made and renewed."""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, field

from drivers.catalogue import Gatt
from gateway.links.ble_ladder import Pace
from gateway.links.ble_parts import Central, DeviceLink, Found, Host, Passkey
from protocol.errors import LinkError, Unavailable

log = logging.getLogger(__name__)

STALE = 3
"""Ours: failed attempts in a row at a bonded machine that is near; then the bond is taken for dead.

Nothing tells it for certain: the texts of BlueZ's errors differ from release to release."""
NEAR_DBM = -85


@dataclass(slots=True)
class Want:
    """One machine that somebody wants to be connected to, and how it went so far."""

    device: Gatt
    waiting: asyncio.Future[DeviceLink] | None = None
    pace: Pace = field(default_factory=Pace)
    in_vain: int = 0
    """Attempts in a row, at a bonded machine nearby, without a link that is secure."""
    renewed: bool = False
    """The bond was removed once; not again until the machine was connected to."""

    def ended(self, link: DeviceLink, now: float) -> None:
        """Take note of how a conversation over *link* went, before it is closed."""
        if link.insecure or (link.lost is not None and not link.worked):
            self.in_vain += 1
        else:
            self.in_vain, self.renewed = 0, False
        if link.lost is None and not link.insecure:
            self.pace.ended(now)
        elif link.worked and not link.insecure:
            self.pace.left(now)
        else:
            self.pace.failed(now)


class Connector:
    """Makes links, one after the other."""

    def __init__(self, central: Central, host: Host, passkeys: Callable[[str], Passkey | None]) -> None:
        """*passkeys* returns for an address how its six digits are learned, None where nobody knows them."""
        self._central, self._host, self._passkeys = central, host, passkeys

    async def link(self, want: Want, found: Found) -> DeviceLink:
        """Return a link to the machine, with a bond where its driver needs one.

        Raises Unavailable: `pairing.…` where a person has to do something, `ble.other_device` where the
        machine has not what makes it this device, `ble.connect` and `ble.no_time`.
        """
        address, device = found.advert.address, want.device
        bonded = await self._host.bonded(address)
        if bonded and want.in_vain >= STALE and not want.renewed:
            raise await self._renewed(want, address)
        passkey = self._passkeys(address) if device.pairing == "passkey" else None
        if device.pairing == "passkey" and passkey is None and not bonded:
            raise Unavailable(address, code="pairing.no_passkey")
        await self._host.expect(address, passkey)
        link = await self._connected(want, found, bonded=bonded)
        try:
            if device.pairing != "none" and not bonded:
                await self._pair(link)
            if link.lost is not None:
                raise link.lost
            if missing := link.lacks(device):
                detail = f"{address} {found.advert.name} has no {', '.join(missing)}"
                raise Unavailable(detail, code="ble.other_device")
        except BaseException:
            await link.close()
            raise
        return link

    async def _connected(self, want: Want, found: Found, *, bonded: bool) -> DeviceLink:
        try:
            return await self._central.connect(found)
        except LinkError as fault:
            if bonded and found.advert.strength >= NEAR_DBM:
                want.in_vain += 1
                if want.in_vain >= STALE:
                    raise await self._renewed(want, found.advert.address) from fault
            raise

    async def _renewed(self, want: Want, address: str) -> LinkError:
        """Remove the bond, if that was not done yet, so that the next attempt pairs; return what to say."""
        if not want.renewed:
            log.warning("a bond is dead and was removed", extra={"device": address})
            await self._host.forget(address)
            want.renewed, want.in_vain = True, 0
        return Unavailable(f"{address}: the machine does not know this box any more", code="pairing.stale")

    async def _pair(self, link: DeviceLink) -> None:
        """Pair; raises Unavailable with a code that says what a person can do."""
        try:
            await link.pair()
        except LinkError as fault:
            if "RequestPasskey" in await self._host.asked(link.address):
                raise Unavailable(fault.detail, code="pairing.wrong_passkey") from fault
            raise
        log.info("paired", extra={"device": link.address})
