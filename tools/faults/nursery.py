"""Lives of the real command line, one process each, from a parent that has imported everything already.

A life is what `checkup-gateway ARGUMENTS` would be, without the second that Python needs to import it: the
parent forks, and the child runs the command. `python -m tools.faults.nursery` is the parent; one line of JSON
asks, one number answers.
"""

import asyncio
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib import import_module
from pathlib import Path

from tools.stage import free_port

STOP_S = 30.0
"""TimeoutStopSec of systemd/checkup-gateway.service."""
BEFOREHAND = (
    "gateway.app",
    "gateway.outside",
    "gateway.forwarders.fhir",
    "sqlite_utils",
    "sqlite_utils.migrations",
    "tools.journal",
    "tools.main",
    "tools.run",
)


class Nursery:
    """The parent, seen from the harness. Use as a context manager; every life ends with it."""

    def __init__(self) -> None:
        self._parent = subprocess.Popen(
            [sys.executable, "-m", "tools.faults.nursery"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        self._lives: set[int] = set()

    def __enter__(self) -> "Nursery":
        return self

    def __exit__(self, *_: object) -> None:
        assert self._parent.stdin is not None
        with suppress(BrokenPipeError):
            for life in list(self._lives):
                self.end(life, signal.SIGKILL)
            self._parent.stdin.close()
        self._parent.wait()

    def born(self, arguments: Sequence[str], log: Path, plant: str = "", *, stopped: bool = False) -> int:
        """Start a command and return its process id; *plant* names the fault planted in it, if any.

        A *stopped* one waits for SIGCONT before it does anything.
        """
        asked = {"arguments": list(arguments), "log": str(log), "plant": plant, "stopped": stopped}
        life = self._ask(asked)
        self._lives.add(life)
        return life

    def end(self, life: int, number: signal.Signals = signal.SIGKILL) -> int:
        """Send a life this signal, wait for its end and return its status, negative for a signal.

        One that does not end in time is killed, as systemd does it.
        """
        os.kill(life, number)
        return self._waited(life, STOP_S)

    def ended(self, life: int) -> int:
        """Wait for a life to end by itself; return its status."""
        return self._waited(life, None)

    def _waited(self, life: int, seconds: float | None) -> int:
        self._lives.discard(life)
        return self._ask({"wait": life, "seconds": seconds})

    def _ask(self, asked: Mapping[str, object]) -> int:
        assert self._parent.stdin is not None
        assert self._parent.stdout is not None
        self._parent.stdin.write(json.dumps(asked).encode() + b"\n")
        self._parent.stdin.flush()
        return int(self._parent.stdout.readline())


def main() -> None:
    """Answer until the questions end."""
    _warm()
    planted = import_module("tools.faults.planted")
    lives: set[int] = set()
    for line in sys.stdin.buffer:
        asked = json.loads(line)
        if "wait" in asked:
            lives.discard(asked["wait"])
            _say(_ended(asked["wait"], asked["seconds"]))
            continue
        life = os.fork()
        if life == 0:
            _live(asked, planted.faulty)
        lives.add(life)
        _say(life)
    for life in lives:
        os.kill(life, signal.SIGKILL)


def _ended(life: int, seconds: float | None) -> int:
    """Return the status of a life when it has ended, killed after so many seconds."""
    late = threading.Timer(seconds or 0, os.kill, (life, signal.SIGKILL))
    if seconds is not None:
        late.start()
    try:
        return os.waitstatus_to_exitcode(os.waitpid(life, 0)[1])
    finally:
        late.cancel()
        if seconds is not None:
            late.join()  # a process that has other threads must not fork


def _warm() -> None:
    """Import everything and live a moment, so that what is only imported when it is needed is there too."""
    for name in BEFOREHAND:
        import_module(name)
    app, config = import_module("gateway.app"), import_module("gateway.config")
    with tempfile.TemporaryDirectory(prefix="checkup-warm-") as folder:
        warm = config.Config(
            state=Path(folder) / "state",
            http=config.HttpConfig(port=free_port()),
            fhir=config.FhirConfig(url="http://127.0.0.1:9/fhir"),
            devices=(config.DeviceConfig(name="no", driver="omron_hbp", port=f"{folder}/no"),),
        )
        asyncio.run(app.run(warm, lambda _: os.kill(os.getpid(), signal.SIGTERM)))


def _say(number: int) -> None:
    sys.stdout.write(f"{number}\n")
    sys.stdout.flush()


def _live(asked: Mapping[str, object], faulty: object) -> None:
    """Be the command, in a session of its own; never returns."""
    try:
        os.setsid()
        _redirect(str(asked["log"]))
        if asked["stopped"]:
            os.kill(os.getpid(), signal.SIGSTOP)
        assert callable(faulty)
        arguments = asked["arguments"]
        assert isinstance(arguments, list)
        sys.argv = ["checkup-gateway", *arguments]
        with faulty(str(asked["plant"])):
            import_module("tools.main").main()
    except SystemExit as end:
        os._exit(end.code if isinstance(end.code, int) else 1)
    finally:
        os._exit(1)


def _redirect(log: str) -> None:
    out = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for descriptor, target in ((nothing, 0), (out, 1), (out, 2)):
        os.dup2(descriptor, target)


if __name__ == "__main__":
    main()
