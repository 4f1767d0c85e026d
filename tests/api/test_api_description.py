"""The OpenAPI description, the contract and docs/api.md name the same endpoints."""

import re
from pathlib import Path

CONTRACT = {
    ("GET", "/livez"),
    ("GET", "/readyz"),
    ("GET", "/metrics"),
    ("GET", "/v1/measurements"),
    ("GET", "/v1/measurements/{id}"),
    ("GET", "/v1/measurements/{id}/evidence"),
    ("POST", "/v1/exams"),
    ("GET", "/v1/exams/{id}"),
    ("POST", "/v1/exams/{id}/close"),
    ("POST", "/v1/measurements/{id}/bind"),
    ("GET", "/v1/devices"),
    ("GET", "/v1/outbox"),
    ("GET", "/fhir/metadata"),
    ("GET", "/fhir/Observation"),
}
DOCUMENT = Path(__file__).parents[2] / "docs" / "api.md"


def described(client) -> set[tuple[str, str]]:
    paths = client.get("/openapi.json").json()["paths"]
    return {(method.upper(), path) for path, methods in paths.items() for method in methods}


def test_the_contract_is_described(client):
    assert described(client) >= CONTRACT


def test_the_document_names_every_endpoint_and_no_other(client):
    rows = re.findall(r"^\| `(GET|POST) (/[^`?]*)", DOCUMENT.read_text(encoding="utf-8"), re.MULTILINE)
    assert set(rows) == described(client)


def test_no_page_of_the_framework_loads_anything_from_elsewhere(client):
    for path in ("/docs", "/redoc"):
        assert client.get(path).status_code == 404
