"""A gateway as `run` starts it, in a program of its own, and what the kernel says of it."""

import http.client
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tools.bench import stock
from tools.stage import StageError, free_port

COMMAND = (sys.executable, "-m", "tools.main", "run", "--config")
HOST = "127.0.0.1"
DEADLINE_S = 60.0
LOOK_S = 0.002


@dataclass(frozen=True, slots=True)
class Setup:
    """A configuration file, and the port its page is served on."""

    config: Path
    http_port: int


def written(folder: Path, devices: Sequence[tuple[str, str]] = (), more: str = "") -> Setup:
    """Write a configuration with one device for each (driver, port); *more* are further sections."""
    port = free_port()
    stanzas = "".join(
        f'[[devices]]\nname = "{driver.replace("_", "-")}"\ndriver = "{driver}"\nport = "{path}"\n'
        for driver, path in devices
    )
    config = folder / "gateway.toml"
    config.write_text(
        f'gateway = "{stock.GATEWAY}"\nstate = "{folder}"\nlog_level = "warning"\n'
        f'[http]\nhost = "{HOST}"\nport = {port}\n{more}{stanzas}',
        encoding="utf-8",
    )
    return Setup(config, port)


@contextmanager
def program(command: Sequence[str], log: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """Run *command* until the block ends, then end it as systemd does."""
    with log.open("ab") as out, subprocess.Popen(command, stdout=out, stderr=out) as running:
        try:
            yield running
        finally:
            running.send_signal(signal.SIGTERM)


@contextmanager
def gateway(setup: Setup) -> Iterator["subprocess.Popen[bytes]"]:
    """Run the service until the block ends; nothing is awaited."""
    with program([*COMMAND, str(setup.config)], setup.config.with_suffix(".log")) as running:
        yield running


def until_alive(setup: Setup) -> None:
    """Return once `/livez` answers; raises StageError where it does not."""
    deadline = time.monotonic() + DEADLINE_S
    while not alive(setup):
        if time.monotonic() > deadline:
            raise StageError(f"the gateway does not answer; see {setup.config.with_suffix('.log').name}")
        time.sleep(LOOK_S)


def alive(setup: Setup) -> bool:
    """Say whether `/livez` answers now."""
    connection = http.client.HTTPConnection(HOST, setup.http_port, timeout=DEADLINE_S)
    try:
        connection.request("GET", "/livez")
        return connection.getresponse().status == http.client.OK
    except OSError:
        return False
    finally:
        connection.close()


@dataclass(frozen=True, slots=True)
class Use:
    """What a program has used so far: how often its threads gave up or lost the core, and CPU seconds."""

    switches: int
    cpu_s: float


def use(pid: int) -> Use:
    """Return what the program has used; all of its threads that live."""
    switches, cpu = 0, 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        status = dict(line.split(":\t", 1) for line in _lines(task / "status") if ":\t" in line)
        switches += int(status["voluntary_ctxt_switches"]) + int(status["nonvoluntary_ctxt_switches"])
        cpu += int(_lines(task / "schedstat")[0].split()[0])
    return Use(switches, cpu / 1e9)


def memory(pid: int) -> tuple[float, float]:
    """Return RSS and PSS in MB: what the program has in memory, and its share where others use the same."""
    kb = {
        line.split(":")[0]: int(line.split()[1])
        for line in _lines(Path(f"/proc/{pid}/smaps_rollup"))
        if line.startswith(("Rss:", "Pss:"))
    }
    return kb["Rss"] * 1024 / 1e6, kb["Pss"] * 1024 / 1e6


def _lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").splitlines()
