"""Who is who at the server: patients, machines, the gateway; and which servers are not trusted."""

import asyncio
from pathlib import Path

import pytest

from protocol.errors import Unreachable
from store.residents import Identifier, Resident
from tests.fhir.census import check_once, observations, provenances, resources
from tests.fhir.made import all_accepted, forwarder, fresh, measurement, outgoing
from tests.fhir.stand_in import Asked, Pass, Reply, StandIn, only_pass
from tools.fhir_server import FhirServer

pytestmark = pytest.mark.xdist_group("fhir")


@pytest.mark.parametrize(
    "value",
    ["plain", "with blank", "a+b", "a|b", "甲乙 丙", "a,b", "a\\b", "50%", "a&_count=1", "$x", "é#?/"],
)
async def test_any_identifier_finds_exactly_its_patient(fhir_server: FhirServer, value: str) -> None:
    word = f"{fresh()} {value}"
    people = [
        Resident("r1", (Identifier("cn-id", word),), name="王"),
        Resident("r2", (Identifier("cn-id", f"{word}x"),), name="李"),
    ]
    there = [outgoing(measurement("glucose"), person) for person in people]
    for _ in range(2):
        sender = forwarder(fhir_server.base_url, subject="patient")
        assert all_accepted(await sender.deliver(there))
        await sender.close()
    found = [
        one
        for one in await resources(fhir_server.base_url, "Patient")
        if word in one["identifier"][0]["value"]
    ]
    assert sorted(one["identifier"][0]["value"] for one in found) == [word, f"{word}x"]
    [held] = (await observations(fhir_server.base_url, there[0].measurement))["glucose"]
    patient = next(one for one in found if one["identifier"][0]["value"] == word)
    assert held["subject"]["reference"] == f"Patient/{patient['id']}"


@pytest.mark.parametrize("name", ["a b", "a+b", "a|b", "温度计", "a,b"])
async def test_any_measurement_id_is_one_observation(fhir_server: FhirServer, name: str) -> None:
    one = measurement("glucose", id=f"{fresh()} {name}")
    async with StandIn(fhir_server.base_url, only_pass) as front:
        for _ in range(2):
            sender = forwarder(front.url)
            assert all_accepted(await sender.deliver([outgoing(one)]))
            await sender.close()
        queries = [
            entry["request"]["ifNoneExist"]
            for asked in front.transactions
            for entry in asked.entries
            if "identifier=" in entry["request"].get("ifNoneExist", "")
        ]
    assert queries
    assert all(query.isascii() and not set(query) & set(" +|,") for query in queries)
    await check_once(fhir_server.base_url, one)


@pytest.mark.parametrize(("releases", "version"), [(["0.1.0", "0.1.0"], "1"), (["0.1.0", "0.2.0"], "2")])
async def test_the_gateway_is_one_device_that_says_its_release(
    fhir_server: FhirServer, releases: list[str], version: str
) -> None:
    gateway = fresh()
    for release in releases:
        sender = forwarder(fhir_server.base_url, gateway=gateway, release=release)
        await sender.deliver([outgoing(measurement("glucose", serial=None))])
        await sender.close()
    [held] = await resources(
        fhir_server.base_url, "Device", identifier=f"urn:checkup-gateway:gateway|{gateway}"
    )
    assert (held["version"], held["meta"]["versionId"]) == ([{"value": releases[-1]}], version)


async def test_a_server_that_ignores_the_identifier_is_not_trusted(fhir_server: FhirServer) -> None:
    one = measurement("glucose")
    sender = forwarder(fhir_server.base_url)
    await sender.deliver([outgoing(measurement("glucose"))])
    await sender.close()

    async def ignores(asked: Asked, forward: Pass) -> tuple[int, bytes] | None:
        if asked.target.startswith("/fhir/Observation?"):
            return await forward(Asked("GET", "/fhir/Observation?_count=5", asked.headers, b""))
        return None

    async with StandIn(fhir_server.base_url, ignores) as front:
        sender = forwarder(front.url)
        with pytest.raises(Unreachable) as caught:
            await sender.deliver([outgoing(one)])
        await sender.close()
    assert caught.value.code == "delivery.unsafe_server"
    assert await provenances(fhir_server.base_url, one) == {}


async def test_the_token_is_read_anew_for_every_request(fhir_server: FhirServer, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("first\n")

    async def guarded(asked: Asked, forward: Pass) -> Reply | None:
        return Reply(401) if asked.headers.get("authorization") != "Bearer second" else None

    async with StandIn(fhir_server.base_url, guarded) as front:
        sender = forwarder(front.url, token_file=token)
        with pytest.raises(Unreachable) as caught:
            await sender.deliver([outgoing(measurement("glucose"))])
        assert caught.value.code == "delivery.unauthorised"
        token.write_text("second\n")
        assert all_accepted(await sender.deliver([outgoing(measurement("glucose"))]))
        await sender.close()


async def test_one_request_is_under_way_at_a_time(fhir_server: FhirServer) -> None:
    under_way = [0, 0]

    async def count(asked: Asked, forward: Pass) -> tuple[int, bytes]:
        under_way[0] += 1
        under_way[1] = max(under_way)
        answer = await forward(asked)
        under_way[0] -= 1
        return answer

    async with StandIn(fhir_server.base_url, count) as front:
        sender = forwarder(front.url)
        batches = [[outgoing(measurement("glucose"))] for _ in range(5)]
        outcomes = await asyncio.gather(*(sender.deliver(batch) for batch in batches))
        await sender.close()
    assert all(all_accepted(some) for some in outcomes)
    assert under_way == [0, 1]
