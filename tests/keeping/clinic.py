"""A gateway as `run` starts it, on a file system of the test's choice, and what it says over HTTP."""

import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2

from tests.keeping.small_disk import SmallDisk
from tests.tools.service import GATEWAY
from tools.stage import free_port

PATIENCE_S = 30.0
SOMEONE = {"identifiers": [{"system": "local", "value": "7"}], "name": "张试"}


def until(condition: Callable[[], Any], what: str) -> Any:
    """Return the first true answer of *condition*."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        if found := condition():
            return found
        time.sleep(0.05)
    raise AssertionError(f"never: {what}")


class Clinic:
    """One gateway's configuration and, while it runs, its process."""

    def __init__(self, home: Path, state: Path, port: str, disk: SmallDisk | None = None) -> None:
        self.config, self.log, self.state = home / "gateway.toml", home / "gateway.log", state
        self._disk, self._http_port, self._device = disk, free_port(), port
        self.gateway: subprocess.Popen[bytes] | None = None
        self.write()

    def write(self, more: str = "") -> None:
        """Write the configuration, with *more* tables at its end."""
        self.config.write_text(
            f'gateway = "gw-1"\nlanguage = "en"\nstate = "{self.state}"\n[http]\nport = {self._http_port}\n'
            f'[[devices]]\nname = "lab-1"\ndriver = "astm"\nport = "{self._device}"\n{more}'
        )

    def _command(self, *words: str | Path) -> list[str]:
        command = [str(GATEWAY), *map(str, words)]
        return self._disk.inside(*command) if self._disk else command

    def tool(self, *words: str | Path) -> subprocess.CompletedProcess[str]:
        """Run a sub-command with this configuration."""
        command = self._command(*words, "--config", self.config)
        return subprocess.run(command, capture_output=True, text=True, check=False)

    def start(self) -> subprocess.Popen[bytes]:
        with self.log.open("ab") as out:
            self.gateway = subprocess.Popen(
                self._command("run", "--config", self.config), stdout=out, stderr=out
            )
        return self.gateway

    @contextmanager
    def running(self) -> Iterator[None]:
        """Run the service until the block ends."""
        gateway = self.start()
        try:
            until(lambda: gateway.poll() is not None or self.ready(), "the gateway is ready")
            assert gateway.poll() is None, self.log.read_text()
            yield
        finally:
            gateway.terminate()
            gateway.wait(PATIENCE_S)

    def get(self, path: str) -> httpx2.Response | None:
        try:
            return httpx2.get(f"http://127.0.0.1:{self._http_port}{path}", trust_env=False, timeout=10)
        except httpx2.TransportError:
            return None

    def ready(self) -> bool:
        answer = self.get("/readyz")
        return answer is not None and answer.is_success

    def reasons(self) -> list[str]:
        """Return the codes for which the gateway is not ready."""
        answer = self.get("/readyz")
        return [one["code"] for one in answer.json()["reasons"]] if answer is not None else ["no answer"]

    def notes(self) -> list[str]:
        """Return the codes of what else should be known."""
        answer = self.get("/readyz")
        return (
            [one["code"] for one in answer.json().get("notes", [])] if answer is not None else ["no answer"]
        )

    def open_exam(self) -> httpx2.Response:
        asked = {"resident": SOMEONE, "operator": "test"}
        return httpx2.post(f"http://127.0.0.1:{self._http_port}/v1/exams", json=asked, trust_env=False)

    def stored(self) -> list[str]:
        """Return every glucose value that the journal has."""
        answer = self.get("/v1/measurements?limit=1000")
        assert answer is not None
        return sorted({one["values"]["glucose"]["value"] for one in answer.json()["measurements"]})
