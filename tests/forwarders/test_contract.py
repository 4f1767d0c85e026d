"""What every forwarder must do, whatever it speaks: one suite over all of them, against real other sides."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from gateway import forwarders
from gateway.config import Config
from gateway.forwarders import Accepted, Forwarder, Rejected
from protocol.errors import Unreachable
from tests.fhir.made import measurement, outgoing, with_bmi
from tests.forwarders.rigs import RIGS, Front
from tools.fhir_server import FhirServer

pytestmark = [pytest.mark.xdist_group("fhir"), pytest.mark.parametrize("kind", sorted(forwarders.every()))]


@asynccontextmanager
async def at(kind: str, server: FhirServer) -> AsyncIterator[tuple[Front, Forwarder]]:
    async with RIGS[kind](server) as front:
        built = forwarders.every()[kind].build(front.config)
        assert built is not None
        try:
            yield front, built
        finally:
            await built.close()


def test_it_has_a_rig_and_is_built_only_when_asked_for(kind: str) -> None:
    assert set(RIGS) == set(forwarders.every())
    assert forwarders.every()[kind].name == kind
    assert forwarders.every()[kind].build(Config()) is None


async def test_nothing_is_delivered_at_once(kind: str, fhir_server: FhirServer) -> None:
    async with at(kind, fhir_server) as (_, forwarder):
        assert forwarder.name == kind
        assert await forwarder.deliver([]) == []


async def test_outcomes_stand_in_the_order_of_the_items(kind: str, fhir_server: FhirServer) -> None:
    there = [measurement("glucose") for _ in range(5)]
    async with at(kind, fhir_server) as (front, forwarder):
        front.refused = there[3].id
        outcomes = await forwarder.deliver([outgoing(one) for one in there])
        assert [type(outcome) for outcome in outcomes] == [Accepted, Accepted, Accepted, Rejected, Accepted]
        assert [await front.copies(one) for one in there] == [[1], [1], [1], [], [1]]


async def test_again_and_again_is_once(kind: str, fhir_server: FhirServer) -> None:
    there = [outgoing(measurement("blood_pressure")), outgoing(with_bmi())]
    async with at(kind, fhir_server) as (front, forwarder):
        for batch in (there, there[::-1], there):
            assert all(isinstance(outcome, Accepted) for outcome in await forwarder.deliver(batch))
        for item in there:
            assert set(await front.copies(item.measurement)) == {1}


async def test_no_answer_is_not_a_refusal(kind: str, fhir_server: FhirServer) -> None:
    one = measurement("glucose")
    async with at(kind, fhir_server) as (front, forwarder):
        front.down = True
        with pytest.raises(Unreachable) as caught:
            await forwarder.deliver([outgoing(one)])
        assert caught.value.code == "delivery.unreachable"
        front.down = False
        assert isinstance((await forwarder.deliver([outgoing(one)]))[0], Accepted)
        assert await front.copies(one) == [1]


async def test_a_later_version_takes_the_place_of_the_earlier(kind: str, fhir_server: FhirServer) -> None:
    one = measurement("glucose", version=2)
    gone = measurement("glucose", id=one.id, version=3, status="entered-in-error")
    async with at(kind, fhir_server) as (front, forwarder):
        [first] = await forwarder.deliver([outgoing(one)])
        assert isinstance(first, Accepted)
        assert isinstance((await forwarder.deliver([outgoing(gone, receipt=first.receipt)]))[0], Accepted)
        assert await front.copies(one) == [1]
