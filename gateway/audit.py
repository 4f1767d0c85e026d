"""Writes down who read what, took it out or set it up, without ever keeping anybody waiting.

An entry is queued before the answer goes out, so it is on disk before anything asked later is acknowledged;
the answer itself does not wait for it. What cannot be written, on a full disk, waits in memory and is tried
again, and how many found no room there is written too.
"""

import asyncio
import logging
import pwd
import re
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from gateway import configured, pending
from gateway.config import Config
from protocol.errors import StoreError
from store import cursors
from store.audit import ITSELF, Entry, Wanted
from store.facts import Audited, Fact, Instant
from store.journal import Journal, Transaction
from store.queries import Queries

log = logging.getLogger(__name__)

SPAN_S = 300.0
"""How long a caller who asks for the same again and again is one reader."""
MOST = 1000
"""Callers remembered, and entries that wait, at most."""
RETRY_S = 5.0
START = "start"
"""Stands for the cursor of a pull that began without one."""
RESERVED = re.compile(r"(rule|card|page|api|command):|service$")
"""How the names begin that stand for what is no person: nobody may sign so, or an entry would lie."""


def a_person(name: str) -> bool:
    """Say whether somebody may sign as *name*."""
    return RESERVED.match(name) is None


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks, as far as is known: the name that goes into the journal, and by what means."""

    who: str
    means: str = ""

    @classmethod
    def of_user(cls, number: int) -> "Caller":
        """Return a user of this box, who runs a command."""
        try:
            name = pwd.getpwuid(number).pw_name
        except KeyError:
            name = str(number)
        return cls(f"command:{name}")

    @property
    def detail(self) -> dict[str, str]:
        """What an entry says beside the name."""
        return {"by": self.means} if self.means else {}


@dataclass(slots=True)
class Span:
    """One caller's pages of pulling: from which cursor to which, how many versions in how many pages."""

    caller: Caller
    first: str
    last: str
    began: float
    pages: int = 1
    versions: int = 0


class Audit:
    """The audit of one running gateway; to be used on its event loop only."""

    def __init__(
        self, journal: Journal, now: Callable[[], Instant], held: Callable[[], object] = lambda: False
    ) -> None:
        """While *held* says so, entries wait: what room is left is for measurements."""
        self._journal = journal
        self._now = now
        self._held = held
        self._loop = asyncio.get_running_loop()
        self._seen: OrderedDict[Hashable, float] = OrderedDict()
        self._spans: OrderedDict[Caller, Span] = OrderedDict()
        self._on_the_way = 0
        self._waiting: list[Audited] = []
        self._missed = 0
        self._behind = False
        """Whether what was done before this run could not be written down yet."""

    def read(
        self, caller: Caller, subject: str, resident: str | None, what: str = "read", **detail: str
    ) -> None:
        """A program was given *subject*; told again within SPAN_S, it is one reading."""
        if self._first_time((caller, what, subject, *detail.items())):
            self.note(Audited(caller.who, what, subject, "", resident, {**caller.detail, **detail}))

    def shown(self, caller: Caller, exam: str, resident: str, *, refreshed: bool) -> None:
        """A page shows *exam*; opened again within SPAN_S, it is one reading.

        *refreshed*: the page fetched it by itself, which is a reading only where this caller was not shown it
        before, since the service started.
        """
        if refreshed and (caller, "read", exam) in self._seen:
            self._seen.move_to_end((caller, "read", exam))
        else:
            self.read(caller, exam, resident)

    def searched(self, caller: Caller, residents: Iterable[str | None]) -> None:
        """A program asked for somebody by a number, which is written nowhere; they are who was found."""
        for resident in set(residents) or {None}:
            self.read(caller, resident or "nobody", resident, "searched")

    def pulled(self, caller: Caller, first: str | None, last: str, versions: int) -> None:
        """A program was given a page of every resident's measurements, from cursor to cursor.

        Without a *first* cursor it began at the start. The first page of a span is written at once; when the
        span is over and there were more, from the lowest cursor to the highest.
        """
        if not versions:
            return
        first = first or START
        span = self._spans.get(caller)
        if span is not None and self._loop.time() - span.began < SPAN_S:
            span.first, span.last = min(span.first, first, key=_place), max(span.last, last, key=_place)
            span.pages, span.versions = span.pages + 1, span.versions + versions
            return
        if span is not None:
            self._end(self._spans.pop(caller))
        if len(self._spans) >= MOST:
            self._end(self._spans.popitem(last=False)[1])
        self._spans[caller] = span = Span(caller, first, last, self._loop.time(), versions=versions)
        self._write_span(span)

    def _first_time(self, key: Hashable) -> bool:
        now = self._loop.time()
        if now - self._seen.get(key, float("-inf")) < SPAN_S:
            return False
        self._seen[key] = now
        self._seen.move_to_end(key)
        if len(self._seen) > MOST:
            self._seen.popitem(last=False)
        return True

    def _end(self, span: Span) -> None:
        if span.pages > 1:
            self._write_span(span)

    def _write_span(self, span: Span) -> None:
        said = {
            "first": span.first,
            "last": span.last,
            "pages": str(span.pages),
            "versions": str(span.versions),
        }
        self.note(Audited(span.caller.who, "pulled", "measurements", detail={**span.caller.detail, **said}))

    def note(self, entry: Audited) -> None:
        """Have *entry* written; returns at once, whatever becomes of it."""
        if self._on_the_way + len(self._waiting) >= MOST:
            self._missed += 1
            return
        if self._held():
            self._wait(entry)
            return
        try:
            written = self._journal.submit(lambda tx: tx.append(entry))
        except StoreError as closed:
            log.warning("not written down", extra={"code": closed.code})
            return
        self._on_the_way += 1
        written.add_done_callback(lambda future: self._from_writer(entry, future))

    def _from_writer(self, entry: Audited, future: Future[Fact]) -> None:
        failed = future.exception() is not None
        with suppress(RuntimeError):  # the loop has ended
            self._loop.call_soon_threadsafe(self._settled, entry, failed)

    def _settled(self, entry: Audited, failed: bool) -> None:
        self._on_the_way -= 1
        if failed:
            self._wait(entry)

    def _wait(self, entry: Audited) -> None:
        """Keep *entry* with the time it is of, until it can be written."""
        if not self._waiting:
            log.error("who reads cannot be written down", extra={"code": "audit.waiting"})
        late = {"at": self._now().utc.isoformat(), **entry.detail}
        self._waiting.append(msgspec.structs.replace(entry, detail=late))

    def fault(self) -> str | None:
        """Return, as a code, why what is read now is not written down at once."""
        return "audit.waiting" if self._waiting or self._missed or self._behind else None

    async def noted(self, entry: Audited) -> int:
        """Write *entry* and return its place once it is on disk. Raises StoreError."""
        return (await self._journal.run(lambda tx: tx.append(entry))).seq

    async def run(self, every_s: float = RETRY_S) -> None:
        """End spans that are over and try again what could not be written, until cancelled."""
        try:
            while True:
                await asyncio.sleep(every_s)
                for caller, span in list(self._spans.items()):
                    if self._loop.time() - span.began >= SPAN_S:
                        self._end(self._spans.pop(caller))
                if self.fault():
                    await self._try_again()
        finally:
            while self._spans:
                self._end(self._spans.popitem()[1])

    async def _try_again(self) -> None:
        if self._held():
            return
        entries, missed = list(self._waiting), self._missed
        over = [Audited(ITSELF, "missed", "audit", detail={"entries": str(missed)})] if missed else []
        try:
            await self._journal.run(_appended([*entries, *over]))
        except StoreError:
            return
        del self._waiting[: len(entries)]
        self._missed -= missed

    async def begin(self, config: Config, release: str, every_s: float = RETRY_S) -> None:
        """Write down what commands did while the service stood still, and which settings changed since.

        Where that fails it is tried again until it is done; `fault` says so meanwhile.
        """
        while True:
            if await self._caught_up(config, release):
                return
            await asyncio.sleep(every_s)

    async def _caught_up(self, config: Config, release: str) -> bool:
        try:
            await self._take_over(config.state)
            last, _, _ = await self._latest("configured", 1)
        except (StoreError, OSError) as failed:
            if not self._behind:
                log.error("not written down yet what was done before", extra={"cause": str(failed)})
            self._behind = True
            return False
        changed = configured.entry(config, release, next(iter(last), None))
        if changed is not None:
            self.note(changed)
        if self._behind:
            log.warning("written down what was done before")
        self._behind = False
        return True

    async def _take_over(self, state: Path) -> None:
        with pending.taken(state) as found:
            known: set[str | None] = set()
            for what in {one.what for one in found}:
                entries, _, _ = await self._latest(what, MOST)
                known |= {one.detail.get(pending.MARK) for one in entries}
            new = [one for one in found if one.detail.get(pending.MARK) not in known]
            await self._journal.run(_appended(new))

    async def _latest(self, what: str, limit: int) -> tuple[list[Entry], str, bool]:
        wanted = Wanted(what=what)
        return await asyncio.to_thread(self._journal.queries.audit, wanted, None, limit, newest=True)


def _appended(entries: Iterable[Audited]) -> Callable[[Transaction], None]:
    def command(tx: Transaction) -> None:
        for entry in entries:
            tx.append(entry)

    return command


def _place(cursor: str) -> int:
    """Return what cursors are in order of."""
    return 0 if cursor == START else cursors.read(cursor, cursors.MEASUREMENTS).seq


def documents(queries: Queries, entries: Iterable[Entry], *, names: bool) -> list[dict[str, Any]]:
    """Return entries as they are shown; with *names*, who each resident is, if that can be said."""
    people: dict[str | None, object] = {None: None}
    shown = []
    for entry in entries:
        document = msgspec.structs.asdict(entry)
        if names:
            if entry.resident not in people:
                people[entry.resident] = queries.resident(entry.resident or "")
            document["person"] = people[entry.resident]
        shown.append(document)
    return shown
