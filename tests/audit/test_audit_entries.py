"""The audit as the store reads it: a union of facts, found by any filter, in pages of any size, for good."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.errors import RequestRefused
from store.audit import Entry, Wanted
from store.facts import (
    Audited,
    Bound,
    Corrected,
    DeviceEvent,
    DevicePointed,
    ExamClosed,
    ItemSkipped,
    Resent,
    Value,
    Voided,
)
from store.journal import Journal, Transaction
from store.queries import Queries
from tests.store.journal_making import START, bound, final, heard, judged, opened, visit

NUMBERS = ("110101189001010016", "110101189001010024", "110101189001010032")
WHO = ("li", "wang", "page:127.0.0.1", "api:10.0.0.7", "service")
WHAT = ("read", "pulled", "exported", "configured")


ALL = Wanted()


def entries(journal: Journal, wanted: Wanted = ALL, **more: object) -> list[Entry]:
    """Return everything that fits, page after page of three."""
    found: list[Entry] = []
    cursor, going = None, True
    while going:
        some, cursor, going = journal.queries.audit(wanted, cursor, 3, **more)
        found += some
    return found


@pytest.fixture
def whole(tmp_path: Path) -> Iterator[Journal]:
    with closing(opened(tmp_path)) as journal:
        everything(journal)
        yield journal


def everything(journal: Journal) -> None:
    """Do once each thing a person can do that is a fact of its own."""
    exam = journal.submit(visit).result()
    key = journal.submit(lambda tx: final(tx, exam)).result()
    journal.submit(lambda tx: acts(tx, exam, key)).result()


def acts(tx: Transaction, exam: str, key: str) -> None:
    tx.append(DevicePointed(device="bp", exam=exam, operator="li"))
    tx.append(DeviceEvent(device="bp", code="order.given", detail={"order": "start", "operator": "li"}))
    tx.append(DeviceEvent(device="bp", code="link.lost", detail={}))
    tx.append(ItemSkipped(exam=exam, reading="glucose", reason="no strips", operator="li"))
    tx.append(
        Corrected(
            measurement=key, values={"systolic": Value("121", "mm[Hg]")}, operator="wang", reason="read wrong"
        )
    )
    judged(tx, key, "corrected")
    tx.append(Voided(measurement=key, by="wang", reason="somebody else", replaced_by=None))
    other = heard(tx)
    tx.append(
        Bound(
            measurement=other,
            exam=exam,
            resident=tx.exam(exam).resident,
            by="wang",
            reason="named on the slip",
        )
    )
    tx.append(Resent(measurement=other, forwarder="fhir", operator="li"))
    tx.append(ExamClosed(exam=exam, operator="li"))
    tx.append(Audited("api:127.0.0.1", "read", exam, resident=tx.exam(exam).resident))


def test_each_fact_of_a_persons_doing_is_one_entry_and_no_other_fact_is(whole: Journal) -> None:
    told = [(one.who, one.what) for one in entries(whole)]
    assert told == [
        ("doctor", "opened"),
        ("li", "pointed"),
        ("li", "ordered"),
        ("li", "skipped"),
        ("wang", "corrected"),
        ("wang", "voided"),
        ("wang", "bound"),
        ("li", "resent"),
        ("li", "closed"),
        ("api:127.0.0.1", "read"),
    ]
    reasons = {one.what: one.reason for one in entries(whole)}
    assert (reasons["corrected"], reasons["bound"]) == ("read wrong", "named on the slip")


def test_a_resident_is_found_by_key_and_by_number_in_whatever_it_was_about(whole: Journal) -> None:
    [first, *_] = entries(whole)
    about = {"opened", "pointed", "skipped", "corrected", "voided", "bound", "closed", "read"}
    for asked in (first.resident, NUMBERS[0]):
        assert {one.what for one in entries(whole, resident=asked)} >= about
    assert entries(whole, resident="110101189001010040") == []


ACTS = st.lists(
    st.tuples(st.sampled_from(WHO), st.sampled_from(WHAT), st.integers(-1, len(NUMBERS) - 1)), max_size=25
)
ASKED = st.fixed_dictionaries(
    {
        "who": st.none() | st.sampled_from(WHO),
        "what": st.none() | st.sampled_from((*WHAT, "opened")),
        "since": st.none() | st.integers(-5, 60),
        "until": st.none() | st.integers(-5, 60),
        "whom": st.none() | st.integers(0, len(NUMBERS) - 1),
    }
)


@settings(max_examples=25)
@given(ACTS, ASKED, st.integers(1, 9))
def test_any_filter_in_pages_of_any_size_gives_what_fits_and_nothing_else(acts, asked, limit) -> None:
    with TemporaryDirectory() as folder, closing(opened(Path(folder))) as journal:
        exams = [journal.submit(lambda tx, n=number: visit(tx, n)).result() for number in NUMBERS]
        people = [journal.queries.exam(exam).resident for exam in exams]
        for who, what, whom in acts:
            entry = Audited(who, what, "x", resident=people[whom] if whom >= 0 else None)
            journal.submit(lambda tx, one=entry: tx.append(one)).result()
        everything_there = entries(journal)
        assert len(everything_there) == len(NUMBERS) + len(acts)
        moments = {name: at(asked[name]) for name in ("since", "until")}
        number = NUMBERS[asked["whom"]] if asked["whom"] is not None else None
        expected = [
            one
            for one in everything_there
            if asked["who"] in {None, one.who}
            and asked["what"] in {None, one.what}
            and (moments["since"] is None or one.at.utc >= moments["since"])
            and (moments["until"] is None or one.at.utc < moments["until"])
            and (number is None or one.resident == people[asked["whom"]])
        ]
        wanted = Wanted(asked["who"], asked["what"], **moments)
        for newest, right in ((False, expected), (True, expected[::-1])):
            found, cursor, more = [], None, True
            while more:
                page, cursor, more = journal.queries.audit(
                    wanted, cursor, limit, resident=number, newest=newest
                )
                assert len(page) <= limit
                found += page
            assert found == right


def at(seconds: int | None) -> datetime | None:
    return None if seconds is None else START + timedelta(seconds=seconds)


def test_a_cursor_of_somebody_else_is_refused(whole: Journal) -> None:
    for cursor in ("v1-3", "a1-", "a1-x", "a1-" + "9" * 19):
        with pytest.raises(RequestRefused) as refused:
            whole.queries.audit(Wanted(), cursor)
        assert refused.value.code == "request.cursor"


CHANGES = (
    "UPDATE audits SET who = 'nobody' WHERE what = 'corrected'",
    "DELETE FROM audits WHERE what = 'corrected'",
    "UPDATE audits SET resident = NULL WHERE what = 'read'",
    "INSERT INTO audits SELECT seq + 10000, at, who, what, subject, resident FROM audits WHERE what = 'read'",
    "UPDATE facts SET body = CAST(replace(CAST(body AS TEXT), 'wang', 'gnaw') AS BLOB) WHERE seq = 9",
    "DELETE FROM facts WHERE seq = 9",
)


@pytest.mark.parametrize("change", CHANGES)
def test_no_entry_can_be_changed_and_one_that_was_is_found(tmp_path: Path, change: str) -> None:
    with closing(opened(tmp_path)) as journal:
        everything(journal)
    path = tmp_path / "state" / "journal.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as raw:
        if not change.startswith("INSERT"):
            with pytest.raises(sqlite3.IntegrityError, match="append-only"):
                raw.execute(change)
        for (trigger,) in raw.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            raw.execute(f"DROP TRIGGER {trigger}")
        assert raw.execute(change).rowcount == 1
    with closing(Queries(path)) as queries:
        assert {problem.seq for problem in queries.check().problems} & {0, 9, 10}


def test_what_a_rule_bound_is_nobodys_doing(tmp_path: Path) -> None:
    with closing(opened(tmp_path)) as journal:
        exam = journal.submit(visit).result()
        journal.submit(lambda tx: bound(tx, heard(tx), exam)).result()
        assert [one.what for one in entries(journal)] == ["opened"]
