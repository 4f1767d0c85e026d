"""The one table of codes: LOINC, IEEE 11073-10101 (MDC, 32-bit form) and UCUM for every measure we send.

A code that no sheet vouches for is not here; the measure is then sent with the codes it has.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from gateway.fhir.elements import Json, coding
from protocol.errors import Refused
from protocol.readings import Kind, Measure

LOINC = "http://loinc.org"
MDC = "urn:iso:std:iso:11073:10101"
UCUM = "http://unitsofmeasure.org"
SNOMED = "http://snomed.info/sct"
CATEGORIES = "http://terminology.hl7.org/CodeSystem/observation-category"
PHD_CATEGORIES = "http://hl7.org/fhir/uv/phd/CodeSystem/PhdObservationCategories"
ABSENT = "http://terminology.hl7.org/CodeSystem/data-absent-reason"

Category = Literal["vital-signs", "laboratory", "exam"]
Property = Literal["moles/volume", "mass/volume"]


class Unmappable(Refused):
    """This measurement cannot be written as FHIR without saying something nobody said."""

    code = "delivery.unmappable"


@dataclass(frozen=True, slots=True)
class Coded:
    """How one measure is named, by LOINC or MDC or both; `units` are the UCUM codes it may carry."""

    text: str
    loinc: tuple[str, ...]
    mdc: str | None
    units: tuple[str, ...]
    category: Category = "vital-signs"

    def concept(self) -> Json:
        """Return the CodeableConcept: LOINC first, MDC beside it."""
        codes = [coding(LOINC, code) for code in self.loinc]
        return {"coding": codes + ([coding(MDC, self.mdc)] if self.mdc else []), "text": self.text}


PRESSURE = ("mm[Hg]", "kPa")
PANEL = Coded("Blood pressure", ("85354-9",), "150020", ())
COMPONENTS: Mapping[str, Coded] = {
    Measure.SYSTOLIC: Coded("Systolic blood pressure", ("8480-6",), "150021", PRESSURE),
    Measure.DIASTOLIC: Coded("Diastolic blood pressure", ("8462-4",), "150022", PRESSURE),
    Measure.MEAN_PRESSURE: Coded("Mean blood pressure", ("8478-0",), "150023", PRESSURE),
}
SINGLES: Mapping[str, Coded] = {
    Measure.PULSE_RATE: Coded("Pulse rate", ("8867-4",), "149546", ("/min",)),
    Measure.BODY_HEIGHT: Coded("Body height", ("8302-2",), "188740", ("cm",)),
    Measure.BODY_WEIGHT: Coded("Body weight", ("29463-7",), "188736", ("kg", "[lb_av]")),
    Measure.BMI: Coded("Body mass index", ("39156-5",), "188752", ("kg/m2",)),
    Measure.BODY_TEMPERATURE: Coded("Body temperature", ("8310-5",), "150364", ("Cel",)),
    Measure.SPO2: Coded("Oxygen saturation", ("2708-6", "59408-5"), "150456", ("%",)),
    Measure.WAIST: Coded("Waist circumference", ("8280-0",), None, ("cm",), "exam"),
    Measure.BODY_FAT: Coded("Body fat", (), "188748", ("%",), "exam"),
}
OXIMETER_PULSE = Coded("Pulse rate", ("8867-4",), "149530", ("/min",))

UNIT_WORDS: Mapping[str, str] = {"mm[Hg]": "mmHg", "Cel": "°C", "kg/m2": "kg/m²", "[lb_av]": "lb"}
"""What a person reads, where it is not the UCUM code itself."""

DEVICE_TYPES: Mapping[Kind, str] = {
    Kind.BLOOD_PRESSURE: "528391",
    Kind.GLUCOSE: "528401",
    Kind.BODY_SIZE: "528399",
    Kind.TEMPERATURE: "528392",
    Kind.OXIMETRY: "528388",
}
GATEWAY_TYPE = "531981"

ARMS: Mapping[str, str] = {"left": "368208006", "right": "368209003"}


@dataclass(frozen=True, slots=True)
class GlucoseCode:
    """One LOINC code for capillary glucose by meter. Always true: its unit is one of its property."""

    loinc: str
    of: Property
    fasting: bool
    unit: str

    def __post_init__(self) -> None:
        if {"mmol/L": "moles/volume", "mg/dL": "mass/volume"}.get(self.unit) != self.of:
            raise ValueError(f"LOINC {self.loinc} is {self.of}: not for {self.unit}")


GLUCOSE_CODES = (
    GlucoseCode("14743-9", "moles/volume", fasting=False, unit="mmol/L"),
    GlucoseCode("14770-2", "moles/volume", fasting=True, unit="mmol/L"),
    GlucoseCode("41653-7", "mass/volume", fasting=False, unit="mg/dL"),
    GlucoseCode("41604-0", "mass/volume", fasting=True, unit="mg/dL"),
)


def glucose(unit: str, *, fasting: bool) -> Coded:
    """Return how glucose in *unit* is named; *fasting* only where a person stated it. Raises Unmappable."""
    for row in GLUCOSE_CODES:
        if (row.unit, row.fasting) == (unit, fasting):
            text = "Fasting capillary glucose" if fasting else "Capillary glucose"
            return Coded(text, (row.loinc,), "160184", (unit,), "laboratory")
    raise Unmappable(f"no glucose code for the unit {unit}")


def single(measure: str, kind: str) -> Coded:
    """Return how a measure that is an Observation of its own is named. Raises Unmappable."""
    if measure == Measure.PULSE_RATE and kind == Kind.OXIMETRY:
        return OXIMETER_PULSE
    if measure not in SINGLES:
        raise Unmappable(f"no code for the measure {measure}")
    return SINGLES[measure]


FAILED: Mapping[str, Coded] = {
    Kind.BLOOD_PRESSURE: PANEL,
    Kind.GLUCOSE: glucose("mmol/L", fasting=False),
    Kind.TEMPERATURE: SINGLES[Measure.BODY_TEMPERATURE],
    Kind.OXIMETRY: SINGLES[Measure.SPO2],
}
"""What a failed examination was meant to measure; a kind of several measures has no single code."""
