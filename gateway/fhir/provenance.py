"""Who and what stands behind one version of a measurement: machine, gateway, person, the frames' hash."""

from collections.abc import Sequence

from gateway.fhir.elements import OURS, Json, coding, concept, identifier, instant
from gateway.fhir.observations import Around
from store.facts import Measurement

PARTICIPANTS = "http://terminology.hl7.org/CodeSystem/provenance-participant-type"
EVIDENCE_SYSTEM = f"{OURS}evidence"
OPERATOR_SYSTEM = f"{OURS}operator"
TAG_SYSTEM = f"{OURS}provenance"


def tag(measurement: Measurement) -> str:
    """Return what tells this Provenance from every other; a tag, because R4 gives it no identifier."""
    return f"{measurement.id}.{measurement.version}"


def provenance(measurement: Measurement, targets: Sequence[Json], around: Around) -> Json:
    """Return the Provenance of this version; *targets* are its Observations, at least one."""
    resource: Json = {
        "resourceType": "Provenance",
        "meta": {"tag": [coding(TAG_SYSTEM, tag(measurement))]},
        "target": list(targets),
        "recorded": instant(measurement.recorded.utc),
        "agent": _agents(measurement, around),
    }
    if by_hand := measurement.by_hand:
        resource["reason"] = [{"text": by_hand.reason}]
    if measurement.evidence_sha256:
        frames = identifier(EVIDENCE_SYSTEM, f"sha-256:{measurement.evidence_sha256}")
        resource["entity"] = [{"role": "source", "what": {"identifier": frames}}]
    return resource


def _agents(measurement: Measurement, around: Around) -> list[Json]:
    """Return who took part; where a person's values stand, that person is the author, not the machine."""
    agents, by_hand = [_agent("assembler", around.gateway)], measurement.by_hand
    if around.machine:
        agents.append(_agent("performer" if by_hand else "author", around.machine))
    if by_hand:
        agents.append(_agent("author", _person(by_hand.operator)))
    if measurement.bound_by and not measurement.bound_by.startswith("rule:"):
        verifies = around.machine or by_hand
        agents.append(_agent("verifier" if verifies else "author", _person(measurement.bound_by)))
    return agents


def _person(operator: str) -> Json:
    return {"type": "Practitioner", "identifier": identifier(OPERATOR_SYSTEM, operator)}


def _agent(part: str, who: Json) -> Json:
    return {"type": concept(PARTICIPANTS, part), "who": who}
