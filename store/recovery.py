"""A damaged journal: moved aside, never deleted; everything that proves itself taken over into a new one.

Facts keep their places and hashes. What they add up to is made anew from them; what can no longer be proven
is not believed. Runs that were lost are named by a `Recovered` fact, and the chain goes on behind it.
"""

import logging
import os
import sqlite3
import tempfile
from collections.abc import Callable
from pathlib import Path

from protocol.errors import JournalDamaged
from store import migrations, remains, rows, salvage, signing
from store.aside import SIDES, Recovery, beside, finish, free, new_mark
from store.durable import change_mode, sync
from store.facts import Pruned, Recovered
from store.pen import Head, Pen
from store.proof import Run
from store.transaction import Transaction
from store.vault import Vault

log = logging.getLogger(__name__)

JUMP = 1000
"""So many places are left free where nobody can say how many facts were lost at the end."""


def recover(path: Path, pen_of: Callable[[sqlite3.Connection], Pen]) -> Recovery:
    """Make a new journal of what the damaged one at *path* still proves, and put it in its place.

    The caller holds the journal's lock. Cut off anywhere, `finish` at the next start leaves either the
    damaged journal as it was or the new one. Raises JournalDamaged where nothing can be proven, and OSError
    or sqlite3.Error where the disk has no room for two more copies: nothing was changed then.
    """
    finish(path)
    fresh = beside(path, "recovering")
    os.close(os.open(fresh, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600))
    target = sqlite3.connect(fresh, isolation_level=None, cached_statements=256)
    try:
        _tables(target, fresh)
        pen = pen_of(target)._replace(mark=new_mark())
        target.execute("BEGIN IMMEDIATE")
        in_the_way = _without_triggers(target)
        with salvage.opened(path, fresh, target) as source:
            found = _taken(pen, path, source)
        for sql in in_the_way:
            target.execute(sql)
        target.execute("COMMIT")
        target.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        change_mode(target, "DELETE")
    except BaseException:
        target.close()
        for side in SIDES:
            fresh.with_name(fresh.name + side).unlink(missing_ok=True)
        raise
    target.close()
    sync(fresh)
    aside = free(path)
    fresh.replace(beside(path, "recovered"))
    sync(path.parent)
    finish(path)
    log.error(
        "the journal was damaged and is made anew", extra={"count": found.kept, "code": "store.recovered"}
    )
    return Recovery(aside, found.kept, found.lost, len(found.people))


def _tables(target: sqlite3.Connection, path: Path) -> None:
    """Make the tables of an empty journal, without a key and with facts in any order."""
    target.execute("PRAGMA page_size = 1024")
    change_mode(target, "WAL")
    with tempfile.TemporaryDirectory() as scratch:
        migrations.migrate(target, path, Vault(Path(scratch) / "key"))
    target.execute("DELETE FROM keys")
    target.execute("PRAGMA secure_delete = ON")
    target.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # its first page may be needed


def _without_triggers(target: sqlite3.Connection) -> list[str]:
    """Take away what keeps facts in order without a gap; return what makes it again."""
    found = target.execute(
        "SELECT name, sql FROM sqlite_master WHERE type = 'trigger' AND tbl_name IN ('facts', 'heads')"
    ).fetchall()
    for name, _ in found:
        target.execute(f"DROP TRIGGER {name}")
    return [sql for _, sql in found]


def _taken(pen: Pen, path: Path, source: sqlite3.Connection) -> Recovered:
    """Make the rest of what the facts say; return the fact that says what was lost."""
    target = pen.connection
    let_go = _let_go(target)
    lost = _lost(target, let_go)
    last = _last(target)
    if last is None:
        raise JournalDamaged(f"nothing in {path} can be proven")
    remains.keys(target, source, pen.vault)
    ring = pen.vault.look_again(target)
    rebuilt = remains.Rebuilt(target, source, pen.forwarders, let_go)
    lost = _joined([*lost, *rebuilt.lost])
    people = remains.sealed(target, source, ring, rebuilt.sealed)
    heads = remains.heads(target, source, ring)
    top, certain = remains.end(source)
    end = max(top, last.seq) + (0 if certain and top >= last.seq else JUMP)
    if end > last.seq:
        lost.append((last.seq + 1, end))
    unsettled = rebuilt.unsettled() if lost else {}
    body = Recovered(
        lost=lost,
        kept=target.execute("SELECT count(*) FROM facts").fetchone()[0],
        file=free(path).name,
        heads=heads,
        people=people,
        versions={key: version for key, (version, _) in unsettled.items()},
    )
    target.execute("INSERT INTO head(one, mark, seq, hash) VALUES (1, ?, ?, ?)", (pen.mark, *last[:2]))
    opening = Transaction(pen, Head.of(target, end, last.hash))
    opening.append(body)
    if remains.unnamed(target):
        opening.name_key()
    if lost:
        rebuilt.settle(opening, unsettled)
    opening.seal()
    signing.write(target, ring, opening.head[:2], opening.facts)
    return body


def _last(target: sqlite3.Connection) -> Head | None:
    row: tuple[int, bytes] | None = target.execute(
        "SELECT seq, hash FROM facts ORDER BY seq DESC LIMIT 1"
    ).fetchone()
    return Head(*row) if row else None


def _lost(target: sqlite3.Connection, let_go: list[Run]) -> list[Run]:
    """Take out what does not continue the fact before it; return what is missing, bodies too."""
    found, strangers = list[Run](), list[int]()
    after, prev = 0, None
    for seq, bare, before, digest in target.execute(
        "SELECT seq, body IS NULL, prev, hash FROM facts ORDER BY seq"
    ):
        stranger = seq == after + 1 and prev is not None and before != prev
        if seq > after + 1:
            found.append((after + 1, seq - 1))
        if stranger:
            strangers.append(seq)
        if stranger or (bare and not any(low <= seq <= high for low, high in let_go)):
            found.append((seq, seq))
        after, prev = seq, None if stranger else digest
    target.executemany("DELETE FROM facts WHERE seq = ?", [(seq,) for seq in strangers])
    return _joined(found)


def _let_go(target: sqlite3.Connection) -> list[Run]:
    """Return the runs of facts whose bodies were let go by policy."""
    kind = b'{"kind":"pruned"'
    found: list[Run] = []
    for (body,) in target.execute("SELECT body FROM facts WHERE substr(body, 1, ?) = ?", (len(kind), kind)):
        said = rows.decode_body(body)
        found += said.facts if isinstance(said, Pruned) else []
    return found


def _joined(runs: list[Run]) -> list[Run]:
    found: list[Run] = []
    for first, last in sorted(runs):
        if found and found[-1][1] >= first - 1:
            found[-1] = (found[-1][0], max(last, found[-1][1]))
        else:
            found.append((first, last))
    return found
