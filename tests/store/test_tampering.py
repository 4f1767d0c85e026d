"""Random tampering with the stored files: found with the row named, or provably without a meaning."""

import pytest

from store import comparison
from tools.faults import tamper
from tools.faults.specimen import SEED, made

COUNT = 150
SQL = ("edit", "delete", "insert", "swap", "cut", "forge")


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    return tamper.Bench(tmp_path_factory.mktemp("bench"), seed=7)


def test_the_specimen_is_the_same_each_time_and_holds_something_of_every_table(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    one, other = made(tmp_path / "a"), made(tmp_path / "b")
    assert (one.key, one.anchor) == (other.key, other.anchor)
    path = one.laid(tmp_path / "c")
    assert tamper.content(path, notes=False) == tamper.content(other.laid(tmp_path / "d"), notes=False)
    plain = comparison.plain()
    tables = {row[0] for row in plain.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    plain.close()
    tamperer = tamper.Tamperer(path, tamper.Random(SEED))
    assert tables - set(tamperer.tables()) == {"timed"}
    tamperer.close()


def test_every_change_is_found_and_its_row_named_or_means_nothing(bench):
    found = [bench.tried(case) for case in range(COUNT)]
    assert [one for one in found if one.outcome == "MISSED"] == []
    assert [one for one in found if not one.named] == []
    assert {one.what.split(" ")[0] for one in found} >= {*SQL, "flip", "noise", "zero", "truncate"}
    assert sum(one.outcome == "found" for one in found) > COUNT * 3 // 4


def test_a_check_that_leaves_a_table_out_is_caught(bench, monkeypatch):
    seen = tuple(table for table in comparison.TABLES if table.name not in {"exams", "skipped", "audits"})
    monkeypatch.setattr(comparison, "TABLES", seen)
    assert "MISSED" in {bench.tried(case).outcome for case in range(50)}
