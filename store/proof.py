"""The facts as they lie in the file, each judged by itself, by its neighbours and by who signed for them.

What is missing or bare must be named by a later fact: `Pruned` for bodies let go, `Recovered` for what was
lost. Whoever changes a fact leaves its hash wrong; whoever makes all hashes anew leaves a signature wrong.
"""

import sqlite3
import struct
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping
from hashlib import sha256
from typing import NamedTuple

import msgspec

from store import chain, history, rows, signing
from store.chain import Link, Problem
from store.facts import Fact, KeyChanged, Pruned, Recovered
from store.signing import SignedHead

LINKS = "SELECT seq, id, at, body, body_hash, prev, hash FROM facts"
_COMMANDS = "SELECT seq, command, id, at, body, body_hash, prev, hash FROM facts ORDER BY seq"
UNREADABLE = (
    ValueError,
    TypeError,
    AttributeError,
    struct.error,
    msgspec.MsgspecError,
    sqlite3.DatabaseError,
)
"""What reading a damaged row or page may raise."""

FAR = 1000
"""How far back a signed end that was taken away is looked for, so that it can be named."""
Run = tuple[int, int]
"""First and last seq of facts that lie one behind the other."""


class Step(NamedTuple):
    """One fact, the first fact of its command, and what is in it; None where it is bare or unreadable."""

    link: Link
    command: int
    fact: Fact | None


class Runs:
    """Seqs told in ascending order, kept as runs: however many there are, few."""

    def __init__(self) -> None:
        self.found: list[Run] = []

    def add(self, first: int, last: int) -> None:
        """Add a run that begins at or after the last one's end."""
        if self.found and self.found[-1][1] == first - 1:
            first = self.found.pop()[0]
        self.found.append((first, last))

    def __contains__(self, seq: int) -> bool:
        place = bisect_right(self.found, (seq, 1 << 62))
        return place > 0 and self.found[place - 1][1] >= seq

    def outside(self, named: Iterable[Run]) -> Iterator[Run]:
        """Yield the parts that lie in none of the runs *named*."""
        known = sorted(named)
        for first, last in self.found:
            start = first
            for low, high in known:
                if high < start or low > last:
                    continue
                if low > start:
                    yield start, low - 1
                start = max(start, high + 1)
            if start <= last:
                yield start, last


class Signer(NamedTuple):
    """Who may sign from a fact on."""

    key: str
    seals: bytes
    public: bytes
    """Checks its signatures."""


class Proof:
    """One pass over all facts: take all of `steps` first, then ask the rest."""

    def __init__(self, connection: sqlite3.Connection, anchor: tuple[int, bytes] | None = None) -> None:
        """*anchor* is an end of the chain as it was noted elsewhere."""
        self._connection = connection
        self._anchor = anchor
        self.bare = Runs()
        """Facts without a body."""
        self.problems: list[Problem] = []
        """What was found since they were last taken away."""
        self.notes: list[Problem] = []
        """What cannot be proven, and is no sign of a change."""
        self.signed = 0
        """Up to here the facts are vouched for by a signature."""
        self.last: tuple[int, bytes] = (0, signing.root(connection))
        self.lost: list[Run] = []
        self.signers: list[tuple[int, Signer]] = []
        """Who signs from which fact on, in order."""
        self.days: dict[str, str] = {}
        """By device, the day up to which its days cannot be added up again since bodies were let go."""
        self.rooted = False
        """Whether the chain begins with a key, not with a fact from before there were signatures."""
        self.people: set[str] = set()
        """Residents who can no longer be named since a recovery."""
        self._missing = Runs()
        self._pruned: list[Run] = []
        self._lost_heads: set[int] = set()
        self._before: Signer | None = None
        """Who still has to sign for the one who signs now."""
        self._kept = 0
        self._latest = ("", b"")
        """The end kept last: its seq, and its key and signature."""
        self._waiting: list[tuple[int, int]] = []
        """Signed ends that name another one before them than there is: (seq, the one they name)."""

    def steps(self) -> Iterator[Step]:
        """Yield every fact in order."""
        self._begin()
        heads = self._heads()
        head = next(heads, None)
        while head is not None and head.seq == 0:
            self._signed(head, self.last[1])
            head = next(heads, None)
        command = 0
        for row in self._connection.execute(_COMMANDS):
            step = self._step(row, command)
            command = step.command
            while head is not None and head.seq < step.link.seq:
                self._signed(head, None)
                head = next(heads, None)
            yield step
            if head is not None and head.seq == step.link.seq:
                self._signed(head, step.link.hash)
                head = next(heads, None)
        while head is not None:
            self._signed(head, None)
            head = next(heads, None)

    def _say(self, seq: int, what: str) -> None:
        self.problems.append(Problem(seq, what))

    def _begin(self) -> None:
        """Begin with the key the chain itself begins with."""
        row: tuple[bytes, str, bytes | None, bytes | None] | None = self._connection.execute(
            """SELECT h.hash, h.key, k.public, k.signs FROM heads AS h LEFT JOIN keys AS k ON k.id = h.key
               WHERE h.seq = 0"""
        ).fetchone()
        if row is None:
            return
        digest, key, public, signs = row
        if public is None or signs is None or chain.root(key, public, signs) != digest:
            self._say(0, f"keys {key}: is not the key that the chain begins with")
        self.rooted = True
        self.signers.append((0, Signer(key, public or b"", signs or b"")))

    def _heads(self) -> Iterator[SignedHead]:
        for row in self._connection.execute(f"{signing.KEPT} ORDER BY seq"):
            yield SignedHead(*row)

    def _step(self, row: tuple[object, ...], command_before: int) -> Step:
        link = msgspec.convert((row[0], *row[2:]), Link)
        command = msgspec.convert(row[1], int)
        after, prev = self.last
        gap = link.seq != after + 1
        if gap:
            self._missing.add(after + 1, link.seq - 1)
        elif link.prev != prev:
            self._say(link.seq, "does not continue the fact before it")
        if link.seq < 1:
            self._say(link.seq, "is no place in the chain")
        elif chain.digest(link.prev, link.seq, link.id, link.at, link.body_hash) != link.hash:
            self._say(link.seq, "its hash does not fit what it holds")
        if command > link.seq or not (gap or command in {link.seq, command_before}):
            self._say(link.seq, "is said to be of a command that it is not of")
        if self._anchor is not None and self._anchor[0] == link.seq and self._anchor[1] != link.hash:
            self._say(link.seq, "is not the end of the chain that was noted elsewhere")
        self.last = (link.seq, link.hash)
        fact = self._read(link)
        if fact is not None:
            self._learn(fact)
        return Step(link, command, fact)

    def _read(self, link: Link) -> Fact | None:
        if link.body is None:
            self.bare.add(link.seq, link.seq)
            return None
        if sha256(link.body).digest() != link.body_hash:
            self._say(link.seq, "its body was changed")
            return None
        try:
            at, body = rows.decode_instant(link.at), rows.decode_body(link.body)
        except UNREADABLE as error:
            self._say(link.seq, f"cannot be read: {error}")
            return None
        return Fact(link.seq, link.id, at, body, link.prev, link.hash)

    def _learn(self, fact: Fact) -> None:
        match fact.body:
            case KeyChanged(signs=signs) if signs:
                self._key(fact.seq, fact.body)
            case Pruned(facts=runs, days=days):
                self._pruned += runs
                self._carry(days)
            case Recovered(lost=runs, heads=heads, people=people):
                self.people |= set(people)
                self.lost += runs
                self._lost_heads |= set(heads)
                if self._before is not None:
                    what = "what the key before signed for this one is lost"
                    self.notes.append(Problem(self.signers[-1][0], what))
                    self._before = None
            case _:
                pass

    def _carry(self, days: Mapping[str, Mapping[str, str]]) -> None:
        for device, said in days.items():
            for day in said:
                if day.endswith(history.UP_TO):
                    self.days[device] = max(self.days.get(device, ""), day.removesuffix(history.UP_TO))

    def _key(self, seq: int, body: KeyChanged) -> None:
        before = self.signers[-1][1] if self.signers else None
        signer = Signer(body.key, bytes.fromhex(body.seals), bytes.fromhex(body.signs))
        self.signers.append((seq, signer))
        if before is None:
            self.notes.append(Problem(seq, "the first key: the facts before it were signed for with it only"))
        elif body.lost:
            facts = f"facts {self.signed + 1} to {seq}"
            what = f"key {before.key} was lost: {facts} are signed for by the next one only"
            self.notes.append(Problem(seq, what))
        else:
            self._before = self._before or before

    def _signed(self, head: SignedHead, digest: bytes | None) -> None:
        """Judge a kept end of the chain; *digest* is the hash of the fact it is about, if it is there."""
        if head.after != self._kept:
            self._waiting.append((head.seq, head.after))
        self._kept, self._latest = head.seq, (head.key, head.signature)
        if digest is None:
            if not any(low <= head.seq <= high for low, high in self.lost):
                self._say(head.seq, "was signed for and is not there")
        elif digest != head.hash:
            self._say(head.seq, "is not the fact that was signed for")
        self._judge(head)

    def _judge(self, head: SignedHead) -> None:
        if not self.signers:
            self._say(head.seq, f"is signed with key {head.key}, which no fact names")
            return
        signer = self._before or self.signers[-1][1]
        self._before = None
        if head.key != signer.key:
            self._say(head.seq, f"is signed with key {head.key}, not with {signer.key}")
        elif not signing.holds(signer.public, head):
            self._say(head.seq, "its signature does not hold")
        else:
            self.signed = max(self.signed, head.seq)

    def end(self) -> Iterator[Problem]:
        """Yield what only the whole shows: what is missing, bare or unsigned without a fact that says so."""
        yield from self._end()
        for first, last in self._missing.outside(self.lost):
            yield Problem(first, f"facts {first} to {last} are missing")
        for first, last in self.bare.outside([*self._pruned, *self.lost]):
            for seq in range(first, last + 1):
                yield Problem(seq, "its body is gone, and no fact says that it was let go")
        for seq, named in self._waiting:
            if named not in self._lost_heads:
                yield Problem(named, f"the end signed here is missing; the one at {seq} names it")
        if self._anchor is not None and self._anchor[0] > self.last[0]:
            what = "was noted elsewhere and is not there: the end was cut off, or an older copy put in place"
            yield Problem(self._anchor[0], what)

    def _named_by(self, mark: str) -> bool:
        """Say whether the last fact's id is made of this mark."""
        row: tuple[str] = self._connection.execute(
            "SELECT id FROM facts WHERE seq = ?", (self.last[0],)
        ).fetchone()
        return row[0] == f"{mark}-{self.last[0]}"

    def _missing_end(self, newest: SignedHead) -> Iterator[Problem]:
        """Yield the signed end kept last, if that it is missing is why *newest* does not hold."""
        signer = self.signers[-1][1] if self.signers else None
        for seq in range(max(self._kept + 1, newest.seq - FAR), newest.seq):
            if signer is not None and signing.holds(signer.public, newest._replace(after=seq)):
                yield Problem(seq, "the end signed here is missing; the newest one names it")

    def _end(self) -> Iterator[Problem]:
        """Judge the note of the chain's end."""
        row: tuple[int, bytes, str] | None = self._connection.execute(
            "SELECT seq, hash, mark FROM head"
        ).fetchone()
        seq = self.last[0]
        if row is None:
            yield Problem(seq, "the note of the chain's end is missing")
            return
        if seq and not self._named_by(row[2]):
            yield Problem(seq, f"head: {row[2]} is not this journal's mark")
        if row[0] > seq:
            yield Problem(seq + 1, f"facts {seq + 1} to {row[0]} are missing at the end")
        elif row[:2] != self.last:
            yield Problem(seq, "is not the end of the chain that was written")
        newest = signing.newest(self._connection)
        if newest is not None and newest.seq == self._kept:
            if (newest.key, newest.signature) != self._latest:
                yield Problem(newest.seq, "is not signed at the end of the chain as it is where that is kept")
        elif newest is not None:
            self.problems.clear()
            self._judge(newest)
            yield from self._missing_end(newest) if self.problems else ()
            yield from self.problems
        elif seq:
            what = f"facts {self.signed + 1} to {seq} bear no signature: the key was not at hand"
            self.notes.append(Problem(seq, what))
        if self._before is not None:
            yield Problem(self.signers[-1][0], "names a key that the one before it did not sign for")
