"""The lives whose every boundary is cut: first start, restart, backup, upgrade from each kept journal."""

import asyncio
import gzip
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from gateway.clock import Clock
from store import keyring
from store.journal import Journal
from store.queries import Queries
from tools.faults.box import GATEWAY, Box
from tools.faults.disk import Image
from tools.faults.oracle import MEDIUM, BackedUp, Standing, standing
from tools.faults.planted import IN_TIME, LATER
from tools.faults.states import DATABASE, KEY, Recording, lay
from tools.faults.workshop import Workshop

OLD = Path(__file__).parents[2] / "tests/store/old"
"""Journals that earlier releases wrote, one a schema."""
COINS = 2
"""Crash states by lot at each boundary, besides the four that are always looked at."""
EVERY = {"upgrade": 120}
"""Boundaries between two looks, where a state costs much: during an upgrade almost none is like another."""
KEYS = (bytes(range(32, 64)), bytes(range(32)))
"""The keys of the kept journals that have names under lock, the one in use first."""
LOCKED_SINCE = 3
"""The schema from which on names lie under lock."""
Play = Callable[[Box, str], Awaitable[None]]


@asynccontextmanager
async def running(box: Box, plant: str) -> AsyncIterator[None]:
    """Let the gateway run and be up, then let it deliver what waits and stop."""
    async with box.life(plant):
        await box.up()
        yield
        await box.delivered()


async def first(box: Box, plant: str) -> None:
    """A new box: its first start and two exams; a second start and one more."""
    box.on()
    async with running(box, plant):
        await box.visit()
        await box.visit()
    async with running(box, plant):
        await box.visit()


async def backup(box: Box, plant: str) -> None:
    """A box whose journal is copied while it works."""
    volume = box.on()
    medium = box.place / MEDIUM
    medium.mkdir()
    for folder in (medium, medium.parent):
        _sync(folder)
    async with running(box, plant):
        await box.visit()
        target = medium / "copy.db"
        status = await asyncio.to_thread(box.command, "journal", "backup", str(target), plant=plant)
        if status == 0:
            box.tell(
                BackedUp(f"{MEDIUM}/copy.db", _facts(bytes(volume.names[f"{MEDIUM}/copy.db"].data), box))
            )
        await box.visit()


async def retention(box: Box, plant: str) -> None:
    """A box that lets go of raw frames whose measurements were accepted long ago."""
    box.on()
    async with running(box, "+".join(filter(None, (plant, IN_TIME)))):
        await box.visit()
        await box.visit()
    box.more = "[retention]\nafter_days = 30\n"
    async with running(box, "+".join(filter(None, (plant, LATER)))):
        await box.until(box.without_frames)
        await box.visit()


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _facts(copy: bytes, box: Box) -> int:
    path = box.folder / "reported-good.db"
    path.write_bytes(copy)
    queries = Queries(path)
    try:
        return queries.counts().facts
    finally:
        queries.close()


def upgrade(schema: int) -> Play:
    """Return the life of a box that comes from a release with this schema."""

    async def play(box: Box, plant: str) -> None:
        old = {DATABASE: gzip.decompress((OLD / f"schema-{schema}.db.gz").read_bytes())}
        if schema >= LOCKED_SINCE:
            old[KEY] = _key(box.folder / "old-key")
        before = await asyncio.to_thread(_before, old, box)
        box.oracle.measured += before.results
        box.oracle.inherited = set(before.newest)
        box.on(old)
        async with running(box, plant):
            await box.visit()

    return play


def _key(path: Path) -> bytes:
    """Return a key file as a box of that time had it."""
    keyring.make(path)
    keyring.replace(path, KEYS)
    return path.read_bytes()


def _before(old: Image, box: Box) -> Standing:
    """Return what the old journal says, as the real upgrade finds it."""
    place = box.folder / "before"
    lay(old, place)
    journal = Journal.open(place / DATABASE, gateway=GATEWAY, now=Clock().now)
    try:
        return standing(journal.queries)
    finally:
        journal.close()


def plays() -> dict[str, Play]:
    """Return every life by name."""
    schemas = sorted(int(path.name.split("-")[1].split(".")[0]) for path in OLD.glob("schema-*.db.gz"))
    upgrades = {f"upgrade from schema {schema}": upgrade(schema) for schema in schemas}
    return {"first start": first, "backup": backup, "retention": retention, **upgrades}


def recorded(play: Play, shop: Workshop, plant: str = "") -> Recording:
    """Play a life on a disk of its own and return what the disk saw of it."""
    return asyncio.run(_played(play, Box(shop, shop.room("box")), plant))


async def _played(play: Play, box: Box, plant: str) -> Recording:
    async with box:
        await play(box, plant)
        return Recording(box.volume.image, box.volume.log, box.oracle, box.centre.history)
