"""`python -m tools.faults.tamper`: a journal changed in random ways; each change is found or means nothing.

Somebody who knows SQLite edits, deletes, inserts, swaps and cuts rows, and forges tails with all their hashes;
somebody with a hex editor changes bytes of the file and of its WAL. Then `journal verify` must name the row, or
what is stored must be the same.
"""  # noqa: E501

import json
import sqlite3
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import click

from protocol.errors import GatewayError
from store import chain, keyring
from store.queries import Queries
from store.vault import Vault
from tools.faults.specimen import Specimen, made

NOTES_OF_WORK = {
    "outbox": {"attempts", "reason"},
    "unsure": {"n", "measurement"},
    "timed": {"one", "seq"},
    "_sqlite_migrations": {"id", "migration_set", "name", "applied_at"},
    "forwarders": {"name", "left_at"},
}
"""What no fact tells of because it is no evidence: how often was tried, which times to look at again, which
steps made the tables (their number is checked), whom the configuration names (each start writes that anew)."""  # noqa: E501
SAME = {"facts": {"command"}, "keys": {"turn"}, "data_keys": {"n"}}
"""What only orders rows: the check says where another value would mean another order."""
WEIGHTS = (40, 15, 12, 15, 5, 8, 5)
TELLING = 7
"""A text of a row names it if it is longer than this: an id, not a status."""
SIDES = ("journal.db", "journal.db-wal")

Row = tuple[Any, ...]


class Tried(NamedTuple):
    """One change: what was done, to which row if one can be told, and what came of it."""

    case: int
    what: str
    row: str
    outcome: str
    """found, void (means the same), notes (of work under way), unread (SQLite drops it), or MISSED."""
    named: bool


class Tamperer:
    """Changes one journal file through SQL, as somebody does who knows it."""

    def __init__(self, path: Path, chance: Random) -> None:
        self.raw = sqlite3.connect(path, isolation_level=None)
        self.raw.execute("PRAGMA journal_mode = DELETE")
        self.chance = chance
        self.what = ""
        self.table = ""
        self.row = ""
        self.seqs: set[int] = set()
        self.texts: set[str] = set()
        """What names the rows that were touched: a fact's seq, or one of these."""

    def tables(self) -> list[str]:
        """Return the names of all tables that hold something."""
        found = self.raw.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")
        names = [name for (name,) in found if not name.startswith("sqlite_")]
        return [name for name in names if self.raw.execute(f'SELECT 1 FROM "{name}"').fetchone()]  # noqa: S608

    def columns(self, table: str) -> list[tuple[str, int]]:
        """Return a table's columns, and which place in the primary key each has (0: none)."""
        return [(row[1], row[5]) for row in self.raw.execute(f'PRAGMA table_info("{table}")')]

    def rows(self, table: str) -> list[Row]:
        """Return a table's rows in the order of its key."""
        return self.raw.execute(f'SELECT * FROM "{table}" ORDER BY 1, 2').fetchall()  # noqa: S608

    def run(self) -> None:
        """Make one change with the triggers out of the way, and put them back."""
        triggers = self.raw.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'").fetchall()
        self.raw.execute("BEGIN")
        for name, _ in triggers:
            self.raw.execute(f"DROP TRIGGER {name}")
        changes = (self.edit, self.delete, self.insert, self.swap, self.cut, self.forge, self.schema)
        changed = 0
        while not changed:
            self.seqs, self.texts = set(), set()
            self.raw.execute("SAVEPOINT change")
            before = self.raw.total_changes
            try:
                self.chance.choices(changes, WEIGHTS)[0]()
                changed = self.raw.total_changes - before or self.table == "schema"
            except sqlite3.IntegrityError:  # what a table itself refuses is no change
                self.raw.execute("ROLLBACK TO change")
            self.raw.execute("RELEASE change")
        for _, sql in triggers:
            self.raw.execute(sql)
        self.raw.execute("COMMIT")

    def pick(self) -> tuple[str, list[tuple[str, int]], Row]:
        """Choose a row; small tables as often as large ones."""
        self.table = self.chance.choice(self.tables())
        row = self.chance.choice(self.rows(self.table))
        columns = self.columns(self.table)
        self.mark(columns, row)
        return self.table, columns, row

    def mark(self, columns: Sequence[tuple[str, int]], row: Row) -> None:
        """Keep how this row may be named."""
        key = [str(one) for (_, place), one in zip(columns, row, strict=True) if place]
        self.row = f"{self.table} {'/'.join(key)}"
        self.texts |= {self.row, *(one for one in row if isinstance(one, str) and len(one) > TELLING)}
        self.seqs |= {
            one for (name, _), one in zip(columns, row, strict=True) if name == "seq" and isinstance(one, int)
        }

    def where(self, columns: Sequence[tuple[str, int]], row: Row) -> tuple[str, list[Any]]:
        """Return what finds a row: its key."""
        keyed = [(name, one) for (name, place), one in zip(columns, row, strict=True) if place]
        return " AND ".join(f'"{name}" IS ?' for name, _ in keyed), [one for _, one in keyed]

    def other(self, value: Any) -> Any:
        """Return another value of the same type."""
        match value:
            case int():
                return value + self.chance.choice([-100, -2, -1, 1, 2, 1000])
            case str() if value:
                place = self.chance.randrange(len(value))
                return value[:place] + self.chance.choice("0159afz") + value[place + 1 :]
            case bytes() if value:
                place = self.chance.randrange(len(value))
                changed = value[place] ^ (1 << self.chance.randrange(8))
                return value[:place] + bytes([changed]) + value[place + 1 :]
            case None:
                return self.chance.choice([1, "x", b"x"])
            case str():
                return "x"
            case bytes():
                return b"x"
            case _:
                return value

    def edit(self) -> None:
        """Give one value of a row another content, that of another row, or none."""
        table, columns, row = self.pick()
        place = self.chance.randrange(len(columns))
        name = columns[place][0]
        value: Any = self.other(row[place])
        if self.chance.random() < 0.2:
            value = self.chance.choice(self.rows(table))[place]
        elif self.chance.random() < 0.1:
            value = None
        self.what = f"edit {table}.{name}"
        if isinstance(value, str):
            self.texts.add(value)
        elif name == "seq" and isinstance(value, int):
            self.seqs.add(value)
        if value != row[place]:
            where, key = self.where(columns, row)
            self.raw.execute(f'UPDATE "{table}" SET "{name}" = ? WHERE {where}', (value, *key))  # noqa: S608

    def delete(self) -> None:
        """Take a row out."""
        table, columns, row = self.pick()
        self.what = f"delete {table}"
        where, key = self.where(columns, row)
        self.raw.execute(f'DELETE FROM "{table}" WHERE {where}', key)  # noqa: S608

    def insert(self) -> None:
        """Put a row in that looks like another one."""
        table, columns, row = self.pick()
        self.what = f"insert {table}"
        fresh = [self.other(one) if place else one for (_, place), one in zip(columns, row, strict=True)]
        self.mark(columns, tuple(fresh))
        self.raw.execute(f'INSERT INTO "{table}" VALUES ({", ".join("?" * len(fresh))})', fresh)  # noqa: S608

    def swap(self) -> None:
        """Let two rows change places, or one of their values."""
        table, columns, row = self.pick()
        other = self.chance.choice(self.rows(table))
        plain = [number for number, (_, place) in enumerate(columns) if not place]
        chosen = plain if self.chance.random() < 0.4 or not plain else [self.chance.choice(plain)]
        if [row[number] for number in chosen] == [other[number] for number in chosen]:
            return
        self.what = f"swap {table}" + ("" if len(chosen) > 1 else f".{columns[chosen[0]][0]}")
        names = ", ".join(f'"{columns[number][0]}" = ?' for number in chosen)
        self.mark(columns, other)
        for mine, theirs in ((row, other), (other, row)):
            where, key = self.where(columns, mine)
            values = [theirs[number] for number in chosen]
            self.raw.execute(f'UPDATE "{table}" SET {names} WHERE {where}', (*values, *key))  # noqa: S608

    def cut(self) -> None:
        """Cut everything off behind a row of one table."""
        table, columns, row = self.pick()
        self.what = f"cut {table}"
        first = columns[0][0]
        self.raw.execute(f'DELETE FROM "{table}" WHERE "{first}" >= ?', (row[0],))  # noqa: S608

    def schema(self) -> None:
        """Change what the tables are made of."""
        self.what = self.chance.choice(["drop index", "add trigger", "add table", "user_version"])
        self.table, self.row = "schema", ""
        match self.what:
            case "drop index":
                found = self.raw.execute(
                    "SELECT name FROM sqlite_master WHERE type = 'index' AND sql NOT NULL"
                )
                name = self.chance.choice([row[0] for row in found if "migrations" not in row[0]])
                self.raw.execute(f"DROP INDEX {name}")
            case "add trigger":
                body = "DELETE FROM audits WHERE seq = NEW.seq"
                self.raw.execute(f"CREATE TRIGGER quiet AFTER INSERT ON facts BEGIN {body}; END")
            case "add table":
                self.raw.execute("CREATE TABLE more(one TEXT)")
            case _:
                self.raw.execute(f"PRAGMA user_version = {self.chance.choice([3, 5])}")

    def forge(self) -> None:
        """Change a fact and make all hashes after it anew, as far as that goes without the key."""
        self.table = "facts"
        first = self.chance.choice(self.rows("facts"))
        self.row, self.what = f"facts {first[0]}", "forge a tail"
        todo = self.raw.execute(
            "SELECT seq, id, at, body, body_hash, prev FROM facts WHERE seq >= ? ORDER BY seq", (first[0],)
        ).fetchall()
        prev = todo[0][5]
        for seq, key, at, body, body_hash, _ in todo:
            held, hashed = body, body_hash
            if seq == first[0]:
                held = (body or b'{"kind":"exam_closed","exam":"e-1","operator":"x"}').replace(b"1", b"7", 1)
                hashed = sha256(held).digest()
            digest = chain.digest(prev, seq, key, at, hashed)
            self.raw.execute(
                "UPDATE facts SET body = ?, body_hash = ?, prev = ?, hash = ? WHERE seq = ?",
                (held, hashed, prev, digest, seq),
            )
            prev = digest
        self.seqs |= {row[0] for row in todo}
        self.raw.execute("UPDATE head SET hash = ?", (prev,))
        if self.chance.random() < 0.3:
            self.raw.execute("DELETE FROM heads WHERE seq >= ?", (first[0],))
        if self.chance.random() < 0.3:
            self.raw.execute("UPDATE head SET key = NULL, signature = NULL")

    def close(self) -> None:
        """Let the file go."""
        self.raw.close()


def spoiled(path: Path, chance: Random) -> str:
    """Change bytes of the file or its WAL; return what was done."""
    sides = [path.with_name(name) for name in SIDES if path.with_name(name).exists()]
    side = chance.choice(sides)
    content = bytearray(side.read_bytes())
    what = chance.choice(["flip", "flip", "flip", "noise", "zero", "copy", "swap", "truncate", "append"])
    place = chance.randrange(len(content))
    page = place // 512 * 512
    other = chance.randrange(len(content)) // 512 * 512
    match what:
        case "flip":
            content[place] ^= 1 << chance.randrange(8)
        case "noise":
            length = chance.choice([1, 4, 16, 64])
            content[place : place + length] = chance.randbytes(min(length, len(content) - place))
        case "zero":
            content[page : page + 512] = bytes(len(content[page : page + 512]))
        case "copy":
            content[page : page + 512] = content[other : other + 512].ljust(
                len(content[page : page + 512]), b"\0"
            )
        case "swap":
            mine, theirs = content[page : page + 512], content[other : other + 512]
            if len(mine) == len(theirs):
                content[page : page + 512], content[other : other + 512] = theirs, mine
        case "truncate":
            del content[place:]
        case _:
            content += chance.randbytes(chance.choice([1, 512, 1024]))
    side.write_bytes(content)
    return f"{what} {side.suffix[1:]}"


def content(path: Path, *, notes: bool) -> list[Any] | None:
    """Return all that is stored, table by table, None where it cannot be read; *notes*: of work, too."""
    try:
        raw = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    except sqlite3.Error:
        return None
    try:
        found: list[Any] = [raw.execute("PRAGMA user_version").fetchone()]
        objects = raw.execute("SELECT type, name, tbl_name, sql FROM sqlite_master ORDER BY name").fetchall()
        found += objects
        for kind, name, _, _ in objects:
            if kind == "table" and not name.startswith("sqlite_"):
                left_out = SAME.get(name, set()) | (set() if notes else NOTES_OF_WORK.get(name, set()))
                columns = [row[1] for row in raw.execute(f'PRAGMA table_info("{name}")')]
                chosen = ", ".join(f'"{one}"' for one in columns if one not in left_out) or "1"
                counted = " WHERE n <> 0" if name == "tally" else ""  # nothing counted is nothing said
                rows = raw.execute(f'SELECT {chosen} FROM "{name}"{counted}').fetchall()  # noqa: S608
                found.append((name, sorted(rows, key=repr) if chosen != "1" else []))
    except (sqlite3.Error, UnicodeError):
        return None
    else:
        return found
    finally:
        raw.close()


class Bench:
    """Tries one change after another on copies of the specimens."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.folder = folder
        self.seed = seed
        for name in ("closed", "cut"):
            (folder / name).mkdir()
        self.closed = made(folder / "closed")
        self.with_wal = made(folder / "cut", with_wal=True)
        self.before = {
            (wal, notes): content(self._laid(specimen, "before"), notes=notes)
            for wal, specimen in ((False, self.closed), (True, self.with_wal))
            for notes in (False, True)
        }

    def _laid(self, specimen: Specimen, name: str) -> Path:
        target = self.folder / name
        _gone(target)
        return specimen.laid(target)

    def tried(self, case: int) -> Tried:
        """Make change number *case* and judge."""
        chance = Random(f"{self.seed}/{case}")  # noqa: S311
        in_bytes = chance.random() < 0.35
        wal = in_bytes and chance.random() < 0.4
        specimen = self.with_wal if wal else self.closed
        path = self._laid(specimen, "case")
        row, one = "", None
        if in_bytes:
            what = spoiled(path, chance)
        else:
            one = Tamperer(path, chance)
            one.run()
            one.close()
            what, row = one.what, one.row
        problems = checked(path, specimen.anchor)
        named = one is not None and any(_names(problem, one) for problem in problems)
        if problems:
            return Tried(case, what, row, "found", named or in_bytes)
        if content(path, notes=True) == self.before[wal, True]:
            return Tried(case, what, row, "void", named=True)
        if content(path, notes=False) == self.before[wal, False]:
            return Tried(case, what, row, "notes", named=True)
        return Tried(case, what, row, "MISSED", named=False)


def checked(path: Path, anchor: tuple[int, bytes]) -> list[tuple[int, str]]:
    """Return what `journal verify` says, with the key at hand and the end of the chain noted elsewhere."""
    queries = Queries(path, Vault(keyring.default_file(path)))
    try:
        return [(one.seq, one.what) for one in queries.check(anchor).problems]
    except GatewayError as error:
        return [(0, str(error))]
    finally:
        queries.close()


def _names(problem: tuple[int, str], one: Tamperer) -> bool:
    seq, what = problem
    said = seq in one.seqs or any(text in what for text in one.texts)
    return said or one.table in {"schema", "head", "tally"}


def _gone(folder: Path) -> None:
    if folder.exists():
        for one in sorted(folder.rglob("*"), reverse=True):
            one.rmdir() if one.is_dir() else one.unlink()
        folder.rmdir()


def tried(count: int, start: int = 0, seed: int = 1893) -> list[Tried]:
    """Try *count* changes, the first being number *start*: the same ones for the same numbers."""
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder), seed)
        return [bench.tried(case) for case in range(start, start + count)]


def summary(found: Sequence[Tried], seconds: float) -> dict[str, Any]:
    """Return the last line's object."""
    outcomes = Counter(one.outcome for one in found)
    kinds = Counter(one.what.split(" ")[0] for one in found)
    unnamed = [one for one in found if one.outcome == "found" and not one.named]
    wrong = [one for one in found if one.outcome == "MISSED"] + unnamed
    return {
        "schema": 1,
        "ok": not wrong,
        "tried": len(found),
        **dict(sorted(outcomes.items())),
        "unnamed": len(unnamed),
        "kinds": dict(sorted(kinds.items())),
        "wrong": [f"{one.case}: {one.what}, {one.row}: {one.outcome}" for one in wrong[:50]],
        "seconds": round(seconds, 1),
    }


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--count", default=300, show_default=True, help="How many changes.")
@click.option("--start", default=0, show_default=True, help="The number of the first one.")
@click.option("--seed", default=1893, show_default=True, help="Another seed gives other changes.")
def main(count: int, start: int, seed: int) -> None:
    """Change a journal in random ways; each change must be found with its row named, or mean nothing."""
    began = time.monotonic()
    told = summary(tried(count, start, seed), time.monotonic() - began)
    told["seconds"] = round(time.monotonic() - began, 1)
    click.echo(json.dumps(told, ensure_ascii=False))
    sys.exit(0 if told["ok"] else 1)


if __name__ == "__main__":
    main()
