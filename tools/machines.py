"""Simulated machines as processes of their own, for the demo and the tests."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Self

from protocol.errors import Lost, UnexpectedReply
from tools.forms import Json
from tools.peripherals import ADDRESS

CLINIC_TIME = "CST-8"
"""The zone the machines' clocks are set to (POSIX TZ, needs no zone files): the configuration's default."""


class Machine:
    """One machine: the process `checkup-gateway simulate DRIVER --script`, its port always found at *link*.

    `violations` collects what the host did that no gateway may do; always empty with a good host.
    """

    def __init__(
        self, driver: str, link: Path, seed: int = 0, options: Mapping[str, str] | None = None
    ) -> None:
        self.driver = driver
        self.link = link
        self.violations: list[str] = []
        self._program = [
            "tools.main",
            "simulate",
            driver,
            "--pty",
            str(link),
            "--seed",
            str(seed),
            "--script",
        ]
        for name, choice in (options or {}).items():
            self._program += ["--set", f"{name}={choice}"]
        self._port = "pty"
        """What it tells once it can be found."""
        self._process: asyncio.subprocess.Process | None = None
        self._one_person = asyncio.Lock()

    async def __aenter__(self) -> Self:
        """Start the machine."""
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stop the machine."""
        await self.stop()

    async def start(self) -> None:
        """Switch the machine on; returns when its port is there. Raises Lost where it does not come up."""
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            *self._program,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env={**os.environ, "TZ": CLINIC_TIME},
            start_new_session=True,  # a Ctrl+C at the terminal is for the one who started the machine
        )
        await self._told(self._port)

    async def measure(self, values: Mapping[str, str], **fields: str) -> Mapping[str, str]:
        """Let a person use the machine and return what its display then shows, by measure.

        Returns when the result is on the line. A board that waits for the host's start shows nothing
        until then. Raises UnexpectedReply where the machine refuses the values or no host could hear them.
        """
        async with self._one_person:
            self.order({"measure": dict(values), **fields})
            return _texts(await self._told("shown"))

    async def fail(self, reason: str) -> str:
        """Let a measurement fail and return how the machine shows it."""
        async with self._one_person:
            self.order({"fail": reason})
            return str(await self._told("failed"))

    def order(self, order: Json) -> None:
        """Give an order of `simulate --script` and wait for nothing. Raises Lost where the machine is off."""
        if self._process is None or self._process.stdin is None or self._process.returncode is not None:
            raise Lost(f"the simulated {self.driver} is off")
        self._process.stdin.write(json.dumps(order).encode() + b"\n")

    async def replug(self) -> None:
        """Plug the machine in again; returns when its port is there."""
        self.order({"replug": True})
        await self._told(self._port)

    async def unsent(self) -> Mapping[str, str]:
        """Return the next outcome that no host could hear."""
        return _texts(await self._told("unsent"))

    async def says(self) -> AsyncIterator[Json]:
        """Yield everything the machine tells, as it tells it; for one who asks it nothing else."""
        assert self._process is not None
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            yield json.loads(line)

    def no_more(self) -> None:
        """Let the machine end once it has followed every order."""
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.close()

    async def kill(self) -> None:
        """Cut the machine's power: no goodbye, the link stays behind and points at nothing."""
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
            await self._process.wait()

    async def stop(self) -> None:
        """Switch the machine off; its link goes with it."""
        if self._process is None or self._process.stdin is None:
            return
        self._process.stdin.close()
        await self._process.communicate()

    async def _told(self, wanted: str) -> object:
        assert self._process is not None
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            told: Json = json.loads(line)
            if "violation" in told:
                self.violations.append(str(told["violation"]))
            elif wanted in told:
                return told[wanted]
            elif "host" in told:
                continue
            elif wanted != self._port or "refused" in told:
                raise UnexpectedReply(f"the simulated {self.driver} says {line.decode().strip()}")
        raise Lost(f"the simulated {self.driver} is gone")


class BluetoothCuff(Machine):
    """A cuff on an emulated air that this box's bluetoothd hears."""

    def __init__(self) -> None:
        super().__init__("sig_blood_pressure", Path(f"ble:{ADDRESS}"))
        self._program = ["tools.main", "simulate", self.driver, "--script"]
        self._port = "port"


def _texts(told: object) -> Mapping[str, str]:
    assert isinstance(told, dict)
    return {str(name): str(value) for name, value in told.items()}
