"""What a check says, and the machine it looks at."""

import ssl
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from gateway import messages
from gateway.config import Config, Loaded
from protocol.errors import GatewayError

Result = Literal["ok", "warn", "fail"]
Fact = str | int | float | bool


@dataclass(frozen=True, slots=True)
class Check:
    """One line of the report: what was found, what it means, what to do, and the command for it.

    `facts` is what was found once more, in words and figures that can name nobody: no path, no address, no
    name that a person chose. Only they may leave the box in a diagnostics bundle.
    """

    name: str
    result: Result
    found: str
    means: str = ""
    do: str = ""
    run: str = ""
    facts: Mapping[str, Fact] = field(default_factory=dict)


def unit_property(name: str) -> str:
    """Return a property of the installed unit; empty where systemd does not run here."""
    if not Path("/run/systemd/system").is_dir():
        return ""
    words = ["systemctl", "show", "--value", f"--property={name}", "checkup-gateway.service"]
    return subprocess.run(words, capture_output=True, text=True, check=False).stdout


def this_instant() -> datetime:
    """Return the box's own time."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Box:
    """The machine looked at: `root` stands before /dev, /proc, /run and /sys; `unit` gives a unit's property.

    `trust` makes what a secure connection to the centre is judged by, `now` is the box's clock.
    """

    loaded: Loaded
    root: Path = Path("/")
    unit: Callable[[str], str] = unit_property
    trust: Callable[[], ssl.SSLContext] = ssl.create_default_context
    now: Callable[[], datetime] = this_instant

    @property
    def config(self) -> Config:
        """Return the configuration."""
        return self.loaded.config

    @property
    def journal(self) -> Path:
        """Return where the journal is kept."""
        return self.config.state / "journal.db"

    def text(self, path: str) -> str:
        """Return what stands in a small file under the root, nothing where it cannot be read."""
        try:
            return (self.root / path).read_text(encoding="utf-8", errors="replace").strip()
        except OSError:
            return ""

    def programs(self) -> set[str]:
        """Return the names of the programs that run, as the kernel has them (15 characters at most)."""
        found = (
            self.text(str(comm.relative_to(self.root))) for comm in (self.root / "proc").glob("[0-9]*/comm")
        )
        return set(found)


def told(name: str, error: GatewayError, run: str) -> Check:
    """Return the failed check that an error of ours means."""
    means = messages.text(error.code, "en")
    return Check(name, "fail", str(error), means, "", run, facts={"code": error.code})
