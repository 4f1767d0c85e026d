"""Names under lock against a plain dictionary: opened, looked up, erased, the key changed, lost and found."""

import contextlib
import shutil
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from journal_making import opened

from protocol.errors import RequestRefused
from store import keyring
from store.keyring import Key
from store.residents import Identifier, Unnamed

PEOPLE = tuple(
    (f"试{n}", (Identifier("cn-id", f"11010118900101{n:04d}"), Identifier("health-record", f"3703-{n}")))
    for n in range(3)
)
WHO = st.integers(0, len(PEOPLE) - 1)


@dataclass
class Known:
    """Who a resident should be; erased ones are nobody."""

    who: int
    numbers: set[Identifier] = field(default_factory=set)
    erased: bool = False


class VaultModel(RuleBasedStateMachine):
    """Commands one by one, each mirrored in a dictionary; a start and a lost key are commands too."""

    @initialize()
    def start(self):
        self.folder = Path(tempfile.mkdtemp())
        self.journal = opened(self.folder)
        self.file = self.folder / "state-key" / "key"
        self.model: dict[str, Known] = {}
        self.facts = 0
        self.lost: bytes | None = None
        """The key file's content while it is lost."""
        self.at_hand = True
        """What is at hand when the file goes stays at hand until the next start."""
        self.signed = True
        """Whether the latest fact was written with the key at hand."""

    def do(self, command):
        return self.journal.submit(command).result(30)

    def having(self, numbers) -> list[str]:
        """Return who should be found by any of these numbers."""
        return [
            key for key, one in self.model.items() if not one.erased and not one.numbers.isdisjoint(numbers)
        ]

    @rule(who=WHO, which=st.sampled_from([(0,), (1,), (0, 1)]))
    def sits_down(self, who, which):
        name, numbers = PEOPLE[who]
        given = [numbers[one] for one in which]
        expected = self.having(given)
        command = lambda tx: tx.resident_for(given, name)  # noqa: E731
        if not self.at_hand or len(expected) > 1:
            with pytest.raises(RequestRefused) as refused:
                self.do(command)
            assert refused.value.code == ("resident.ambiguous" if self.at_hand else "vault.key_missing")
            return
        told = self.do(command)
        assert [told.id] == expected if expected else told.id not in self.model
        self.model.setdefault(told.id, Known(who)).numbers |= set(given)

    @rule(who=WHO, which=st.sampled_from([0, 1]))
    def look_up(self, who, which):
        number = PEOPLE[who][1][which]
        found = self.do(lambda tx: tx.residents_with(number.value))
        assert found == (self.having([number]) if self.at_hand else [])

    @rule(who=WHO)
    def erase(self, who):
        for key in self.having(PEOPLE[who][1])[:1]:
            self.do(lambda tx, key=key: tx.erase(key, "wang", "asked"))
            self.facts += 1
            self.signed = self.at_hand
            self.model[key].erased = True

    @precondition(lambda self: self.at_hand and self.lost is None)
    @rule()
    def begin_to_change_the_key(self):
        held = keyring.read(self.file)
        if len(held) == 1:
            keyring.replace(self.file, [keyring.new(), *held])
            self.facts += 1
            self.signed = True
        self.do(lambda tx: tx.change_key("wang", "yearly"))

    @precondition(lambda self: self.at_hand)
    @rule(limit=st.integers(1, 3))
    def change_some(self, limit):
        self.do(lambda tx: tx.renew(0, limit))

    @precondition(lambda self: self.at_hand and self.lost is None)
    @rule()
    def finish_changing_the_key(self):
        held = keyring.read(self.file)
        if self.do(lambda tx: tx.look_for_key()).current != Key.of(held[0]).id:
            return
        while self.do(lambda tx: tx.renew(0, 2)) is not None:
            pass
        assert self.do(lambda tx: tx.left_to_renew()) == 0
        keyring.replace(self.file, held[:1])
        self.do(lambda tx: tx.look_for_key())

    @precondition(lambda self: self.lost is None)
    @rule()
    def lose_the_key(self):
        self.lost = self.file.read_bytes()
        self.file.unlink()

    @precondition(lambda self: self.lost is not None)
    @rule()
    def find_the_key(self):
        assert not self.file.exists(), "a key was made over sealed names"
        self.file.write_bytes(self.lost)
        self.lost, self.at_hand = None, True

    @rule()
    def reopen(self):
        self.journal.close()
        self.journal = opened(self.folder)
        self.at_hand = self.lost is None

    @invariant()
    def agrees(self):
        queries = self.journal.queries
        assert queries.names_fault() == (None if self.at_hand else "vault.key_missing")
        for key, one in self.model.items():
            found = queries.resident(key)
            if one.erased:
                assert found == Unnamed(key, hidden="erased")
            elif self.at_hand:
                assert (found.name, set(found.identifiers)) == (PEOPLE[one.who][0], one.numbers)
            else:
                assert found == Unnamed(key, hidden="key_missing")
        assert queries.counts().facts == self.facts

    def teardown(self):
        with contextlib.suppress(AttributeError):
            problems = [problem.what for problem in self.journal.queries.check().problems]
            unsigned = self.at_hand and not self.signed
            assert ["bear no signature" in what for what in problems] == [True] * unsigned
            self.journal.close()
            for path in (self.folder / "state").iterdir():
                held = path.read_bytes()
                assert not any(name.encode() in held for name, _ in PEOPLE)
                assert not any(one.value.encode() in held for _, numbers in PEOPLE for one in numbers)
            shutil.rmtree(self.folder)


TestVaultModel = VaultModel.TestCase
TestVaultModel.settings = settings(
    max_examples=40, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
)
