"""Letting raw bodies go by policy: only of what every centre has accepted and nobody can dispute any more.

What goes is the body of a `Received` fact, the machine's own frames; its hash, time and place in the chain
stay, and so do all versions, verdicts, bindings and deliveries. A `Pruned` fact names what was let go.
Nothing is judged by a clock that may be wrong: a fact is old once a later one, written while our clock was
synchronised, is.

Room is given back for new facts, not to the disk: a frame of any size lies in pages of its own, which SQLite
uses again. VACUUM would need the journal's size once more on the disk and keep readings waiting for it.
"""

import sqlite3
from collections.abc import Iterable, Sequence
from datetime import datetime
from itertools import groupby

Run = tuple[int, int]

OLD = """SELECT seq FROM facts WHERE json_extract(CAST(at AS TEXT), '$.synchronised') = 1
         AND json_extract(CAST(at AS TEXT), '$.utc') <= ? ORDER BY seq DESC LIMIT 1"""
IN_FORCE = "SELECT name FROM forwarders WHERE left_at IS NULL"
UNSETTLED = f"""SELECT 1 FROM ({IN_FORCE}) AS f LEFT JOIN outbox AS o
    ON o.forwarder = f.name AND o.measurement = {{0}}.id
    WHERE CASE WHEN {{0}}.status IN ('final', 'corrected')
      THEN o.state IS NOT 'delivered' OR o.version IS NOT o.delivered_version
      ELSE {{0}}.status <> 'entered-in-error' OR coalesce(o.state, 'delivered') <> 'delivered' END
    """  # noqa: S608 - made of the statement above
"""Whether something of a measurement is still owed to a forwarder in force, or to a person's decision."""
SETTLED = f"""m.status IN ('final', 'corrected') AND m.resident IS NOT NULL AND EXISTS ({IN_FORCE})
    AND NOT EXISTS ({UNSETTLED.format("m")})"""
CANDIDATES = f"""SELECT m.id FROM measurements AS m JOIN facts AS r ON r.seq = m.received_seq
    WHERE m.received_seq BETWEEN ? AND ? AND r.body IS NOT NULL
      AND m.device IS NOT NULL AND {SETTLED} AND m.received_seq NOT IN
        (SELECT s.received_seq FROM measurements AS s WHERE EXISTS ({UNSETTLED.format("s")}))
    ORDER BY m.received_seq LIMIT ?"""  # noqa: S608 - made of the statements above
STILL = f"""SELECT m.received_seq FROM measurements AS m JOIN facts AS r ON r.seq = m.received_seq
    WHERE m.id = ? AND r.body IS NOT NULL AND m.device IS NOT NULL AND {SETTLED}"""  # noqa: S608 - as above


def horizon(connection: sqlite3.Connection, before: datetime) -> int:
    """Return the last fact that is certainly from before that moment, 0 if there is none.

    A fact written while our clock was synchronised says so for itself and for all before it.
    """
    row: tuple[int] | None = connection.execute(OLD, (before.strftime("%Y-%m-%dT%H:%M:%SZ"),)).fetchone()
    return row[0] if row else 0


def candidates(connection: sqlite3.Connection, last: int, limit: int) -> list[str]:
    """Return measurements received up to fact *last* whose raw bodies may go, at most *limit*, oldest first.

    Final or corrected ones that belong to somebody, whose latest version every forwarder in force delivered.
    Of a measurement that took over another one's frames both must be settled: the frames are the same.
    """
    return [key for (key,) in connection.execute(CANDIDATES, (1, last, limit))]


def still(connection: sqlite3.Connection, measurements: Iterable[str]) -> list[int]:
    """Return, ascending, the facts with the raw bodies of those that may go now."""
    found = (connection.execute(STILL, (key,)).fetchone() for key in measurements)
    return sorted({row[0] for row in found if row})


def let_go(connection: sqlite3.Connection, facts: Sequence[int]) -> None:
    """Let the bodies of *facts* go; the caller has written which."""
    connection.executemany("UPDATE facts SET body = NULL WHERE seq = ?", ((seq,) for seq in facts))


def runs(facts: Sequence[int]) -> list[Run]:
    """Return first and last of each run of ascending numbers."""
    found = [list(group) for _, group in groupby(enumerate(facts), lambda one: one[1] - one[0])]
    return [(group[0][1], group[-1][1]) for group in found]
