"""How a measurement is written as FHIR R4. Everything here is pure: values in, values out."""
