"""The real journal writer, stepped by the loop instead of a thread, and ended at any commit's edge."""

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Literal, Protocol, TypeVar

from store.facts import Fact
from store.pen import Head, Pen
from store.transaction import Transaction
from store.writer import CHECKPOINT_IDLE, IDLE_S, Job, Writer
from tools.life.world import World

T = TypeVar("T")
Fate = Literal["goes on", "dies before COMMIT", "dies after COMMIT"]
SLOWEST_S = 0.02
"""A commit takes up to this long, so that commands of several machines meet in one."""


class Fates(Protocol):
    """Who decides where a process dies, and sees what became durable."""

    def next_fate(self) -> Fate:
        """Say how the commit that begins now ends."""
        ...

    def died(self) -> None:
        """The process is gone: nothing more of it happens."""
        ...

    def durable(self, facts: Sequence[Fact]) -> None:
        """These facts are on disk, whether anybody heard of it or not."""
        ...


class SteppedWriter(Writer):
    """Commits, groups and checkpoints as the service's writer does, in the loop's time."""

    def __init__(
        self, world: World, fates: Fates, pen: Pen, head: Head, on_commit: Callable[[Sequence[Fact]], None]
    ) -> None:
        self._world, self._fates = world, fates
        self._stepping = False
        self.dead = False
        super().__init__(pen, head, on_commit)

    def _begin(self) -> None:
        """Wait for the first command."""

    def submit(self, command: Callable[[Transaction], T]) -> Future[T]:
        """Queue *command*, as the service's writer does."""
        future = super().submit(command)
        if not self._stepping:
            self._stepping = True
            self._world.loop.call_later(self._world.between(0.0, SLOWEST_S), self._step)
        return future

    def stop(self) -> None:
        """Finish what was queued, fold the WAL into the file, close; a dead one has closed already."""
        if not self.dead:
            self._closed = True
            while not self._waiting.empty():
                self._turn()
            self._end()
            self.dead = True

    def die(self) -> None:
        """Let go of the file as a killed process does: no checkpoint, no answer to anybody."""
        self.dead = self._closed = True
        self._connection.close()

    def _step(self) -> None:
        self._stepping = False
        if not self.dead and not self._waiting.empty():
            self._turn()
        if not self.dead:
            self._world.loop.call_later(IDLE_S, self._rest)

    def _rest(self) -> None:
        if not self.dead and self._waiting.empty() and self._since_checkpoint >= CHECKPOINT_IDLE:
            self._checkpoint("PASSIVE")

    def _commit(self, jobs: list[Job[object]]) -> None:
        fate = self._fates.next_fate()
        if fate == "goes on":
            super()._commit(jobs)
            return
        if fate == "dies after COMMIT":
            self._fates.durable(self._write(jobs))
        else:
            self._connection.execute("BEGIN IMMEDIATE")
            head, facts = self._head, list[Fact]()
            for job in jobs[: self._world.chance.randint(0, len(jobs))]:
                head = self._one(job, head, facts)
        self.die()
        self._fates.died()

    def _checkpoint(self, mode: str) -> bool:
        return not self.dead and super()._checkpoint(mode)

    def _tell(self, facts: list[Fact]) -> None:
        self._fates.durable(facts)
        super()._tell(facts)
