"""What an Observation of ours must look like, written down apart from the code that makes it.

From STANDARDS §1: the vital-signs profile's own rules, the code and unit pairs, and the glucose table.
"""

import re
from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from typing import Any

Json = dict[str, Any]
LOINC, UCUM = "http://loinc.org", "http://unitsofmeasure.org"
CATEGORY = "http://terminology.hl7.org/CodeSystem/observation-category"
UNITS = {
    "8480-6": {"mm[Hg]", "kPa"},
    "8462-4": {"mm[Hg]", "kPa"},
    "8478-0": {"mm[Hg]", "kPa"},
    "8867-4": {"/min"},
    "8302-2": {"cm"},
    "29463-7": {"kg", "[lb_av]"},
    "39156-5": {"kg/m2"},
    "8310-5": {"Cel"},
    "2708-6": {"%"},
    "8280-0": {"cm"},
    "14743-9": {"mmol/L"},
    "14770-2": {"mmol/L"},
    "41653-7": {"mg/dL"},
    "41604-0": {"mg/dL"},
}
PARTNERS = {"2708-6": "59408-5"}
PANEL, NEEDED = "85354-9", {"8480-6", "8462-4"}
LABORATORY = {"14743-9", "14770-2", "41653-7", "41604-0"}
STATUSES = {"final", "corrected", "cancelled", "entered-in-error"}
DATE_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")


def faults(one: Json) -> list[str]:
    """Return everything wrong with an Observation; none for a good one."""
    return list(_faults(one))


def _faults(one: Json) -> Iterator[str]:
    codes = _loinc(one)
    if one.get("status") not in STATUSES:
        yield f"status {one.get('status')}"
    if len(one.get("identifier", [])) != 1 or not all(
        one["identifier"][0].get(k) for k in ("system", "value")
    ):
        yield "not one identifier with system and value"
    wanted = "laboratory" if codes & LABORATORY else "exam" if codes <= {"8280-0"} else "vital-signs"
    if [c["code"] for x in one.get("category", []) for c in x["coding"] if c["system"] == CATEGORY] != [
        wanted
    ]:
        yield f"category is not {wanted} once"
    if not {"reference", "identifier"} & one.get("subject", {}).keys():
        yield "no subject"
    if not all(_moment(one[name]) for name in ("effectiveDateTime", "issued") if name in one):
        yield "a time without seconds or zone"
    if "effectiveDateTime" not in one and "_effectiveDateTime" not in one:
        yield "no effective time"
    if one.get("status") == "cancelled":
        yield from _cancelled(one)
    elif PANEL in codes:
        yield from _panel(one)
    else:
        yield from _value(one)


def _cancelled(one: Json) -> Iterator[str]:
    if "dataAbsentReason" not in one or "valueQuantity" in one or "component" in one:
        yield "cancelled with a value or without a reason"


def _panel(one: Json) -> Iterator[str]:
    parts = [code for part in one.get("component", []) for code in _loinc(part)]
    if "valueQuantity" in one or any(parts.count(code) != 1 for code in NEEDED):
        yield "a panel has no value, and systolic and diastolic once each"
    for part in one.get("component", []):
        yield from _value(part)


def _value(one: Json) -> Iterator[str]:
    quantity, codes = one.get("valueQuantity"), _loinc(one)
    if (quantity is None) == ("dataAbsentReason" not in one):
        yield "a value or the reason why there is none, never both"
    if quantity is None:
        return
    if quantity.get("system") != UCUM or not quantity.get("unit") or not quantity.get("code"):
        yield "a quantity needs unit, system and code"
    if not isinstance(quantity.get("value"), int | Decimal):
        yield "a value that is no number"
    if any(quantity.get("code") not in UNITS[code] for code in codes & UNITS.keys()):
        yield f"the unit {quantity.get('code')} with {sorted(codes)}"
    if not codes & UNITS.keys() and not _mdc(one):
        yield "no code we know"
    if any(PARTNERS[code] not in codes for code in codes & PARTNERS.keys()):
        yield "its partner code is missing"


def _loinc(one: Json) -> set[str]:
    return {c["code"] for c in one.get("code", {}).get("coding", []) if c.get("system") == LOINC}


def _mdc(one: Json) -> bool:
    return any(
        c.get("system") == "urn:iso:std:iso:11073:10101" for c in one.get("code", {}).get("coding", [])
    )


def _moment(text: str) -> bool:
    return bool(DATE_TIME.fullmatch(text)) and datetime.fromisoformat(text).tzinfo is not None
