"""The service as a program: how soon its ports are open and its page answers, what it costs doing nothing.

Beside it, in turn: a Python that imports asyncio, and one that imports FastAPI and uvicorn.
"""

import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tools.bench.figures import Line, Scale, Target, median, seconds_of
from tools.bench.running import LOOK_S, Setup, alive, gateway, memory, program, until_alive, use, written
from tools.stage import MACHINES, StageError
from tools.terminal import Terminal

ASYNCIO, WEB = "asyncio", "fastapi, uvicorn"
NOWHERE = '[fhir]\nurl = "http://127.0.0.1:9/fhir"\n'
"""A central record that is configured and never asked: nothing waits for it."""
DEADLINE_S = 60.0


def measure(scale: Scale, folder: Path) -> Iterator[Line]:
    """Measure start-up several times, then an idle service once."""
    with _ports() as terminals:
        devices = [(name, terminal.path) for name, terminal in zip(MACHINES, terminals, strict=True)]
        setup = written(folder, devices, NOWHERE)
        first = _start(setup, terminals)
        starts, lean, web = [], [], []
        for _ in range(scale.of(5, 1)):
            lean.append(seconds_of(lambda: _imported(ASYNCIO)))
            starts.append(_start(setup, terminals))
            web.append(seconds_of(lambda: _imported(WEB)))
        yield from _started(starts, first, median(lean), median(web))
        yield from _idle(scale, setup, folder)


def _started(
    starts: Sequence[tuple[float, float]], first: tuple[float, float], lean: float, web: float
) -> Iterator[Line]:
    ports, api = (median(times) * 1e3 for times in zip(*starts, strict=True))
    what = f"program start to {len(MACHINES)} ports open"
    yield Line(what, "ms", ports, lean * 1e3, f"python -c 'import {ASYNCIO}'", Target(250, on="ours"))
    yield Line("the same, very first start, journal made", "ms", first[0] * 1e3, lean * 1e3, "the same")
    against = f"python -c 'import {WEB}'"
    yield Line("program start to /livez", "ms", api, web * 1e3, against, Target(600, on="ours"))


def _start(setup: Setup, terminals: Sequence[Terminal]) -> tuple[float, float]:
    """Start the service; return the seconds until every port was open and until the page answered."""
    began = time.perf_counter()
    with gateway(setup) as running:
        while not all(terminal.attached() for terminal in terminals):
            _still(running, began)
        ports = time.perf_counter() - began
        while not alive(setup):
            _still(running, began)
        return ports, time.perf_counter() - began


def _still(running: "subprocess.Popen[bytes]", began: float) -> None:
    if running.poll() is not None or time.perf_counter() - began > DEADLINE_S:
        raise StageError("the gateway did not start; see gateway.log")
    time.sleep(LOOK_S)


def _imported(names: str) -> None:
    subprocess.run([sys.executable, "-c", f"import {names}"], check=True)


def _idle(scale: Scale, setup: Setup, folder: Path) -> Iterator[Line]:
    """Watch the service, a bare asyncio and an idle FastAPI over the same seconds, nobody asking anything."""
    with ExitStack() as stack:
        ours = stack.enter_context(gateway(setup)).pid
        lean, web = (
            stack.enter_context(program(_sleeper(names), folder / "log")).pid for names in (ASYNCIO, WEB)
        )
        until_alive(setup)
        time.sleep(scale.seconds(5, 0.5))
        watched = scale.seconds(10, 1)
        before = [use(pid) for pid in (ours, lean)]
        time.sleep(watched)
        after = [use(pid) for pid in (ours, lean)]
        (rss, pss), (lean_rss, lean_pss), (web_rss, _) = (memory(pid) for pid in (ours, lean, web))
    switches = [(late.switches - early.switches) / watched for early, late in zip(before, after, strict=True)]
    cpu = [(late.cpu_s - early.cpu_s) / watched * 100 for early, late in zip(before, after, strict=True)]
    waiting, importing = "an asyncio program that waits", f"python with {WEB} imported"
    yield Line("idle: RSS", "MB", rss, lean_rss, waiting, Target(64, on="ours"))
    yield Line("idle: RSS", "MB", rss, web_rss, importing)
    yield Line("idle: PSS", "MB", pss, lean_pss, waiting)
    yield Line("idle: wake-ups", "/s", switches[0], switches[1], waiting, Target(1, on="ours"))
    yield Line("idle: CPU", "%", cpu[0], cpu[1], waiting, Target(0.1, on="ours"))


def _sleeper(names: str) -> list[str]:
    return [sys.executable, "-c", f"import {names}, asyncio; asyncio.run(asyncio.Event().wait())"]


@contextmanager
def _ports() -> Iterator[Sequence[Terminal]]:
    """Plug in a silent pseudo-terminal for every simulated machine there is."""
    terminals = [Terminal(None) for _ in MACHINES]
    try:
        for terminal in terminals:
            terminal.plug()
        yield terminals
    finally:
        for terminal in terminals:
            terminal.unplug()
