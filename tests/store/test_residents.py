"""A resident is found by number only and never guessed; no table holds anybody's name or number."""

import itertools
import sqlite3

import pytest
from journal_making import final, visit

from protocol.errors import RequestRefused
from store.residents import Identifier

CARD = Identifier("cn-id", "110101189001010016")
RECORD = Identifier("health-record", "A-17")


def found(journal, identifiers, name=None, sex=None, born=None):
    return journal.submit(lambda tx: tx.resident_for(identifiers, name, sex, born)).result(10)


def test_the_same_number_is_the_same_person_and_a_new_number_is_added(journal):
    first = found(journal, [CARD], "张试")
    again = found(journal, [RECORD, CARD], None, "male", "1890-01-01")
    assert again.id == first.id
    assert set(again.identifiers) == {CARD, RECORD}
    assert (again.name, again.sex, again.birth_date) == ("张试", "male", "1890-01-01")
    assert found(journal, [RECORD]) == again == journal.queries.resident(first.id)


def test_the_same_number_in_another_system_is_another_person(journal):
    assert (
        found(journal, [Identifier("cn-id", "7")]).id != found(journal, [Identifier("health-record", "7")]).id
    )


def test_a_name_never_finds_anybody(journal):
    assert found(journal, [], "张试").id != found(journal, [], "张试").id


def test_what_is_known_is_not_overwritten(journal):
    found(journal, [CARD], "张试", "male", "1890-01-01")
    again = found(journal, [CARD], "李样", "female", "1891-01-01")
    assert (again.name, again.sex, again.birth_date) == ("张试", "male", "1890-01-01")


def test_numbers_that_contradict_each_other_are_refused_and_change_nothing(journal):
    first, second = found(journal, [CARD], "张试"), found(journal, [RECORD], "李样")
    for wrong in ([CARD, RECORD], [CARD, Identifier("cn-id", "110101189202020029")]):
        with pytest.raises(RequestRefused) as refused:
            found(journal, wrong)
        assert refused.value.code == "resident.ambiguous"
    assert journal.queries.resident(first.id) == first
    assert journal.queries.resident(second.id) == second


def test_no_table_holds_a_name_or_a_number_that_can_be_read(journal, tmp_path):
    exam = journal.submit(visit).result()
    journal.submit(lambda tx: final(tx, exam)).result()
    journal.close()
    raw = sqlite3.connect(tmp_path / "state/journal.db")
    tables = [row[0] for row in raw.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    holding = set()
    for table in tables:
        cells = itertools.chain.from_iterable(raw.execute(f"SELECT * FROM {table}"))
        texts = [one.decode("utf-8", "replace") if isinstance(one, bytes) else str(one) for one in cells]
        if any("110101189001010016" in text or "张试" in text for text in texts):
            holding.add(table)
    raw.close()
    assert holding == set()
