"""A damaged journal is made anew: what proves itself is there, a loss is named, nothing is sent twice."""

import os
import sqlite3
import sys
from pathlib import Path
from random import Random

import pytest

from gateway.app import Gateway
from gateway.config import Config
from gateway.service import ExamRequest
from protocol.errors import JournalDamaged
from store import aside, keyring, recovery
from store.audit import Wanted
from store.facts import Instant
from store.journal import Journal
from store.pen import Pen
from store.residents import Identifier
from store.room import Room
from store.vault import Vault
from tools.faults.specimen import BOOTS, PEOPLE, START, made

LATER = Instant(START.replace(year=2027), 10**15, BOOTS[1], True)
CASES = 18


@pytest.fixture(scope="module")
def specimen(tmp_path_factory):
    return made(tmp_path_factory.mktemp("made"))


@pytest.fixture(scope="module")
def specimen_with_wal(tmp_path_factory):
    return made(tmp_path_factory.mktemp("made"), with_wal=True)


def opened(path: Path, *, recover: bool = True) -> Journal:
    return Journal.open(path, gateway="gw-1", now=lambda: LATER, forwarders=("fhir",), recover=recover)


def facts(path: Path) -> dict[int, tuple]:
    raw = sqlite3.connect(path)
    found = raw.execute("SELECT seq, id, at, body, body_hash, prev, hash FROM facts ORDER BY seq").fetchall()
    raw.close()
    return {row[0]: row for row in found}


def table(path: Path, sql: str) -> set[tuple]:
    raw = sqlite3.connect(path)
    found = set(raw.execute(sql).fetchall())
    raw.close()
    return found


def same(journal: Journal, path: Path, before: Path) -> None:
    """Assert that the new journal holds nothing that the old one did not, and names all that it lacks."""
    report = journal.queries.check()
    assert report.problems == []
    lost = journal.recovery.lost
    now, was = facts(path), facts(before)
    for seq, row in was.items():
        if any(low <= seq <= high for low, high in lost):
            assert seq not in now or now[seq] == row or now[seq] == (*row[:3], None, *row[4:])
        else:
            assert now[seq] == row
    fresh = [row for seq, row in now.items() if seq > max(was)]
    assert len(now) == len([seq for seq in now if seq <= max(was)]) + len(fresh)
    assert {row[1].split("-")[0] for row in fresh}.isdisjoint({row[1].split("-")[0] for row in was.values()})
    versions = "SELECT measurement, version, status, resident, document FROM versions WHERE seq <= {}"
    if not lost:
        sql = versions.format(max(was))
        assert table(path, sql) == table(before, sql)
    sql = "SELECT forwarder, measurement, version, state FROM outbox WHERE state = 'waiting'"
    sent = table(before, "SELECT measurement, delivered_version FROM outbox WHERE delivered_version NOT NULL")
    again = {(key, version) for _, key, version, _ in table(path, sql)}
    assert not again & sent
    values = "SELECT json_extract(CAST(document AS TEXT), '$.values') FROM versions"
    assert table(path, values) <= table(before, values)


def laid(specimen, folder: Path) -> tuple[Path, Path]:
    """Put the specimen down twice: to be damaged, and to compare with."""
    return specimen.laid(folder / "one"), specimen.laid(folder / "other")


def damaged(path: Path, chance: Random, what: str) -> None:
    content = bytearray(path.read_bytes())
    pages = len(content) // 1024
    match what:
        case "header":
            content[:100] = chance.randbytes(100)
        case "first page":
            content[:1024] = bytes(1024)
        case "pages":
            for page in chance.sample(range(1, pages), 6):
                content[page * 1024 : page * 1024 + 1024] = chance.randbytes(1024)
        case "end":
            del content[chance.randrange(len(content) // 2, len(content)) :]
        case "sectors":
            for sector in chance.sample(range(2, 2 * pages), 10):
                content[sector * 512 : sector * 512 + 512] = bytes(512)
        case _:
            for place in chance.sample(range(1024, len(content)), 60):
                content[place] ^= 1 << chance.randrange(8)
    path.write_bytes(content)


KINDS = ("header", "first page", "pages", "end", "sectors", "bits")


@pytest.mark.parametrize("kind", KINDS)
def test_a_damaged_file_is_made_anew_of_what_proves_itself(tmp_path, specimen, kind):
    recovered = 0
    for case in range(CASES // len(KINDS)):
        path, before = laid(specimen, tmp_path / str(case))
        damaged(path, Random(f"{kind}{case}"), kind)
        left = path.read_bytes()
        lost = recovery.recover(path, pen_of(path))
        recovered += bool(lost.kept)
        journal = opened(path)
        assert journal.recovery is None
        journal.recovery = lost
        same(journal, path, before)
        journal.close()
        assert lost.file.read_bytes() == left
        assert [one.name for one in aside.damaged_files(path.parent)] == ["journal.db.damaged-1"]
    assert recovered == CASES // len(KINDS)


def pen_of(path: Path):
    names = Vault(keyring.default_file(path))
    return lambda connection: Pen(connection, "gw-1", "", lambda: LATER, ("fhir",), names, Room(path.parent))


def test_with_the_header_alone_gone_nothing_is_lost(tmp_path, specimen):
    path, before = laid(specimen, tmp_path)
    damaged(path, Random(1), "header")
    with pytest.raises(JournalDamaged):
        opened(path, recover=False)
    journal = opened(path)
    assert journal.recovery.lost == []
    same(journal, path, before)
    report = journal.queries.check()
    assert report.signed == report.last
    assert {one.name for one in map(journal.queries.resident, residents(path)) if one.name} == {
        name for _, name in PEOPLE[:2]
    }
    journal.close()
    opened(path).close()


def residents(path: Path) -> list[str]:
    return sorted(row[0] for row in table(path, "SELECT id FROM persons"))


def test_the_start_names_what_was_lost_and_goes_on(tmp_path, specimen):
    path, before = laid(specimen, tmp_path)
    raw = sqlite3.connect(path)
    top = raw.execute("SELECT max(seq) FROM facts").fetchone()[0]
    raw.execute("DROP TRIGGER facts_stay")
    raw.execute("DELETE FROM facts WHERE seq BETWEEN ? AND ?", (top - 9, top - 5))
    raw.commit()
    raw.close()
    journal = opened(path)
    assert journal.recovery.lost == [(top - 9, top - 5)]
    same(journal, path, before)
    entry = journal.queries.audit(Wanted(what="recovered"))[0][0]
    assert entry.subject == "journal.db.damaged-1"
    assert journal.queries.exams(open=True) == []
    waiting = {one.measurement.id for one in journal.queries.due("fhir", 100)}
    sent = "SELECT measurement FROM outbox WHERE state = 'delivered'"
    assert not waiting & {row[0] for row in table(before, sent)}
    journal.close()


def test_a_second_damage_is_moved_aside_beside_the_first(tmp_path, specimen):
    path, _ = laid(specimen, tmp_path)
    for turn in range(1, 3):
        damaged(path, Random(turn), "header")
        journal = opened(path)
        assert journal.recovery.file.name == f"journal.db.damaged-{turn}"
        assert journal.queries.check().problems == []
        journal.close()


def test_what_lay_in_the_wal_of_a_damaged_file_is_there(tmp_path, specimen_with_wal):
    path, before = laid(specimen_with_wal, tmp_path)
    newest = max(facts(before))
    content = bytearray(path.read_bytes())
    assert facts(before)[newest][6] not in content
    content[1024 : len(content) // 2] = bytes(len(content) // 2 - 1024)
    path.write_bytes(content)
    lost = recovery.recover(path, pen_of(path))
    assert lost.lost
    assert not any(low <= newest <= high for low, high in lost.lost)
    journal = opened(path)
    journal.recovery = lost
    same(journal, path, before)
    assert facts(path)[newest] == facts(before)[newest]
    journal.close()


def test_a_file_that_proves_nothing_is_left_as_it_is(tmp_path, specimen):
    path, _ = laid(specimen, tmp_path)
    path.write_bytes(Random(1).randbytes(20_000))
    left = path.read_bytes()
    with pytest.raises(JournalDamaged):
        opened(path)
    assert path.read_bytes() == left
    assert sorted(one.name for one in path.parent.iterdir()) == ["journal.db", "journal.db.lock"]


def lines_of(path: Path) -> list[tuple[str, int]]:
    """Return, in order, every line of a recovery that this damaged file reaches."""
    seen: dict[tuple[str, int], None] = {}

    def look(frame, event, _argument):
        name = Path(frame.f_code.co_filename).name
        if name not in {"aside.py", "recovery.py"}:
            return None
        if event == "line":
            seen.setdefault((name, frame.f_lineno))
        return look

    sys.settrace(look)
    try:
        opened(path).close()
    finally:
        sys.settrace(None)
    return list(seen)


def killed_at(path: Path, where: tuple[str, int]) -> None:
    """Open the damaged journal in a process that ends, as killed, when it comes to this line."""

    def look(frame, event, _argument):
        if Path(frame.f_code.co_filename).name != where[0]:
            return None
        if event == "line" and frame.f_lineno == where[1]:
            os._exit(9)
        return look

    child = os.fork()
    if child == 0:
        sys.settrace(look)
        try:
            opened(path).close()
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9, f"{where} was not reached"


def test_cut_off_at_any_line_the_next_start_finishes_it(tmp_path, specimen_with_wal):
    """With a WAL beside it: no moment may let the old file stand without its WAL, or the new one with it."""

    def broken(name: str) -> Path:
        path = specimen_with_wal.laid(tmp_path / name)
        content = bytearray(path.read_bytes())
        content[1024 : len(content) // 2] = bytes(len(content) // 2 - 1024)
        path.write_bytes(content)
        aside.unsound(path).touch()
        return path

    path = broken("whole")
    before = facts(specimen_with_wal.laid(tmp_path / "before"))
    newest = max(before)
    places = [where for where in lines_of(path) if where[0] == "aside.py"]
    inside = [where for where in lines_of(broken("again")) if where[0] == "recovery.py"]
    assert len(places) > 15
    for number, where in enumerate([*places, *inside[::6]]):
        path = broken(str(number))
        killed_at(path, where)
        journal = opened(path)
        assert journal.queries.check().problems == []
        journal.close()
        assert facts(path)[newest] == before[newest]
        left = sorted(one.name for one in path.parent.iterdir() if "damaged" not in one.name)
        assert left == ["journal.db", "journal.db.lock"], where
        assert [one.name for one in aside.damaged_files(path.parent)] == ["journal.db.damaged-1"]


def test_damage_found_in_use_is_mended_at_the_next_start(tmp_path, specimen):
    path, before = laid(specimen, tmp_path)
    content = bytearray(path.read_bytes())
    content[40 * 1024 : 41 * 1024] = bytes(1024)
    path.write_bytes(content)
    journal = opened(path)
    assert not journal.queries.sound()
    journal.close()
    journal = opened(path)
    assert journal.recovery is not None
    same(journal, path, before)
    assert journal.queries.sound()
    journal.close()
    opened(path).close()
    assert len(aside.damaged_files(path.parent)) == 1


def test_a_file_that_was_called_damaged_and_is_not_stays_where_it_is(tmp_path, specimen):
    """Memory may have been at fault, which a start does not inherit."""
    path, before = laid(specimen, tmp_path)
    aside.unsound(path).touch()
    journal = opened(path)
    assert journal.recovery is None
    assert facts(path).items() >= facts(before).items()
    journal.close()
    assert not aside.unsound(path).exists()
    assert aside.damaged_files(path.parent) == []


async def test_the_service_starts_on_a_damaged_journal_says_so_and_goes_on(tmp_path, specimen):
    path, before = laid(specimen, tmp_path)
    damaged(path, Random(3), "pages")
    damaged(path, Random(3), "header")
    gateway = Gateway(Config(gateway="gw-1", state=path.parent))
    try:
        await gateway.soundness.look()
        assert gateway.notes() == ["store.recovered"]
        lost = gateway.journal.recovery.lost
        assert lost
        report = gateway.journal.queries.check()
        assert report.problems == []
        kept = facts(before)
        assert all(one in facts(path).values() for one in kept.values() if not within(one[0], lost))
        exam = await gateway.open_exam(ExamRequest([Identifier("health-record", "H-1893")], "王新", "doctor"))
        assert gateway.journal.queries.exam(exam) is not None
    finally:
        gateway.close()


def within(seq: int, runs: list[tuple[int, int]]) -> bool:
    return any(low <= seq <= high for low, high in runs)
