"""A sync that fails once and forgets: the kernel drops what it could not write and calls it clean.

The program still reads what it wrote, the next sync of the same file succeeds, and after a power cut it was
never there. So each sync of a life is failed in its turn, with the process killed at that moment or going on
by itself; then the box works on without another fault, and its power is cut at every sync and promise.
"""

import asyncio
import os
import random
import signal
from collections import Counter
from contextlib import suppress
from functools import partial

from tools.faults import planted
from tools.faults.box import Away, Box
from tools.faults.disk import Sync
from tools.faults.scenarios import recorded, running
from tools.faults.states import MODELS, Judge
from tools.faults.workshop import Workshop

PATIENCE_S, TRIES = 4.0, 3
SYNCS_ONLY = 1 << 30
"""Only boundaries at which something became durable or somebody was told something."""


def run(shop: Workshop, most: int, seed: int) -> tuple[Counter[str], list[str]]:
    """Fail *most* syncs chosen by lot, all if there are fewer; half of them kill."""
    numbers: Counter[str] = Counter()
    wrong: list[str] = []
    total = syncs(shop)
    chosen = sorted(random.Random(seed).sample(range(total), min(most, total)))  # noqa: S311
    for turn, number in enumerate(chosen):
        found, words = failed(shop, number, killed=turn % 2 == 0, seed=seed)
        numbers += found
        wrong += [f"sync {number} of {total}: {one}" for one in words]
    return numbers, wrong


def syncs(shop: Workshop) -> int:
    """Return how many files' syncs there are in the part of the life in which one fails."""
    recording = recorded(partial(_play, number=None, killed=False), shop)
    return sum(isinstance(one, Sync) for one in recording.log)


def failed(shop: Workshop, number: int, *, killed: bool, seed: int = 1) -> tuple[Counter[str], list[str]]:
    """Fail sync *number* of a life and cut the power wherever that may show; return figures and faults."""
    recording = recorded(partial(_play, number=number, killed=killed), shop)
    with planted.faulty(""), Judge(recording, shop.room("judge"), seed) as judge:
        for model in MODELS:
            judge.walk(model, 0, every=SYNCS_ONLY)
    tally = judge.tally
    found = Counter(syncs_failed=1, crash_states=tally.states, distinct=tally.distinct, started=tally.started)
    return found + tally.faults, [tally.first] if tally.first else []


async def _play(box: Box, plant: str, *, number: int | None, killed: bool) -> None:
    """Live until sync *number* of this process fails, and on; then start again without a power cut."""
    volume = box.on()
    box.patience = PATIENCE_S
    volume.forgets = number
    with suppress(Away, TimeoutError):
        async with box.life(plant) as life:
            if killed:
                volume.when_forgotten = lambda: os.kill(life, signal.SIGKILL)
            await box.up()
            await _tries(box)
            await box.delivered()
    volume.forgets = None
    async with running(box, plant):
        await _closed(box)
        await box.visit()


async def _tries(box: Box) -> None:
    """Examine two residents, again where that was not taken: a person would, too."""
    for _ in range(TRIES):
        with suppress(TimeoutError):
            try:
                await box.visit()
                await box.visit()
            except Away:
                if box.dead:
                    raise
            else:
                return
        await asyncio.sleep(1)
        await _closed(box)


async def _closed(box: Box) -> None:
    for one in (await box.ask("GET", "/v1/exams"))["exams"]:
        await box.close(str(one["id"]))
