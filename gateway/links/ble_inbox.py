"""What a Bluetooth device has said and nobody has read yet; a link that only listens to advertisements."""

from drivers.catalogue import Advertisement
from gateway.links.ble_adverts import Advert, values
from gateway.links.unread import Unread
from protocol.errors import LinkError, Lost, Unavailable
from protocol.framing import Value

MOST_VALUES = 4096
LONGEST = 512
"""No attribute is longer (Core specification, volume 3, part F, 3.2.9)."""
ADVERTS = 64
AGAIN_S = 60.0
"""Ours: the same advertisement after so long a silence is said anew; before, it is the same one repeated.

BlueZ goes on telling a device's last data with each sign of life until it forgets the device, after 30 s."""


class Inbox(Unread[Value]):
    """Values in the order in which they came.

    Bounded: a device that says more than anybody can read is cut off, what it said before is kept.
    """

    def put(self, one: Value) -> None:
        """Take one value; nothing is waited for and nothing is decoded here."""
        if self.lost is not None or not one:
            return
        if len(one) > LONGEST or len(self) >= MOST_VALUES:
            self.end(Lost(f"{len(one)} bytes, {len(self)} values unread", code="ble.flood"))
            return
        super().put(one)

    def put_newest(self, one: Value, most: int) -> None:
        """Take one value of a sort that may be missed: beyond *most* the oldest goes."""
        if len(self) >= most:
            self.drop_oldest()
        self.put(one)


class AdvertLink:
    """What one device advertises, each change once, as values of the source `ADV`.

    How often a radio tells of the same advertisement is chance; so one that is repeated without a silence
    between is handed on once, and when the reader is slow the oldest is dropped.
    """

    def __init__(self, address: str, device: Advertisement) -> None:
        self.address = address
        self._device = device
        self._inbox = Inbox()
        self._last: tuple[bytes, ...] = ()
        self._heard_at = 0.0

    def hear(self, advert: Advert, now: float) -> None:
        """Take an advertisement of this device, heard at *now* (any clock that only goes on)."""
        told = tuple(values(advert, self._device))
        if not told:
            return
        repeated = told == self._last and now - self._heard_at < AGAIN_S
        self._last, self._heard_at = told, now
        if not repeated:
            for value in told:
                self._inbox.put_newest(Value(value, self._device.default), ADVERTS)

    def end(self, fault: LinkError) -> None:
        """Let the reader know that nothing more can be heard, after what was."""
        self._inbox.end(fault)

    async def read(self) -> bytes:
        """Return what the device advertised next."""
        return await self._inbox.take()

    async def write(self, data: bytes) -> None:
        """Refuse: nobody listens."""
        raise Unavailable(f"{self.address} only advertises, {len(data)} bytes not sent", code="link.settings")

    async def feature(self, data: bytes) -> None:
        """Refuse: nobody listens."""
        await self.write(data)

    async def close(self) -> None:
        """Stop listening; may be called twice."""
        self.end(Lost(f"{self.address}: closed", code="ble.lost"))
