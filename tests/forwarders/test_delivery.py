"""The loop from the real journal to the real server: nothing lost, nothing doubled, nothing in the way."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pytest

from gateway.delivery import BATCH, Delivery, JournalOutbox, Pace
from gateway.forwarders import Accepted, Outcome, Outgoing, Rejected
from protocol.errors import Unreachable
from store.facts import Corrected, Measurement, Value, Voided
from store.journal import Journal, Transaction
from tests.fhir import census, made
from tests.fhir.stand_in import Asked, Pass, Reply, StandIn, only_pass
from tests.store.journal_making import final, judged, visit
from tests.tcp_fault import TcpFault
from tools.fhir_server import FhirServer

pytestmark = pytest.mark.xdist_group("fhir")
QUICK = Pace(0.001, 0.01)
DEADLINE_S = 30
ATTEMPTS = 3


class Scripted:
    """A forwarder that answers as a test tells it; keeps what it was given."""

    name = "fhir"

    def __init__(self, answer: Callable[[Outgoing], Outcome]) -> None:
        self.answer, self.given = answer, list[list[str]]()

    async def deliver(self, batch: Sequence[Outgoing]) -> list[Outcome]:
        self.given.append([item.measurement.id for item in batch])
        return [self.answer(item) for item in batch]

    async def close(self) -> None:
        pass


async def filled(journal: Journal, count: int) -> list[Measurement]:
    """Put *count* final blood pressures of one visit into the journal."""

    def all_of_them(tx: Transaction) -> list[str]:
        exam = visit(tx)
        return [final(tx, exam) for _ in range(count)]

    keys = await journal.run(all_of_them)
    return [found for key in keys if (found := journal.queries.measurement(key))]


def outbox(journal: Journal) -> JournalOutbox:
    return JournalOutbox(journal, "fhir", ATTEMPTS)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(DEADLINE_S):
        while not condition():  # noqa: ASYNC110 - the journal has no event for it
            await asyncio.sleep(0.005)


async def tried_out(delivery: Delivery, journal: Journal) -> None:
    """Run until nothing waits any more."""
    running = asyncio.create_task(delivery.run())
    await until(lambda: journal.queries.outbox_counts()["fhir"].waiting == 0)
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running


async def test_everything_due_arrives_once_and_is_written_down(
    journal: Journal, fhir_server: FhirServer
) -> None:
    there = await filled(journal, BATCH + 7)
    forwarder = made.forwarder(fhir_server.base_url)
    await Delivery(outbox(journal), forwarder, asyncio.Event(), pace=QUICK).drain()
    await forwarder.close()
    counts = journal.queries.outbox_counts()["fhir"]
    assert (counts.waiting, counts.parked, counts.delivered) == (0, 0, len(there))
    held = await census.resources(fhir_server.base_url, "Observation")
    values = [found["identifier"][0]["value"] for found in held]
    for one in there:
        assert values.count(f"{one.id}.blood_pressure") == values.count(f"{one.id}.pulse_rate") == 1
    [receipt] = {frozenset(found.receipt) for found in journal.queries.deliveries("delivered", 100)}
    assert receipt == {"blood_pressure", "pulse_rate", "Provenance"}


async def test_a_server_that_was_away_gets_everything_when_it_is_back(
    journal: Journal, fhir_server: FhirServer
) -> None:
    there = await filled(journal, 3)
    real = int(fhir_server.base_url.split(":")[2].split("/")[0])
    news = asyncio.Event()
    changes: list[str] = []
    async with TcpFault(1) as line:
        forwarder = made.forwarder(f"http://127.0.0.1:{line.port}/fhir")
        delivery = Delivery(
            outbox(journal), forwarder, news, pace=QUICK, changed=lambda: changes.append(delivery.reach.state)
        )
        running = asyncio.create_task(delivery.run())
        await until(lambda: delivery.reach.state == "unreachable")
        assert delivery.reach.code == "delivery.unreachable"
        there += await filled(journal, 2)
        news.set()
        line.target = real
        await until(lambda: journal.queries.outbox_counts()["fhir"].waiting == 0)
        assert delivery.reach.state == "reachable"
        there += await filled(journal, 1)
        news.set()
        await until(lambda: journal.queries.outbox_counts()["fhir"].delivered == len(there))
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running
        await forwarder.close()
    assert changes[0] == "unreachable"
    assert changes[-1] == "reachable"
    for one in there:
        await census.check_once(fhir_server.base_url, one)


async def test_the_real_server_stopped_and_started_again(
    journal: Journal, tmp_path_factory: pytest.TempPathFactory
) -> None:
    there = await filled(journal, 2)
    server, folder = FhirServer(), tmp_path_factory.mktemp("own-server")
    await asyncio.to_thread(server.start, folder)
    try:
        forwarder = made.forwarder(server.base_url)
        delivery = Delivery(outbox(journal), forwarder, asyncio.Event(), pace=QUICK)
        await delivery.drain()
        await asyncio.to_thread(server.stop)
        there += await filled(journal, 2)
        running = asyncio.create_task(delivery.drain())
        await until(lambda: delivery.reach.state == "unreachable")
        await asyncio.to_thread(server.start, folder)
        async with asyncio.timeout(DEADLINE_S):
            await running
        await forwarder.close()
        for one in there:
            await census.check_once(server.base_url, one)
    finally:
        await asyncio.to_thread(server.stop)


async def test_a_refused_one_is_parked_and_sent_again_when_a_person_says_so(
    journal: Journal, fhir_server: FhirServer
) -> None:
    there = await filled(journal, 4)
    odd = there[1]
    refusing = [True]

    async def picky(asked: Asked, forward: Pass) -> Reply | None:
        return Reply(422, "no such unit") if refusing[0] and asked.writes(odd.id) else None

    async with StandIn(fhir_server.base_url, picky) as front:
        forwarder = made.forwarder(front.url)
        delivery = Delivery(outbox(journal), forwarder, asyncio.Event(), pace=QUICK)
        await tried_out(delivery, journal)
        [parked] = journal.queries.deliveries("parked", 10)
        assert (parked.measurement, parked.attempts) == (odd.id, ATTEMPTS)
        assert parked.reason == "422 Unprocessable Entity: no such unit"
        assert journal.queries.outbox_counts()["fhir"].delivered == len(there) - 1
        refusing[0] = False
        assert await journal.run(lambda tx: tx.resend("fhir", odd.id))
        await delivery.drain()
        await forwarder.close()
    assert journal.queries.deliveries("parked", 10) == []
    for one in there:
        await census.check_once(fhir_server.base_url, one)


async def test_many_refused_ones_never_hide_a_good_one(journal: Journal) -> None:
    there = await filled(journal, 2 * BATCH)
    good = await filled(journal, 1)
    forwarder = Scripted(
        lambda item: Accepted({}) if item.measurement.id == good[0].id else Rejected("never")
    )
    await Delivery(outbox(journal), forwarder, asyncio.Event(), pace=Pace(1000.0, 1000.0)).drain()
    assert [found.measurement for found in journal.queries.deliveries("delivered", 10)] == [good[0].id]
    assert sorted(key for batch in forwarder.given for key in batch) == sorted(one.id for one in there + good)


async def test_unreachable_costs_no_measurement_its_tries(journal: Journal) -> None:
    await filled(journal, 1)
    away = [0]

    def answer(item: Outgoing) -> Outcome:
        away[0] += 1
        if away[0] <= 3 * ATTEMPTS:
            raise Unreachable("away")
        return Accepted({"there": "1"})

    await Delivery(outbox(journal), Scripted(answer), asyncio.Event(), pace=QUICK).drain()
    [found] = journal.queries.deliveries("delivered", 10)
    assert (found.attempts, found.receipt) == (0, {"there": "1"})


@pytest.mark.parametrize(
    ("headers", "least"),
    [
        ({"RateLimit": '"fhirInteractions";r=0;t=60'}, 60.0),
        ({"Retry-After": "7"}, 7.0),
        ({"Retry-After": "9999"}, 300.0),
    ],
)
async def test_a_throttling_server_is_given_the_time_it_asks_for(
    journal: Journal, fhir_server: FhirServer, headers: dict[str, str], least: float
) -> None:
    [one] = await filled(journal, 1)
    throttled: list[Asked] = []
    waits: list[float] = []

    async def throttle(asked: Asked, forward: Pass) -> Reply | None:
        if throttled:
            return None
        throttled.append(asked)
        return Reply(429, "too many", headers)

    async def noted(seconds: float) -> None:
        waits.append(seconds)

    async with StandIn(fhir_server.base_url, throttle) as front:
        forwarder = made.forwarder(front.url)
        delivery = Delivery(outbox(journal), forwarder, asyncio.Event(), pace=QUICK, sleep=noted)
        await delivery.drain()
        await forwarder.close()
    assert len(waits) == 1
    assert least <= waits[0] <= 300.0
    await census.check_once(fhir_server.base_url, one)


async def test_waits_grow_to_a_limit(journal: Journal) -> None:
    await filled(journal, 1)
    waits: list[float] = []

    def answer(item: Outgoing) -> Outcome:
        if len(waits) < 10:
            raise Unreachable("away")
        return Accepted({})

    async def noted(seconds: float) -> None:
        waits.append(seconds)

    news = asyncio.Event()
    await Delivery(outbox(journal), Scripted(answer), news, pace=Pace(1.0, 60.0), sleep=noted).drain()
    assert 1.0 <= waits[0] <= 2.0
    assert waits[4] >= 16.0
    assert max(waits) == waits[-1] == 60.0


async def test_how_long_the_other_side_has_been_away_is_known(journal: Journal) -> None:
    await filled(journal, 1)
    moments = [datetime(2026, 11, 21, tzinfo=UTC) + timedelta(minutes=minute) for minute in range(9)]
    answers: list[Outcome | Unreachable] = [Unreachable("a"), Unreachable("b"), Accepted({})]
    seen = []

    def answer(item: Outgoing) -> Outcome:
        found = answers.pop(0)
        if isinstance(found, Unreachable):
            raise found
        return found

    left = iter(moments)
    delivery = Delivery(
        outbox(journal),
        Scripted(answer),
        asyncio.Event(),
        pace=QUICK,
        now=lambda: next(left),
        changed=lambda: seen.append(delivery.reach),
    )
    assert (delivery.reach.state, delivery.reach.since) == ("unknown", None)
    await delivery.drain()
    assert [(reach.state, reach.since, reach.reason) for reach in seen] == [
        ("unreachable", moments[0], "a"),
        ("unreachable", moments[0], "b"),
        ("reachable", moments[1], ""),
    ]


async def test_a_correction_made_while_the_first_version_is_under_way_follows_it(
    journal: Journal, fhir_server: FhirServer
) -> None:
    [one] = await filled(journal, 1)
    corrected: list[Asked] = []

    async def meanwhile(asked: Asked, forward: Pass) -> None:
        if asked.writes(one.id) and not corrected:
            corrected.append(asked)
            await journal.run(correct)

    def correct(tx: Transaction) -> None:
        values = {**one.values, "systolic": Value("131", "mm[Hg]")}
        tx.append(Corrected(measurement=one.id, values=values, operator="doctor", reason="typing"))
        judged(tx, one.id, "corrected")

    async with StandIn(fhir_server.base_url, meanwhile) as front:
        forwarder = made.forwarder(front.url)
        await Delivery(outbox(journal), forwarder, asyncio.Event(), pace=QUICK).drain()
        await forwarder.close()
    [panel] = (await census.observations(fhir_server.base_url, one))["blood_pressure"]
    assert panel["status"] == "corrected"
    assert panel["component"][0]["valueQuantity"]["value"] == 131
    await census.check_once(fhir_server.base_url, one, one.version, one.version + 1)


async def test_a_withdrawal_reaches_the_centre(journal: Journal, fhir_server: FhirServer) -> None:
    [one] = await filled(journal, 1)
    forwarder = made.forwarder(fhir_server.base_url)
    delivery = Delivery(outbox(journal), forwarder, asyncio.Event(), pace=QUICK)
    await delivery.drain()
    gone = Voided(measurement=one.id, by="doctor", reason="another person", replaced_by=None)
    await journal.run(lambda tx: tx.append(gone))
    await delivery.drain()
    await forwarder.close()
    held = await census.observations(fhir_server.base_url, one)
    assert {found["status"] for copies in held.values() for found in copies} == {"entered-in-error"}


@pytest.mark.parametrize("when", ["before", "after"])
async def test_killed_at_any_request_nothing_is_lost_or_doubled(
    journal: Journal, fhir_server: FhirServer, when: str
) -> None:
    """The task is cancelled before, or after, the server has done the n-th request; then it starts anew."""
    there = await filled(journal, 1)
    while await cut_at(journal, fhir_server.base_url, len(there) - 1, when):
        there += await filled(journal, 1)
    assert len(there) > 3
    assert journal.queries.outbox_counts()["fhir"].delivered == len(there)
    for one in there:
        await census.check_once(fhir_server.base_url, one)


async def cut_at(journal: Journal, url: str, number: int, when: str) -> bool:
    """Cancel a delivery at its request *number*, deliver the rest; return whether it got that far."""
    seen: list[Asked] = []
    doomed: list[asyncio.Task[None]] = []

    async def cut(asked: Asked, forward: Pass) -> Reply | None:
        seen.append(asked)
        if len(seen) - 1 == number:
            if when == "after":
                await forward(asked)
            doomed[0].cancel()
            return Reply(0)
        return None

    async with StandIn(url, cut) as front:
        for rule in (cut, only_pass):
            front.rule = rule
            forwarder = made.forwarder(front.url)
            delivery = Delivery(outbox(journal), forwarder, asyncio.Event(), pace=QUICK)
            doomed[:] = [asyncio.create_task(delivery.drain())]
            with suppress(asyncio.CancelledError):
                await doomed[0]
            await forwarder.close()
    return len(seen) > number


async def test_cancelled_while_it_writes_down_what_came_of_it(
    journal: Journal, fhir_server: FhirServer
) -> None:
    [one] = await filled(journal, 1)

    class Cut(JournalOutbox):
        """The journal is told, but whoever told it is gone before it hears so."""

        async def record(self, settled: Sequence[tuple[Outgoing, Outcome]]) -> Sequence[int]:
            task = asyncio.current_task()
            assert task is not None
            task.cancel()
            return await super().record(settled)

    for kind in (Cut, JournalOutbox):
        forwarder = made.forwarder(fhir_server.base_url)
        waiting: Awaitable[None] = Delivery(kind(journal, "fhir", 3), forwarder, asyncio.Event()).drain()
        with suppress(asyncio.CancelledError):
            await asyncio.create_task(waiting)
        await forwarder.close()
    assert journal.queries.outbox_counts()["fhir"].delivered == 1
    await census.check_once(fhir_server.base_url, one)
