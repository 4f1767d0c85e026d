"""A real serial-over-network server in front of ports."""

import asyncio
import os
import shutil
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path

from tools.stage import free_port

DEADLINE_S = 20.0
LISTENS = "0A"
"""The state of a listening socket in /proc/net/tcp."""


class Ser2net:
    """One server, a TCP port for each name's serial port."""

    def __init__(self, folder: Path, devices: Mapping[str, str], accepter: str) -> None:
        """Start it; *accepter* is how ser2net names the wire format: `tcp` or `telnet(rfc2217),tcp`."""
        self.ports = {name: free_port() for name in devices}
        connections = (
            f"connection: &c{number}\n  accepter: {accepter},127.0.0.1,{self.ports[name]}\n"
            f"  connector: serialdev,{device},9600n81,local\n"
            for number, (name, device) in enumerate(devices.items())
        )
        (folder / "ser2net.yaml").write_text("%YAML 1.1\n---\n" + "".join(connections))
        program = shutil.which("ser2net", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
        assert program, "ser2net is not installed; tests/debian.sh installs it"
        self.server = subprocess.Popen(
            [program, "-n", "-u", "-c", str(folder / "ser2net.yaml")],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    async def listening(self) -> None:
        """Return once every port listens. Nothing is connected: that would open the device behind it."""
        deadline = time.monotonic() + DEADLINE_S
        while not _listening(set(self.ports.values())):
            assert time.monotonic() < deadline, "ser2net does not listen"
            await asyncio.sleep(0.02)

    def stop(self) -> None:
        self.server.kill()
        self.server.wait()


def _listening(wanted: set[int]) -> bool:
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return wanted <= {int(row[1].split(":")[1], 16) for row in rows if row[3] == LISTENS}
