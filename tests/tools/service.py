"""A gateway as `run` starts it, in a folder of its own, for tests that ask it from outside."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2

from tools.stage import free_port

GATEWAY = Path(sys.executable).with_name("checkup-gateway")


def written(folder: Path, device_port: str, more: str = "") -> Path:
    """Write a configuration with one pm6750 called bp-1 on *device_port*."""
    path = folder / "gateway.toml"
    path.write_text(
        f'language = "en"\nstate = "{folder / "state"}"\n{more}\n[http]\nport = {free_port()}\n'
        f'[[devices]]\nname = "bp-1"\ndriver = "pm6750"\nport = "{device_port}"\n'
    )
    return path


def command(*words: str | Path) -> subprocess.CompletedProcess[str]:
    environ = {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"}
    return subprocess.run(
        [GATEWAY, *map(str, words)], env=environ, capture_output=True, text=True, check=False
    )


def http_port(path: Path) -> int:
    return int(path.read_text().partition("[http]\nport = ")[2].split()[0])


@contextmanager
def running(path: Path) -> Iterator[str]:
    """Run the service until the block ends; yields its base address once it is ready."""
    base = f"http://127.0.0.1:{http_port(path)}"
    log = path.with_suffix(".log")
    with (
        log.open("wb") as out,
        subprocess.Popen([GATEWAY, "run", "--config", path], stdout=out, stderr=out) as gateway,
    ):
        try:
            _wait_until_ready(base, gateway, log)
            yield base
        finally:
            gateway.send_signal(signal.SIGTERM)


def _wait_until_ready(base: str, gateway: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and gateway.poll() is None:
        try:
            if httpx2.get(f"{base}/readyz", trust_env=False).is_success:
                return
        except httpx2.TransportError:
            time.sleep(0.05)
    raise AssertionError(f"not ready: {log.read_text()}")
