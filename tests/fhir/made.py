"""Measurements and residents to forward, as the store would give them."""

import hashlib
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import msgspec

from gateway.config import FhirConfig
from gateway.fhir.setting import Setting
from gateway.forwarders import Accepted, Outcome, Outgoing
from gateway.forwarders.fhir import FhirForwarder
from store.facts import Effective, Instant, Measurement, Value
from store.residents import Identifier, Resident

ZONE = ZoneInfo("Asia/Shanghai")
MORNING = datetime(2026, 11, 21, 1, 30, 5, tzinfo=UTC)
ADA = Resident(
    id="r1",
    identifiers=(Identifier("cn-id", "11010118751010002X"),),
    name="王小明",
    sex="male",
    birth_date="1875-10-10",
)

PRESSURE = {
    "systolic": Value("128", "mm[Hg]"),
    "diastolic": Value("82", "mm[Hg]"),
    "mean_pressure": Value("97", "mm[Hg]"),
    "pulse_rate": Value("75", "/min"),
}
SIZE = {"body_height": Value("171.5", "cm"), "body_weight": Value("68.20", "kg")}
KINDS: Mapping[str, Mapping[str, Value]] = {
    "blood_pressure": PRESSURE,
    "glucose": {"glucose": Value("5.60", "mmol/L")},
    "body_size": SIZE,
    "temperature": {"body_temperature": Value("36.5", "Cel")},
    "oximetry": {"spo2": Value("98", "%"), "pulse_rate": Value("71", "/min")},
    "body_composition": {**SIZE, "waist": Value("84.0", "cm"), "body_fat": Value("21.3", "%")},
}


def instant(after_s: float = 0.0) -> Instant:
    """A moment of the test morning."""
    return Instant(MORNING + timedelta(seconds=after_s), int(after_s * 1e9), "boot", synchronised=True)


def fresh() -> str:
    """An id nobody else has."""
    return f"gw-{uuid.uuid4().hex[:12]}"


def measurement(kind: str, **changes: Any) -> Measurement:
    """A final measurement of *kind* as a machine gave it."""
    key = changes.pop("id", None) or fresh()
    plain = Measurement(
        id=key,
        version=2,
        status="final",
        kind=kind,
        values=dict(KINDS[kind]),
        source="machine",
        device="bench-1",
        driver="omron_hbp",
        serial="SN 7+1|中",
        began=instant(),
        received=instant(40),
        recorded=instant(41.25),
        bound_by="rule:one_exam",
        resident="r1",
        effective=Effective(MORNING, "gateway_synchronised", "arrival"),
        evidence_sha256=hashlib.sha256(key.encode()).hexdigest(),
        received_seq=1,
    )
    return msgspec.structs.replace(plain, **changes)


def with_bmi(**changes: Any) -> Measurement:
    """Height and weight with the BMI we computed from them, and one the scale sent."""
    key = changes.pop("id", None) or fresh()
    changed = {
        "values": {**SIZE, "bmi": Value("23.1", "kg/m2")},
        "derived": {"bmi": Value("23.2", "kg/m2")},
        "derived_from": [key],
        **changes,
    }
    return measurement("body_size", id=key, **changed)


def outgoing(one: Measurement, resident: Resident = ADA, **more: Any) -> Outgoing:
    """*one* on its way for *resident*."""
    return Outgoing(one, resident, **more)


def setting(gateway: str = "box-1", release: str = "0.1.0") -> Setting:
    """A clinic whose server knows the identity-card number by a URI."""
    systems = {"cn-id": "urn:oid:2.16.156.10011.1.3"}
    return Setting(gateway=gateway, release=release, zone=ZONE, identifier_systems=systems)


def forwarder(url: str, *, gateway: str = "box-1", release: str = "0.1.0", **config: Any) -> FhirForwarder:
    """A forwarder to *url*."""
    return FhirForwarder(FhirConfig(url=url, **config), setting(gateway, release))


def all_accepted(outcomes: list[Outcome]) -> bool:
    """Whether nothing was refused."""
    return all(isinstance(outcome, Accepted) for outcome in outcomes)
