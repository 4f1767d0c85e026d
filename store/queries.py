"""The read side: answers from the projections, over connections that cannot write, from any thread."""

import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import datetime
from pathlib import Path
from urllib.parse import quote

import msgspec

from protocol.errors import StoreError
from store import (
    aside,
    audit,
    backup,
    cursors,
    evidence,
    history,
    integrity,
    outbox,
    proof,
    retention,
    rows,
    vault,
)
from store.chain import Link
from store.exams import Exam
from store.facts import DeviceEvent, Instant, Measurement
from store.faults import READ_FAILED, must_be_readable, store_error
from store.residents import Resident
from store.vault import PersonRow, Ring, Vault

WINDOW = 20_000
"""Facts a filtered page looks through at most: a page may be short, even empty, and still have `more`."""
PAGE = """SELECT v.seq, v.document, p.id, k.key, k.wrapped, p.sealed FROM versions AS v
          LEFT JOIN persons AS p ON p.id = v.resident LEFT JOIN data_keys AS k ON k.owner = p.id"""
NO_RESIDENT = b'"resident":null'
"""Stands once in every stored version: a JSON string cannot hold it unescaped."""


class Noted(msgspec.Struct, frozen=True):
    """Something about a device, and when."""

    seq: int
    at: Instant
    code: str
    detail: dict[str, str]


class Counts(msgspec.Struct, frozen=True):
    """How much the journal holds; `measurements` by kind."""

    facts: int
    measurements: dict[str, int]
    tray: int
    open_exams: int


class Queries:
    """Reads of one journal file, usable without the service. After `close`: StoreError `store.closed`."""

    def __init__(self, path: Path, key: Vault | None = None) -> None:
        """Without *key* residents are `Unnamed`."""
        self._vault = key or Vault(None)
        self._path = path.absolute()
        self._folder = path.absolute().parent
        self._uri = f"file:{quote(str(path.absolute()))}?mode=ro"
        self._idle: list[sqlite3.Connection] = []
        self._door = threading.Lock()
        self._closed = False
        self._damaged = False
        self.doubted = False
        """Whether something could not be read since `sound` looked last."""

    def close(self) -> None:
        """Close every connection; those in use close when their query ends."""
        with self._door:
            self._closed = True
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        """Lend a connection that sees one moment of the journal."""
        connection = self._lent()
        try:
            connection.execute("BEGIN")
            yield connection
        except sqlite3.Error as error:
            failed = store_error(error, self._folder, looked=self._damaged)
            self.doubted = self.doubted or failed.code == READ_FAILED
            raise failed from error
        finally:
            self._take_back(connection)

    def _lent(self) -> sqlite3.Connection:
        with self._door:
            if self._closed:
                raise StoreError("the journal is closed", code="store.closed")
            if self._idle:
                return self._idle.pop()
        return self._opened()

    def _opened(self) -> sqlite3.Connection:
        try:
            connection = sqlite3.connect(self._uri, uri=True, isolation_level=None, check_same_thread=False)
            connection.execute("PRAGMA query_only = ON")
            connection.execute("PRAGMA busy_timeout = 5000")
        except sqlite3.Error as error:
            raise store_error(error, self._folder) from error
        return connection

    def _take_back(self, connection: sqlite3.Connection) -> None:
        """End the connection's view; one that met damage is not used again."""
        try:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            with self._door:
                if not self._closed:
                    self._idle.append(connection)
                    return
        except sqlite3.Error:
            pass  # what was read is still good; only this connection is not
        connection.close()

    def page(
        self,
        after: str | None = None,
        limit: int = 100,
        status: str | None = None,
        kind: str | None = None,
        resident_identifier: tuple[str, str] | str | None = None,
    ) -> tuple[list[bytes], str, bool]:
        """Return versions after a cursor in journal order: JSON documents, next cursor, whether more follow.

        A cursor from before this journal was put back from a copy goes on where the copy ended.

        `resident` is an object in each document, or null; who cannot be named has `hidden` with the reason.
        *resident_identifier* is (system, value), or a value in any system. Raises RequestRefused
        `request.cursor`.
        """
        where, arguments = ["v.seq > ?"], [0, *(one for one in (status, kind) if one is not None)]
        where += [f"v.{name} = ?" for name, one in (("status", status), ("kind", kind)) if one is not None]
        with self._reading() as connection:
            end, ring = None, self._vault.ring(connection)
            start = arguments[0] = cursors.begun(connection, after, cursors.MEASUREMENTS)
            if resident_identifier is not None:
                keys = _keys(connection, ring, resident_identifier)
                where.append(f"v.resident IN ({','.join('?' * len(keys))})")
                arguments += keys
            elif len(where) > 1:
                end = min(start + WINDOW, _top(connection))
                where.append("v.seq <= ?")
                arguments.append(end)
            found = connection.execute(
                f"{PAGE} WHERE {' AND '.join(where)} ORDER BY v.seq LIMIT ?",
                (*arguments, limit + 1),
            ).fetchall()
            more = len(found) > limit or (end is not None and end < _top(connection))
            found, full = found[:limit], len(found) > limit
            last = found[-1][0] if found else start
            reached = last if full or end is None else max(end, start)
            following = cursors.written(connection, reached, cursors.MEASUREMENTS)
        return _joined(ring, [row[1:] for row in found]), following, more

    def resumed(self, after: str | None) -> str | None:
        """Return the cursor that `page` goes on from: *after* itself, an earlier one after a restore."""
        if after is None:
            return None
        with self._reading() as connection:
            seq = cursors.begun(connection, after, cursors.MEASUREMENTS)
            known = seq == cursors.read(after, cursors.MEASUREMENTS).seq
            return after if known else cursors.written(connection, seq, cursors.MEASUREMENTS)

    def measurement_document(self, key: str, version: int | None = None) -> bytes | None:
        """Return one version as its JSON document, the latest where none is named."""
        found = self._documents(key, version)
        return found[-1] if found else None

    def versions(self, key: str) -> list[bytes]:
        """Return all versions of a measurement as JSON documents, oldest first."""
        return self._documents(key, None)

    def _documents(self, key: str, version: int | None) -> list[bytes]:
        with self._reading() as connection:
            ring = self._vault.ring(connection)
            found = connection.execute(
                f"{PAGE} WHERE v.measurement = ?1 AND (?2 IS NULL OR v.version = ?2) ORDER BY v.version",
                (key, version),
            ).fetchall()
        return _joined(ring, [row[1:] for row in found])

    def measurement(self, key: str) -> Measurement | None:
        """Return a measurement as it stands."""
        with self._reading() as connection:
            return rows.measurement(connection, key)

    def evidence(self, key: str) -> evidence.Evidence | None:
        """Return a measurement's frames in hex, their hash, its place in the chain and who signed for it."""
        with self._reading() as connection:
            return evidence.of(connection, self._vault.ring(connection), key)

    def tray(self, limit: int = 100) -> list[Measurement]:
        """Return the measurements that belong to nobody yet, newest first."""
        with self._reading() as connection:
            return _all(connection, rows.tray(connection, limit))

    def exam(self, key: str) -> Exam | None:
        """Return an exam."""
        with self._reading() as connection:
            return rows.exam(connection, key)

    def exams(self, open: bool = True, limit: int = 100) -> list[Exam]:  # noqa: A002 - the contract's word
        """Return exams, newest first: the open ones, or with *open* false the latest of all."""
        with self._reading() as connection:
            found = rows.open_exams(connection)[::-1] if open else rows.latest_exams(connection, limit)
        return found[:limit]

    def exam_measurements(self, key: str) -> list[Measurement]:
        """Return an exam's measurements in the order they were received."""
        with self._reading() as connection:
            return _all(connection, rows.measurements_of_exam(connection, key))

    def resident(self, key: str) -> Resident | None:
        """Return who a resident key stands for; `Unnamed` where that cannot be said."""
        with self._reading() as connection:
            return vault.resident(connection, self._vault.ring(connection), key)

    def names_fault(self) -> str | None:
        """Return, as a code, why no name can be shown or written now."""
        with self._reading() as connection:
            return self._vault.ring(connection).fault

    def due(self, forwarder: str, limit: int) -> list[outbox.Due]:
        """Return what waits longest for *forwarder*, oldest version first."""
        with self._reading() as connection:
            return outbox.due(connection, self._vault.ring(connection), forwarder, limit)

    def deliveries(self, state: outbox.State, limit: int = 100) -> list[outbox.Delivery]:
        """Return deliveries in one state: waiting ones oldest first, others newest first."""
        with self._reading() as connection:
            return outbox.deliveries(connection, state, limit)

    def outbox_counts(self) -> dict[str, outbox.Counts]:
        """Return every forwarder's numbers."""
        with self._reading() as connection:
            return outbox.counts(connection)

    def device_last_heard(self) -> dict[str, Instant]:
        """Return when each device last said something (a reading, its clock)."""
        with self._reading() as connection:
            found = connection.execute(
                "SELECT name, heard FROM devices WHERE heard IS NOT NULL ORDER BY name"
            )
            return {name: rows.decode_instant(heard) for name, heard in found}

    def devices_pointed(self) -> dict[str, str]:
        """Return the open exam each device is pointed at, for the devices that are."""
        with self._reading() as connection:
            return dict(
                connection.execute(
                    """SELECT d.name, d.pointed FROM devices AS d JOIN exams AS e ON e.id = d.pointed
                       WHERE e.closed IS NULL"""
                ).fetchall()
            )

    def device_serials(self) -> dict[str, str]:
        """Return each device's serial number as last learnt with a reading."""
        with self._reading() as connection:
            return dict(
                connection.execute("SELECT name, serial FROM devices WHERE serial IS NOT NULL ORDER BY name")
            )

    def device_events(self, device: str, limit: int = 100) -> list[Noted]:
        """Return what happened with a device, newest first."""
        with self._reading() as connection:
            found = connection.execute(
                "SELECT seq FROM device_events WHERE device = ? ORDER BY seq DESC LIMIT ?", (device, limit)
            ).fetchall()
            facts = [rows.fact(connection, seq) for (seq,) in found]
            return [
                Noted(one.seq, one.at, one.body.code, self._detail(connection, one.id, one.body))
                for one in facts
                if one is not None and isinstance(one.body, DeviceEvent)
            ]

    def _detail(self, connection: sqlite3.Connection, fact: str, body: DeviceEvent) -> dict[str, str]:
        """Return an event's whole detail, if that can be read."""
        if body.sealed is None:
            return body.detail
        secret = vault.open_fact(connection, self._vault.ring(connection), fact, body.sealed)
        return msgspec.json.decode(secret, type=dict[str, str]) if secret is not None else body.detail

    def device_days(self, device: str, limit: int = 400) -> list[history.Day]:
        """Return the device's days, newest first."""
        with self._reading() as connection:
            return history.days(connection, device, limit)

    def passport(self, device: str) -> dict[str, str]:
        """Return what technicians wrote down about the device."""
        with self._reading() as connection:
            return history.passport(connection, device)

    def audit(
        self,
        wanted: audit.Wanted,
        position: str | None = None,
        limit: int = 100,
        *,
        resident: str | None = None,
        newest: bool = False,
    ) -> tuple[list[audit.Entry], str, bool]:
        """Return what somebody did, from a cursor on: entries, next cursor, whether more follow.

        *resident* is a key of ours or a number of theirs; *newest* goes back in time. Raises RequestRefused
        `request.cursor`.
        """
        with self._reading() as connection:
            if resident is not None:
                keys = {resident, *_keys(connection, self._vault.ring(connection), resident)}
                wanted = wanted._replace(residents=sorted(keys))
            return (audit.latest if newest else audit.page)(connection, wanted, position, limit)

    def counts(self) -> Counts:
        """Return how much the journal holds."""
        with self._reading() as connection:
            one = connection.execute
            tray = "SELECT count(*) FROM measurements WHERE resident IS NULL AND status <> 'entered-in-error'"
            return Counts(
                facts=one("SELECT coalesce(max(seq), 0) FROM facts").fetchone()[0],
                measurements=dict(one("SELECT which, n FROM tally WHERE what = 'measurements'").fetchall()),
                tray=one(tray).fetchone()[0],
                open_exams=one("SELECT count(*) FROM exams WHERE closed IS NULL").fetchone()[0],
            )

    def prunable(self, before: datetime, limit: int) -> list[str]:
        """Return measurements from before that moment whose raw bodies may go; see `store.retention`."""
        with self._reading() as connection:
            return retention.candidates(connection, retention.horizon(connection, before), limit)

    def sound(self) -> bool:
        """Read the whole file and say whether its structure is whole; that it is not is remembered.

        Linear in the file's size (`docs/bench.md`); readings go on meanwhile. After a false answer, which is
        given only where the file can be read and was looked at twice, the next start makes the journal anew
        (`store.recovery`). Raises StoreError `store.read_failed` where the disk does not give the file.
        """
        self.doubted = False
        for _ in range(2):
            if self._looks_whole():
                self._damaged = False
                aside.unsound(self._path).unlink(missing_ok=True)
                return True
            must_be_readable(self._path)
        self._damaged = True
        aside.unsound(self._path).touch(0o600)
        return False

    def _looks_whole(self) -> bool:
        """Look through a connection that remembers nothing."""
        try:
            with closing(self._opened()) as connection:
                found: bool = connection.execute("PRAGMA quick_check(1)").fetchone() == ("ok",)
        except sqlite3.Error as error:
            failed = store_error(error, self._folder, looked=False)
            if failed.code != READ_FAILED:
                raise failed from error
            return False
        return found

    def check(self, anchor: tuple[int, bytes] | None = None) -> integrity.Report:
        """Check everything; see `store.integrity.check`. With the key at hand, what is sealed too.

        What a read that failed once may have caused is looked at again. Raises StoreError `store.read_failed`
        where the disk does not give the file.
        """
        report = self._checked(anchor)
        if any(one.what.startswith(integrity.MAY_PASS) for one in report.problems):
            must_be_readable(self._path)
            report = self._checked(anchor)
        return report

    def _checked(self, anchor: tuple[int, bytes] | None) -> integrity.Report:
        with self._reading() as connection:
            return integrity.check(connection, self._vault.ring, anchor)

    def facts(self, after: int = 0) -> Iterator[bytes]:
        """Yield facts after seq *after* as JSON: seq, id, at, body, and body_hash, prev, hash in hex."""
        with self._reading() as connection:
            for row in connection.execute(f"{proof.LINKS} WHERE seq > ? ORDER BY seq", (after,)):
                yield _exported(Link._make(row))

    def backup(self, target: Path) -> integrity.Report:
        """Copy the journal as it stands to the new file *target* and check it; see `store.backup.copied`."""
        with self._reading() as connection:
            return backup.copied(connection, target)


def joined(document: bytes, person: bytes | None) -> bytes:
    """Return a stored version with its resident put in."""
    return document.replace(NO_RESIDENT, b'"resident":' + person, 1) if person is not None else document


def _joined(ring: Ring, found: Sequence[tuple[bytes, *PersonRow]]) -> list[bytes]:
    """Return stored versions with their residents put in, each person opened once."""
    people: dict[str | None, bytes | None] = {None: None}
    for _, owner, key, wrapped, sealed in found:
        if owner not in people:
            people[owner] = vault.document(ring, (owner, key, wrapped, sealed))
    return [joined(row[0], people[row[1]]) for row in found]


def _top(connection: sqlite3.Connection) -> int:
    top: int = connection.execute("SELECT coalesce(max(seq), 0) FROM versions").fetchone()[0]
    return top


def _keys(connection: sqlite3.Connection, ring: Ring, identifier: tuple[str, str] | str) -> list[str]:
    system, value = (None, identifier) if isinstance(identifier, str) else identifier
    return vault.found_by(connection, ring, value, system)


def _all(connection: sqlite3.Connection, keys: list[str]) -> list[Measurement]:
    return [one for one in (rows.measurement(connection, key) for key in keys) if one is not None]


def _exported(link: Link) -> bytes:
    return msgspec.json.encode(
        {
            "seq": link.seq,
            "id": link.id,
            "at": msgspec.Raw(link.at),
            "body": msgspec.Raw(link.body) if link.body is not None else None,
            "body_hash": link.body_hash.hex(),
            "prev": link.prev.hex(),
            "hash": link.hash.hex(),
        }
    )
