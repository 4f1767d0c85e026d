"""The service killed at, or failed by, each file and socket call of one exam, by `strace --inject`.

A kill comes on entry: call k then covers the moment between calls k-1 and k. An error comes once in each
thread and the call is not made. Afterwards, without a hand: the service starts again if it ended, an exam
goes through, and every promise stands.
"""

import asyncio
import os
import random
import re
import shutil
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import httpx2

from store.queries import Queries
from store.vault import Vault
from tools.faults.box import Away, Box, innermost
from tools.faults.oracle import standing
from tools.faults.states import DATABASE, KEY
from tools.faults.workshop import Workshop

CALLS = (
    "openat", "close", "read", "pread64", "write", "pwrite64", "writev", "lseek", "ftruncate", "fsync",
    "fdatasync", "unlink", "rename", "link", "mkdir", "chmod", "fchmod", "fcntl", "flock", "newfstatat",
    "mmap", "socket", "bind", "listen", "connect", "accept4", "sendto", "recvfrom", "sendmsg", "recvmsg",
    "getsockopt", "setsockopt", "shutdown", "ioctl",
)  # fmt: skip
"""Calls on files and sockets that the service makes; waiting ones change nothing."""
ERRORS = ("EIO", "ENOSPC", "EROFS", "EMFILE", "EINTR")
FAILING = frozenset({
    "openat", "write", "pwrite64", "ftruncate", "fsync", "fdatasync", "unlink", "rename",
    "mkdir", "read", "pread64", "socket", "connect", "accept4", "sendto", "recvfrom",
})  # fmt: skip
"""Calls that a full, failing or read-only disk, a busy kernel or a broken line lets fail."""
MAY = {
    "ENOSPC": frozenset(
        {"openat", "write", "pwrite64", "ftruncate", "fsync", "fdatasync", "mkdir", "rename"}
    ),
    "EROFS": frozenset({"openat", "unlink", "rename", "mkdir"}),
    "EMFILE": frozenset({"openat", "socket", "accept4"}),
}
"""Where an error can come from such a call at all; EIO and EINTR come from every one."""
ATTACH_S, PATIENCE_S, TRIES = 10.0, 4.0, 4
UNTRUE = frozenset({"store.second_writer", "store.side_car"})
"""What no answer may say here: nobody else writes."""
LINE = re.compile(r"\d+\s+(\w+)\(")
CHINESE = re.compile(r"[一-鿿]")


@dataclass(frozen=True, slots=True)
class Blow:
    """What happens to the `number`-th of these calls in each thread: an error's name, or SIGKILL."""

    call: str
    number: int
    what: str

    @property
    def injection(self) -> str:
        """As strace wants it."""
        what = "signal=SIGKILL" if self.what == "SIGKILL" else f"error={self.what}"
        return f"inject={self.call}:{what}:when={self.number}"


@dataclass
class Found:
    """What came of all blows."""

    codes: Counter[str] = field(default_factory=Counter)
    """The codes that answers gave for what could not be done."""
    wrong: list[str] = field(default_factory=list)


def run(shop: Workshop, most: int, seed: int) -> tuple[Counter[str], list[str]]:
    """Strike *most* blows of each kind, kills and errors, chosen by lot; all if there are fewer."""
    if shutil.which("strace") is None:
        return Counter(), ["strace is missing: on Debian, apt install strace"]
    counts, found = counted(shop), Found()
    numbers: Counter[str] = Counter()
    for name, blows in (("kills", kills(counts)), ("failures", failures(counts))):
        chosen = blows if most >= len(blows) else random.Random(seed).sample(blows, most)  # noqa: S311
        for blow in chosen:
            asyncio.run(_struck(shop, blow, found))
        numbers[name] = len(chosen)
    return numbers + Counter({f"answered {code}": n for code, n in found.codes.items()}), found.wrong


def kills(counts: Counter[str]) -> list[Blow]:
    """Return a kill at every call."""
    return [Blow(call, number, "SIGKILL") for call in CALLS for number in range(1, counts[call] + 1)]


def failures(counts: Counter[str]) -> list[Blow]:
    """Return every error that each call can give, at each time it is made."""
    return [
        Blow(call, number, error)
        for error in ERRORS
        for call in CALLS
        if call in MAY.get(error, FAILING)
        for number in range(1, counts[call] + 1)
    ]


def counted(shop: Workshop) -> Counter[str]:
    """Return how often the busiest thread makes each call in the life of one exam, its start and end."""
    room = shop.room("count")
    asyncio.run(_exam(Box(shop, room), room / "trace"))
    threads: dict[str, Counter[str]] = {}
    for line in (room / "trace").read_text(encoding="utf-8", errors="replace").splitlines():
        if found := LINE.match(line):
            threads.setdefault(line.split()[0], Counter())[found[1]] += 1
    most: Counter[str] = Counter()
    for one in threads.values():
        most |= one
    return most


async def _exam(box: Box, trace: Path) -> None:
    async with box, box.life(trace=_tracer(trace, ["-e", f"trace={','.join(CALLS)}"])):
        await box.up()
        await box.visit()
        await box.delivered()


def _tracer(trace: Path, arguments: Sequence[str]) -> Callable[[int], None]:
    def attach(life: int) -> None:
        command = ["strace", "-f", "-qq", "-o", str(trace), "-p", str(life), *arguments]
        _wait(lambda: "(stopped)" in _status(life))
        subprocess.Popen(command, stderr=subprocess.DEVNULL)
        _wait(lambda: "TracerPid:\t0" not in _status(life))
        os.kill(life, signal.SIGCONT)

    return attach


def _wait(come: Callable[[], bool]) -> None:
    deadline = time.monotonic() + ATTACH_S
    while not come() and time.monotonic() < deadline:
        time.sleep(0.005)


def _status(life: int) -> str:
    return Path(f"/proc/{life}/status").read_text(encoding="utf-8")


async def _struck(shop: Workshop, blow: Blow, found: Found) -> None:
    """Strike one blow at a box that has had one exam already, and see that it recovers."""
    room = shop.room("struck")
    box = Box(shop, room)
    box.patience = PATIENCE_S
    arguments = ["-e", f"trace={blow.call}", "-e", blow.injection]
    try:
        async with box:
            with suppress(Away, TimeoutError):
                async with box.life(trace=_tracer(Path(os.devnull), arguments)):
                    await _tries(box)
            async with box.life():
                await _tries(box)
                await box.delivered()
        wrong = [*_words(box, found), *_kept(box)]
    except Exception as error:
        wrong = [f"{innermost(error)!r}: {box.log.read_text(encoding='utf-8')[-300:]}"]
    found.wrong += [f"{blow}: {words}" for words in wrong]
    shutil.rmtree(room, ignore_errors=True)


async def _tries(box: Box) -> None:
    """Examine a resident, again where that was not taken: a person would, too. Raises Away in the end."""
    await box.up()
    for left in reversed(range(TRIES)):
        try:
            await box.visit()
            return
        except (Away, TimeoutError):
            if not left or box.dead:
                raise Away("it did not go on by itself") from None


def _words(box: Box, found: Found) -> Iterable[str]:
    """Yield what is wrong with the words a person was given for what could not be done."""
    for answer in box.refusals:
        found.codes[_code(answer)] += 1
        told = answer.json() if answer.headers["content-type"] == "application/problem+json" else {}
        if _code(answer) in UNTRUE:
            yield f"untrue: {_code(answer)}"
        if not CHINESE.search(str(told.get("detail", ""))) or not told.get("code"):
            yield f"no words: {answer.status_code} {answer.text[:100]}"


def _code(answer: httpx2.Response) -> str:
    with suppress(ValueError):
        return str(answer.json().get("code", "none"))
    return "none"


def _kept(box: Box) -> list[str]:
    """Return the promises that are broken."""
    queries = Queries(box.place / DATABASE, Vault(box.place / KEY))
    try:
        held = standing(queries)
    finally:
        queries.close()
    twice = [f"twice at the centre: {name}" for name in box.centre.twice()]
    return [*box.oracle.broken(held, len(box.oracle.told)), *twice]
