"""A real gateway served by a real uvicorn on loopback, in a thread of its own; no device is opened."""

import asyncio
import socket
import threading
import time
from collections.abc import Callable, Coroutine, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any, Self, TypeVar

import httpx2
import uvicorn

from gateway.api.app import create_app
from gateway.api.context import Context
from gateway.app import Gateway
from gateway.config import Config
from gateway.supervisor import Station
from protocol.quantities import Quantity
from protocol.readings import Event, Kind, Measure, Reading

DEADLINE_S = 30
T = TypeVar("T")
PERSON = {"identifiers": [{"system": "cn-id", "value": "110101185403120017"}], "name": "张三丰"}
"""Born in 1854, with a valid check character: nobody who lives."""
OTHER = {"identifiers": [{"system": "cn-id", "value": "110101189803120022"}], "name": "李四"}
DEVICES = (
    {"name": "bp-1", "driver": "pm6750", "port": "/dev/checkup-test-bp"},
    {"name": "glu-1", "driver": "sinocare_sn", "port": "/dev/checkup-test-glu"},
    {"name": "hw-1", "driver": "scale_st_gs", "port": "/dev/checkup-test-hw"},
)


def reading(kind: Kind, values: Mapping[str, tuple[str, str]], **more: Any) -> Reading:
    """Return what a driver would report; each is told apart by its evidence."""
    quantities = {Measure(name): Quantity(Decimal(value), unit) for name, (value, unit) in values.items()}
    return Reading(kind, quantities, evidence=(repr(sorted(values.items())).encode(),), **more)


def pressure(systolic: str = "152", diastolic: str = "94", **more: Any) -> Reading:
    """Return a blood pressure."""
    values = {
        "systolic": (systolic, "mm[Hg]"),
        "diastolic": (diastolic, "mm[Hg]"),
        "pulse_rate": ("76", "/min"),
    }
    return reading(Kind.BLOOD_PRESSURE, values, **more)


def body(height: str = "166.0", weight: str = "68.2") -> Reading:
    """Return height and weight."""
    return reading(Kind.BODY_SIZE, {"body_height": (height, "cm"), "body_weight": (weight, "kg")})


def until(condition: Callable[[], object]) -> None:
    """Wait until *condition* holds; fail after the deadline."""
    end = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < end, "it never came about"
        time.sleep(0.02)


class Live:
    """The running gateway; used as a context, it has stopped when the context ends."""

    gateway: Gateway
    context: Context
    url: str

    def __init__(self, folder: Path, port: int = 0, **config: Any) -> None:
        wanted = {"gateway": "gw-1", "state": folder / "state", "devices": DEVICES}
        self.config = Config.model_validate({**wanted, **config})
        self._up = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), daemon=True)
        self.faults: list[str] = []
        self._port = port

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self.gateway = Gateway(self.config)
        queries = self.gateway.journal.queries
        self.context = Context(self.gateway, queries, self.config, lambda: self.faults, self.gateway.closing)
        app = create_app(self.context)
        self.server = uvicorn.Server(
            uvicorn.Config(app, log_level="warning", access_log=False, timeout_graceful_shutdown=5)
        )
        with socket.create_server(("127.0.0.1", self._port)) as listening:
            self.url = f"http://127.0.0.1:{listening.getsockname()[1]}"
            self._up.set()
            await self.server.serve([listening])
        self.gateway.close()

    def __enter__(self) -> Self:
        self._thread.start()
        end = time.monotonic() + DEADLINE_S
        while not self._up.wait(0.1):
            assert self._thread.is_alive(), "the server could not start"
            assert time.monotonic() < end, "the server did not start"
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Stop as the service does: say it to open streams, then to the server; wait for its end."""
        if not self._thread.is_alive():
            return
        self._loop.call_soon_threadsafe(self.gateway.closing.set)
        self.server.should_exit = True
        self._thread.join(DEADLINE_S)
        assert not self._thread.is_alive(), "the server hangs"

    def run(self, asked: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine on the gateway's loop."""
        return asyncio.run_coroutine_threadsafe(asked, self._loop).result(DEADLINE_S)

    def station(self, device: str) -> Station:
        """Return one device's station."""
        return next(one for one in self.gateway.stations if one.config.name == device)

    def report(self, device: str, heard: Reading) -> None:
        """Let a device have reported a reading; returns after COMMIT."""
        self.run(self._linked(device).report(heard))

    def observe(self, device: str, event: Event) -> None:
        """Let a device have said something else."""
        self.run(self._linked(device).observe(event))

    def _linked(self, device: str) -> Station:
        """Return a station whose port is taken as open: what it hears is handed to it."""
        station = self.station(device)
        station._linked = True
        return station

    def client(self, **more: Any) -> httpx2.Client:
        """Return an HTTP client of this server."""
        return httpx2.Client(base_url=self.url, timeout=DEADLINE_S, **more)

    def open(self, client: httpx2.Client, person: Mapping[str, Any] = PERSON) -> str:
        """Open an exam by the API and return its id."""
        answer = client.post("/v1/exams", json={"resident": person, "operator": "li"})
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])
