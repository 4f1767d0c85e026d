"""What the world outside was told, and whether a journal still stands by all of it.

Outside the file system under test: whatever was told before the power went must hold afterwards.
"""

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from store.queries import Queries
from tools.faults.centre import Holding
from tools.simulators import Values

MEDIUM = "medium"
"""The folder of a volume that backups go to: no start of the box reads it."""
Said = tuple[str, ...]
"""A machine's result, as both it and the journal can name it: `glucose=5.6`, in order."""


class Acknowledged(NamedTuple):
    """A machine was told that its result is kept."""

    said: Said


class Opened(NamedTuple):
    """A person was told that this exam of this resident is open."""

    exam: str
    name: str


class Closed(NamedTuple):
    """A person was told that this exam is closed."""

    exam: str


class Bound(NamedTuple):
    """A person was told that this measurement belongs to this exam."""

    measurement: str
    exam: str


class Seen(NamedTuple):
    """Somebody pulled this version of a measurement; `document` is its JSON, keys sorted."""

    measurement: str
    version: int
    document: str


class Taken(NamedTuple):
    """The centre took these, as its transaction number `turn`."""

    turn: int
    holdings: tuple[Holding, ...]


class BackedUp(NamedTuple):
    """A backup at this path of the volume was reported good; it holds facts up to `facts`."""

    path: str
    facts: int


Told = Acknowledged | Opened | Closed | Bound | Seen | Taken | BackedUp


def said(values: Values) -> Said:
    """Return the name of a result."""
    return tuple(sorted(f"{measure}={value}" for measure, value in values.items()))


class Standing(NamedTuple):
    """What a journal says when it is open, as far as the oracle asks."""

    problems: Sequence[str]
    """What `journal verify` finds; empty where all holds."""
    documents: Mapping[tuple[str, int], str]
    """Every version of every measurement: its JSON, keys sorted."""
    newest: Mapping[str, int]
    results: Counter[Said]
    """How many machine measurements there are of each result, those that took over another's left out."""
    exams: Mapping[str, tuple[str, str]]
    """Exam to state and resident's name."""
    delivered: Mapping[str, int]
    """Measurement to the version noted as delivered, for those that wait for nothing."""


def standing(queries: Queries) -> Standing:
    """Read all of it; the check reads everything there is."""
    documents = [json.loads(one) for one in _pages(queries)]
    newest = {one["id"]: one for one in documents}
    first = [one for one in newest.values() if one["source"] == "machine" and not one.get("replaces")]
    return Standing(
        problems=[f"fact {one.seq}: {one.what}" for one in queries.check().problems],
        documents={(one["id"], one["version"]): plain(one) for one in documents},
        newest={key: one["version"] for key, one in newest.items()},
        results=Counter(said({k: v["value"] for k, v in one["values"].items()}) for one in first),
        exams={
            one.id: ("closed" if one.closed else "open", getattr(queries.resident(one.resident), "name", ""))
            for one in queries.exams(open=False, limit=10_000)
        },
        delivered={one.measurement: one.version for one in queries.deliveries("delivered", 100_000)},
    )


def _pages(queries: Queries) -> Iterable[bytes]:
    cursor, more = None, True
    while more:
        documents, cursor, more = queries.page(cursor, 1000)
        yield from documents


def plain(document: Mapping[str, Any]) -> str:
    """Return a document as text that is equal exactly if the document is."""
    return json.dumps(document, sort_keys=True, ensure_ascii=False)


@dataclass
class Oracle:
    """Everything told, in order. `told[n]` is what `Note(n)` in a log stands for."""

    told: list[Told] = field(default_factory=list)
    measured: Counter[Said] = field(default_factory=Counter)
    """Every result that a machine ever had, told or not."""
    inherited: set[str] = field(default_factory=set)
    """Measurements that an earlier release delivered to a centre we know nothing of."""

    def broken(self, held: Standing, until: int) -> list[str]:
        """Return each promise among the first *until* told that *held* does not keep."""
        told = self.told[:until]
        acknowledged = Counter(one.said for one in told if isinstance(one, Acknowledged))
        lost = [f"lost: acknowledged {one}" for one in (acknowledged - held.results)]
        invented = [f"invented or twice: {one}" for one in (held.results - self.measured)]
        wrong = [words for one in told if (words := _wrong(one, held))]
        return [*held.problems, *lost, *invented, *wrong, *self._not_delivered(held, told)]

    def _not_delivered(self, held: Standing, told: Sequence[Told]) -> list[str]:
        there: dict[str, int] = {}
        for one in told:
            for holding in one.holdings if isinstance(one, Taken) else ():
                there[holding.measurement] = max(there.get(holding.measurement, 0), holding.version)
        return [
            f"noted as delivered, which the centre does not hold: {key} version {version}"
            for key, version in held.delivered.items()
            if there.get(key, 0) < version and key not in self.inherited
        ]

    def turns(self, until: int) -> int:
        """Return how many transactions the centre had taken when the first *until* were told."""
        return max((one.turn for one in self.told[:until] if isinstance(one, Taken)), default=0)


def _wrong(told: Told, held: Standing) -> str:
    """Return in words what is wrong, nothing where the promise holds."""
    match told:
        case Opened(exam, name):
            known = held.exams.get(exam)
            if known is None:
                return f"lost: exam {exam}"
            return "" if known[1] == name else f"lost: the name of {exam}"
        case Closed(exam):
            return "" if held.exams.get(exam, ("", ""))[0] == "closed" else f"lost: the end of exam {exam}"
        case Bound(measurement, exam):
            there = any(
                f'"exam": "{exam}"' in one for key, one in held.documents.items() if key[0] == measurement
            )
            return "" if there else f"lost: that {measurement} belongs to {exam}"
        case Seen(measurement, version, document):
            found = held.documents.get((measurement, version))
            if found is None:
                return f"lost: {measurement} version {version}, which was pulled"
            return "" if found == document else f"changed: {measurement} version {version}"
        case Taken(_, holdings):
            gone = [one for one in holdings if (one.measurement, one.version) not in held.documents]
            return f"lost: {gone[0]}, which the centre holds" if gone else ""
        case _:
            return ""
