"""Live cuts in a row: the running service loses its disk's power, starts on what is left, and goes on.

A cut comes after a random number of operations, in the start too. Half of them kill the process with the
operation that no longer reached the disk; the others leave it a while with a disk that only gives errors, so
that it may try to promise what it cannot keep. Next it starts on a crash state chosen by lot.
"""

import asyncio
import os
import random
import shutil
import signal
from contextlib import suppress
from pathlib import Path

from tools.faults.box import Away, Box
from tools.faults.centre import Centre
from tools.faults.disk import Disk, Image
from tools.faults.states import MODELS, Tally, again, lay
from tools.faults.workshop import Workshop

EARLY, LATE = 120, 400
"""Operations before a cut at most: of a start, and of a start with the exams after it."""
LOOK_EVERY = 20
"""Cuts between two full checks; what is lost, doubled or damaged stays so until the next one."""


class Cuts:
    """A row of cuts on one box."""

    def __init__(self, box: Box, folder: Path, seed: int) -> None:
        self._box, self._folder = box, folder
        self._chance = random.Random(seed)  # noqa: S311
        self._image: Image = {}
        self._down = 0
        """Lives in a row that were cut before the service was up: each gives the next one more time."""
        self.tally = Tally()

    async def run(self, cuts: int, plant: str = "") -> None:
        """Cut *cuts* times, and look at everything now and then and at the end."""
        for number in range(1, cuts + 1):
            await self._life(plant)
            self.tally.states += 1
            if number % LOOK_EVERY == 0 or number == cuts:
                await self._look(number)
                if self.tally.faults:
                    return

    async def _life(self, plant: str) -> None:
        box, chance = self._box, self._chance
        early = chance.random() < 0.3
        self._down += 1
        volume = box.on(self._image, 1 + chance.randrange((EARLY if early else LATE) * self._down))
        with suppress(Away):
            async with box.life(plant) as life:
                if chance.random() < 0.5:
                    volume.when_off = lambda: os.kill(life, signal.SIGKILL)
                await self._work()
        disk = Disk(chance.choice(MODELS), self._image)
        for op in volume.log:
            disk.feed(op)
        coins = [chance.getrandbits(32) for _ in range(3)]
        self._image = disk.image(chance.choice(list(disk.choices(coins))))

    async def _work(self) -> None:
        box = self._box
        await box.up()
        self.tally.came_up += 1
        self._down = 0
        for one in (await box.ask("GET", "/v1/exams"))["exams"]:
            await box.close(str(one["id"]))
        while True:
            await box.visit()

    async def _look(self, number: int) -> None:
        place = self._folder / "box"
        shutil.rmtree(place, ignore_errors=True)
        lay(self._image, place)
        self.tally.started += 1
        box = self._box
        try:
            async with Centre() as centre:
                centre.rewind(box.centre.history)
                held, wrong = await again(place, centre)
            wrong += box.oracle.broken(held, len(box.oracle.told))
        except Exception as error:
            wrong = [f"does not open: {type(error).__name__}: {error}"]
        wrong += [f"twice at the centre: {name}" for name in box.centre.twice()]
        for words in wrong:
            self.tally.faults[words.partition(":")[0]] += 1
        if wrong:
            self.tally.first = f"by cut {number}: {'; '.join(wrong[:3])}"


def in_a_row(shop: Workshop, cuts: int, seed: int = 1, plant: str = "") -> Tally:
    """Cut *cuts* times in a row on a box of its own; return what was wrong."""
    return asyncio.run(_cut(Box(shop, shop.room("box"), seed), cuts, seed, plant))


async def _cut(box: Box, cuts: int, seed: int, plant: str) -> Tally:
    async with box:
        row = Cuts(box, box.folder / "looked-at", seed)
        await row.run(cuts, plant)
        return row.tally
