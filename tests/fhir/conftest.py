"""The real FHIR server for the tests here."""

from tests.fhir_server import fhir_server

__all__ = ["fhir_server"]
