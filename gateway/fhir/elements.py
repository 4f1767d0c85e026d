"""The small FHIR data types everything else is written with: codings, identifiers, quantities, times."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

Json = dict[str, Any]
"""One FHIR element or resource: JSON as FHIR R4 defines it, with Decimal for every decimal."""

OURS = "urn:checkup-gateway:"
"""Prefix of every system and extension that is this project's own (docs/fhir.md)."""


def coding(system: str, code: str) -> Json:
    """Return a Coding."""
    return {"system": system, "code": code}


def concept(system: str, code: str, text: str = "") -> Json:
    """Return a CodeableConcept of one coding."""
    return {"coding": [coding(system, code)], **({"text": text} if text else {})}


def identifier(system: str, value: str) -> Json:
    """Return an Identifier."""
    return {"system": system, "value": value}


def number(literal: str) -> Decimal:
    """Return the decimal *literal* with its precision kept: `5.60` stays `5.60` on the wire."""
    return Decimal(literal)


def date_time(moment: datetime, zone: ZoneInfo) -> str:
    """Return a dateTime in *zone*, with seconds and offset always; *moment* is aware."""
    return _written(moment.astimezone(zone))


def instant(moment: datetime) -> str:
    """Return an instant in UTC; *moment* is aware."""
    return _written(moment.astimezone(UTC))


def _written(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds" if moment.microsecond else "seconds")
