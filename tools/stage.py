"""Everything the demonstration needs, each its own process: simulated machines, the gateway, a FHIR server.

The gateway runs exactly as `checkup-gateway run` starts it; the machines speak their real protocols on
pseudo-terminals; nothing reaches beyond this machine.
"""

import asyncio
import signal
import socket
import sys
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx2

from protocol.errors import GatewayError, LinkError, ProtocolError
from tools import peripherals
from tools.fhir_server import FhirServer
from tools.machines import BluetoothCuff, Machine

MACHINES = ("omron_hbp", "pm6750", "sinocare_sn", "scale_st_gs", "gtech_gl")
GATEWAY_ID = "demo-1"
OPERATOR = "demo"
START_S = 60.0


class StageError(GatewayError):
    """A part of the demonstration did not do what it must; the detail says which."""

    code = "demo.failed"


def free_port() -> int:
    """Return a TCP port of the loopback that is free now."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


class Stage:
    """The parts and their lives. Use as an asynchronous context manager; everything ends with it."""

    def __init__(
        self, home: Path, *, port: int | None = None, seed: int = 1, fhir_port: int | None = None
    ) -> None:
        self.home = home
        self.port = port or free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.fhir = FhirServer()
        self.fhir_port = fhir_port or free_port()
        self.fhir_url = f"http://127.0.0.1:{self.fhir_port}/fhir"
        """Where the gateway sends; the FHIR server's own address unless something stands between."""
        self.machines = {name: Machine(name, home / f"{name}.tty", seed) for name in MACHINES}
        self.gateway: asyncio.subprocess.Process | None = None
        self.http = httpx2.AsyncClient(base_url=self.url, timeout=30)

    async def __aenter__(self) -> Self:
        self.home.mkdir(parents=True, exist_ok=True)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop_gateway()
        for machine in self.machines.values():
            await machine.stop()
        await asyncio.to_thread(self.fhir.stop)
        await self.http.aclose()

    async def start_fhir(self) -> None:
        """Start the FHIR server on this stage's port (again, with what it held, if it ran before)."""
        try:
            await asyncio.to_thread(self.fhir.start, self.home / "fhir", self.fhir_port)
        except RuntimeError as error:
            raise StageError(str(error)) from error

    async def start_machines(self) -> None:
        """Start every simulated machine."""
        await asyncio.gather(*(machine.start() for machine in self.machines.values()))

    async def add_bluetooth(self) -> str:
        """Add a Bluetooth machine where this box can have one; return why it cannot, else nothing."""
        if why := peripherals.why_not():
            return why
        cuff = BluetoothCuff()
        try:
            await cuff.start()
        except (LinkError, ProtocolError) as fault:
            await cuff.stop()
            return fault.detail
        self.machines[cuff.driver] = cuff
        return ""

    def write_config(self) -> Path:
        """Write the gateway's configuration file and return its path."""
        devices = "".join(
            f'[[devices]]\nname = "{name.replace("_", "-")}"\ndriver = "{name}"\nport = "{machine.link}"\n\n'
            for name, machine in self.machines.items()
        )
        path = self.home / "gateway.toml"
        path.write_text(
            f'gateway = "{GATEWAY_ID}"\nstate = "{self.home / "state"}"\n\n'
            f'[http]\nhost = "127.0.0.1"\nport = {self.port}\n\n[fhir]\nurl = "{self.fhir_url}"\n\n'
            f'[bluetooth]\nadapter = "{peripherals.ADAPTER}"\n\n{devices}',
            encoding="utf-8",
        )
        return path

    async def start_gateway(self) -> None:
        """Start `checkup-gateway run` and return once it answers and every device is connected."""
        config = self.write_config()
        log = (self.home / "gateway.log").open("ab")
        self.gateway = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tools.main", "run", "--config", str(config),
            stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip
        log.close()
        await self.until(self._up, "the gateway did not start; see gateway.log")

    async def _up(self) -> bool:
        if self.gateway and self.gateway.returncode is not None:
            words = (self.home / "gateway.log").read_text(encoding="utf-8", errors="replace")[-1500:]
            raise StageError(f"the gateway ended with status {self.gateway.returncode}:\n{words}")
        try:
            devices = (await self.http.get("/v1/devices")).json()["devices"]
        except (httpx2.HTTPError, ValueError, KeyError):
            return False
        if {device["port"] for device in devices} != {str(one.link) for one in self.machines.values()}:
            return False  # another gateway has this port; ours is about to say so and end
        return all(device["condition"] not in {"starting", "lost"} for device in devices)

    async def kill_gateway(self) -> None:
        """Kill -9 the gateway: no goodbye, as a power cut leaves a process."""
        if self.gateway and self.gateway.returncode is None:
            self.gateway.send_signal(signal.SIGKILL)
            await self.gateway.wait()

    async def stop_gateway(self) -> None:
        """End the gateway as systemd does."""
        if self.gateway and self.gateway.returncode is None:
            self.gateway.terminate()
            try:
                await asyncio.wait_for(self.gateway.wait(), 15)
            except TimeoutError:
                await self.kill_gateway()

    async def until(self, condition: Any, fault: str, seconds: float = START_S) -> Any:
        """Return the first true result of awaiting *condition()*; StageError with *fault* after *seconds*."""
        deadline = asyncio.get_running_loop().time() + seconds
        while asyncio.get_running_loop().time() < deadline:
            if result := await condition():
                return result
            await asyncio.sleep(0.05)
        raise StageError(fault)

    async def get(self, path: str, **params: str | int) -> Mapping[str, Any]:
        """GET a JSON object of the gateway."""
        answer = await self.http.get(path, params=params)
        answer.raise_for_status()
        return dict(answer.json())

    async def post(self, path: str, body: Mapping[str, Any]) -> Mapping[str, Any]:
        """POST to the gateway; the answer's JSON object, empty where there is none."""
        try:
            answer = await self.http.post(path, json=body)
        except httpx2.HTTPError as error:
            raise StageError(f"{path}: the gateway does not answer ({error})") from error
        if answer.is_error:
            raise StageError(f"{path}: {answer.status_code} {answer.text}")
        return dict(answer.json()) if answer.content else {}
