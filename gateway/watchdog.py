"""Tell systemd that the service is ready, what it does, and, while it really works, that it is alive.

The three words needed are spoken here rather than by the systemd-watchdog package, which measures its
interval by the wall clock, cannot say STOPPING and leaves its socket open.
"""

import asyncio
import logging
import os
import socket
from collections.abc import Awaitable, Callable, Mapping, Sequence

from protocol.errors import GatewayError

Proof = Callable[[], Awaitable[bool]]
log = logging.getLogger(__name__)


class Watchdog:
    """Feeds systemd's watchdog only on proof of work.

    A proof answers True when its part of the service did something real just now: the journal's writer came
    back from a no-op, no device's supervisor has died. That the loop runs is proven by `run` being scheduled.
    Without `NOTIFY_SOCKET` every message is dropped: the service was not started by systemd.
    """

    def __init__(self, proofs: Sequence[Proof], environ: Mapping[str, str] = os.environ) -> None:
        self._proofs = proofs
        self._address = environ.get("NOTIFY_SOCKET", "")
        ours = environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        self.interval = int(environ.get("WATCHDOG_USEC", "0")) / 2e6 if ours and self._address else 0.0
        """Seconds between two feedings, half of what systemd allows; 0 where it does not watch."""

    def ready(self, status: str) -> None:
        """The start is over; *status* is what `systemctl status` shows."""
        self._tell(f"READY=1\nSTATUS={status}")

    def status(self, status: str) -> None:
        """Say in one line what the service does now; never a person or a value."""
        self._tell(f"STATUS={status}")

    def stopping(self) -> None:
        """The stop has begun."""
        self._tell("STOPPING=1")

    async def run(self) -> None:
        """Feed the watchdog for ever; returns at once where systemd does not watch."""
        while self.interval:
            if await self._alive():
                self._tell("WATCHDOG=1")
            await asyncio.sleep(self.interval)

    async def _alive(self) -> bool:
        """Return whether every proof held, within half an interval so that the next feeding is in time."""
        proof: Proof | None = None
        try:
            async with asyncio.timeout(self.interval / 2):
                for proof in self._proofs:
                    if not await proof():
                        log.error("proof of work failed, watchdog not fed", extra={"cause": _name(proof)})
                        return False
        except TimeoutError:
            log.error("proof of work too late, watchdog not fed", extra={"cause": _name(proof)})
            return False
        except GatewayError as failed:
            log.error("proof of work failed, watchdog not fed", extra={"code": failed.code})
            return False
        return True

    def _tell(self, state: str) -> None:
        if not self._address:
            return
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as outlet:
            outlet.setblocking(False)
            try:
                outlet.sendto(state.encode(), address)
            except OSError as failed:
                log.warning("systemd was not reached", extra={"cause": failed.strerror})


def _name(proof: Proof | None) -> str:
    return str(getattr(proof, "__qualname__", proof))
