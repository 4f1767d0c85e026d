"""The half of the service that faces outward: HTTP, forwarding, the system's watchdog.

`app.run` imports it only after the ports are open, because the web stack is slow to import on a small box.
"""

import asyncio
import contextlib
import logging
import socket
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

import uvicorn

import store.cipher  # noqa: F401 - loaded now, not when the first person sits down
from gateway import forwarders
from gateway.api.app import create_app
from gateway.api.context import Context
from gateway.delivery import Delivery, JournalOutbox
from gateway.forwarders import Forwarder
from gateway.watchdog import Proof, Watchdog
from protocol.errors import ConfigError

if TYPE_CHECKING:
    from gateway.app import Gateway

log = logging.getLogger(__name__)

TICK_S = 1.0


class Server(uvicorn.Server):
    """uvicorn on our loop: signals are the service's, and idle it wakes once a second, not ten times."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.up = asyncio.Event()
        self.stop = asyncio.Event()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals to the service."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, and say so."""
        await super().startup(sockets)
        self.up.set()

    async def main_loop(self) -> None:
        """Tick once a second until told to stop."""
        counter = 0
        while not await self.on_tick(counter) and not self.stop.is_set():
            counter += 10
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.stop.wait(), TICK_S)


def listen(host: str, port: int) -> socket.socket:
    """Return a listening socket; raises ConfigError naming the key where the address cannot be had."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((host, port))
    except OSError as error:
        sock.close()
        raise ConfigError(
            f"http.host/http.port {host}:{port}: {error.strerror}", code="http.address"
        ) from error
    return sock


async def start(
    gateway: "Gateway",
    group: asyncio.TaskGroup,
    inside: Sequence["asyncio.Task[None]"],
    announce: Callable[[str], None],
) -> list["asyncio.Task[None]"]:
    """Start everything that faces outward; return its tasks once the page is served."""
    http = gateway.config.http
    sock = listen(http.host, http.port)
    context = Context(
        gateway,
        gateway.journal.queries,
        gateway.config,
        faults=gateway.faults,
        closing=gateway.closing,
        notes=gateway.notes,
    )
    server = Server(
        uvicorn.Config(create_app(context), log_config=None, access_log=False, timeout_graceful_shutdown=5)
    )
    tasks = [group.create_task(_serve(server, sock, gateway.closing), name="http")]
    for kind in forwarders.every().values():
        if (forwarder := kind.build(gateway.config)) is not None:
            attempts = gateway.config.fhir.max_attempts if gateway.config.fhir else 1
            forwarding = _forward(gateway, forwarder, attempts)
            tasks.append(group.create_task(forwarding, name=f"forward {forwarder.name}"))
    await server.up.wait()
    host, port = sock.getsockname()[:2]
    watchdog = Watchdog([gateway.journal_answers, _none_died(inside)])
    tasks.append(group.create_task(_watch(watchdog), name="watchdog"))
    watchdog.ready(f"reading {len(gateway.stations)} devices")
    announce(f"http://{host}:{port}")
    return tasks


async def _serve(server: Server, sock: socket.socket, closing: asyncio.Event) -> None:
    """Serve until cancelled; open streams end by themselves, then the server."""
    serving = asyncio.ensure_future(server.serve([sock]))
    try:
        await asyncio.shield(serving)
    except asyncio.CancelledError:
        closing.set()
        server.stop.set()
        await serving
        raise


async def _forward(gateway: "Gateway", forwarder: Forwarder, attempts: int) -> None:
    """Deliver what waits for one forwarder until cancelled; its connections end with it."""
    outbox = JournalOutbox(gateway.journal, forwarder.name, attempts)
    news = gateway.news(forwarder.name)
    delivery = Delivery(outbox, forwarder, news, changed=lambda: gateway.broadcast.publish("outbox"))
    gateway.deliveries[forwarder.name] = delivery
    try:
        await delivery.run()
    finally:
        await forwarder.close()


async def _watch(watchdog: Watchdog) -> None:
    """Feed the system's watchdog until the stop begins, and say so."""
    try:
        await watchdog.run()
        await asyncio.Event().wait()
    finally:
        watchdog.stopping()


def _none_died(tasks: Sequence["asyncio.Task[None]"]) -> Proof:
    async def none_died() -> bool:
        return not any(task.done() for task in tasks)

    return none_died
