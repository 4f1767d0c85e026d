"""Whoever pulls misses no version, whatever was put back from a copy, and however often."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from store import restore
from store.audit import Wanted
from store.facts import Audited
from tests.store.journal_making import final, opened, ticking, visit

Versions = set[tuple[str, int]]


class Box:
    """A journal that is measured into, copied, put back, and pulled from by a centre."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.path = folder, folder / "state/journal.db"
        self.journal = opened(folder)
        self.exam = self.journal.submit(visit).result()
        self.copies: list[Path] = []
        self.cursor: str | None = None
        self.held: Versions = set()
        """What the centre holds."""

    def measured(self) -> None:
        self.journal.submit(lambda tx: final(tx, self.exam)).result()

    def copied(self) -> None:
        self.copies.append(self.folder / f"copy-{len(self.copies)}.db")
        self.journal.queries.backup(self.copies[-1])

    def restored(self, copy: Path, *, stands: bool = True) -> None:
        """Put a copy in the journal's place; unless it *stands*, the disk is a new one."""
        self.journal.close()
        if not stands:
            self.path.unlink()
        found = restore.compared(copy, self.path)
        told = Audited(
            who="technician", what="restored", subject="journal", detail=dict(restore.words(found))
        )
        where: dict[str, Any] = {"forwarders": ("fhir",), "key_file": self.folder / "state-key/key"}
        restore.restore(copy, self.path, found, told, gateway="gw-1", now=ticking(), **where)
        self.journal = opened(self.folder)

    def pulled(self, cursor: str | None, limit: int = 3) -> Versions:
        """Pull all there is after a cursor; remember where that ended."""
        found, more = Versions(), True
        while more:
            documents, cursor, more = self.journal.queries.page(cursor, limit)
            found |= {(one["id"], one["version"]) for one in map(json.loads, documents)}
        self.cursor = cursor
        return found

    def pull(self) -> None:
        self.held |= self.pulled(self.cursor)

    @property
    def all(self) -> Versions:
        found, cursor = Versions(), self.cursor
        found, self.cursor = self.pulled(None, 1000), cursor
        return found


STEPS = st.lists(
    st.sampled_from(["measured", "measured", "copied", "pull", "restored", "new disk"]),
    max_size=14,
)


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(STEPS, st.data())
def test_after_a_pull_the_centre_holds_every_version_there_is(
    tmp_path_factory: pytest.TempPathFactory, steps: list[str], data: st.DataObject
) -> None:
    box = Box(tmp_path_factory.mktemp("box"))
    for step in ("measured", "copied", *["measured"] * 4, "pull", *steps):
        match step:
            case "measured":
                box.measured()
            case "copied":
                box.copied()
            case "pull":
                box.pull()
                assert box.all <= box.held
            case _ if box.copies:
                box.restored(data.draw(st.sampled_from(box.copies)), stands=step == "restored")
    box.pull()
    assert box.all <= box.held
    assert box.journal.queries.check().problems == []
    box.journal.close()


def test_after_a_restore_a_pull_goes_on_at_the_copys_end_and_then_as_ever(tmp_path: Path) -> None:
    box = Box(tmp_path)
    for _ in range(4):
        box.measured()
    box.copied()
    known = box.all
    for _ in range(4):
        box.measured()
    box.pull()
    box.restored(box.copies[0])
    for _ in range(6):
        box.measured()
    again = box.pulled(box.cursor)
    assert again == box.all - known
    assert box.pulled(box.cursor) == set()
    box.measured()
    assert len(box.pulled(box.cursor)) == 1
    box.journal.close()


@pytest.mark.parametrize("stands", [True, False])
def test_a_cursor_of_an_earlier_release_is_taken_and_misses_nothing(tmp_path: Path, *, stands: bool) -> None:
    box = Box(tmp_path)
    box.measured()
    early = box.all
    after = f"v1-{box.journal.queries.counts().facts}"
    box.measured()
    assert box.pulled(after) == box.all - early
    box.copied()
    known = box.all
    box.measured()
    late = f"v1-{box.journal.queries.counts().facts}"
    box.restored(box.copies[0], stands=stands)
    for _ in range(3):
        box.measured()
    assert box.pulled(late) == box.all - known
    assert box.pulled(after) == box.all - early
    box.journal.close()


def test_an_older_file_put_in_place_by_hand_is_pulled_from_the_beginning(tmp_path: Path) -> None:
    box = Box(tmp_path)
    box.measured()
    box.journal.close()
    older = box.path.read_bytes()
    box.journal = opened(tmp_path)
    box.measured()
    box.pull()
    box.journal.close()
    box.path.write_bytes(older)
    box.journal = opened(tmp_path, gateway="gw-1")
    for _ in range(2):
        box.journal.submit(lambda tx: final(tx, box.exam, {})).result()
    assert box.pulled(box.cursor) == box.all
    box.journal.close()


def test_who_reads_the_audit_misses_no_entry_either(tmp_path: Path) -> None:
    box = Box(tmp_path)
    box.measured()
    box.copied()
    for _ in range(3):
        box.journal.submit(visited).result()
    _, cursor, _ = box.journal.queries.audit(Wanted())
    box.restored(box.copies[0])
    for _ in range(4):
        box.journal.submit(visited).result()
    entries, _, _ = box.journal.queries.audit(Wanted(), cursor)
    assert [one.what for one in entries] == ["restored"] + ["opened"] * 4
    box.journal.close()


def visited(tx: Any) -> str:
    return visit(tx)
