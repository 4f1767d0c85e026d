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
    if measurement.evidence_sha256:
        frames = identifier(EVIDENCE_SYSTEM, f"sha-256:{measurement.evidence_sha256}")
        resource["entity"] = [{"role": "source", "what": {"identifier": frames}}]
    return resource


def _agents(measurement: Measurement, around: Around) -> list[Json]:
    agents = [_agent("assembler", around.gateway)]
    if around.machine:
        agents.append(_agent("author", around.machine))
    if measurement.bound_by and not measurement.bound_by.startswith("rule:"):
        person = {"type": "Practitioner", "identifier": identifier(OPERATOR_SYSTEM, measurement.bound_by)}
        agents.append(_agent("verifier" if around.machine else "author", person))
    return agents


def _agent(part: str, who: Json) -> Json:
    return {"type": concept(PARTICIPANTS, part), "who": who}
