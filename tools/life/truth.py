"""What really happened, beside what the journal and the centre say of it; a difference is `Broken`."""

import json
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from gateway.identifiers import CN_ID
from store import chain
from store.facts import Bound, Fact, Pruned, Received, Reissued
from store.queries import Queries
from tools.life.centre import Centre
from tools.life.world import World

BY_RULE = "rule:"
LATEST = 20
"""Exams looked up each evening; all of them are in the end."""
SENDABLE = ("final", "corrected")


@dataclass(slots=True)
class Act:
    """One person used one machine once, and it found these values."""

    machine: str
    found: tuple[str, ...]
    person: int
    exam: str | None
    """The exam that was open for them; None for somebody who just sat down."""
    measurement: str | None = None
    """What it became in the journal first."""


@dataclass(slots=True)
class Standing:
    """A measurement's latest version, as a puller has it."""

    version: int
    status: str
    resident: str | None
    """The identity number of whom it belongs to."""
    bound_by: str
    values: tuple[tuple[str, str], ...]


class _Row(msgspec.Struct):
    seq: int
    id: str
    at: msgspec.Raw
    body: msgspec.Raw
    body_hash: str
    prev: str
    hash: str


_row = msgspec.json.Decoder(_Row).decode


@dataclass(slots=True)
class Tally:
    """How much was lived through."""

    exams: int = 0
    acts: int = 0
    facts: int = 0
    measurements: int = 0
    sent: int = 0
    starts: int = 0
    crashes: int = 0
    power_cuts: int = 0
    clock_steps: int = 0
    pruned: int = 0
    """Raw frames let go."""
    days_checked: int = 0


class Truth:
    """Everything the people of one life know."""

    def __init__(self, world: World, numbers: Sequence[str]) -> None:
        """*numbers* are the identity numbers of all people, by person."""
        self.tally = Tally()
        self.exams: dict[str, int] = {}
        """Exams whose opening was confirmed, and of whom."""
        self.act_of: dict[str, Act] = {}
        """By measurement id; a reissued one is the same act."""
        self.loose: dict[str, None] = {}
        """Measurements the doctor has not looked at since they came or were bound."""
        self._world, self._numbers = world, numbers
        self._acts: dict[tuple[str, tuple[str, ...]], deque[Act]] = {}
        self._shown: dict[str, list[Act]] = {}
        self._taken: dict[str, int] = {}
        self._durable: list[tuple[int, str]] = []
        self._bound_by_rule: list[Bound] = []
        self._standing: dict[str, Standing] = {}
        self._changed: dict[str, Standing] = {}
        """Those with a new version since the last check."""
        self._versions: dict[tuple[str, int], Standing] = {}
        self._counted: dict[int, str] = {}
        """By act, the one measurement of it that counts at the centre."""
        self._cursor: str | None = None
        self._last = ""
        """The hash of the fact looked at last."""
        self._seen = 0

    def act(self, machine: str, found: tuple[str, ...], person: int, exam: str | None) -> Act:
        """Somebody sits down at a machine."""
        one = Act(machine, found, person, exam)
        self._acts.setdefault((machine, found), deque()).append(one)
        self._shown.setdefault(machine, []).append(one)
        self.tally.acts += 1
        return one

    def is_new(self, machine: str, found: tuple[str, ...]) -> bool:
        """Say whether nobody was ever found so by this machine."""
        return (machine, found) not in self._acts

    def acknowledged(self, machine: str) -> None:
        """The machine was told that its oldest result is safe, and forgets it: then it must be on disk."""
        turn = self._taken.get(machine, 0)
        self._taken[machine] = turn + 1
        if self._shown[machine][turn].measurement is None:
            self._world.breaks(f"{machine}: result {turn} was acknowledged and is not in the journal")

    def durable(self, facts: Sequence[Fact]) -> None:
        """These facts were committed."""
        for fact in facts:
            self._world.note("fact", fact.seq, fact.hash.hex()[:16])
            self._durable.append((fact.seq, fact.hash.hex()))
            self.tally.facts += 1
            match fact.body:
                case Received() as body:
                    self._received(body)
                case Reissued() as body if body.of in self.act_of:
                    self.act_of[body.measurement] = self.act_of[body.of]
                case Bound() as body:
                    self._bound(body)
                case Pruned() as body:
                    self.tally.pruned += sum(last - first + 1 for first, last in body.facts)
                case _:
                    pass

    def _bound(self, body: Bound) -> None:
        if body.measurement in self.act_of:
            self.loose[body.measurement] = None
        if body.by.startswith(BY_RULE) and body.exam:
            self._bound_by_rule.append(body)

    def _received(self, body: Received) -> None:
        self.tally.measurements += 1
        if body.failed:
            return
        found = found_of(body.reading, {name: value.value for name, value in body.values.items()})
        acts = self._acts.get((body.device, found))
        if not acts:
            self._world.breaks(f"{body.device}: {found} was never found on anybody, or is there twice")
        act = acts.popleft()
        act.measurement = body.measurement
        self.act_of[body.measurement] = act

    def check_day(self, queries: Queries, centre: Centre) -> None:
        """See that everything durable is there, in order, of the right people, and nothing more is sent."""
        self._check_facts(queries)
        self._read_pages(queries)
        self._check_bindings(queries)
        self._check_centre(centre)
        self._check_exams(queries, list(self.exams)[-LATEST:])
        self.tally.days_checked += 1

    def _check_exams(self, queries: Queries, exams: Sequence[str]) -> None:
        for exam in exams:
            if queries.exam(exam) is None:
                self._world.breaks(f"{exam} was confirmed and is gone")

    def check_whole(self, queries: Queries) -> None:
        """Have the journal verify all of itself."""
        problems = queries.check().problems
        if problems:
            self._world.breaks(f"verify: {problems[:3]}")

    def check_end(self, queries: Queries, centre: Centre) -> None:
        """See that the centre, well again, has exactly what stands here."""
        self.check_day(queries, centre)
        self._check_exams(queries, list(self.exams))
        self.check_whole(queries)
        self._check_arrived(centre)

    def _check_facts(self, queries: Queries) -> None:
        found: list[tuple[int, str]] = []
        for line in queries.facts(self._seen):
            row = _row(line)
            prev, body_hash = bytes.fromhex(row.prev), bytes.fromhex(row.body_hash)
            hashed = chain.digest(prev, row.seq, row.id, bytes(row.at), body_hash).hex()
            goes_on = row.seq == self._seen + 1 and row.prev == (self._last or row.prev)
            if not goes_on or row.hash != hashed:
                self._world.breaks(f"fact {row.seq} does not continue fact {self._seen}")
            self._seen, self._last = row.seq, row.hash
            found.append((row.seq, row.hash))
        if found != self._durable:
            self._world.breaks(
                f"the journal holds {len(found)} new facts, committed were {len(self._durable)}"
            )
        self._durable.clear()

    def _read_pages(self, queries: Queries) -> None:
        more = True
        while more:
            documents, self._cursor, more = queries.page(self._cursor, 1000)
            for document in map(json.loads, documents):
                self._pulled(document)

    def _pulled(self, document: Mapping[str, Any]) -> None:
        key, before = document["id"], self._standing.get(document["id"])
        if document["version"] != (before.version if before else 0) + 1:
            self._world.breaks(f"{key}: version {document['version']} out of turn")
        who = [one["value"] for one in (document["resident"] or {}).get("identifiers", ())]
        values = tuple((name, value["value"]) for name, value in document["values"].items())
        standing = Standing(
            document["version"],
            document["status"],
            who[0] if who else None,
            document["bound_by"] or "",
            values,
        )
        self._standing[key] = self._changed[key] = self._versions[key, standing.version] = standing

    def _check_bindings(self, queries: Queries) -> None:
        for body in self._bound_by_rule:
            act, exam = self.act_of.get(body.measurement), queries.exam(body.exam or "")
            resident = queries.resident(body.resident or "")
            if act is None:
                continue  # a measurement that failed has no values to tell whose it is
            whose = {one.value for one in resident.identifiers} if resident else set()
            if exam is None or exam.resident != body.resident or self._numbers[act.person] not in whose:
                self._world.breaks(f"{body.measurement} of person {act.person} was bound to {body.exam}")
        self._bound_by_rule.clear()
        for key, one in self._changed.items():
            act = self.act_of.get(key)
            right = act is None or one.resident in {None, self._numbers[act.person]}
            if not right and one.status != "entered-in-error":
                self._world.breaks(f"{key} stands for another person at the end of the day ({one.bound_by})")
        self._changed.clear()

    def _check_centre(self, centre: Centre) -> None:
        """See that what the centre was told since the last look is ours, and no act counts twice there."""
        for key in centre.news:
            for version, status, who, values in centre.held[key].copies:
                ours = self._versions.get((key, version))
                told = who[0][1] if who and who[0][0] == CN_ID else None
                if ours is None or (ours.status, ours.resident, ours.values) != (status, told, values):
                    self._world.breaks(f"the centre has another version {version} of {key}")
            act = self.act_of.get(key)
            if act is not None and self._counts(centre, key):
                before = self._counted.setdefault(id(act), key)
                if before != key and self._counts(centre, before):
                    self._world.breaks(f"{key} and {before} are one act, twice at the centre")
                self._counted[id(act)] = key
        centre.news.clear()

    def _counts(self, centre: Centre, key: str) -> bool:
        """Say whether the centre holds it as valid, and no withdrawal is on its way."""
        return centre.held[key].standing and self._standing[key].status != "entered-in-error"

    def _check_arrived(self, centre: Centre) -> None:
        """See that the centre has the latest version of all that was ever to be sent."""
        for key, one in self._standing.items():
            held = centre.held.get(key)
            if held is None and one.status in SENDABLE:
                self._world.breaks(f"{key} never arrived")
            if held is not None and (one.version, one.status) != held.copies[-1][:2]:
                self._world.breaks(
                    f"{key}: the centre holds version {held.copies[-1][0]}, ours is {one.version}"
                )


def found_of(kind: str, values: Mapping[str, str]) -> tuple[str, ...]:
    """Return what tells one act of this kind from another."""
    return tuple(values.get(name, "") for name in FOUND[kind])


FOUND: Mapping[str, tuple[str, ...]] = {
    "blood_pressure": ("systolic", "diastolic", "pulse_rate"),
    "body_size": ("body_height", "body_weight"),
    "glucose": ("glucose",),
}
