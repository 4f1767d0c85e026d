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


class Effective(msgspec.Struct, frozen=True):
    """The time a measurement counts for: None only with quality `unknown`; `rule` names what chose it."""

    time: datetime | None
    quality: Quality
    rule: str


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


class Corrected(Body, frozen=True, tag="corrected"):
    """A person states other values for a measurement; the machine's own stay in `Received`."""

    measurement: str
    values: dict[str, Value]
    operator: str
    reason: str


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


class ResidentErased(Body, frozen=True, tag="resident_erased"):
    """The only key to who this resident is was destroyed; what was measured stays, of nobody nameable."""

    resident: str
    operator: str
    reason: str


class KeyChanged(Body, frozen=True, tag="key_changed"):
    """From here on names are sealed with another key; `lost`: the one before was not at hand any more."""

    key: str
    lost: bool
    operator: str
    reason: str


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
)


class Fact(msgspec.Struct, frozen=True):
    """One row of the journal. `seq` has no gap; `hash` covers everything here and `prev`."""

    seq: int
    id: str
    at: Instant
    body: AnyBody
    prev: bytes
    hash: bytes


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
