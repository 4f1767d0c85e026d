"""What is let go by policy: raw frames that every centre accepted long ago, and nothing else, ever."""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway import keeping
from gateway.config import RetentionConfig
from gateway.keeping import Retention
from store.facts import Instant, Received, Reissued, Voided
from store.journal import Journal
from tests.store.journal_making import bound, heard, judged, pressure, visit

BOOT = "8a1f2c5e-0000-4000-8000-000000000001"
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
POLICY = RetentionConfig(after_days=730)
FORWARDERS = ("fhir", "county")


HEARD: dict[str, Any] = {
    "device": "bp",
    "driver": "omron_hbp",
    "serial": None,
    "reading": "blood_pressure",
    "values": pressure(),
    "device_time": None,
    "sequence": None,
    "context": {},
    "flags": [],
    "failed": None,
    "stored": False,
    "record": None,
    "clock_offset_s": None,
}


class Clinic:
    """A journal with two forwarders and a clock that goes as the test says."""

    def __init__(self, folder: Path, forwarders: tuple[str, ...] = FORWARDERS) -> None:
        self.now, self.synchronised, self.path = LONG_AGO, True, folder / "state/journal.db"
        self.frame = "0212"
        self.journal = self.opened(forwarders)
        self.exam = self.journal.submit(visit).result()

    def opened(self, forwarders: tuple[str, ...]) -> Journal:
        return Journal.open(self.path, gateway="gw-1", now=self.instant, forwarders=forwarders)

    def instant(self) -> Instant:
        self.now += timedelta(seconds=1)
        since = int((self.now - LONG_AGO).total_seconds() * 1e9)
        return Instant(self.now, since, BOOT, self.synchronised)

    def measured(self, upto: str = "delivered") -> str:
        """Receive one measurement and bring it as far as *upto* says."""
        key = self.journal.submit(self._heard).result()
        if upto == "tray":
            return key
        status = "preliminary" if upto == "blocked" else "final"

        def verdict(tx: Any) -> None:
            bound(tx, key, self.exam)
            judged(tx, key, status)

        self.journal.submit(verdict).result()
        for forwarder in {"delivered": FORWARDERS, "corrected": FORWARDERS, "one": FORWARDERS[:1]}.get(
            upto, ()
        ):
            self.settle(key, forwarder)
        if upto == "parked":
            self.settle(key, FORWARDERS[0])
            version = self.version(key)
            self.journal.submit(lambda tx: tx.parked(FORWARDERS[1], key, version, "no")).result()
        if upto == "corrected":  # a later version waits
            self.journal.submit(lambda tx: judged(tx, key, "final")).result()
        if upto == "moved":
            for forwarder in FORWARDERS:
                self.settle(key, forwarder)
            self.journal.submit(lambda tx: self._moved(tx, key)).result()
        return key

    def _heard(self, tx: Any) -> str:
        key = str(tx.next_id)
        body = {**HEARD, "measurement": key, "evidence": [self.frame], "began": tx.now()}
        tx.append(Received(**body))
        return key

    def _moved(self, tx: Any, key: str) -> None:
        """Withdraw it and give its frames to another id, which is owed to both and has nobody yet."""
        new = tx.next_id
        tx.append(Reissued(measurement=new, of=key, by="doctor", reason="the other one sat there"))
        tx.append(Voided(measurement=key, by="doctor", reason="the other one sat there", replaced_by=new))

    def version(self, key: str) -> int:
        found = self.journal.queries.measurement(key)
        assert found is not None
        return found.version

    def settle(self, key: str, forwarder: str) -> None:
        version = self.version(key)
        self.journal.submit(lambda tx: tx.delivered(forwarder, key, version, {"id": key})).result()

    def prune(self) -> int:
        """Let two and a half years pass in which the clock is synchronised once, then apply the policy."""
        self.now += timedelta(days=1)
        self.journal.submit(heard).result()
        self.now += timedelta(days=900)
        return asyncio.run(Retention(self.journal, POLICY, self.instant).once(POLICY))

    def frames(self, key: str) -> list[str]:
        found = self.journal.queries.evidence(key)
        assert found is not None
        return found["frames"]


@pytest.fixture(autouse=True)
def breathless(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeping, "BREATH_S", 0)


@pytest.fixture
def clinic(tmp_path: Path) -> Iterator[Clinic]:
    made = Clinic(tmp_path)
    yield made
    made.journal.close()


def test_frames_that_every_centre_accepted_go_and_all_else_stays(clinic: Clinic) -> None:
    settled = [clinic.measured() for _ in range(3)]
    owed = [
        clinic.measured(upto) for upto in ("tray", "blocked", "final", "one", "parked", "corrected", "moved")
    ]
    before = clinic.journal.queries.counts()
    documents = [clinic.journal.queries.measurement(key) for key in settled]
    assert clinic.prune() == 3
    assert [clinic.frames(key) for key in settled] == [[]] * 3
    assert all(clinic.frames(key) for key in owed)
    assert [clinic.journal.queries.measurement(key) for key in settled] == documents
    assert clinic.journal.queries.check().problems == []
    assert clinic.journal.queries.counts().facts == before.facts + 2, (
        "one heard later, one that says what went"
    )
    assert clinic.prune() == 0


@settings(max_examples=5, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.sampled_from(["delivered", "tray", "blocked", "one", "parked", "corrected", "moved"]), max_size=6
    )
)
def test_of_any_mixture_exactly_the_settled_go(
    tmp_path_factory: pytest.TempPathFactory, done: list[str]
) -> None:
    clinic = Clinic(tmp_path_factory.mktemp("clinic"))
    keys = {clinic.measured(upto): upto for upto in done}
    assert clinic.prune() == done.count("delivered")
    assert {key for key in keys if not clinic.frames(key)} == {
        key for key, upto in keys.items() if upto == "delivered"
    }
    assert clinic.journal.queries.check().problems == []
    clinic.journal.close()


def test_nothing_goes_before_the_time_nor_while_the_clock_may_be_wrong(clinic: Clinic) -> None:
    key = clinic.measured()
    pruning = Retention(clinic.journal, POLICY, clinic.instant)
    clinic.now += timedelta(days=700)
    assert asyncio.run(pruning.once(POLICY)) == 0
    clinic.now += timedelta(days=900)
    clinic.synchronised = False
    assert asyncio.run(pruning.once(POLICY)) == 0
    assert clinic.frames(key)


def test_a_fact_of_an_unsynchronised_clock_is_as_old_as_the_next_synchronised_one(clinic: Clinic) -> None:
    """A box that woke up in 1970 does not make today's measurement old."""
    clinic.synchronised = False
    clinic.now = datetime(1970, 1, 1, tzinfo=UTC)
    key = clinic.measured()
    clinic.synchronised, clinic.now = True, LONG_AGO + timedelta(days=1000)
    clinic.journal.submit(heard).result()
    pruning = Retention(clinic.journal, POLICY, clinic.instant)
    assert asyncio.run(pruning.once(POLICY)) == 0
    assert clinic.frames(key)
    clinic.now += timedelta(days=900)
    assert asyncio.run(pruning.once(POLICY)) == 1
    assert clinic.frames(key) == []


def test_without_a_forwarder_nothing_is_accepted_so_nothing_goes(tmp_path: Path) -> None:
    clinic = Clinic(tmp_path, ())
    clinic.measured("final")
    assert clinic.prune() == 0
    clinic.journal.close()


def test_what_was_moved_to_somebody_between_look_and_deed_stays(clinic: Clinic) -> None:
    key = clinic.measured()
    clinic.journal.submit(lambda tx: clinic._moved(tx, key)).result()
    gone = clinic.journal.submit(lambda tx: tx.prune([key], "accepted everywhere")).result()
    assert gone == 0
    assert clinic.frames(key)


def test_a_record_read_again_after_its_frames_went_is_still_the_same(clinic: Clinic) -> None:
    def stored(tx: Any) -> str:
        key = heard(tx, device="bp", record="7", serial="S1")
        bound(tx, key, clinic.exam)
        judged(tx, key)
        return str(key)

    key = clinic.journal.submit(stored).result()
    for forwarder in FORWARDERS:
        clinic.settle(key, forwarder)
    assert clinic.prune() == 1
    again = clinic.journal.submit(lambda tx: tx.by_record("bp", "S1", "omron_hbp", "7")).result()
    assert again is not None
    assert again.id == key


def test_room_is_used_again(clinic: Clinic) -> None:
    """Frames of a kilobyte and more lie in pages of their own, which the next ones take."""
    clinic.frame = "ab" * 2000
    for _ in range(100):
        clinic.measured()
    assert clinic.prune() == 100
    free, pages = clinic.journal.submit(_pages).result()
    assert free >= 100 * 3
    for _ in range(20):
        clinic.measured()
    assert clinic.journal.submit(_pages).result()[1] == pages, "the file grew"


def _pages(tx: Any) -> tuple[int, int]:
    count = tx._connection.execute
    return count("PRAGMA freelist_count").fetchone()[0], count("PRAGMA page_count").fetchone()[0]
