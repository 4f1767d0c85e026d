"""Transactions of conditional creates and guarded updates: how they are written, and what the answers say.

A conditional create sends only what stands after `?`, escaped as FHIR search asks and percent-encoded:
sent raw, a blank or `+` makes a second copy on every server tried.
"""

import re
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from urllib.parse import quote

import msgspec

from gateway.fhir.elements import Json
from gateway.fhir.observations import RECORD

_ENCODER = msgspec.json.Encoder(decimal_format="number")
_PLACE = re.compile(r"([A-Z][A-Za-z]+)/([A-Za-z0-9.-]{1,64})(?:/_history/([A-Za-z0-9.-]{1,64}))?$")


class _Response(msgspec.Struct):
    status: str = ""
    location: str | None = None
    etag: str | None = None


class _Entry(msgspec.Struct):
    resource: Json | None = None
    response: _Response = msgspec.field(default_factory=_Response)


class _Issue(msgspec.Struct):
    code: str = ""
    diagnostics: str | None = None
    details: Json = {}


class _Answer(msgspec.Struct):
    """As much of a Bundle or an OperationOutcome as we read."""

    resourceType: str = ""  # noqa: N815 - FHIR's own name
    type: str = ""
    entry: list[_Entry] = []
    issue: list[_Issue] = []


_DECODER = msgspec.json.Decoder(_Answer, float_hook=Decimal)


class BadAnswer(ValueError):
    """What came back is not the FHIR answer the request asks for."""


@dataclass(frozen=True, slots=True)
class Held:
    """A resource as the server holds it: where, which version of its own, and what it says."""

    reference: str
    etag: str | None
    resource: Json


@dataclass(frozen=True, slots=True)
class Written:
    """The answer to one entry; `reference` and `etag` are None where the server does not say."""

    status: int
    reference: str | None
    etag: str | None


def token(system: str, value: str) -> str:
    """Return `system|value` as a search value: FHIR's own separators escaped, then percent-encoded."""
    return quote(f"{_escaped(system)}|{_escaped(value)}", safe="")


def search(parameter: str, tokens: Iterable[str]) -> str:
    """Return the query that finds any of *tokens*."""
    return f"{parameter}={','.join(tokens)}"


def full_url(system: str, value: str) -> str:
    """Return the urn:uuid an entry is known by inside its bundle: the same for the same identifier."""
    return f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, f'{system}|{value}')}"


def create(resource: Json, if_none_exist: str | None, known_as: str) -> Json:
    """Return the entry that creates *resource* unless *if_none_exist*, an encoded query, finds one."""
    request = {"method": "POST", "url": resource["resourceType"]}
    if if_none_exist:
        request["ifNoneExist"] = if_none_exist
    return {"fullUrl": known_as, "resource": resource, "request": request}


def update(resource: Json, held: Held, base: str) -> Json:
    """Return the entry that puts *resource* in the place of *held*, only if nobody wrote there meanwhile."""
    request = {"method": "PUT", "url": held.reference}
    if held.etag:
        request["ifMatch"] = held.etag
    named = {**resource, "id": held.reference.partition("/")[2]}
    return {"fullUrl": f"{base}/{held.reference}", "resource": named, "request": request}


def transaction(entries: Sequence[Json]) -> bytes:
    """Return the bundle's bytes; decimals keep their precision."""
    return _ENCODER.encode({"resourceType": "Bundle", "type": "transaction", "entry": list(entries)})


def answers(body: bytes, expected: int) -> list[Written]:
    """Return the answer to each entry, in order. Raises BadAnswer unless *expected* entries are all 2xx."""
    bundle = _read(body)
    if bundle.type != "transaction-response" or len(bundle.entry) != expected:
        raise BadAnswer(f"{len(bundle.entry)} answers to {expected} entries")
    found = [_written(entry) for entry in bundle.entry]
    if refused := [one.status for one in found if one.status // 100 != 2]:
        raise BadAnswer(f"a transaction accepted as a whole answers {refused[0]} to an entry")
    return found


def matches(body: bytes, resource_type: str) -> list[Held]:
    """Return the resources of one type a search found. Raises BadAnswer where it is not a search's answer."""
    bundle = _read(body)
    if bundle.resourceType != "Bundle":
        raise BadAnswer("not a bundle")
    found = [entry.resource for entry in bundle.entry if entry.resource]
    return [
        Held(f"{resource_type}/{one['id']}", _etag(one.get("meta", {}).get("versionId")), one)
        for one in found
        if one.get("resourceType") == resource_type and "id" in one
    ]


def identifier_values(resource: Json, system: str) -> list[str]:
    """Return the values a resource carries of one identifier system."""
    return [one.get("value", "") for one in resource.get("identifier", []) if one.get("system") == system]


def version(resource: Json) -> int:
    """Return which version of a measurement an Observation is; 0 where it does not say."""
    for extension in resource.get("extension", []):
        if extension.get("url") == RECORD:
            for part in extension.get("extension", []):
                if part.get("url") == "version":
                    return int(part.get("valuePositiveInt", 0))
    return 0


def reason(body: bytes) -> str | None:
    """Return an OperationOutcome's own words, None where *body* is none."""
    try:
        outcome = _read(body)
    except BadAnswer:
        return None
    if outcome.resourceType != "OperationOutcome":
        return None
    said = [issue.diagnostics or issue.details.get("text") or issue.code for issue in outcome.issue]
    return "; ".join(dict.fromkeys(words for words in said if words)) or "no reason given"


def _written(entry: _Entry) -> Written:
    response, resource = entry.response, entry.resource or {}
    status = int(response.status[:3]) if response.status[:3].isdigit() else 0
    if place := _PLACE.search(response.location or ""):
        return Written(status, f"{place[1]}/{place[2]}", response.etag or _etag(place[3]))
    if "id" in resource and "resourceType" in resource:
        return Written(status, f"{resource['resourceType']}/{resource['id']}", response.etag)
    return Written(status, None, None)


def _etag(version_id: str | None) -> str | None:
    return f'W/"{version_id}"' if version_id else None


def _escaped(value: str) -> str:
    return re.sub(r"([\\,$|])", r"\\\1", value)


def _read(body: bytes) -> _Answer:
    try:
        return _DECODER.decode(body)
    except msgspec.DecodeError as error:
        raise BadAnswer(f"not FHIR: {error}") from error
