"""Corrections, withdrawals and late arrivals end as one Observation that says the newest truth."""

import json

import pytest

from gateway.forwarders import Accepted, Rejected
from store.facts import Value
from tests.fhir.census import check_once, observations
from tests.fhir.made import all_accepted, forwarder, fresh, measurement, outgoing
from tests.fhir.stand_in import Asked, Pass, StandIn
from tools.fhir_server import FhirServer

pytestmark = pytest.mark.xdist_group("fhir")


async def test_a_correction_replaces_the_same_observation(fhir_server: FhirServer) -> None:
    one = measurement("glucose", version=2)
    sender = forwarder(fhir_server.base_url)
    [first] = await sender.deliver([outgoing(one)])
    assert isinstance(first, Accepted)
    right = measurement(
        "glucose", id=one.id, version=4, status="corrected", values={"glucose": Value("6.50", "mmol/L")}
    )
    [second] = await sender.deliver([outgoing(right, receipt=first.receipt)])
    await sender.deliver([outgoing(right, receipt=first.receipt)])
    await sender.close()
    assert isinstance(second, Accepted)
    assert second.receipt["glucose"] == first.receipt["glucose"]
    [held] = (await observations(fhir_server.base_url, one))["glucose"]
    assert (held["status"], held["valueQuantity"]["value"], held["meta"]["versionId"]) == (
        "corrected",
        6.5,
        "2",
    )
    await check_once(fhir_server.base_url, one, 2, 4)


async def test_a_withdrawal_stays_with_its_record(fhir_server: FhirServer) -> None:
    one = measurement("blood_pressure", version=2)
    sender = forwarder(fhir_server.base_url)
    [first] = await sender.deliver([outgoing(one)])
    assert isinstance(first, Accepted)
    gone = measurement("blood_pressure", id=one.id, version=3, status="entered-in-error")
    assert all_accepted(await sender.deliver([outgoing(gone, receipt=first.receipt)]))
    await sender.close()
    held = await observations(fhir_server.base_url, one)
    assert {part: [found["status"] for found in copies] for part, copies in held.items()} == {
        "blood_pressure": ["entered-in-error"],
        "pulse_rate": ["entered-in-error"],
    }
    await check_once(fhir_server.base_url, one, 2, 3)


async def test_what_a_correction_no_longer_has_is_withdrawn(fhir_server: FhirServer) -> None:
    one = measurement("blood_pressure", version=2)
    sender = forwarder(fhir_server.base_url)
    [first] = await sender.deliver([outgoing(one)])
    assert isinstance(first, Accepted)
    values = {name: value for name, value in one.values.items() if name != "pulse_rate"}
    right = measurement("blood_pressure", id=one.id, version=3, status="corrected", values=values)
    assert all_accepted(await sender.deliver([outgoing(right, receipt=first.receipt)]))
    assert all_accepted(await sender.deliver([outgoing(right, receipt=first.receipt)]))
    await sender.close()
    held = await observations(fhir_server.base_url, one)
    assert [held[part][0]["status"] for part in ("blood_pressure", "pulse_rate")] == [
        "corrected",
        "entered-in-error",
    ]
    assert held["pulse_rate"][0]["meta"]["versionId"] == "2"
    await check_once(fhir_server.base_url, one, 2, 3)


async def test_an_old_version_that_turns_up_late_does_not_undo_a_correction(fhir_server: FhirServer) -> None:
    one = measurement("glucose", version=4, status="corrected", values={"glucose": Value("6.5", "mmol/L")})
    sender = forwarder(fhir_server.base_url)
    await sender.deliver([outgoing(one)])
    late = measurement("glucose", id=one.id, version=2)
    assert all_accepted(await sender.deliver([outgoing(late)]))
    await sender.close()
    [held] = (await observations(fhir_server.base_url, one))["glucose"]
    assert held["status"] == "corrected"


async def test_two_versions_in_one_batch_end_as_the_newer(fhir_server: FhirServer) -> None:
    one = measurement("glucose", version=2)
    right = measurement("glucose", id=one.id, version=3, status="corrected")
    sender = forwarder(fhir_server.base_url)
    assert all_accepted(await sender.deliver([outgoing(one), outgoing(right)]))
    await sender.close()
    [held] = (await observations(fhir_server.base_url, one))["glucose"]
    assert held["status"] == "corrected"
    await check_once(fhir_server.base_url, one, 2, 3)


async def test_a_matched_create_of_an_older_version_is_brought_up_to_date(fhir_server: FhirServer) -> None:
    """An old version arrives between our look and our write: the create matches and writes nothing."""
    one = measurement("glucose", version=2)
    right = measurement("glucose", id=one.id, version=3, status="corrected")
    seen: list[Asked] = []

    async def overtaken(asked: Asked, forward: Pass) -> None:
        if asked.writes(one.id) and not seen:
            seen.append(asked)
            other = forwarder(fhir_server.base_url, gateway=fresh())
            await other.deliver([outgoing(one)])
            await other.close()

    async with StandIn(fhir_server.base_url, overtaken) as front:
        sender = forwarder(front.url)
        assert all_accepted(await sender.deliver([outgoing(right)]))
        await sender.close()
    [held] = (await observations(fhir_server.base_url, one))["glucose"]
    assert held["status"] == "corrected"
    await check_once(fhir_server.base_url, one, 2, 3)


async def test_somebody_elses_change_meanwhile_is_seen_before_ours_is_written(
    fhir_server: FhirServer,
) -> None:
    one = measurement("glucose", version=2)
    right = measurement("glucose", id=one.id, version=3, status="corrected")
    first = forwarder(fhir_server.base_url)
    await first.deliver([outgoing(one)])
    await first.close()
    refused: list[int] = []

    async def meddle(asked: Asked, forward: Pass) -> tuple[int, bytes] | None:
        if not asked.writes(one.id):
            return None
        if not refused:
            [held] = (await observations(fhir_server.base_url, one))["glucose"]
            body = json.dumps({**held, "note": [{"text": "seen by the centre"}]}).encode()
            await forward(Asked("PUT", f"/fhir/Observation/{held['id']}", asked.headers, body))
        answer = await forward(asked)
        refused.append(answer[0])
        return answer

    async with StandIn(fhir_server.base_url, meddle) as front:
        sender = forwarder(front.url)
        [outcome] = await sender.deliver([outgoing(right)])
        assert isinstance(outcome, Rejected)
        assert all_accepted(await sender.deliver([outgoing(right)]))
        await sender.close()
    assert refused == [412, 200]
    await check_once(fhir_server.base_url, one, 2, 3)
