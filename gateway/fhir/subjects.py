"""Whose measurement it is: the resident as a Patient, or as a reference by identifier alone."""

from gateway.fhir.elements import OURS, Json, identifier
from gateway.fhir.setting import Setting
from store.residents import Resident


def identifiers(resident: Resident, setting: Setting) -> list[Json]:
    """Return the resident's identifiers, never none, those of a configured system first and in its order.

    A system the configuration does not name gets a URI of our own; a resident known by name only is
    told apart by our own key.
    """
    order = list(setting.identifier_systems)
    known = sorted(
        resident.identifiers,
        key=lambda one: order.index(one.system) if one.system in order else len(order),
    )
    named = [
        identifier(setting.identifier_systems.get(one.system, f"{OURS}identifier:{one.system}"), one.value)
        for one in known
    ]
    return named or [identifier(f"{OURS}resident", resident.id)]


def reference(resident: Resident, setting: Setting) -> Json:
    """Return a reference by identifier: the server need not know the resident yet."""
    return {"type": "Patient", "identifier": identifiers(resident, setting)[0]}


def patient(resident: Resident, setting: Setting) -> Json:
    """Return the resident as a Patient; its first identifier is the one it is found by."""
    resource: Json = {"resourceType": "Patient", "identifier": identifiers(resident, setting)}
    if resident.name:
        resource["name"] = [{"text": resident.name}]
    if resident.sex:
        resource["gender"] = resident.sex
    if resident.birth_date:
        resource["birthDate"] = resident.birth_date
    return resource
