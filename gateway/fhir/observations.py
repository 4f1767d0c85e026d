"""One measurement as FHIR R4 Observations: a panel with components, or one Observation a measure.

Nothing is invented: no code without a sheet, no time nobody gave, no fasting nobody stated. A value the
device computed itself (its BMI) is not sent as ours. docs/fhir.md shows the whole with an example.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal

from gateway.fhir import codes
from gateway.fhir.codes import Coded, Unmappable
from gateway.fhir.elements import OURS, Json, concept, date_time, identifier, instant, number
from gateway.fhir.setting import Setting
from protocol.readings import Kind, Measure
from store.facts import Measurement, Value

GATEWAY_DEVICE = "http://hl7.org/fhir/StructureDefinition/observation-gatewayDevice"
ABSENT_TIME = "http://hl7.org/fhir/StructureDefinition/data-absent-reason"
RECORD = f"{OURS}record"

Refer = Callable[[str], Json]
"""The identifier value of an Observation to a Reference to it."""


@dataclass(frozen=True, slots=True)
class Around:
    """What an Observation points to; `machine` is None where no machine made it."""

    subject: Json
    gateway: Json
    machine: Json | None
    refer: Refer


def parts(measurement: Measurement) -> list[str]:
    """Return the name of every Observation this measurement becomes: measures, a panel, or a failed kind."""
    if measurement.failed:
        return [measurement.kind]
    panel = [str(Kind.BLOOD_PRESSURE)] if codes.COMPONENTS.keys() & measurement.values.keys() else []
    own = [name for name in measurement.values if name not in codes.COMPONENTS and name != Measure.BMI]
    return panel + own + list(measurement.derived)


def named(measurement: str, part: str) -> str:
    """Return the identifier value of one Observation: the same for ever, whatever its version."""
    return f"{measurement}.{part}"


def sources(measurement: Measurement, others: Mapping[str, Measurement]) -> list[str]:
    """Return the identifier values of the height and weight a derived BMI came from, where known."""
    came_from = [others[key] for key in measurement.derived_from if key in others] or [measurement]
    return [
        named(one.id, measure)
        for measure in (Measure.BODY_HEIGHT, Measure.BODY_WEIGHT)
        for one in came_from
        if measure in one.values
    ]


def observation(
    measurement: Measurement, part: str, around: Around, others: Mapping[str, Measurement], setting: Setting
) -> Json:
    """Return one of the Observations of `parts`. Raises Unmappable where it would have to invent."""
    if measurement.status == "preliminary":
        raise Unmappable("a preliminary measurement is not forwarded")
    content, category = _content(measurement, part)
    resource: Json = {
        "resourceType": "Observation",
        "extension": _extensions(measurement, around),
        "identifier": [identifier(setting.measurement_system, named(measurement.id, part))],
        "status": _status(measurement),
        "category": _categories(measurement, part, category),
        **content,
        "subject": around.subject,
        **_effective(measurement, setting),
        "issued": instant(measurement.recorded.utc),
        **_site(measurement, part),
    }
    if device := around.gateway if part in measurement.derived else around.machine:
        resource["device"] = device
    if notes := _notes(measurement, part):
        resource["note"] = notes
    if part in measurement.derived and (from_ := sources(measurement, others)):
        resource["derivedFrom"] = [around.refer(value) for value in from_]
    return resource


def _content(measurement: Measurement, part: str) -> tuple[Json, codes.Category]:
    """Return code and value, or code and the reason there is none, and the category they belong to."""
    if measurement.failed:
        coded = codes.FAILED.get(measurement.kind)
        code = coded.concept() if coded else {"text": measurement.kind}
        absent = {"dataAbsentReason": concept(codes.ABSENT, "error", measurement.failed)}
        return {"code": code, **absent}, coded.category if coded else "exam"
    if part == Kind.BLOOD_PRESSURE:
        return {"code": codes.PANEL.concept(), "component": _components(measurement)}, codes.PANEL.category
    value = measurement.derived.get(part) or measurement.values[part]
    coded = _coded(measurement, part, value)
    return {"code": coded.concept(), "valueQuantity": quantity(value, coded)}, coded.category


def _coded(measurement: Measurement, part: str, value: Value) -> Coded:
    if part == Measure.GLUCOSE:
        return codes.glucose(value.unit, fasting=measurement.context.get("fasting") == "yes")
    return codes.single(part, measurement.kind)


def _components(measurement: Measurement) -> list[Json]:
    """Return systolic and diastolic, saying so where one is missing, and the mean where there is one."""
    found = []
    for measure, coded in codes.COMPONENTS.items():
        if value := measurement.values.get(measure):
            found.append({"code": coded.concept(), "valueQuantity": quantity(value, coded)})
        elif measure != Measure.MEAN_PRESSURE:
            found.append({"code": coded.concept(), "dataAbsentReason": concept(codes.ABSENT, "unknown")})
    return found


def quantity(value: Value, coded: Coded) -> Json:
    """Return a Quantity as precise as *value*. Raises Unmappable where the unit is not the measure's."""
    if value.unit not in coded.units:
        raise Unmappable(f"{coded.text}: the unit {value.unit} is not one of {', '.join(coded.units)}")
    unit = {"unit": codes.UNIT_WORDS.get(value.unit, value.unit), "system": codes.UCUM, "code": value.unit}
    above = {"comparator": value.comparator} if value.comparator else {}
    return {"value": number(value.value), **above, **unit}


def _status(measurement: Measurement) -> str:
    if measurement.failed and measurement.status != "entered-in-error":
        return "cancelled"
    return measurement.status


def _categories(measurement: Measurement, part: str, category: codes.Category) -> list[Json]:
    """Return the one category of its kind and, where a machine itself gave the value, the mark of that."""
    own = [concept(codes.CATEGORIES, category)]
    of_machine = measurement.source == "machine" and part not in measurement.derived
    if of_machine and not _measured_otherwise(measurement, part):
        own.append(concept(codes.PHD_CATEGORIES, "phd-observation"))
    return own


def _effective(measurement: Measurement, setting: Setting) -> Json:
    if measurement.effective.time is None:
        return {"_effectiveDateTime": {"extension": [{"url": ABSENT_TIME, "valueCode": "unknown"}]}}
    return {"effectiveDateTime": date_time(measurement.effective.time, setting.zone)}


def _extensions(measurement: Measurement, around: Around) -> list[Json]:
    """Return the gateway, and our record: version, how good the time is, and the clocks it was made from."""
    effective = measurement.effective
    record: list[Json] = [
        {"url": "version", "valuePositiveInt": measurement.version},
        {"url": "timeQuality", "valueCode": effective.quality},
        {"url": "timeRule", "valueString": effective.rule},
        {"url": "received", "valueInstant": instant(measurement.received.utc)},
    ]
    for url, limit in (("timeEarliest", effective.earliest), ("timeLatest", effective.latest)):
        if limit is not None:
            record.append({"url": url, "valueInstant": instant(limit)})
    if measurement.device_time is not None:
        said = measurement.device_time.isoformat(timespec="seconds")
        record.append({"url": "deviceTime", "valueString": said})
    if measurement.clock_offset_s is not None:
        offset = Decimal(str(measurement.clock_offset_s))
        record.append({"url": "clockOffset", "valueDecimal": offset})
    return [
        {"url": GATEWAY_DEVICE, "valueReference": around.gateway},
        {"url": RECORD, "extension": record},
    ]


def _site(measurement: Measurement, part: str) -> Json:
    arm = codes.ARMS.get(measurement.context.get("arm", ""))
    if arm is None or part != Kind.BLOOD_PRESSURE:
        return {}
    return {"bodySite": concept(codes.SNOMED, arm, f"{measurement.context['arm']} upper arm")}


def _measured_otherwise(measurement: Measurement, part: str) -> Mapping[str, Value]:
    """Return what was measured where a person's values stand in this part instead."""
    measures = codes.COMPONENTS.keys() if part == Kind.BLOOD_PRESSURE else {part}
    before = measurement.by_hand.measured if measurement.by_hand else {}
    return {
        name: value
        for name, value in before.items()
        if name in measures and measurement.values.get(name) != value
    }


def _notes(measurement: Measurement, part: str) -> list[Json]:
    lines = [f"device: {flag}" for flag in measurement.flags]
    lines += [f"{found.rule}: {found.detail}" for found in measurement.findings if found.severity != "note"]
    if measurement.source == "manual":
        lines.append("typed in by a person, not read from a machine")
    if measured := _measured_otherwise(measurement, part):
        said = (f"{name} {v.comparator or ''}{v.value} {v.unit}" for name, v in measured.items())
        lines.append(f"corrected by a person; measured: {', '.join(said)}")
    return [{"text": line} for line in lines]
