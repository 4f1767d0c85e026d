"""The kinds of fact the journal holds, and their bodies as they are written.

A fact is never changed or removed: corrections, withdrawals and re-bindings are further facts. A body
holds no name, number or address of a person: a resident appears by a key that says nothing, and what a
machine said that may name somebody is sealed (`store/vault.py`).
Bodies are JSON objects tagged `"kind"`; Decimals are strings exactly as the device sent them.
"""

from datetime import datetime
from typing import Literal

import msgspec

Status = Literal["preliminary", "final", "corrected", "entered-in-error"]
VERIFIED: frozenset[Status] = frozenset({"final", "corrected"})
"""What is forwarded; such a one may have been sent, so what changes of it later must be sent too."""
Severity = Literal["note", "warning", "blocking"]
Quality = Literal[
    "device_synchronised", "device_corrected", "gateway_synchronised", "gateway_unsynchronised", "unknown"
]


class Instant(msgspec.Struct, frozen=True):
    """Now, in every way this box can say it: all four always.

    A box without a real-time clock is put right later by a `ClockSet` of the same boot.
    """

    utc: datetime
    boottime_ns: int
    boot_id: str
    synchronised: bool


class Value(msgspec.Struct, frozen=True, omit_defaults=True):
    """A quantity as the contract writes it: decimal string, UCUM unit, comparator only if any."""

    value: str
    unit: str
    comparator: Literal["<", ">"] | None = None


class Effective(msgspec.Struct, frozen=True, omit_defaults=True):
    """The time a measurement counts for: None only with quality `unknown`; `rule` names what chose it.

    Where our clock was not synchronised then, the true time lies between `earliest` and `latest`, each as far
    as it is known.
    """

    time: datetime | None
    quality: Quality
    rule: str
    earliest: datetime | None = None
    latest: datetime | None = None


class Finding(msgspec.Struct, frozen=True):
    """What one verification rule has to say; a judgement is data, never an exception."""

    rule: str
    severity: Severity
    detail: str


class Body(msgspec.Struct, frozen=True, tag_field="kind"):
    """Base of every fact's body; the tag is the fact's kind."""


class Received(Body, frozen=True, tag="received", omit_defaults=True):
    """A device said this. Made only from a driver's Reading; `evidence` holds its frames in hex.

    Where a frame may name a person, `evidence` holds what is left of it with that blanked, if the driver can
    blank it, and `sealed` the frames as they came.
    """

    measurement: str
    device: str
    driver: str
    serial: str | None
    reading: str
    """The contract's kind: blood_pressure, glucose, …"""
    values: dict[str, Value]
    evidence: list[str]
    device_time: datetime | None
    sequence: int | None
    context: dict[str, str]
    flags: list[str]
    failed: str | None
    stored: bool
    record: str | None
    began: Instant
    """The first sign of this measurement: first progress, else arrival."""
    clock_offset_s: float | None
    """Device clock minus ours at this contact, where it was read."""
    sealed: str | None = None
    """A box (`store/cipher.py`) in hex with a JSON array of the frames in hex."""
    zone: str = ""
    """The time zone the device's clock is set to; empty in facts from before that could be chosen."""


class ManualEntry(Body, frozen=True, tag="manual_entry"):
    """A value typed by an operator, with a reason; it can never become machine evidence."""

    measurement: str
    exam: str
    resident: str
    reading: str
    values: dict[str, Value]
    operator: str
    reason: str


class Bound(Body, frozen=True, tag="bound"):
    """The measurement belongs to this exam's resident; both None = it lies in the unbound tray."""

    measurement: str
    exam: str | None
    resident: str | None
    by: str
    """`rule:<name>` or the operator who bound it."""
    reason: str


class Judged(Body, frozen=True, tag="judged"):
    """The verdict of the verification rules, and the effective time they settled on."""

    measurement: str
    status: Status
    effective: Effective
    findings: list[Finding]


class Derived(Body, frozen=True, tag="derived"):
    """A value we computed from measured ones of the same person (BMI), and from which measurements."""

    measurement: str
    measure: str
    value: Value
    sources: list[str]


class Corrected(Body, frozen=True, tag="corrected", omit_defaults=True):
    """A person states other values for a measurement; the machine's own stay in `Received`."""

    measurement: str
    values: dict[str, Value]
    operator: str
    reason: str
    measured: dict[str, Value] | None = None
    """What was measured before anybody corrected it; None in facts from before this was kept beside it."""


class Voided(Body, frozen=True, tag="voided"):
    """Withdrawn: wrong resident, demonstration. The record stays, consumers must ignore it."""

    measurement: str
    by: str
    reason: str
    replaced_by: str | None


class Reissued(Body, frozen=True, tag="reissued"):
    """A new measurement, unbound, takes over evidence, values and times of `of`, which is withdrawn."""

    measurement: str
    of: str
    by: str
    reason: str


class ClockSet(Body, frozen=True, tag="clock_set"):
    """Our clock stepped or became synchronised; `before` and `after` are one moment."""

    before: Instant
    after: Instant


class ExamOpened(Body, frozen=True, tag="exam_opened"):
    """One resident's visit at the machines begins."""

    exam: str
    resident: str
    operator: str


class ExamClosed(Body, frozen=True, tag="exam_closed"):
    """The visit is over; nothing binds to it by itself any more."""

    exam: str
    operator: str


class ItemSkipped(Body, frozen=True, tag="item_skipped"):
    """An examination not done, and why; never a filler value."""

    exam: str
    reading: str
    reason: str
    operator: str


class DevicePointed(Body, frozen=True, tag="device_pointed"):
    """This device now measures the person of this exam (None: of no exam in particular)."""

    device: str
    exam: str | None
    operator: str


class Delivered(Body, frozen=True, tag="delivered"):
    """The other side confirmed that it holds this version."""

    measurement: str
    version: int
    forwarder: str
    receipt: dict[str, str]


class Refused(Body, frozen=True, tag="refused"):
    """The other side said no often enough; parked until a person sends it again."""

    measurement: str
    version: int
    forwarder: str
    reason: str


class Resent(Body, frozen=True, tag="resent"):
    """A person let a parked delivery wait again."""

    measurement: str
    forwarder: str
    operator: str


class DeviceEvent(Body, frozen=True, tag="device_event", omit_defaults=True):
    """Something about a device worth keeping: found, lost, clock read, order given, fault."""

    device: str
    code: str
    detail: dict[str, str]
    sealed: str | None = None
    """A box in hex with the whole detail as JSON, where it may name a person."""


class ResidentErased(Body, frozen=True, tag="resident_erased", omit_defaults=True):
    """The only key to who this resident is was destroyed; what was measured stays, of nobody nameable."""

    resident: str
    operator: str
    reason: str
    frames: list[str] = []
    """The facts, by their id, whose sealed frames can never be opened again either."""


class KeyChanged(Body, frozen=True, tag="key_changed", omit_defaults=True):
    """From here on names are sealed and the chain is signed with another key than before, or with the first.

    `lost`: the one before was not at hand any more.
    """

    key: str
    lost: bool
    operator: str
    reason: str
    seals: str = ""
    """The public half that seals (X25519), in hex; empty in facts from before there were signatures."""
    signs: str = ""
    """The public half that checks its signatures (Ed25519), in hex; empty as above."""


class Pruned(Body, frozen=True, tag="pruned", omit_defaults=True):
    """By policy the bodies of these facts were let go; their hashes, times and places stay."""

    facts: list[tuple[int, int]]
    """First and last seq of each run of facts, ascending."""
    policy: str
    days: dict[str, dict[str, str]] = {}
    """By device and day, what the days say that these facts were added up in: nothing can add them up again.

    A day that ends in `+` and says nothing: up to it, nothing of this device can be added up again.
    """


class Recovered(Body, frozen=True, tag="recovered", omit_defaults=True):
    """A damaged file was moved aside and everything readable taken over into this one."""

    lost: list[tuple[int, int]]
    """First and last seq of each run of facts that could not be read or were not what was written."""
    kept: int
    """How many facts were taken over."""
    file: str
    """The name of the damaged file, moved aside beside the journal."""
    heads: list[int] = []
    """The signed ends of the chain that were lost, by their seq."""
    people: list[str] = []
    """The residents who can no longer be named, by our key."""
    versions: dict[str, int] = {}
    """Of measurements that lost some of their facts, the highest version there had been."""


class Audited(Body, frozen=True, tag="audited", omit_defaults=True):
    """Somebody read, took out or set up something that no other fact tells of (`store/audit.py`)."""

    who: str
    """An operator as they signed, else `page:`, `api:` or `command:` and an address or a user."""
    what: str
    """One word: `read`, `pulled`, `exported`, …"""
    subject: str
    """The exam, measurement or resident, by our key, or the thing itself."""
    reason: str = ""
    resident: str | None = None
    detail: dict[str, str] = {}
    """What else is known of it; never a secret, never a name."""


AnyBody = (
    Received
    | ManualEntry
    | Bound
    | Judged
    | Derived
    | Corrected
    | Voided
    | Reissued
    | ClockSet
    | ExamOpened
    | ExamClosed
    | ItemSkipped
    | DevicePointed
    | Delivered
    | Refused
    | Resent
    | DeviceEvent
    | ResidentErased
    | KeyChanged
    | Audited
    | Pruned
    | Recovered
)


class Fact(msgspec.Struct, frozen=True):
    """One row of the journal. `seq` has no gap; `hash` covers everything here and `prev`."""

    seq: int
    id: str
    at: Instant
    body: AnyBody
    prev: bytes
    hash: bytes


class Correction(msgspec.Struct, frozen=True):
    """That a person stated other values than those `measured`, which the machine, or a typist, had given."""

    operator: str
    reason: str
    at: Instant
    measured: dict[str, Value]


class Measurement(msgspec.Struct, kw_only=True):
    """A fold of facts: what is known of one measurement now. Written only by the projections.

    This is the contract's document for `/v1/measurements`, with the resident still a key.
    """

    id: str
    resident: str | None = None
    version: int
    status: Status
    kind: str
    values: dict[str, Value]
    derived: dict[str, Value] = {}
    derived_from: list[str] = []
    failed: str | None = None
    source: Literal["machine", "manual"]
    device: str | None
    driver: str | None
    serial: str | None
    sequence: int | None = None
    record: str | None = None
    stored: bool = False
    context: dict[str, str] = {}
    flags: list[str] = []
    exam: str | None = None
    bound_by: str | None = None
    bind_reason: str | None = None
    device_time: datetime | None = None
    clock_offset_s: float | None = None
    began: Instant
    received: Instant
    bound: Instant | None = None
    recorded: Instant
    """When this version was written."""
    effective: Effective
    findings: list[Finding] = []
    evidence_sha256: str | None = None
    """SHA-256 over the frames, in order, and then what is sealed, as the fact holds them: what Provenance
    carries."""
    replaced_by: str | None = None
    replaces: str | None = None
    received_seq: int
    """Where the evidence lies: the seq of its `Received` or `ManualEntry`."""
    correction: Correction | msgspec.UnsetType = msgspec.UNSET
    """The latest correction by hand; absent where there was none."""

    @property
    def by_hand(self) -> Correction | None:
        """The correction whose values stand, None where they are as they were measured."""
        if isinstance(self.correction, msgspec.UnsetType) or self.values == self.correction.measured:
            return None
        return self.correction
