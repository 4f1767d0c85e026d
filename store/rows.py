"""Reads that the writer and the read-only side share; each flat in the journal's length."""

import sqlite3

import msgspec

from store.exams import Exam, Skipped
from store.facts import AnyBody, Fact, Instant, Measurement

decode_measurement = msgspec.json.Decoder(Measurement).decode
decode_instant = msgspec.json.Decoder(Instant).decode
decode_body = msgspec.json.Decoder(AnyBody).decode
_decode_skipped = msgspec.json.Decoder(Skipped).decode

EXAM = "SELECT id, resident, operator, opened, closed, opened_seq FROM exams"
_ExamRow = tuple[str, str, str, bytes, bytes | None, int]


def restored(document: bytes, resident: str | None) -> Measurement:
    """Return a stored version; the resident's key lies in its own column, so that a join finds the person."""
    found = decode_measurement(document)
    found.resident = resident
    return found


def measurement(connection: sqlite3.Connection, key: str) -> Measurement | None:
    """Return a measurement as its latest version stands."""
    row: tuple[bytes, str | None] | None = connection.execute(
        """SELECT v.document, v.resident FROM measurements AS m JOIN versions AS v ON v.seq = m.seq
           WHERE m.id = ?""",
        (key,),
    ).fetchone()
    return restored(*row) if row else None


def measurements_of_exam(connection: sqlite3.Connection, exam: str) -> list[str]:
    """Return the ids bound to an exam, in the order they were received."""
    sql = """SELECT m.id FROM exams AS e JOIN measurements AS m ON m.resident = e.resident
             WHERE e.id = ?1 AND m.exam = ?1 ORDER BY m.received_seq"""
    return _ids(connection, sql, exam)


def tray(connection: sqlite3.Connection, limit: int) -> list[str]:
    """Return the ids of measurements that belong to nobody yet, newest first."""
    sql = """SELECT id FROM measurements WHERE resident IS NULL AND status <> 'entered-in-error'
             ORDER BY received_seq DESC LIMIT ?"""
    return _ids(connection, sql, limit)


def _ids(connection: sqlite3.Connection, sql: str, *arguments: str | int) -> list[str]:
    return [row[0] for row in connection.execute(sql, arguments)]


def exam(connection: sqlite3.Connection, key: str) -> Exam | None:
    """Return an exam with what was skipped in it."""
    row: _ExamRow | None = connection.execute(f"{EXAM} WHERE id = ?", (key,)).fetchone()
    return _exam(connection, row) if row else None


def whose_exam(connection: sqlite3.Connection, key: str) -> str | None:
    """Return whose exam this is, by our key; None where there is none."""
    row: tuple[str] | None = connection.execute("SELECT resident FROM exams WHERE id = ?", (key,)).fetchone()
    return row[0] if row else None


def open_exams(connection: sqlite3.Connection) -> list[Exam]:
    """Return the exams that are open, in the order they were opened."""
    rows: list[_ExamRow] = connection.execute(f"{EXAM} WHERE closed IS NULL ORDER BY opened_seq").fetchall()
    return [_exam(connection, row) for row in rows]


def latest_exams(connection: sqlite3.Connection, limit: int) -> list[Exam]:
    """Return the exams opened last, open or closed, newest first."""
    rows: list[_ExamRow] = connection.execute(f"{EXAM} ORDER BY opened_seq DESC LIMIT ?", (limit,)).fetchall()
    return [_exam(connection, row) for row in rows]


def _exam(connection: sqlite3.Connection, row: _ExamRow) -> Exam:
    key, resident_key, operator, opened, closed, opened_seq = row
    items = connection.execute("SELECT item FROM skipped WHERE exam = ? ORDER BY seq", (key,))
    return Exam(
        id=key,
        resident=resident_key,
        operator=operator,
        opened=decode_instant(opened),
        closed=decode_instant(closed) if closed is not None else None,
        opened_seq=opened_seq,
        skipped=[_decode_skipped(item) for (item,) in items],
    )


def fact(connection: sqlite3.Connection, seq: int) -> Fact | None:
    """Return one fact; None where there is none or its body was pruned."""
    row: tuple[int, str, bytes, bytes | None, bytes, bytes] | None = connection.execute(
        "SELECT seq, id, at, body, prev, hash FROM facts WHERE seq = ?", (seq,)
    ).fetchone()
    if row is None or row[3] is None:
        return None
    return Fact(row[0], row[1], decode_instant(row[2]), decode_body(row[3]), row[4], row[5])
