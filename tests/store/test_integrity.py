"""Whatever is changed in the file behind the journal's back is found, and the place is named."""

import random
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
from journal_making import final, judged, opened, visit

from protocol.errors import JournalDamaged
from store.facts import Pruned
from store.integrity import Report
from store.queries import Queries

DB = Path("state/journal.db")
FACTS = 1 + 3 * 100


@pytest.fixture(scope="module")
def written(tmp_path_factory) -> bytes:
    """Return the bytes of a journal of 301 facts."""
    folder = tmp_path_factory.mktemp("written")
    journal = opened(folder)
    exam = journal.submit(visit).result()
    [one.result() for one in [journal.submit(lambda tx: final(tx, exam)) for _ in range(100)]]
    journal.close()
    return (folder / DB).read_bytes()


def tampered(folder: Path, written: bytes, *statements: str) -> Report:
    """Run SQL behind the triggers' back on a copy and check it."""
    (folder / "state").mkdir()
    (folder / DB).write_bytes(written)
    raw = sqlite3.connect(folder / DB)
    triggers = raw.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'").fetchall()
    for trigger, _ in triggers:
        raw.execute(f"DROP TRIGGER {trigger}")
    for sql in statements:
        raw.execute(sql)
    for _, again in triggers:
        raw.execute(again)
    raw.commit()
    raw.close()
    queries = Queries(folder / DB)
    try:
        return queries.check()
    finally:
        queries.close()


def test_an_untouched_journal_has_no_problem(tmp_path, written):
    report = tampered(tmp_path, written)
    assert report.problems == []
    assert (report.facts, report.versions) == (FACTS, 100)
    assert len(bytes.fromhex(report.head)) == 32


EDITS: dict[str, tuple[Callable[[int], tuple[str, ...]], Callable[[int], set[int]]]] = {
    "body": (
        lambda n: (
            f"UPDATE facts SET body = CAST(replace(CAST(body AS TEXT), ':', ': ') AS BLOB) WHERE seq = {n}",
        ),
        lambda n: {n},
    ),
    "body and its hash": (
        lambda n: (f"UPDATE facts SET body = x'7b7d', body_hash = randomblob(32) WHERE seq = {n}",),
        lambda n: {n},
    ),
    "time": (lambda n: (f"UPDATE facts SET at = CAST(at || ' ' AS BLOB) WHERE seq = {n}",), lambda n: {n}),
    "id": (lambda n: (f"UPDATE facts SET id = id || 'x' WHERE seq = {n}",), lambda n: {n}),
    "hash": (lambda n: (f"UPDATE facts SET hash = randomblob(32) WHERE seq = {n}",), lambda n: {n, n + 1}),
    "prev": (lambda n: (f"UPDATE facts SET prev = randomblob(32) WHERE seq = {n}",), lambda n: {n}),
    "deletion": (lambda n: (f"DELETE FROM facts WHERE seq = {n}",), lambda n: {n}),
    "deletion, closed up": (
        lambda n: (
            f"DELETE FROM facts WHERE seq = {n}",
            f"UPDATE facts SET seq = -seq WHERE seq > {n}",
            "UPDATE facts SET seq = -seq - 1 WHERE seq < 0",
        ),
        lambda n: {n},
    ),
    "swap": (
        lambda n: (
            f"UPDATE facts SET seq = -1 WHERE seq = {n}",
            f"UPDATE facts SET seq = {n} WHERE seq = {n + 1}",
            f"UPDATE facts SET seq = {n + 1} WHERE seq = -1",
        ),
        lambda n: {n, n + 1},
    ),
    "insertion": (
        lambda n: (
            f"UPDATE facts SET seq = -seq WHERE seq >= {n}",
            "UPDATE facts SET seq = -seq + 1 WHERE seq < 0",
            f"""INSERT INTO facts SELECT {n}, command, id, at, body, body_hash, prev, hash
                FROM facts WHERE seq = {n - 1}""",
        ),
        lambda n: {n},
    ),
    "tail cut off": (lambda n: (f"DELETE FROM facts WHERE seq >= {n}",), lambda n: {n}),
}


@pytest.mark.parametrize("edit", EDITS)
def test_an_edit_is_found_and_its_row_named(tmp_path, written, edit):
    change, named = EDITS[edit]
    for case in range(4):
        seq = random.Random(f"{edit}{case}").randrange(2, FACTS - 1)
        folder = tmp_path / str(case)
        folder.mkdir()
        found = {problem.seq for problem in tampered(folder, written, *change(seq)).problems}
        assert named(seq) <= found, seq


def test_a_version_that_is_not_what_its_facts_say_is_found(tmp_path, written):
    changed = """UPDATE versions SET document = CAST(replace(CAST(document AS TEXT),
                     '"120"', '"119"') AS BLOB)
                 WHERE seq = 31"""
    assert {problem.seq for problem in tampered(tmp_path, written, changed).problems} == {31}


def test_an_index_that_sqlite_made_itself_is_looked_at_too(tmp_path, written):
    """A flipped bit there (`tools.faults.tamper`, change 6101) makes SQLite read on as if nothing were."""
    flipped = "UPDATE sqlite_master SET tbl_name = 'vgrsions' WHERE name = 'sqlite_autoindex_versions_1'"
    report = tampered(tmp_path, written, "PRAGMA writable_schema = ON", flipped)
    assert [one.what for one in report.problems] == [
        "index sqlite_autoindex_versions_1 is not as it was made"
    ]


def test_a_version_given_to_another_person_is_found(tmp_path, written):
    report = tampered(tmp_path, written, "UPDATE versions SET resident = 'r-other' WHERE seq = 34")
    assert {problem.seq for problem in report.problems if problem.seq} == {34}


def test_a_version_taken_out_or_put_in_is_found(tmp_path, written):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    out = tampered(tmp_path / "a", written, "DELETE FROM versions WHERE seq = 37")
    assert 37 in {problem.seq for problem in out.problems}
    put = """INSERT INTO versions SELECT 38, 'm-x', version, status, kind, resident, document
             FROM versions WHERE seq = 37"""
    assert tampered(tmp_path / "b", written, put).problems


@pytest.mark.parametrize(
    "damage",
    [
        "DELETE FROM facts WHERE seq > 290",
        "UPDATE facts SET body = x'7b7d' WHERE seq = 299",
        "DELETE FROM facts WHERE seq = 250",
        "UPDATE facts SET hash = randomblob(32) WHERE seq = 301",
        "DELETE FROM facts",
        "DELETE FROM head",
    ],
)
def test_a_damaged_end_stops_the_start(tmp_path, written, damage):
    tampered(tmp_path, written, damage)
    with pytest.raises(JournalDamaged):
        opened(tmp_path)


def test_a_body_is_gone_without_a_word_and_every_one_is_named(tmp_path, written):
    report = tampered(tmp_path, written, "UPDATE facts SET body = NULL WHERE seq BETWEEN 2 AND 4")
    assert {problem.seq for problem in report.problems if problem.seq} == {2, 3, 4}


def test_bodies_let_go_by_a_fact_leave_the_chain_whole(tmp_path, written):
    (tmp_path / "state").mkdir()
    (tmp_path / DB).write_bytes(written)
    journal = opened(tmp_path)
    journal.submit(lambda tx: tx.append(Pruned(facts=[(3, 4), (7, 7)], policy="older than a year"))).result()
    journal.close()
    raw = sqlite3.connect(tmp_path / DB)
    raw.execute("UPDATE facts SET body = NULL WHERE seq IN (3, 4, 7)")  # the triggers allow it
    raw.commit()
    queries = Queries(tmp_path / DB)
    assert queries.check().problems == []
    raw.execute("UPDATE facts SET body = NULL WHERE seq = 9")
    raw.commit()
    assert {problem.seq for problem in queries.check().problems} == {9}
    queries.close()
    raw.close()


REFUSED = (
    "UPDATE facts SET body = x'7b7d' WHERE seq = 5",
    "UPDATE facts SET body = NULL, at = x'7b7d' WHERE seq = 5",
    "UPDATE facts SET body = NULL, command = 4 WHERE seq = 5",
    "UPDATE facts SET hash = zeroblob(32) WHERE seq = 5",
    "UPDATE facts SET seq = 9999 WHERE seq = 5",
    "DELETE FROM facts WHERE seq = 5",
    "UPDATE versions SET document = x'' WHERE seq = 4",
    "UPDATE versions SET status = 'final' WHERE seq = 4",
    "DELETE FROM versions WHERE seq = 4",
    "UPDATE heads SET hash = zeroblob(32)",
    "DELETE FROM heads",
)


@pytest.mark.parametrize("sql", REFUSED)
def test_the_file_itself_refuses_to_change_what_was_written(tmp_path, written, sql):
    (tmp_path / "journal.db").write_bytes(written)
    raw = sqlite3.connect(tmp_path / "journal.db")
    with pytest.raises(sqlite3.IntegrityError):
        raw.execute(sql)
    raw.close()


def test_a_superseded_version_of_a_pruned_fact_may_be_emptied_and_no_other(tmp_path):
    journal = opened(tmp_path)
    exam = journal.submit(visit).result()
    key = journal.submit(lambda tx: final(tx, exam)).result()
    journal.submit(lambda tx: judged(tx, key, "final")).result()
    journal.submit(lambda tx: tx.append(Pruned(facts=[(4, 4)], policy="older than a year"))).result()
    journal.close()
    raw = sqlite3.connect(tmp_path / DB)
    emptied = "UPDATE versions SET document = x'' WHERE seq = ?"
    with pytest.raises(sqlite3.IntegrityError):
        raw.execute(emptied, (4,))
    raw.execute("UPDATE facts SET body = NULL WHERE seq = 4")
    raw.execute(emptied, (4,))
    raw.execute("UPDATE facts SET body = NULL WHERE seq = 5")
    with pytest.raises(sqlite3.IntegrityError):
        raw.execute(emptied, (5,))
    raw.rollback()
    raw.execute("UPDATE facts SET body = NULL WHERE seq = 4")
    raw.execute(emptied, (4,))
    raw.commit()
    raw.close()
    queries = Queries(tmp_path / DB)
    assert queries.check().problems == []
    queries.close()


def held(path: Path) -> list[tuple[object, ...]] | None:
    """Return all facts and versions as SQLite reads them, None where it cannot."""
    raw = sqlite3.connect(path)
    raw.text_factory = bytes
    try:
        return (
            raw.execute("SELECT * FROM facts").fetchall() + raw.execute("SELECT * FROM versions").fetchall()
        )
    except sqlite3.DatabaseError:
        return None
    finally:
        raw.close()


def test_bytes_overwritten_in_the_file_are_found(tmp_path, written):
    rnd = random.Random(1893)
    (tmp_path / "whole.db").write_bytes(written)
    whole, found = held(tmp_path / "whole.db"), 0
    for case in range(40):
        path = tmp_path / str(case) / DB
        path.parent.mkdir(parents=True)
        place = rnd.randrange(4096, len(written) - 8)
        path.write_bytes(written[:place] + rnd.randbytes(8) + written[place + 8 :])
        queries = Queries(path)
        problems = bool(queries.check().problems)
        queries.close()
        assert problems or held(path) == whole, place
        try:
            opened(tmp_path / str(case)).close()
        except JournalDamaged:
            assert problems
        found += problems
    assert found >= 20
