"""A journal that holds a row of every kind, made the same way each time: what tampering is tried on."""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from random import Random
from typing import TypeVar
from unittest.mock import patch

from store import history, keyring
from store.facts import (
    Audited,
    Bound,
    Corrected,
    Derived,
    DeviceEvent,
    DevicePointed,
    Effective,
    ExamClosed,
    ExamOpened,
    Instant,
    ItemSkipped,
    Judged,
    ManualEntry,
    Pruned,
    Received,
    Value,
    Voided,
)
from store.journal import Journal, Transaction
from store.residents import Identifier

T = TypeVar("T")
START = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)
BOOTS = ("8a1f2c5e-0000-4000-8000-000000000001", "8a1f2c5e-0000-4000-8000-000000000002")
PEOPLE = (("110101189001010016", "张试"), ("110101189102020024", "李样"), ("110101189203030032", "王例"))
SEED = 1893


@dataclass(frozen=True)
class Specimen:
    """The files of one journal, by name; its key file; the end of its chain noted elsewhere."""

    files: dict[str, bytes]
    key: bytes
    anchor: tuple[int, bytes]

    def laid(self, folder: Path) -> Path:
        """Put the files into the new folder *folder* and return the journal's path."""
        state = folder / "state"
        state.mkdir(parents=True, mode=0o700)
        for name, content in self.files.items():
            (state / name).write_bytes(content)
        key = keyring.default_file(state / "journal.db")
        key.parent.mkdir(mode=0o700)
        key.write_bytes(self.key)
        return state / "journal.db"


@contextmanager
def fated(seed: int) -> Iterator[None]:
    """Make everything that is drawn by chance the same each time."""
    chance = Random(seed)  # noqa: S311
    with (
        patch.object(os, "urandom", chance.randbytes),
        patch("store.keyring.new", lambda: chance.randbytes(keyring.SECRET_BYTES)),
        patch("secrets.choice", chance.choice),
        patch("secrets.token_hex", lambda count=8: chance.randbytes(count).hex()),
    ):
        yield


class _Maker:
    """Fills one journal."""

    def __init__(self, folder: Path) -> None:
        self.seconds = 0
        self.boot = self.day = 0
        self.path = folder / "state/journal.db"
        self.key = keyring.default_file(self.path)
        self.journal = self._opened()

    def _opened(self) -> Journal:
        return Journal.open(self.path, gateway="gw-1", now=self._now, forwarders=("fhir",))

    def _now(self) -> Instant:
        self.seconds += 1
        synchronised = self.boot == 1 or self.day == 1
        moment = START + timedelta(days=self.day, seconds=self.seconds + 3600 * self.boot)
        return Instant(moment, self.seconds * 10**9, BOOTS[self.boot], synchronised)

    def do(self, command: Callable[[Transaction], T]) -> T:
        """Have one command done."""
        return self.journal.submit(command).result(30)

    def heard(
        self, tx: Transaction, systolic: int, record: str | None = None, *, sealed: bool = False
    ) -> str:
        """Receive one blood pressure."""
        key = tx.next_measurement_id("bp", "S1", "omron_hbp", record)
        values = {"systolic": Value(str(systolic), "mm[Hg]"), "diastolic": Value("80", "mm[Hg]")}
        body = Received(
            measurement=key,
            device="bp",
            driver="omron_hbp",
            serial="S1",
            reading="blood_pressure",
            values=values,
            evidence=["0212", f"{systolic:04x}"],
            device_time=datetime(2026, 3, 2, 16, 0),  # noqa: DTZ001
            sequence=None,
            context={},
            flags=[],
            failed=None,
            stored=record is not None,
            record=record,
            began=tx.now(),
            clock_offset_s=None,
        )
        tx.append(body, b'["0212"]' if sealed else None)
        return key

    def bound(self, tx: Transaction, key: str, exam: str | None) -> None:
        """Bind to an exam's resident, or to nobody."""
        found = tx.exam(exam) if exam else None
        resident = found.resident if found else None
        tx.append(Bound(measurement=key, exam=exam, resident=resident, by="rule:one_open", reason="one exam"))

    def judged(self, tx: Transaction, key: str) -> None:
        """Give the verdict."""
        effective = Effective(tx.now().utc, "gateway_unsynchronised", "live")
        tx.append(Judged(measurement=key, status="final", effective=effective, findings=[]))

    def final(self, exam: str, systolic: int) -> str:
        """Receive, bind and judge."""

        def command(tx: Transaction) -> str:
            key = self.heard(tx, systolic)
            self.bound(tx, key, exam)
            self.judged(tx, key)
            return key

        return self.do(command)

    def exam(self, number: str, name: str) -> str:
        """Open an exam."""

        def command(tx: Transaction) -> str:
            resident = tx.resident_for([Identifier("cn-id", number)], name, "male", "1890-01-01")
            key = f"e-{tx.next_id}"
            tx.append(ExamOpened(exam=key, resident=resident.id, operator="doctor"))
            return key

        return self.do(command)

    def visit(self, turn: int, number: str, name: str) -> str:
        """One person's whole visit on a day of their own; return their key."""
        self.day += 1
        exam = self.exam(number, name)
        keys = [self.final(exam, 110 + 10 * turn + one) for one in range(6)]
        self.do(lambda tx: tx.delivered("fhir", keys[0], 1, {"Observation": f"o-{turn}"}))
        self.do(lambda tx: tx.parked("fhir", keys[1], 1, "not known"))
        self.do(lambda tx: tx.attempted("fhir", keys[2], 1, "try later"))
        changed = {"systolic": Value("121", "mm[Hg]"), "diastolic": Value("80", "mm[Hg]")}
        corrected = Corrected(measurement=keys[0], values=changed, operator="doctor", reason="read again")
        self.do(lambda tx: tx.append(corrected))
        self.do(lambda tx: self.bound(tx, keys[3], None))
        self.do(
            lambda tx: tx.append(Voided(measurement=keys[4], by="doctor", reason="demo", replaced_by=None))
        )
        bmi = Derived(measurement=keys[5], measure="bmi", value=Value("22", "kg/m2"), sources=[keys[2]])
        self.do(lambda tx: tx.append(bmi))
        self.do(lambda tx: self.heard(tx, 140 + turn, record=f"r{turn}"))
        self.do(lambda tx: self.heard(tx, 150 + turn, sealed=True))
        self.do(lambda tx: self.typed(tx, exam))
        skipped = ItemSkipped(exam=exam, reading="temperature", reason="no probe", operator="doctor")
        event = DeviceEvent(device="bp", code="link.lost", detail={})
        passport = DeviceEvent(device="bp", code="device.passport", detail={"room": str(turn)})
        read = Audited(who="doctor", what="read", subject=exam)
        for body in (
            skipped,
            event,
            passport,
            read,
            DevicePointed(device="bp", exam=exam, operator="doctor"),
        ):
            self.do(partial(Transaction.append, body=body))
        if turn:
            self.do(lambda tx: tx.append(ExamClosed(exam=exam, operator="doctor")))
        return next(one.resident for one in self.journal.queries.exams(open=False) if one.id == exam)

    def typed(self, tx: Transaction, exam: str) -> None:
        """Type a value in."""
        found = tx.exam(exam)
        assert found is not None
        tx.append(
            ManualEntry(
                measurement=tx.next_id,
                exam=exam,
                resident=found.resident,
                reading="body_size",
                values={"body_height": Value("170", "cm")},
                operator="doctor",
                reason="scale away",
            )
        )

    def rotate(self) -> None:
        """Change the key."""
        keyring.replace(self.key, [keyring.new(), *keyring.read(self.key)])
        self.do(lambda tx: tx.change_key("technician", "yearly"))
        reached: int | None = 0
        while reached is not None:
            reached = self.do(_renewing(reached))

    def prune(self) -> None:
        """Let the bodies of one withdrawn measurement go."""

        def command(tx: Transaction) -> None:
            facts = [fact for seq in range(2, 5) if (fact := tx.fact(seq)) is not None]
            days = history.carried(tx._connection, facts)
            tx.append(Pruned(facts=[(2, 4)], policy="older than a year", days=days))
            tx._connection.execute("UPDATE facts SET body = NULL WHERE seq BETWEEN 2 AND 4")

        self.do(command)

    def again(self) -> None:
        """Close, and open after a boot."""
        self.journal.close()
        self.boot = 1
        self.journal = self._opened()


def _renewing(after: int) -> Callable[[Transaction], int | None]:
    return lambda tx: tx.renew(after, 100)


def made(folder: Path, *, with_wal: bool = False) -> Specimen:
    """Make the specimen in the empty folder *folder*; with a WAL as a power cut leaves it, if wanted."""
    with fated(SEED):
        maker = _Maker(folder)
        try:
            people = [maker.visit(turn, *person) for turn, person in enumerate(PEOPLE)]
            maker.rotate()
            maker.do(lambda tx: tx.erase(people[-1], "technician", "asked for"))
            maker.prune()
            maker.again()
            maker.visit(3, *PEOPLE[1])
            report = maker.journal.queries.check()
            if report.problems:
                raise AssertionError(report.problems)
            kept = _files(folder, maker.path) if with_wal else {}
        finally:
            maker.journal.close()
    kept = kept or _files(folder, maker.path)
    return Specimen(kept, maker.key.read_bytes(), (report.last, bytes.fromhex(report.head)))


def _files(folder: Path, path: Path) -> dict[str, bytes]:
    copies = folder / "kept"
    copies.mkdir()
    for name in (path.name, f"{path.name}-wal"):
        if path.with_name(name).exists():
            shutil.copy(path.with_name(name), copies / name)
    found = {one.name: one.read_bytes() for one in copies.iterdir()}
    shutil.rmtree(copies)
    return {name: content for name, content in found.items() if content}
