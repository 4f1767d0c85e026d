"""What a command may do while it holds the journal's pen: append facts, read what they add up to so far."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from hashlib import sha256
from typing import NamedTuple

from protocol.errors import RequestRefused, StoreError
from store import (
    chain,
    clocks,
    erasure,
    history,
    identity,
    outbox,
    register,
    residents,
    retention,
    rows,
    vault,
)
from store.clocks import ClockRows
from store.facts import (
    AnyBody,
    Bound,
    ClockSet,
    Delivered,
    DeviceEvent,
    ExamClosed,
    ExamOpened,
    Fact,
    Instant,
    ItemSkipped,
    KeyChanged,
    ManualEntry,
    Measurement,
    Pruned,
    Received,
    Recovered,
    Refused,
    Reissued,
    ResidentErased,
)
from store.pen import Head, Pen
from store.projections import AboutMeasurement, encode, fold, project, replace, settle
from store.residents import Identifier, Resident
from store.vault import Ring
from store.view import View

_OF_EXAMS = frozenset({ExamOpened, ExamClosed, ItemSkipped, Bound, ManualEntry})
_FIRST = frozenset({Received, ManualEntry})
_BEGINS = _FIRST | {Reissued}
"""What makes a measurement that must not be there yet; `_FIRST` rests on no other one."""
FIRST_KEY = "the first to sign"
KEY_AGAIN = "named again, for the fact that named it is lost"


class _Touched(NamedTuple):
    """A measurement this command changed; `before` is its version before, `seq` and `at` its last fact's."""

    current: Measurement
    before: int
    seq: int
    at: Instant
    settled: bool


class Transaction(View):
    """One command's view of the journal; valid only inside the command, on the writer's thread.

    Everything it appends becomes durable together or not at all. All it appends to one measurement makes one
    new version of that measurement.
    """

    def __init__(self, pen: Pen, head: Head) -> None:
        self.gateway = pen.gateway
        self.facts: list[Fact] = []
        self.head = head
        self._pen = pen
        self._connection = pen.connection
        self.forgetful = False
        """Whether nothing of what this command overwrote may stay in the file's companions."""
        self._first = head.seq + 1
        self._now: Instant | None = None
        self._looked = False
        """Whether this moment was held against the last fact before it."""
        self._touched: dict[str, _Touched] = {}
        self._highest: Mapping[str, int] = {}
        """Of measurements that lost versions with a damaged file: the highest there was."""

    def now(self) -> Instant:
        """Return this command's moment, which all its facts bear; the clock is read once."""
        if self._now is None:
            self._now = self._pen.now()
        return self._now

    @property
    def next_seq(self) -> int:
        """The seq that the next fact gets."""
        return self.head.seq + 1

    @property
    def next_id(self) -> str:
        """An id nothing else has: gateway, this journal's mark, next seq; `[A-Za-z0-9.-]`, at most 50 long.

        The mark keeps a box that was set up anew under its old name from giving an old id a second time.
        """
        return f"{self.gateway}-{self._pen.mark}-{self.next_seq}"

    @property
    def _next_fact(self) -> str:
        return f"{self._pen.mark}-{self.next_seq}"

    def append(self, body: AnyBody, secret: bytes | None = None) -> Fact:
        """Write one fact and all it means; RequestRefused where it speaks of what is not there, or is.

        *secret* is sealed into a `Received` or `DeviceEvent`. Codes `measurement.unknown`,
        `measurement.known`, `exam.unknown`, `exam.known`.
        """
        self._must_be_open()
        onto = self._onto(body)
        at = self.look()
        if secret is not None:
            assert isinstance(body, Received | DeviceEvent)
            ring = self._pen.vault.ring(self._connection)
            sealed = vault.seal_fact(self._connection, ring, self._next_fact, secret)
            body = replace(body, sealed=sealed)
        fact = self._written(body, at)
        project(self._connection, fact)
        if isinstance(body, AboutMeasurement):
            self._touch(body.measurement, onto, fact)
        if isinstance(body, Recovered):
            self._highest = body.versions
        return fact

    def look(self) -> Instant:
        """Return `now`; where our clock was set since the last fact, a `ClockSet` is written first."""
        at, last = self.now(), self.head.at
        if self._looked:
            return at
        if last is not None and last.boot_id == at.boot_id and clocks.turns(self.head.course, at):
            self._written(ClockSet(before=clocks.ran_on(last, at), after=at), at)
        self._looked = True
        return at

    def last_at(self) -> Instant | None:
        """Return the moment of the last fact."""
        return self.head.at

    def _written(self, body: AnyBody, at: Instant) -> Fact:
        _, prev, before, course = self.head
        seq, stamp, written = self.next_seq, encode(at), encode(body)
        key, body_hash = self._next_fact, sha256(written).digest()
        hashed = chain.digest(prev, seq, key, stamp, body_hash)
        self._connection.execute(
            "INSERT INTO facts VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (seq, self._first, key, stamp, written, body_hash, prev, hashed),
        )
        fact = Fact(seq, key, at, body, prev, hashed)
        if at is not before and clocks.turns(course, at):
            clocks.note(self._connection, seq, before, at)
            course = at
        self.head = Head(seq, hashed, at, course)
        self.facts.append(fact)
        return fact

    def _must_be_open(self) -> None:
        # After a full disk SQLite may have ended the transaction by itself; a write now would stand alone.
        if not self._connection.in_transaction:
            raise StoreError("the transaction is gone")

    def _onto(self, body: AnyBody) -> Measurement | None:
        """Return the measurement that *body* is about; refuse a body that speaks of what cannot be."""
        if type(body) in _OF_EXAMS:
            self._check_exam(body)
        if not isinstance(body, AboutMeasurement):
            return None
        if type(body) in _BEGINS and self.measurement(body.measurement):
            raise RequestRefused(body.measurement, code="measurement.known")
        if type(body) in _FIRST:
            return None
        key = body.of if isinstance(body, Reissued) else body.measurement
        onto = self.measurement(key)
        if onto is None:
            raise RequestRefused(key, code="measurement.unknown")
        return onto

    def _check_exam(self, body: AnyBody) -> None:
        match body:
            case ExamOpened(exam=exam):
                if rows.whose_exam(self._connection, exam) is not None:
                    raise RequestRefused(exam, code="exam.known")
            case ExamClosed(exam=exam) | ItemSkipped(exam=exam):
                if rows.whose_exam(self._connection, exam) is None:
                    raise RequestRefused(exam, code="exam.unknown")
            case Bound(exam=None, resident=None):
                pass
            case Bound(exam=visit, resident=resident) | ManualEntry(exam=visit, resident=resident):
                whose = rows.whose_exam(self._connection, visit) if visit is not None else None
                if whose is None or whose != resident:
                    raise RequestRefused(f"{visit} of {resident}", code="exam.unknown")

    def _touch(self, key: str, onto: Measurement | None, fact: Fact) -> None:
        touched = self._touched.get(key)
        known = max(onto.version if onto and onto.id == key else 0, self._highest.get(key, 0))
        before = touched.before if touched else known
        self._touched[key] = _Touched(fold(onto, fact), before, fact.seq, fact.at, settled=False)

    @contextmanager
    def nested(self) -> Iterator[None]:
        """An inner savepoint: an exception inside undoes only the inside, and goes on to the caller."""
        self._must_be_open()
        kept = (self.head, len(self.facts), dict(self._touched), self._looked)
        self._connection.execute("SAVEPOINT inner")
        try:
            yield
        except BaseException:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK TO inner")
                self._connection.execute("RELEASE inner")
            self.head, length, self._touched, self._looked = kept
            del self.facts[length:]
            raise
        self._connection.execute("RELEASE inner")

    def seal(self) -> None:
        """Write and queue one new version of every measurement this command changed; called by the writer."""
        self._must_be_open()
        for touched in sorted(self._touched.values(), key=lambda one: one.seq):
            version = replace(touched.current, version=touched.before + 1, recorded=touched.at)
            self._connection.execute(
                "INSERT INTO versions VALUES (?, ?, ?, ?, ?, ?, ?)",
                (
                    touched.seq,
                    version.id,
                    version.version,
                    version.status,
                    version.kind,
                    version.resident,
                    encode(replace(version, resident=None)),
                ),
            )
            settle(self._connection, version, touched.seq)
            if version.version == 1 and not version.received.synchronised:
                clocks.doubt(self._connection, version.id)
            outbox.queue(self._connection, self._pen.forwarders, version, touched.seq)
        self._touched = {}

    def _settle_all(self) -> None:
        """Write the rows of what this command changed so far, so that a search finds it."""
        for key, touched in self._touched.items():
            if not touched.settled:
                settle(self._connection, touched.current, touched.seq)
                self._touched[key] = touched._replace(settled=True)

    def next_measurement_id(self, device: str, serial: str | None, driver: str, record: str | None) -> str:
        """Return the id for a measurement whose `Received` is appended next.

        From the machine's own record where it has one (with a serial number: the same at every gateway), else
        `next_id`. Ask `by_record` first whether the record is known.
        """
        if record is None:
            return self.next_id
        return identity.record_id(self.gateway, device, serial, driver, record)

    def measurement(self, key: str) -> Measurement | None:
        """Return a measurement as it stands, this command's own facts included."""
        touched = self._touched.get(key)
        return touched.current if touched else rows.measurement(self._connection, key)

    def fact(self, seq: int) -> Fact | None:
        """Return one fact, of this command too; None where there is none or its body was let go."""
        return self.facts[seq - self._first] if self._first <= seq <= self.head.seq else super().fact(seq)

    @property
    def clocks(self) -> ClockRows:
        """The turns of our clock, and the measurements whose time may become better known."""
        self._must_be_open()
        return ClockRows(self._connection)

    def resident_for(
        self,
        identifiers: Iterable[Identifier],
        name: str | None = None,
        sex: residents.Sex | None = None,
        birth_date: str | None = None,
    ) -> Resident:
        """Find a resident by any of their numbers, or make one; see `store.register.resident_for`."""
        self._must_be_open()
        ring = self._pen.vault.ring(self._connection)
        return register.resident_for(
            self._connection, ring, identifiers, name=name, sex=sex, birth_date=birth_date
        )

    def resident(self, key: str) -> Resident | None:
        """Return who a resident key stands for; `Unnamed` where that cannot be said."""
        return vault.resident(self._connection, self._pen.vault.ring(self._connection), key)

    def residents_with(self, number: str) -> list[str]:
        """Return the keys of the residents who have this number, in any system."""
        return vault.found_by(self._connection, self._pen.vault.ring(self._connection), number)

    def erase(self, resident: str, operator: str, reason: str) -> Fact:
        """Make a resident unknown for ever, and say so in a fact; see `store.erasure`."""
        self._must_be_open()
        ring = self._pen.vault.ring(self._connection)
        erasure.must_be_possible(self._connection, ring, resident, operator, reason)
        frames = erasure.sealed_of(self._connection, ring, resident)
        body = ResidentErased(resident=resident, operator=operator, reason=reason, frames=frames)
        fact = self.append(body)
        erasure.erase(self._connection, resident, frames)
        self.forgetful = True
        return fact

    def change_key(self, operator: str, reason: str, *, over_lost: bool = False) -> str:
        """Seal from now on with the key that the key file names first; return its name.

        Writes a fact where that is another one than before; see `store.vault.Vault.appoint`.
        """
        self._must_be_open()
        before = self._pen.vault.look_again(self._connection).current
        ring = self._pen.vault.appoint(self._connection, over_lost=over_lost)
        if ring.current != before:
            self._introduce(operator, reason, lost=before not in ring.keys)
        return ring.current

    def begin_key(self) -> None:
        """Give a new journal its key and begin its chain with it; called once, at the start.

        A journal from before there were signatures gets a fact that names the key. Raises StoreError
        `vault.key_…` where a new journal cannot be given one.
        """
        ring = self._pen.vault.begin(self._connection)
        if ring.fault is not None or vault.may_sign(self._connection, ring.current):
            return
        if self.head.seq:
            self._introduce("", FIRST_KEY, lost=False)
        else:
            seals, signs = self._pen.vault.introduce(self._connection)
            self.head = Head(0, chain.root(ring.current, seals, signs))

    def name_key(self) -> None:
        """Name the key in use once more, if it is at hand: the fact that did is lost with a damaged file."""
        ring = self._pen.vault.ring(self._connection)
        if ring.fault is None:
            self._introduce("", KEY_AGAIN, lost=len(ring.keys) < 2)

    def _introduce(self, operator: str, reason: str, *, lost: bool) -> None:
        seals, signs = (half.hex() for half in self._pen.vault.introduce(self._connection))
        key = self._pen.vault.ring(self._connection).current
        self.append(
            KeyChanged(key=key, lost=lost, operator=operator, reason=reason, seals=seals, signs=signs)
        )

    def renew(self, after: int, limit: int) -> int | None:
        """Seal some of what an earlier key sealed with the current one; see `store.vault.renew`."""
        self._must_be_open()
        reached = vault.renew(self._connection, self._pen.vault.ring(self._connection), after, limit)
        self.forgetful = reached is None
        return reached

    def left_to_renew(self) -> int:
        """Return how much is sealed with an earlier key that is at hand."""
        return vault.left(self._connection, self._pen.vault.ring(self._connection))

    def look_for_key(self) -> Ring:
        """Read the key file anew and return the keys as they fit."""
        return self._pen.vault.look_again(self._connection)

    def prune(self, measurements: Iterable[str], policy: str) -> int:
        """Let the raw bodies of these go as far as that is allowed (`store.retention`); return how many."""
        self._must_be_open()
        facts = retention.still(self._connection, measurements)
        if facts:
            bodies = [fact for fact in map(self.fact, facts) if fact is not None]
            days = history.carried(self._connection, bodies)
            self.append(Pruned(facts=retention.runs(facts), policy=policy, days=days))
            retention.let_go(self._connection, facts)
        return len(facts)

    def touch(self) -> None:
        """Write the chain's end once more: done, it proves that something can be made durable."""
        self._must_be_open()
        self._connection.execute("UPDATE head SET seq = seq")

    def attempted(self, forwarder: str, measurement: str, version: int, error: str) -> int:
        """Count one more refusal; return how many this waiting version had, 0 if it no longer waits."""
        self._must_be_open()
        return outbox.attempted(self._connection, forwarder, measurement, version, error)

    def delivered(self, forwarder: str, measurement: str, version: int, receipt: Mapping[str, str]) -> None:
        """The other side holds this version; told twice, it is written once. Code `delivery.unknown`."""
        state = self._delivery(forwarder, measurement)
        fresh = state[2] != version
        if fresh:
            self.append(
                Delivered(
                    measurement=measurement, version=version, forwarder=forwarder, receipt=dict(receipt)
                )
            )
        outbox.delivered(self._connection, forwarder, measurement, version, receipt if fresh else None)

    def parked(self, forwarder: str, measurement: str, version: int, reason: str) -> None:
        """The other side refused this version for good; a person sees it. Code `delivery.unknown`."""
        state = self._delivery(forwarder, measurement)
        if state[:2] != ("parked", version):
            self.append(Refused(measurement=measurement, version=version, forwarder=forwarder, reason=reason))
        outbox.parked(self._connection, forwarder, measurement, version, reason)

    def delivery(self, forwarder: str, measurement: str) -> tuple[str, int, int | None] | None:
        """Return (state, version, version delivered last) of what a forwarder is owed; None if nothing."""
        return outbox.known(self._connection, forwarder, measurement)

    def _delivery(self, forwarder: str, measurement: str) -> tuple[str, int, int | None]:
        known = self.delivery(forwarder, measurement)
        if known is None:
            raise RequestRefused(measurement, code="delivery.unknown")
        return known

    def resend(self, forwarder: str, measurement: str) -> bool:
        """Let a parked measurement wait again; False where nothing is parked."""
        self._must_be_open()
        return outbox.resend(self._connection, forwarder, measurement)
