"""The same measurements as FHIR R4: equal values, only what stands, every page reached by its link."""

import json
from decimal import Decimal
from pathlib import Path

import fhirkit

from protocol.readings import Kind
from tests.web.live import OTHER, PERSON, Live, body, pressure, reading

NUMBER = PERSON["identifiers"][0]["value"]


def everything(client, query: str = "_count=2") -> list[dict]:
    """Return the resources of every page."""
    found, address = [], f"/fhir/Observation?{query}"
    while address:
        bundle = client.get(address).raise_for_status().json()
        assert (bundle["resourceType"], bundle["type"]) == ("Bundle", "searchset")
        found += [entry["resource"] for entry in bundle.get("entry", [])]
        links = {link["relation"]: link["url"] for link in bundle["link"]}
        address = f"/fhir/{links['next']}" if "next" in links else None
    return found


def test_values_precision_and_codes(live, client):
    live.open(client)
    live.report("bp-1", pressure())
    live.report("glu-1", reading(Kind.GLUCOSE, {"glucose": ("5.60", "mmol/L")}))
    found = {one["code"]["coding"][0]["code"]: one for one in everything(client)}
    values = [part["valueQuantity"]["value"] for part in found["85354-9"]["component"]]
    assert values == [152, 94]
    assert found["8867-4"]["valueQuantity"]["code"] == "/min"
    raw = client.get("/fhir/Observation?_count=50")
    assert raw.headers["content-type"] == "application/fhir+json"
    assert '"value":5.60' in raw.text
    assert all(one["subject"]["identifier"]["value"] == NUMBER for one in found.values())


def test_a_computed_bmi_names_its_sources_which_can_be_read(live, client):
    live.open(client)
    live.report("hw-1", body())
    found = {one["id"]: one for one in everything(client)}
    [bmi] = [one for one in found.values() if one["code"]["coding"][0]["code"] == "39156-5"]
    sources = [link["reference"] for link in bmi["derivedFrom"]]
    assert sorted(found[source.partition("/")[2]]["code"]["coding"][0]["code"] for source in sources) == [
        "29463-7",
        "8302-2",
    ]
    for source in sources:
        assert client.get(f"/fhir/{source}").json()["id"] == source.partition("/")[2]
    assert client.get("/fhir/Observation/none").status_code == 404


def test_only_what_stands_and_nothing_of_nobody(live, client):
    live.report("bp-1", pressure())
    assert everything(client) == []
    first, second = live.open(client), live.open(client, OTHER)
    [lying] = client.get("/v1/measurements").json()["measurements"]
    bind = f"/v1/measurements/{lying['id']}/bind"
    for exam in (first, second):
        asked = {"exam": exam, "operator": "li", "reason": "slip"}
        client.post(bind, json=asked).raise_for_status()
    found = everything(client, "code=http://loinc.org%7C85354-9")
    assert sorted(one["status"] for one in found) == ["entered-in-error", "final"]


def test_search_by_identifier_person_and_code(live, client):
    live.open(client)
    live.report("bp-1", pressure())
    panel = next(one for one in everything(client) if one["code"]["coding"][0]["code"] == "85354-9")
    own = panel["identifier"][0]
    for token in (own["value"], f"{own['system']}%7C{own['value']}"):
        assert everything(client, f"identifier={token}") == [panel]
    assert everything(client, f"identifier=urn:other%7C{own['value']}") == []
    for person in ("patient.identifier", "subject:identifier"):
        assert len(everything(client, f"{person}={NUMBER}")) == 2
        assert everything(client, f"{person}=110101189803120022") == []
    assert len(everything(client, "code=8867-4")) == 1


def test_an_unknown_parameter_is_refused_never_ignored(client):
    answer = client.get("/fhir/Observation?patient=Patient/1")
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["at"] == "query/patient"


def test_everything_is_valid_fhir(live, client):
    live.open(client)
    live.report("bp-1", pressure())
    live.report("hw-1", body())
    for address in ("/fhir/metadata", "/fhir/Observation"):
        answer = json.loads(client.get(address).text, parse_float=Decimal)
        assert [str(issue) for issue in fhirkit.validate(answer)] == []


def test_the_capabilities(client):
    statement = client.get("/fhir/metadata").json()
    assert (statement["resourceType"], statement["fhirVersion"]) == ("CapabilityStatement", "4.0.1")
    assert statement["rest"][0]["resource"][0]["type"] == "Observation"


def test_identifier_systems_are_the_configured_ones(tmp_path: Path):
    fhir = {"url": "http://127.0.0.1:9/fhir", "identifier_systems": {"cn-id": "urn:oid:2.16.156"}}
    with Live(tmp_path, fhir=fhir) as live, live.client() as client:
        live.open(client)
        live.report("bp-1", pressure())
        assert len(everything(client, f"subject:identifier=urn:oid:2.16.156%7C{NUMBER}")) == 2
        assert everything(client, f"subject:identifier=urn:oid:2.16.157%7C{NUMBER}") == []
