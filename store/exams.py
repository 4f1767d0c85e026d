"""An exam as it stands: one resident's visit at the machines, read back from the projections."""

import msgspec

from store.facts import Instant


class Skipped(msgspec.Struct, frozen=True):
    """An examination not done at this visit, and why."""

    reading: str
    reason: str
    operator: str


class Exam(msgspec.Struct, frozen=True):
    """One visit; open while `closed` is None. `opened_seq` orders exams, never the clock."""

    id: str
    resident: str
    operator: str
    opened: Instant
    closed: Instant | None
    opened_seq: int
    skipped: list[Skipped] = []
