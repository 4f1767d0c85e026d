"""Starts and stops the real FHIR R4 server the demo and the tests forward to, as a process of its own.

It lives in its own virtual environment (`make setup` builds it): `.venv-fhir` beside this repository, or
wherever CHECKUP_FHIR_SERVER points.
"""

import json
import os
import socket
import subprocess
import time
from pathlib import Path

import httpx2

ENVIRONMENT = "CHECKUP_FHIR_SERVER"


class FhirServer:
    """One server process on 127.0.0.1. `base_url` stays the same from the first start to the last stop."""

    def __init__(self) -> None:
        self.base_url = ""
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, state_dir: Path, port: int = 0, *, deadline_s: float = 120.0) -> None:
        """Start it on *port* (0: a free one, kept over restarts) and return when it answers.

        What it stores lies in *state_dir* and survives a restart. The very first start compiles its
        libraries and takes some twenty seconds. Raises RuntimeError with its last words if it stays away.
        """
        state_dir.mkdir(parents=True, exist_ok=True)
        with _listening(port or self._port()) as listener:
            self.base_url = f"http://127.0.0.1:{listener.getsockname()[1]}/fhir"
            self._process = _spawn(state_dir, self.base_url, listener)
        self._wait(state_dir, time.monotonic() + deadline_s)

    def stop(self) -> None:
        """End the process and wait for it; stopping a stopped server changes nothing."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    def _port(self) -> int:
        return httpx2.URL(self.base_url).port or 0 if self.base_url else 0

    def _wait(self, state_dir: Path, deadline: float) -> None:
        assert self._process is not None
        while not _answers(self.base_url):
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                words = (state_dir / "server.log").read_text(encoding="utf-8", errors="replace")[-2000:]
                raise RuntimeError(f"the FHIR server did not start:\n{words}")
            time.sleep(0.1)


def environment() -> Path:
    """Return the server's virtual environment; it need not exist."""
    named = os.environ.get(ENVIRONMENT)
    return Path(named) if named else Path(__file__).resolve().parent.parent / ".venv-fhir"


def _listening(port: int) -> socket.socket:
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    # uvicorn takes a socket it was handed for one without TCP and leaves Nagle on: 40 ms an answer.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    listener.bind(("127.0.0.1", port))
    listener.listen(128)
    return listener


def _spawn(state_dir: Path, base_url: str, listener: socket.socket) -> subprocess.Popen[bytes]:
    """Hand the listening socket down, so that no other program can take the port in between."""
    settings = {
        "base_url": base_url,
        "data_dir": str(state_dir),
        "simulator": {"enabled": False},
        "log_inbound": False,
    }
    (state_dir / "settings.yaml").write_text(json.dumps(settings), encoding="utf-8")
    python = environment() / "bin" / "python"
    if not python.exists():
        raise RuntimeError(f"no FHIR server at {environment()}: run `make setup` or set {ENVIRONMENT}")
    command = [str(python), "-m", "uvicorn", "sekmet.main:app_factory", "--factory", "--log-level", "warning"]
    with (state_dir / "server.log").open("ab") as log:
        return subprocess.Popen(
            [*command, "--timeout-graceful-shutdown", "1", "--fd", str(listener.fileno())],
            cwd=state_dir,
            env={**os.environ, "SEKMET_CONFIG": str(state_dir / "settings.yaml")},
            pass_fds=[listener.fileno()],
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            stdout=log,
            stderr=log,
        )


def _answers(base_url: str) -> bool:
    try:
        return httpx2.get(f"{base_url}/metadata", timeout=5, trust_env=False).status_code == httpx2.codes.OK
    except httpx2.HTTPError:
        return False
