"""The journal against a model in plain Python: pages, tray, due list and folds agree, come what may.

Bound, bound anew, withdrawn, reissued, corrected, delivered, refused, sent again, a person erased, the key
changed, the process killed, the file closed and opened, restored from its backup.
"""

import json
import shutil
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, rule
from journal_making import bound, heard, judged, opened, pressure, visit

from store import keyring
from store.facts import Corrected, ExamClosed, Reissued, Resent, Voided

NUMBERS = ("110101189001010016", "110101189202020029")


@dataclass
class Modelled:
    """What one measurement should be."""

    order: int
    systolic: int
    status: str = "preliminary"
    exam: str | None = None
    versions: int = 1
    history: list[str] = field(default_factory=list)
    waited: bool = False
    """Whether a version ever waited for the forwarder."""
    waits: int | None = None
    """The version that waits now."""
    parked: bool = False
    last_change: int = 0


class JournalModel(RuleBasedStateMachine):
    """Commands one by one, each mirrored; reopening is a command too."""

    keys = Bundle("keys")
    exams = Bundle("exams")

    @initialize()
    def start(self):
        self.folder = Path(tempfile.mkdtemp())
        self.journal = opened(self.folder)
        self.model: dict[str, Modelled] = {}
        self.pages: list[tuple[str, int, str]] = []
        self.turn = 0
        self.lives = 0
        self.erased: set[str] = set()

    def do(self, command):
        return self.journal.submit(command).result(30)

    def changed(self, key):
        """A new version of this measurement was written: mirror the page, and what waits."""
        one = self.model[key]
        self.turn += 1
        one.last_change = self.turn
        self.pages.append((key, one.versions, one.status))
        if one.status in {"final", "corrected"} and one.exam and self.person(one.exam) not in self.erased:
            one.waits, one.waited, one.parked = one.versions, True, False
        elif one.status == "entered-in-error" and one.waited:
            one.waits, one.parked = one.versions, False
        else:
            one.waits, one.parked = None, False

    @rule(target=exams, number=st.sampled_from(NUMBERS))
    def open_exam(self, number):
        return self.do(lambda tx: visit(tx, number, "张试" if number == NUMBERS[0] else "李样"))

    @rule(target=keys, systolic=st.integers(100, 103))
    def receive(self, systolic):
        key = self.do(lambda tx: heard(tx, pressure(systolic)))
        assert key not in self.model
        self.model[key] = Modelled(len(self.model), systolic)
        self.changed(key)
        return key

    @rule(target=keys, exam=exams, systolic=st.integers(100, 103))
    def receive_bind_and_judge(self, exam, systolic):
        def command(tx):
            key = heard(tx, pressure(systolic))
            bound(tx, key, exam)
            judged(tx, key)
            return key

        key = self.do(command)
        self.model[key] = Modelled(len(self.model), systolic, "final", exam)
        self.changed(key)
        return key

    @rule(key=keys, exam=st.one_of(st.none(), exams))
    def bind(self, key, exam):
        self.do(lambda tx: bound(tx, key, exam))
        one = self.model[key]
        if self.person(one.exam) != self.person(exam) and one.status != "entered-in-error":
            one.status = "preliminary"
        one.exam = exam
        one.versions += 1
        self.changed(key)

    def person(self, exam):
        return self.journal.queries.exam(exam).resident if exam else None

    @rule(key=keys, status=st.sampled_from(["preliminary", "final"]))
    def judge(self, key, status):
        self.do(lambda tx: judged(tx, key, status))
        one = self.model[key]
        if one.status != "entered-in-error":
            one.status = status
        one.versions += 1
        self.changed(key)

    @rule(key=keys, systolic=st.integers(104, 106))
    def correct(self, key, systolic):
        fact = Corrected(measurement=key, values=pressure(systolic), operator="d", reason="r")
        self.do(lambda tx: tx.append(fact))
        one = self.model[key]
        one.systolic = systolic
        one.status = "corrected" if one.status == "final" else one.status
        one.versions += 1
        self.changed(key)

    @rule(key=consumes(keys))
    def void(self, key):
        self.do(lambda tx: tx.append(Voided(measurement=key, by="d", reason="r", replaced_by=None)))
        one = self.model[key]
        one.status = "entered-in-error"
        one.versions += 1
        self.changed(key)

    @rule(target=keys, key=consumes(keys), exam=exams)
    def reissue_for_somebody(self, key, exam):
        """Withdraw a measurement and give its evidence to another exam's person, in one command."""

        def command(tx):
            new = tx.next_id
            tx.append(Reissued(measurement=new, of=key, by="d", reason="r"))
            tx.append(Voided(measurement=key, by="d", reason="r", replaced_by=new))
            bound(tx, new, exam)
            judged(tx, new)
            return new

        new, old = self.do(command), self.model[key]
        old.status = "entered-in-error"
        old.versions += 1
        self.changed(key)
        self.model[new] = Modelled(old.order, old.systolic, "final", exam)
        self.changed(new)
        return new

    @rule(exam=consumes(exams))
    def erase_the_person_of(self, exam):
        resident = self.person(exam)
        if resident in self.erased:
            return
        for one in self.journal.queries.exams():
            if one.resident == resident:
                self.do(lambda tx, key=one.id: tx.append(ExamClosed(exam=key, operator="d")))
        self.do(lambda tx: tx.erase(resident, "d", "asked"))
        self.erased.add(resident)
        for one in self.model.values():
            if self.person(one.exam) == resident and one.status != "entered-in-error":
                one.waits, one.parked = None, False

    @rule()
    def change_the_key(self):
        file = self.folder / "state-key" / "key"
        before = keyring.read(file)
        keyring.replace(file, [keyring.new(), *before])
        self.do(lambda tx: tx.change_key("d", "yearly"))
        while self.do(lambda tx: tx.renew(0, 3)) is not None:
            pass
        keyring.replace(file, keyring.read(file)[:1])

    @rule(how=st.sampled_from(["deliver", "park"]))
    def answer(self, how):
        due = self.journal.queries.due("fhir", 1)
        if not due:
            return
        key, version = due[0].measurement.id, due[0].measurement.version
        if how == "deliver":
            self.do(lambda tx: tx.delivered("fhir", key, version, {"Observation": key}))
        else:
            self.do(lambda tx: tx.parked("fhir", key, version, "no"))
        self.model[key].waits, self.model[key].parked = None, how == "park"

    @rule()
    def resend_all(self):
        for one in self.journal.queries.deliveries("parked"):
            assert self.do(lambda tx, key=one.measurement: resent(tx, key))
            self.model[one.measurement].waits, self.model[one.measurement].parked = one.version, False

    @rule(key=keys)
    def fail(self, key):
        def command(tx):
            judged(tx, key, "final")
            heard(tx)
            raise ArithmeticError

        assert isinstance(self.journal.submit(command).exception(30), ArithmeticError)

    @rule()
    def reopen(self):
        self.journal.close()
        self.journal = opened(self.folder)

    def goes_on_in(self, folder):
        """Leave what the journal was behind, and open the copy in *folder*."""
        self.journal.close()
        shutil.rmtree(self.folder)
        self.folder, self.lives = folder, self.lives + 1
        self.journal = opened(folder)

    @rule()
    def die(self):
        """Go on with the files as they lie while the journal is open: what a kill leaves."""
        folder = self.folder.with_name(f"{self.folder.name}-{self.lives}")
        shutil.copytree(self.folder, folder)
        self.goes_on_in(folder)

    @rule()
    def restore_from_a_backup(self):
        folder = self.folder.with_name(f"{self.folder.name}-{self.lives}")
        shutil.copytree(self.folder / "state-key", folder / "state-key")
        (folder / "state").mkdir()
        assert self.journal.queries.backup(folder / "state" / "journal.db").problems == []
        self.goes_on_in(folder)

    @invariant()
    def agrees(self):
        queries, found, after, more = self.journal.queries, [], None, True
        while more:
            documents, after, more = queries.page(after, 7)
            found += [(one["id"], one["version"], one["status"]) for one in map(json.loads, documents)]
        assert found == self.pages
        for key, one in self.model.items():
            held = queries.measurement(key)
            assert (held.status, held.exam, held.version) == (one.status, one.exam, one.versions)
            assert held.values == pressure(one.systolic)
        by_change = sorted(self.model.items(), key=lambda item: item[1].last_change)
        assert [(one.measurement.id, one.measurement.version) for one in queries.due("fhir", 1000)] == [
            (key, one.waits) for key, one in by_change if one.waits is not None
        ]
        assert {one.measurement for one in queries.deliveries("parked")} == {
            key for key, one in self.model.items() if one.parked
        }
        loose = {
            one.order: key
            for key, one in self.model.items()
            if not one.exam and one.status != "entered-in-error"
        }
        assert [one.id for one in queries.tray(1000)] == [loose[order] for order in sorted(loose)][::-1]

    def teardown(self):
        if hasattr(self, "journal"):
            assert self.journal.queries.check().problems == []
            self.journal.close()
            shutil.rmtree(self.folder)


def resent(tx, key):
    tx.append(Resent(measurement=key, forwarder="fhir", operator="d"))
    return tx.resend("fhir", key)


TestJournalModel = JournalModel.TestCase
TestJournalModel.settings = settings(
    max_examples=60, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)
)
