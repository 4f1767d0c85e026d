"""Reading what can still be read of a damaged journal file, believing nothing that cannot be proven.

A fact proves itself: its hash covers all of it. So facts are looked for wherever bytes of the file look like
a row of theirs, whatever SQLite still makes of the file. Of the rest only single rows are asked for, each by
its key, so that damage costs what lies on the way to it and no more.
"""

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from hashlib import sha256
from mmap import PROT_READ, mmap
from pathlib import Path

from store import chain
from store.chain import Link

INNER, LEAF = 0x05, 0x0D
"""The first byte of a page of a table: one that leads to others, one with rows."""
HEADER = 100
STRIDE = 500
SHAPE = ("int", "text", "blob", "blob", "blob", "blob", "blob")
"""What a fact's row holds behind its seq; the body may be missing."""
FACT = """SELECT command, seq, id, at, body, body_hash, prev, hash FROM facts
          WHERE seq BETWEEN ? AND ? ORDER BY seq"""
TOPS = ("SELECT max(seq) FROM facts", "SELECT seq FROM head", "SELECT max(seq) FROM versions")


@contextmanager
def opened(path: Path, like: Path, into: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    """Lend a connection to a copy of the damaged file, as far as SQLite opens it; its facts are in *into*.

    *like* is a sound journal of the same release: where the damaged one no longer says what tables there are,
    that one does. The copy goes when it is done. Memory does not grow with the file.
    """
    copy = path.with_name(f"{path.name}.salvage")
    copies = [copy.with_name(copy.name + suffix) for suffix in ("", "-wal", "-shm")]
    for target in copies:
        target.unlink(missing_ok=True)
    try:
        for suffix, target in zip(("", "-wal"), copies, strict=False):
            name = path.with_name(path.name + suffix)
            if name.exists():
                shutil.copyfile(name, target)
                target.chmod(0o600)
        _merged(copy)
        connection = _readable(copy)
        _facts(copy, connection, into)
        if connection is None:
            _tables(copy, like)
            connection = _readable(copy) or sqlite3.connect(":memory:", isolation_level=None)
        try:
            yield connection
        finally:
            connection.close()
    finally:
        for target in copies:
            target.unlink(missing_ok=True)


def _merged(copy: Path) -> None:
    """Fold the WAL in, whatever the tables look like: SQLite does it for the last one that closes."""
    connection = sqlite3.connect(copy, isolation_level=None)
    with suppress(sqlite3.Error):
        connection.execute("PRAGMA user_version").fetchone()
    connection.close()


def _readable(path: Path) -> sqlite3.Connection | None:
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        names = {row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        if names >= {"facts", "versions", "head", "heads"}:
            return connection
    except (sqlite3.Error, UnicodeError):
        pass
    connection.close()
    return None


def _tables(copy: Path, like: Path) -> None:
    """Give *copy* the pages in which a sound journal says what tables there are, with the copy's own size."""
    sound = like.read_bytes()
    size = int.from_bytes(sound[16:18], "big")
    first = bytearray(sound[:size])
    first[28:32] = (copy.stat().st_size // size).to_bytes(4, "big")
    first[32:40] = bytes(8)  # nothing is said to be free: what was is only not used again
    with copy.open("r+b") as file:
        for number in _schema_pages(sound, size, 1):
            file.seek((number - 1) * size)
            file.write(first if number == 1 else sound[(number - 1) * size : number * size])


def _schema_pages(sound: bytes, size: int, number: int) -> Iterator[int]:
    """Yield the pages of the tree whose root is page *number* (SQLite's file format, section 1.6)."""
    yield number
    start = (number - 1) * size
    head = start + (HEADER if number == 1 else 0)
    if sound[head] != INNER:
        return
    count = int.from_bytes(sound[head + 3 : head + 5], "big")
    places = [head + 12 + 2 * each for each in range(count)]
    cells = [start + int.from_bytes(sound[place : place + 2], "big") for place in places]
    for cell in (*cells, head + 8):
        yield from _schema_pages(sound, size, int.from_bytes(sound[cell : cell + 4], "big"))


def _facts(copy: Path, connection: sqlite3.Connection | None, into: sqlite3.Connection) -> None:
    """Write every fact whose own hash holds into the table of *into*, without a body that is not its own."""
    for command, link in _selected(connection) if connection is not None else ():
        _keep(into, command, link)
    if _whole(into) or not copy.stat().st_size:
        return
    size: int = into.execute("PRAGMA page_size").fetchone()[0]
    with copy.open("rb") as file, mmap(file.fileno(), 0, prot=PROT_READ) as content:
        for start in range(0, len(content) - size + 1, size):
            for command, link in _scanned(content, start, size):
                _keep(into, command, link)


def _whole(into: sqlite3.Connection) -> bool:
    count, top, bodies = into.execute("SELECT count(*), max(seq), count(body) FROM facts").fetchone()
    return bool(count) and count == top == bodies


def _keep(into: sqlite3.Connection, command: int, link: Link) -> None:
    if chain.digest(link.prev, link.seq, link.id, link.at, link.body_hash) != link.hash:
        return
    if link.body is not None and sha256(link.body).digest() != link.body_hash:
        link = link._replace(body=None)
    into.execute(
        """INSERT INTO facts VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (seq) DO UPDATE
           SET body = excluded.body WHERE body IS NULL AND hash = excluded.hash""",
        (link.seq, command, *link[1:]),
    )


def _selected(connection: sqlite3.Connection) -> Iterator[tuple[int, Link]]:
    """Yield what SQLite still gives, by pieces: what cannot be read costs its own piece, then its own row."""
    top = max(one(connection, sql) for sql in TOPS)
    for first in range(1, top + 1, STRIDE):
        last = min(first + STRIDE - 1, top)
        rows = _rows(connection, first, last)
        if rows is None:
            for seq in range(first, last + 1):
                yield from _rows(connection, seq, seq) or ()
        else:
            yield from rows


def _rows(connection: sqlite3.Connection, first: int, last: int) -> list[tuple[int, Link]] | None:
    try:
        found = connection.execute(FACT, (first, last)).fetchall()
    except (sqlite3.Error, UnicodeError):
        return None
    return [(row[0], Link(*row[1:])) for row in found if _fits(row)]


def _fits(row: tuple[object, ...]) -> bool:
    """Say whether a row has the kinds of values a fact's row has; damage can give any."""
    kinds = (int, int, str, bytes, bytes | None, bytes, bytes, bytes)
    return len(row) == len(kinds) and all(isinstance(one, kind) for one, kind in zip(row, kinds, strict=True))


def one(connection: sqlite3.Connection, sql: str, *arguments: object) -> int:
    """Return one number, 0 where it cannot be read."""
    row = read(connection, sql, *arguments)
    return row[0] if row and isinstance(row[0], int) else 0


def read(connection: sqlite3.Connection, sql: str, *arguments: object) -> tuple[object, ...] | None:
    """Return one row, None where there is none or it cannot be read."""
    try:
        row: tuple[object, ...] | None = connection.execute(sql, arguments).fetchone()
    except (sqlite3.Error, UnicodeError):
        return None
    return row


def several(connection: sqlite3.Connection, table: str, columns: str, key: str) -> list[tuple[object, ...]]:
    """Return the rows of a small table that can be read from either end."""
    found: dict[object, tuple[object, ...]] = {}
    for order in ("ASC", "DESC"):
        try:
            for row in connection.execute(f"SELECT {key}, {columns} FROM {table} ORDER BY {key} {order}"):  # noqa: S608
                found.setdefault(row[0], row[1:])
        except (sqlite3.Error, UnicodeError):
            continue
    return [found[key] for key in sorted(found, key=repr)]


def _scanned(content: mmap, start: int, size: int) -> Iterator[tuple[int, Link]]:
    """Yield what looks like facts on the page that begins at *start* (SQLite's file format, section 1.6)."""
    head = start + (HEADER if start == 0 else 0)
    if content[head] != LEAF:
        return
    count = int.from_bytes(content[head + 3 : head + 5], "big")
    for number in range(min(count, size // 2)):
        place = head + 8 + 2 * number
        offset = start + int.from_bytes(content[place : place + 2], "big")
        try:
            row = _row(content, offset, start, size)
        except (IndexError, ValueError):
            continue
        if row is not None:
            yield row


def _row(content: mmap, offset: int, start: int, size: int) -> tuple[int, Link] | None:
    if not start <= offset < start + size:
        return None
    length, place = _varint(content, offset)
    seq, place = _varint(content, place)
    payload = _payload(content, place, length, size)
    values = _record(payload)
    if values is None:
        return None
    command, key, at, body, body_hash, prev, digest = values
    row = (command, seq, key, at, body, body_hash, prev, digest)
    return (row[0], Link(*row[1:])) if _fits(row) else None  # type: ignore[return-value, arg-type]


def _payload(content: mmap, place: int, length: int, size: int) -> bytes:
    """Return a row's bytes, following the pages it overflows to (section 1.6, `U` is the page's size)."""
    most, least = size - 35, (size - 12) * 32 // 255 - 23
    if length > len(content):
        raise ValueError(length)
    local = length
    if length > most:
        rest = least + (length - least) % (size - 4)
        local = rest if rest <= most else least
    found = content[place : place + local]
    follow = int.from_bytes(content[place + local : place + local + 4], "big") if local < length else 0
    while len(found) < length:
        at = (follow - 1) * size
        if follow < 1 or at + size > len(content):
            raise ValueError(follow)
        found += content[at + 4 : at + size][: length - len(found)]
        follow = int.from_bytes(content[at : at + 4], "big")
    return found


def _record(payload: bytes) -> list[object] | None:
    """Return a record's values behind its first (the row's own number), if it has a fact's shape."""
    header, place = _varint(payload, 0)
    types = []
    while place < header:
        kind, place = _varint(payload, place)
        types.append(kind)
    if place != header or len(types) != len(SHAPE) + 1:
        return None
    values: list[object] = []
    for kind in types:
        value, place = _value(payload, place, kind)
        values.append(value)
    return values[1:]


def _value(payload: bytes, place: int, kind: int) -> tuple[object, int]:
    sizes = (0, 1, 2, 3, 4, 6, 8)
    if kind == 0:
        return None, place
    if kind < len(sizes):
        end = place + sizes[kind]
        return int.from_bytes(payload[place:end], "big", signed=True), end
    if kind in {8, 9}:
        return kind - 8, place
    end = place + (kind - 12) // 2
    if kind < 12 or end > len(payload):
        raise ValueError(kind)
    part = payload[place:end]
    return (part.decode() if kind % 2 else part), end


def _varint(content: mmap | bytes, place: int) -> tuple[int, int]:
    value = 0
    for number in range(9):
        byte = content[place + number]
        if number == 8:
            return (value << 8) | byte, place + 9
        value = (value << 7) | (byte & 0x7F)
        if byte < 0x80:
            return value, place + number + 1
    raise ValueError(place)
