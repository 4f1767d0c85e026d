"""A copy put in the journal's place: nothing sent twice, no id given twice, the loss said, no cut fatal."""

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from protocol.errors import JournalHeld, RequestRefused
from store import backup, restore
from store.audit import Wanted
from store.facts import Audited
from store.journal import Journal
from store.queries import Queries
from store.restore import Comparison
from tests.keeping.analyser import Analyser
from tests.keeping.clinic import Clinic, until
from tests.store.journal_making import final, opened, ticking, visit
from tools.main import status_of

TOLD = Audited(who="technician", what="restored", subject="journal")


class Case:
    """A journal, a copy of it, and what was done after the copy was made."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / "state/journal.db"
        self.copy = folder / "copy.db"
        self.journal = opened(folder)
        self.exam = self.journal.submit(visit).result()
        self.early = self.done()
        self.sent(self.early)
        self.waiting = self.done()
        self.journal.queries.backup(self.copy)

    def done(self) -> str:
        return self.journal.submit(lambda tx: final(tx, self.exam)).result()

    def sent(self, key: str) -> None:
        held = self.journal.queries.measurement(key)
        assert held is not None
        self.journal.submit(lambda tx: tx.delivered("fhir", key, held.version, {"id": key})).result()

    def restore(self) -> Path | None:
        return restore.restore(
            self.copy,
            self.path,
            restore.compared(self.copy, self.path),
            TOLD,
            gateway="gw-1",
            now=ticking(),
            forwarders=("fhir",),
            key_file=self.folder / "state-key/key",
        )


@pytest.fixture
def case(tmp_path: Path) -> Iterator[Case]:
    made = Case(tmp_path)
    yield made
    made.journal.close()


def due(journal: Journal) -> list[str]:
    return [one.measurement.id for one in journal.queries.due("fhir", 100)]


def test_what_the_centre_holds_is_not_sent_again_and_no_id_is_given_twice(case: Case) -> None:
    case.sent(case.waiting)
    lost = [case.done() for _ in range(3)]
    case.sent(lost[0])
    before = case.journal.queries.counts().facts
    case.journal.close()
    found = restore.compared(case.copy, case.path)
    assert (found.lost, found.measurements, found.sent) == (before - found.common, 3, 1)
    aside = case.restore()

    journal = opened(case.folder)
    assert journal.queries.check().problems == []
    assert due(journal) == []
    assert {case.early, case.waiting} == {one.measurement for one in journal.queries.deliveries("delivered")}
    exam = journal.queries.exams()[0].id
    later = [journal.submit(lambda tx: final(tx, exam)).result() for _ in range(5)]
    assert not set(later) & {*lost, case.early, case.waiting}
    assert due(journal) == later
    assert restored(journal)
    journal.close()

    assert aside is not None
    old = Queries(aside)
    assert old.check().problems == []
    assert old.counts().facts == before
    old.close()


def restored(journal: Journal) -> bool:
    """Say whether the journal tells that it was put back."""
    return any(one.what == "restored" for one in journal.queries.audit(Wanted())[0])


def test_a_version_that_the_centre_has_passed_by_is_parked_not_sent(case: Case) -> None:
    """Sent again it would undo a later one: a person decides."""
    other = case.journal.submit(lambda tx: visit(tx, "110101189001010024", "李试")).result()
    case.journal.submit(lambda tx: _moved(tx, case.waiting, other)).result()
    case.sent(case.waiting)
    case.journal.close()
    case.restore()
    journal = opened(case.folder)
    assert due(journal) == []
    assert [(one.measurement, one.reason) for one in journal.queries.deliveries("parked")] == [
        (case.waiting, restore.AGAIN)
    ]
    assert journal.queries.check().problems == []
    journal.close()


def _moved(tx: Any, key: str, exam: str) -> None:
    from tests.store.journal_making import bound, judged

    bound(tx, key, exam)
    judged(tx, key)


def test_a_running_service_keeps_it_from_being_done(case: Case) -> None:
    with pytest.raises(JournalHeld) as held:
        case.restore()
    assert status_of(held.value) == 75
    assert case.done() in due(case.journal)


def test_a_copy_of_another_journal_is_refused(case: Case, tmp_path: Path) -> None:
    other = Case(tmp_path / "other")
    other.journal.close()
    with pytest.raises(RequestRefused) as refused:
        restore.compared(other.copy, case.path)
    assert refused.value.code == "restore.another_journal"


def test_what_cannot_be_read_is_moved_aside_as_it_is(case: Case) -> None:
    case.journal.close()
    case.path.write_bytes(damaged := b"not a database" * 1000)
    assert restore.compared(case.copy, case.path) == Comparison(copy=_last(case.copy), readable=False)
    aside = case.restore()
    assert aside is not None
    assert aside.read_bytes() == damaged
    journal = opened(case.folder)
    assert journal.queries.check().problems == []
    assert due(journal) == [case.waiting]
    journal.close()


def _last(path: Path) -> int:
    queries = Queries(path)
    try:
        return queries.counts().facts
    finally:
        queries.close()


class _Cut(BaseException):
    """The power goes."""


@pytest.mark.parametrize("wal", [False, True])
def test_cut_off_at_any_change_of_a_name_the_next_start_has_the_old_or_the_new_journal_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wal: bool
) -> None:
    """Before every rename, link and removal in the state folder in turn; then a service starts."""
    template = Case(tmp_path / "template")
    template.sent(template.waiting)
    template.done()
    facts = template.journal.queries.counts().facts
    if wal:
        _keep_the_wal(template)
    template.journal.close()
    if wal:
        _bring_back_the_wal(template)
    outcomes = []
    for cut in range(40):
        folder = tmp_path / str(cut)
        shutil.copytree(template.folder, folder)
        case = Case.__new__(Case)
        case.folder, case.path, case.copy = folder, folder / "state/journal.db", folder / "copy.db"
        left = cut
        done = False
        with monkeypatch.context() as patched:

            def counted(real: Any) -> Any:
                def call(*words: Any, **named: Any) -> Any:
                    nonlocal left
                    left -= 1
                    if left < 0:
                        raise _Cut
                    return real(*words, **named)

                return call

            for place, name in ((Path, "rename"), (Path, "replace"), (Path, "unlink"), (os, "link")):
                patched.setattr(place, name, counted(getattr(place, name)))
            try:
                case.restore()
                done = True
            except _Cut:
                pass
        journal = opened(folder)
        assert journal.queries.check().problems == []
        assert due(journal)[:1] != [template.waiting]
        held = journal.queries.counts().facts
        outcomes.append(restored(journal))
        assert outcomes[-1] or held == facts
        journal.close()
        if done:
            break
    assert outcomes[-1]
    assert sorted(outcomes) == outcomes, "once in place it stays"
    assert len(outcomes) > 4


def _keep_the_wal(case: Case) -> None:
    """Keep a copy of the files as a killed service leaves them."""
    for name in ("", "-wal"):
        file = case.path.with_name(case.path.name + name)
        file.with_name(f"kept{name}").write_bytes(file.read_bytes())


def _bring_back_the_wal(case: Case) -> None:
    for name in ("", "-wal"):
        case.path.with_name(f"kept{name}").rename(case.path.with_name(case.path.name + name))


def test_the_command_with_a_real_service_before_and_after(tmp_path: Path) -> None:
    with Analyser() as analyser:
        clinic = Clinic(tmp_path, tmp_path / "state", analyser.port)
        copy = tmp_path / "copy.db"
        with clinic.running():
            until(analyser.sends, "the analyser is heard")
            before = clinic.stored()
            assert not clinic.tool("journal", "backup", copy).returncode
            until(analyser.sends, "the analyser is heard")
            refused = clinic.tool("journal", "restore", copy, "--yes")
            assert refused.returncode == 75
            assert "store.held" in refused.stderr
        told = clinic.tool("journal", "restore", copy, "--yes", "--json", "--operator", "technician")
        assert told.returncode == 0, told.stderr
        document = json.loads(told.stdout)
        assert document["lost"] > 0
        assert document["measurements"] == len(analyser.taken) - len(before)
        assert Path(document["aside"]).exists()
        with clinic.running():
            assert clinic.stored() == before
            assert until(analyser.sends, "the analyser is heard again")
        assert not clinic.tool("journal", "verify").returncode

        damaged = bytearray(copy.read_bytes())
        damaged[damaged.rindex(b'"glucose"') + 3] ^= 1
        copy.write_bytes(damaged)
        refused = clinic.tool("journal", "restore", copy, "--yes")
        assert refused.returncode == 6
        assert "restore.not_sound" in refused.stderr
        assert not clinic.tool("journal", "verify").returncode
        assert backup.part_of(copy).exists() is False
