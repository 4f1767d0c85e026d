"""Crash states of a recorded life: each is recovered by SQLite and judged by the real service and the oracle.

What a state is checked for, so that nobody believes more: SQLite itself recovers every distinct state, and
what it finds is compared, byte for byte, with what was found before. Each distinct finding, with each
distinct knowledge of the centre, is opened by the real start-up code (migrations too), read by the check
behind `journal verify`, held against everything told until then, and goes on: what waits is delivered, a new
exam is opened, and it is read again. Some findings known already go that way once more, by lot.
"""

import asyncio
import random
import shutil
import sqlite3
from collections import Counter
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import Self

from gateway import forwarders
from gateway.app import Gateway
from gateway.config import Config, FhirConfig, HttpConfig
from gateway.delivery import Delivery, JournalOutbox
from gateway.service import ExamRequest
from store.queries import Queries
from tools.faults.box import GATEWAY, OPERATOR, STATE
from tools.faults.centre import Centre
from tools.faults.disk import Disk, Image, Model, Note, Op, Sync, SyncFolder
from tools.faults.oracle import MEDIUM, BackedUp, Oracle, Standing, standing
from tools.faults.plugfs import UNLOGGED

DATABASE = f"{STATE}/journal.db"
KEY = f"{STATE}-key/key"
WAL, HOT = f"{DATABASE}-wal", f"{DATABASE}-journal"
AGAIN = 0.002
"""The share of findings known already that the whole service opens once more."""
MODELS: tuple[Model, ...] = ("posix", "ext4")


@dataclass
class Recording:
    """One life as the disk saw it: where it began, all it was asked, what the world was told meanwhile."""

    image: Image
    log: Sequence[Op]
    oracle: Oracle
    history: Sequence[bytes]
    """The transactions the centre took."""


@dataclass
class Tally:
    """What was looked at and what was wrong."""

    states: int = 0
    distinct: int = 0
    started: int = 0
    """Times the whole service was started on a state."""
    came_up: int = 0
    """Lives, of those that were cut in a row, in which the service was up before its cut."""
    faults: Counter[str] = field(default_factory=Counter)
    first: str = ""
    """The first fault, with where it was."""

    def add(self, other: "Tally") -> None:
        """Take another's numbers too."""
        self.states += other.states
        self.distinct += other.distinct
        self.started += other.started
        self.faults += other.faults
        self.first = self.first or other.first


class Judge:
    """Judges crash states of one recording. Use as a context manager; *folder* should lie in memory."""

    def __init__(self, recording: Recording, folder: Path, seed: int = 1) -> None:
        self._recording, self._folder = recording, folder
        self._chance = random.Random(seed)  # noqa: S311
        self._loop = asyncio.new_event_loop()
        self._centre = Centre()
        self._verdicts: dict[tuple[bytes, int], tuple[Standing | None, list[str]]] = {}
        self._answers: dict[tuple[bytes, int], list[str]] = {}
        self._copies: dict[tuple[bytes, int], list[str]] = {}
        self._chain = _chain(self._recovered(_end(recording))[1])
        self.tally = Tally()

    def __enter__(self) -> Self:
        self._loop.run_until_complete(self._centre.__aenter__())
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.run_until_complete(self._centre.__aexit__())
        self._loop.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def walk(self, model: Model, coins: int, *, stop_at_fault: bool = False, every: int = 1) -> None:
        """Judge the crash states at every boundary of the log, *coins* of them by lot.

        With *every*, at every n-th boundary only, after each sync, and wherever somebody was told something.
        """
        disk, until, seen = Disk(model, self._recording.image), 0, set[int]()
        for number, op in enumerate(self._recording.log):
            disk.feed(op)
            until = op.key + 1 if isinstance(op, Note) else until
            if number % every and not isinstance(op, Note | Sync | SyncFolder):
                continue
            for choice in disk.choices([self._chance.getrandbits(32) for _ in range(coins)]):
                self.tally.states += 1
                mark = hash((disk.turn, choice.arrived, until))
                if mark in seen:
                    continue
                seen.add(mark)
                self.tally.distinct += 1
                wrong = self.judge(disk.image(choice), until)
                self._count(wrong, f"{model}, {choice.variant}, after operation {number}")
                if wrong and stop_at_fault:
                    return

    def _count(self, wrong: Sequence[str], where: str) -> None:
        for words in wrong:
            self.tally.faults[words.partition(":")[0]] += 1
        if wrong and not self.tally.first:
            self.tally.first = f"{where}: {'; '.join(wrong[:3])}"

    def judge(self, image: Image, until: int) -> list[str]:
        """Return what is wrong with a state in which the first *until* were told."""
        box = {path: data for path, data in image.items() if not path.startswith(f"{MEDIUM}/")}
        return [*self._of_box(box, until), *self._backups(image, until)]

    def _of_box(self, image: Image, until: int) -> list[str]:
        key, found = self._recovered(image)
        if (key, until) in self._answers and self._chance.random() > AGAIN:
            return self._answers[key, until]
        turns = self._recording.oracle.turns(until)
        if (key, turns) not in self._verdicts or self._chance.random() < AGAIN:
            self._verdicts[key, turns] = self._started(image, turns)
        held, wrong = self._verdicts[key, turns]
        if held is not None:
            wrong = [*wrong, *self._recording.oracle.broken(held, until)]
        wrong = [*wrong, *self._strange(found)]
        self._answers[key, until] = wrong
        return wrong

    def _recovered(self, image: Image) -> tuple[bytes, bytes]:
        """Return what names the content that SQLite finds in this state, and the content, empty for none."""
        others = {path: data for path, data in image.items() if path not in {DATABASE, WAL}}
        found = b""
        if DATABASE in image and HOT not in image:
            found = self._by_sqlite(image) or b""
        rest = others if found else image
        digest = blake2b(found, digest_size=20)
        for path, data in sorted(rest.items()):
            if not path.endswith(UNLOGGED):
                digest.update(path.encode() + len(data).to_bytes(8) + data)
        return digest.digest(), found

    def _by_sqlite(self, image: Image) -> bytes | None:
        """Let SQLite recover the state and return the pages it then reads; None where it will not."""
        place = self._folder / "one"
        place.mkdir(parents=True, exist_ok=True)
        (place / "j").write_bytes(image[DATABASE])
        (place / "j-wal").write_bytes(image.get(WAL, b""))
        connection = sqlite3.connect(place / "j", isolation_level=None)
        try:
            connection.execute("PRAGMA locking_mode = EXCLUSIVE")
            connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
            return connection.serialize()
        except sqlite3.Error:
            return None
        finally:
            connection.close()

    def _strange(self, found: bytes) -> list[str]:
        """Return the facts in this content that the whole life never wrote."""
        chain = _chain(found)
        return ["invented: a fact that was never written"] if chain != self._chain[: len(chain)] else []

    def _started(self, image: Image, turns: int) -> tuple[Standing | None, list[str]]:
        """Start the whole service on a state, go on with it, and return what it holds and what is wrong."""
        self.tally.started += 1
        place = self._folder / "box"
        shutil.rmtree(place, ignore_errors=True)
        lay(image, place)
        self._centre.rewind(self._recording.history[:turns])
        try:
            return self._loop.run_until_complete(again(place, self._centre, self._recording.oracle.inherited))
        except Exception as error:
            return None, [f"does not open: {type(error).__name__}: {error}"]

    def _backups(self, image: Image, until: int) -> list[str]:
        wrong = []
        for told in self._recording.oracle.told[:until]:
            if isinstance(told, BackedUp):
                wrong += self._backup(image.get(told.path), told.facts)
        return wrong

    def _backup(self, data: bytes | None, facts: int) -> list[str]:
        if data is None:
            return ["backup lost: it was reported good"]
        known = (blake2b(data, digest_size=20).digest(), facts)
        if known not in self._copies:
            self._copies[known] = self._copy(data, facts)
        return self._copies[known]

    def _copy(self, data: bytes, facts: int) -> list[str]:
        path = self._folder / "backup.db"
        path.write_bytes(data)
        queries = Queries(path)
        try:
            report = queries.check()
        finally:
            queries.close()
        return ["backup damaged"] if report.problems or report.facts < facts else []


def lay(image: Image, place: Path) -> None:
    """Put the files of a state into a folder."""
    place.mkdir(mode=0o700, parents=True, exist_ok=True)
    for path, data in image.items():
        target = place / path
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        target.write_bytes(data)
        target.chmod(0o600)


def _end(recording: Recording) -> Mapping[str, bytes]:
    """Return what lies on the disk when everything has arrived."""
    disk = Disk("posix", recording.image)
    for op in recording.log:
        disk.feed(op)
    return disk.image(next(one for one in disk.choices(()) if one.variant == "all" or not disk.pending))


def _chain(content: bytes) -> list[bytes]:
    """Return the hash of every fact in a database's pages, in order."""
    if not content:
        return []
    connection = sqlite3.connect(":memory:")
    try:
        connection.deserialize(content[:18] + b"\x01\x01" + content[20:])  # in memory there is no WAL
        return [row[0] for row in connection.execute("SELECT hash FROM facts ORDER BY seq")]
    except sqlite3.OperationalError:
        return []
    finally:
        connection.close()


async def again(place: Path, centre: Centre, inherited: Set[str] = frozenset()) -> tuple[Standing, list[str]]:
    """Start the service on what lies there, read it, let it deliver, open an exam, and read it again."""
    config = Config(gateway=GATEWAY, state=place / STATE, http=HttpConfig(), fhir=FhirConfig(url=centre.url))
    gateway = Gateway(config)
    try:
        held = await asyncio.to_thread(standing, gateway.journal.queries)
        wrong = await _gone_on(gateway, centre, inherited)
    finally:
        gateway.close()
    return held, wrong


async def _gone_on(gateway: Gateway, centre: Centre, inherited: Set[str]) -> list[str]:
    forwarder = forwarders.every()["fhir"].build(gateway.config)
    assert forwarder is not None
    await gateway.open_exam(ExamRequest([], "周试末", OPERATOR))
    try:
        outbox = JournalOutbox(gateway.journal, forwarder.name, 3)
        await Delivery(outbox, forwarder, asyncio.Event()).drain()
    finally:
        await forwarder.close()
    after = await asyncio.to_thread(standing, gateway.journal.queries)
    twice = [f"twice at the centre: {name}" for name in centre.twice()]
    waits = gateway.journal.queries.outbox_counts()["fhir"].waiting
    stuck = [f"not delivered: {waits} wait"] if waits else []
    there = {(one.measurement, one.version) for one in centre.holdings()}
    missing = [
        f"missing at the centre: {key}"
        for key, version in after.newest.items()
        if key not in inherited
        and '"status": "final"' in after.documents[key, version]
        and (key, version) not in there
    ]
    return [*(f"after going on: {one}" for one in after.problems), *twice, *stuck, *missing]
