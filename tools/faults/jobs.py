"""The work that `make faults` is made of, cut into jobs that two processes share."""

import multiprocessing
import queue
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

WORKERS = 3
"""More than two cores: much of a life is waiting for machines and people."""
LOOK_S = 1.0
PROGRAMS = {
    "tamper": ("--count", "10000"),
    "clocks": ("--histories", "10000"),
    "stress": ("--minutes", "10"),
}
"""Other harnesses beside this one that belong to the long run, and what each is given."""
SAMPLE = 12
"""Calls that are killed or fail in the short run; all of them in the long one."""
ROW, LIVELY = 50, 3
"""Cuts in a row on one box; one life in so many must have come up before its cut, or the row shows little."""
FAILED_SYNCS = 3
"""Syncs that fail in the short run; each of a life's in the long one."""


@dataclass(frozen=True, slots=True)
class Job:
    """One piece of work: `kind` names a function below, `name` and `amount` are what it is given."""

    kind: str
    name: str = ""
    amount: int = 1
    seed: int = 1


@dataclass
class Done:
    """What came of a job; `wrong` is empty where nothing was."""

    job: Job
    numbers: Counter[str]
    wrong: list[str]
    seconds: float


def states(shop: Any, job: Job) -> tuple[Counter[str], list[str]]:
    """Cut one life at every boundary; `amount` states by lot at each."""
    from tools.faults import planted, scenarios
    from tools.faults.states import MODELS, Judge

    recording = scenarios.recorded(scenarios.plays()[job.name], shop)
    every = scenarios.EVERY.get(job.name.split(" from")[0], 1)
    with planted.faulty(""), Judge(recording, shop.room("judge"), job.seed) as judge:
        for model in MODELS:
            judge.walk(model, job.amount, every=every)
    tally = judge.tally
    numbers = Counter(crash_states=tally.states, distinct=tally.distinct, started=tally.started)
    return numbers + tally.faults, [tally.first] if tally.first else []


def cuts(shop: Any, job: Job) -> tuple[Counter[str], list[str]]:
    """Cut a running service `amount` times in a row."""
    from tools.faults.cuts import in_a_row

    tally = in_a_row(shop, job.amount, job.seed)
    numbers = Counter(live_cuts=tally.states, came_up=tally.came_up)
    wrong = [tally.first] if tally.first else []
    if job.amount >= ROW and tally.came_up * LIVELY < tally.states:
        wrong.append(f"of {tally.states} lives that were cut only {tally.came_up} had come up before")
    return numbers + tally.faults, wrong


def plant(shop: Any, job: Job) -> tuple[Counter[str], list[str]]:
    """See that a planted fault is found; wrong is one that is not."""
    from tools.faults import planted, scenarios
    from tools.faults.states import MODELS, Judge

    play = scenarios.backup if job.name.startswith("backup") else scenarios.first
    recording = scenarios.recorded(play, shop, job.name)
    with planted.faulty(job.name), Judge(recording, shop.room("judge"), job.seed) as judge:
        for model in MODELS:
            if not judge.tally.faults:
                judge.walk(model, 2, stop_at_fault=True, every=40)
    if judge.tally.faults:
        return Counter({"planted": 1, "caught": 1, f"{job.name} found as {min(judge.tally.faults)}": 1}), []
    return Counter(planted=1), [f"{job.name} was planted and not found"]


def syncs(shop: Any, job: Job) -> tuple[Counter[str], list[str]]:
    """Fail syncs that forget what they were for; `amount` of them."""
    from tools.faults import unsynced

    return unsynced.run(shop, job.amount, job.seed)


def program(shop: Any, job: Job) -> tuple[Counter[str], list[str]]:
    """Run another harness of this folder, as a program of its own."""
    command = [sys.executable, "-m", f"tools.faults.{job.name}", *PROGRAMS[job.name]]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    last = (done.stdout.strip().splitlines() or [""])[-1]
    numbers = Counter({f"{job.name} passed": int(done.returncode == 0)})
    return numbers, [] if done.returncode == 0 else [f"{job.name}: {last} {done.stderr[-300:]}"]


def calls(shop: Any, job: Job) -> tuple[Counter[str], list[str]]:
    """Kill the service at system calls, and let them fail; `amount` of each."""
    from tools.faults import calls as tried

    return tried.run(shop, job.amount, job.seed)


KINDS: dict[str, Callable[[Any, Job], tuple[Counter[str], list[str]]]] = {
    one.__name__: one for one in (states, cuts, plant, calls, syncs, program)
}


def short() -> list[Job]:
    """Return the jobs of `make faults`, the longest first."""
    from tools.faults import planted, scenarios

    lives = [Job("states", name, scenarios.COINS) for name in scenarios.plays()]
    return [
        *(Job("cuts", amount=ROW, seed=seed) for seed in range(1, 5)),
        *lives,
        *(Job("plant", name) for name in planted.FAULTS),
        Job("calls", amount=SAMPLE),
        Job("syncs", amount=FAILED_SYNCS),
    ]


def long() -> list[Job]:
    """Return the jobs of `make faults-long`."""
    from tools.faults import planted, scenarios

    lives = [Job("states", name, 12, seed) for seed in range(1, 9) for name in scenarios.plays()]
    return [
        *(Job("cuts", amount=500, seed=seed) for seed in range(1, 21)),
        *lives,
        *(Job("plant", name) for name in planted.FAULTS),
        Job("calls", amount=1_000_000),
        Job("syncs", amount=1_000_000),
        *(Job("program", name) for name in PROGRAMS),
    ]


def worked(jobs: Sequence[Job]) -> Iterator[Done]:
    """Yield what comes of each job, as it comes, from as many processes as there are cores for it."""
    context = multiprocessing.get_context("spawn")
    todo, done = context.Queue(), context.Queue()
    hands = min(WORKERS, len(jobs))
    for job in [*jobs, *([None] * hands)]:
        todo.put(job)
    workers = [context.Process(target=_work, args=(todo, done)) for _ in range(hands)]
    for worker in workers:
        worker.start()
    left = len(jobs)
    try:
        while left and any(worker.is_alive() for worker in workers):
            with suppress(queue.Empty):
                yield done.get(timeout=LOOK_S)
                left -= 1
        if left:
            yield Done(Job("worker"), Counter(), [f"{left} jobs were not done"], 0.0)
    finally:
        for worker in workers:
            if left:
                worker.terminate()
            worker.join()


def _work(todo: Any, done: Any) -> None:
    from tools.faults.plugfs import NoFuse
    from tools.faults.workshop import workshop

    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that nothing stays mounted
    try:
        with workshop() as shop:
            for job in iter(todo.get, None):
                done.put(_done(shop, job))
    except (NoFuse, OSError) as error:
        for job in iter(todo.get, None):
            done.put(Done(job, Counter(), [str(error)], 0.0))


def _done(shop: Any, job: Job) -> Done:
    from tools.faults.box import innermost

    began = time.monotonic()
    try:
        numbers, wrong = KINDS[job.kind](shop, job)
    except Exception as error:
        inner = innermost(error)
        numbers, wrong = Counter(), [f"{type(inner).__name__}: {inner}"]
    return Done(job, numbers, wrong, round(time.monotonic() - began, 1))
