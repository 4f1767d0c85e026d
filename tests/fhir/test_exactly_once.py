"""Against the real server: exactly one copy of everything, whatever gets lost, races, limits or changes."""

import asyncio
import json
from decimal import Decimal
from pathlib import Path

import pytest

from gateway.forwarders import Accepted, Outcome, Rejected
from protocol.errors import Unreachable
from store.facts import Value
from store.residents import Identifier, Resident
from tests.fhir.census import check_once, devices, observations, provenances, resources
from tests.fhir.made import ADA, KINDS, SIZE, forwarder, fresh, measurement, outgoing, with_bmi
from tests.fhir.stand_in import Asked, Pass, Reply, StandIn
from tests.tcp_fault import Fault, TcpFault
from tools.fhir_server import FhirServer

pytestmark = pytest.mark.xdist_group("fhir")
STRICT_ENTRIES = 8


def all_accepted(outcomes: list[Outcome]) -> bool:
    return all(isinstance(outcome, Accepted) for outcome in outcomes)


async def only_pass(asked: Asked, forward: Pass) -> None:
    return None


def through(proxy: TcpFault) -> str:
    return f"http://127.0.0.1:{proxy.port}/fhir"


def port(server: FhirServer) -> int:
    return int(server.base_url.split(":")[2].split("/")[0])


async def test_every_kind_arrives_whole_and_is_not_sent_twice(fhir_server: FhirServer) -> None:
    there = [measurement(kind) for kind in KINDS] + [with_bmi()]
    async with StandIn(fhir_server.base_url, only_pass) as front:
        sender = forwarder(front.url)
        first = await sender.deliver([outgoing(one) for one in there])
        written = len(front.transactions)
        again = await sender.deliver([outgoing(one) for one in there])
        assert len(front.transactions) == written
        await sender.close()
    assert all_accepted(first)
    for one, before, after in zip(there, first, again, strict=True):
        assert isinstance(before, Accepted)
        assert isinstance(after, Accepted)
        assert {**before.receipt, **after.receipt} == before.receipt
        await check_once(fhir_server.base_url, one)


async def test_values_and_references_at_the_server(fhir_server: FhirServer) -> None:
    one = with_bmi()
    sender = forwarder(fhir_server.base_url)
    await sender.deliver([outgoing(one)])
    await sender.close()
    held = {part: copies[0] for part, copies in (await observations(fhir_server.base_url, one)).items()}
    assert {part: Decimal(str(found["valueQuantity"]["value"])) for part, found in held.items()} == {
        "body_height": Decimal("171.5"),
        "body_weight": Decimal("68.2"),
        "bmi": Decimal("23.2"),
    }
    assert [source["reference"] for source in held["bmi"]["derivedFrom"]] == [
        f"Observation/{held['body_height']['id']}",
        f"Observation/{held['body_weight']['id']}",
    ]
    assert held["bmi"]["subject"]["identifier"]["value"] == ADA.identifiers[0].value


async def test_a_bmi_points_to_a_height_that_came_in_an_earlier_bundle(fhir_server: FhirServer) -> None:
    height = measurement("body_size", values={"body_height": SIZE["body_height"]})
    key = fresh()
    weight = measurement(
        "body_size",
        id=key,
        values={"body_weight": SIZE["body_weight"]},
        derived={"bmi": Value("23.2", "kg/m2")},
        derived_from=[height.id, key],
    )
    sender = forwarder(fhir_server.base_url)
    [first] = await sender.deliver([outgoing(height)])
    await sender.deliver([outgoing(weight, sources=[height])])
    await sender.close()
    assert isinstance(first, Accepted)
    bmi = (await observations(fhir_server.base_url, weight))["bmi"][0]
    assert bmi["derivedFrom"][0]["reference"] == first.receipt["body_height"]


async def test_precision_is_on_the_wire(fhir_server: FhirServer) -> None:
    async with TcpFault(port(fhir_server)) as line:
        sender = forwarder(through(line))
        assert all_accepted(await sender.deliver([outgoing(measurement("glucose"))]))
        await sender.close()
        assert b'"value":5.60,' in line.sent


@pytest.mark.parametrize(("fault", "lost"), [("lose_answer", [1, 1]), ("lose_request", [1, 2])])
async def test_a_lost_line_leaves_one_copy_of_everything(
    fhir_server: FhirServer, fault: Fault, lost: list[int]
) -> None:
    """First the devices' transaction loses its line, then the observations'; between, all is forgotten."""
    gateway = fresh()
    there = [measurement("blood_pressure", serial=f"{gateway}-m"), with_bmi(serial=f"{gateway}-m")]
    posts = [0]

    def choose(head: bytes) -> Fault:
        posts[0] += head.startswith(b"POST")
        return fault if head.startswith(b"POST") and lost and posts[0] == lost[0] else "pass"

    async with TcpFault(port(fhir_server), choose) as line:
        while True:
            posts[0] = 0
            sender = forwarder(through(line), gateway=gateway)
            try:
                assert all_accepted(await sender.deliver([outgoing(one) for one in there]))
                break
            except Unreachable:
                lost.pop(0)
            finally:
                await sender.close()
    assert lost == []
    for one in there:
        await check_once(fhir_server.base_url, one)
    assert await devices(fhir_server.base_url, gateway) == [1, 1]


async def test_an_answer_slower_than_we_wait_leaves_one_copy_of_everything(fhir_server: FhirServer) -> None:
    """The first transaction reaches the server only when the second is already sent."""
    one = measurement("blood_pressure")
    told = forwarder(fhir_server.base_url)
    await told.deliver([outgoing(measurement("glucose"))])
    await told.close()
    held_back: list[Asked] = []

    async def late(asked: Asked, forward: Pass) -> Reply | None:
        if asked.writes(one.id):
            held_back.append(asked)
            if len(held_back) == 1:
                return Reply(0)
            await forward(held_back[0])
        return None

    async with StandIn(fhir_server.base_url, late) as front:
        sender = forwarder(front.url)
        with pytest.raises(Unreachable):
            await sender.deliver([outgoing(one)])
        assert all_accepted(await sender.deliver([outgoing(one)]))
        await sender.close()
    await check_once(fhir_server.base_url, one)


async def test_a_server_that_ignores_tags_still_gets_one_provenance(fhir_server: FhirServer) -> None:
    """It answers a search by tag with everything, and would take any Provenance for ours."""
    there = [measurement("blood_pressure"), measurement("glucose")]
    lost: list[Asked] = []

    async def lax(asked: Asked, forward: Pass) -> Reply | tuple[int, bytes] | None:
        if "_tag=" in asked.target:
            plain = asked.target.split("?")[0] + "?_count=1"
            return await forward(Asked("GET", plain, asked.headers, b""))
        assert b"_tag=" not in asked.body
        if asked.writes(there[0].id) and not lost:
            lost.append(asked)
            await forward(asked)
            return Reply(0)
        return None

    before = forwarder(fhir_server.base_url)
    await before.deliver([outgoing(measurement("glucose"))])
    await before.close()
    async with StandIn(fhir_server.base_url, lax) as front:
        for _ in range(3):
            sender = forwarder(front.url)
            try:
                assert all_accepted(await sender.deliver([outgoing(one) for one in there]))
            except Unreachable:
                assert lost
            await sender.close()
    for one in there:
        await check_once(fhir_server.base_url, one)


async def test_two_gateways_that_read_the_same_record_make_one_observation(fhir_server: FhirServer) -> None:
    one = measurement("glucose")
    senders = [forwarder(fhir_server.base_url, gateway=fresh()) for _ in range(2)]
    for sender in senders:
        assert all_accepted(await sender.deliver([outgoing(one)]))
        await sender.close()
    await check_once(fhir_server.base_url, one)


async def test_small_servers_get_small_bundles(fhir_server: FhirServer) -> None:
    there = [with_bmi() for _ in range(6)] + [measurement("body_composition") for _ in range(4)]

    async def strict(asked: Asked, forward: Pass) -> Reply | None:
        too_many = len(asked.entries) > STRICT_ENTRIES
        return Reply(400, "Transaction is too large") if too_many else None

    async with StandIn(fhir_server.base_url, strict) as front:
        sender = forwarder(front.url)
        assert all_accepted(await sender.deliver([outgoing(one) for one in there]))
        learnt = len(front.transactions)
        assert all_accepted(await sender.deliver([outgoing(with_bmi()) for _ in range(4)]))
        sizes = [len(asked.entries) for asked in front.transactions[learnt:]]
        await sender.close()
    assert max(sizes) <= STRICT_ENTRIES
    for one in there:
        await check_once(fhir_server.base_url, one)


async def test_one_poisoned_measurement_does_not_hold_up_the_others(fhir_server: FhirServer) -> None:
    there = [measurement("glucose") for _ in range(9)]

    async def picky(asked: Asked, forward: Pass) -> Reply | None:
        return Reply(422, "this one is odd") if asked.writes(there[4].id) else None

    async with StandIn(fhir_server.base_url, picky) as front:
        sender = forwarder(front.url)
        outcomes = await sender.deliver([outgoing(one) for one in there])
        await sender.close()
    assert outcomes[4] == Rejected("422 Unprocessable Entity: this one is odd")
    assert all_accepted(outcomes[:4] + outcomes[5:])
    assert await observations(fhir_server.base_url, there[4]) == {}


async def test_a_server_that_falls_over_one_item_is_not_taken_for_dead(fhir_server: FhirServer) -> None:
    there = [measurement("glucose") for _ in range(3)]

    async def brittle(asked: Asked, forward: Pass) -> Reply | None:
        return Reply(500, "oops") if asked.writes(there[0].id) else None

    async with StandIn(fhir_server.base_url, brittle) as front:
        sender = forwarder(front.url)
        outcomes = await sender.deliver([outgoing(one) for one in there])
        with pytest.raises(Unreachable):
            await sender.deliver([outgoing(there[0])])
        await sender.close()
    assert isinstance(outcomes[0], Rejected)
    assert all_accepted(outcomes[1:])


@pytest.mark.parametrize(
    "trouble", [(400, "Invalid reference (Not found)"), (409, "conflict"), (412, "precondition")]
)
async def test_a_refusal_that_passes_is_gone_with_the_next_try(
    fhir_server: FhirServer, trouble: tuple[int, str]
) -> None:
    there = [measurement("glucose") for _ in range(4)]
    seen: list[Asked] = []

    async def moody(asked: Asked, forward: Pass) -> Reply | None:
        if asked.method != "POST":
            return None
        seen.append(asked)
        return Reply(*trouble) if len(seen) == 2 else None

    async with StandIn(fhir_server.base_url, moody) as front:
        sender = forwarder(front.url, gateway=fresh())
        assert all_accepted(await sender.deliver([outgoing(one) for one in there]))
        await sender.close()
    for one in there:
        await check_once(fhir_server.base_url, one)


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


async def test_a_new_release_of_the_gateway_is_said_once(fhir_server: FhirServer) -> None:
    gateway = fresh()
    for _ in range(2):
        sender = forwarder(fhir_server.base_url, gateway=gateway)
        await sender.deliver([outgoing(measurement("glucose", serial=None))])
        await sender.close()
    [held] = await resources(
        fhir_server.base_url, "Device", identifier=f"urn:checkup-gateway:gateway|{gateway}"
    )
    assert (held["version"], held["meta"]["versionId"]) == ([{"value": "0.1.0"}], "1")


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
