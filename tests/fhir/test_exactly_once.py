"""Against the real server: exactly one copy of everything, whatever is lost, limited or refused."""

from decimal import Decimal

import pytest

from gateway.forwarders import Accepted, Rejected
from protocol.errors import Unreachable
from store.facts import Value
from tests.fhir.census import check_once, devices, observations
from tests.fhir.made import ADA, KINDS, SIZE, all_accepted, forwarder, fresh, measurement, outgoing, with_bmi
from tests.fhir.stand_in import Asked, Pass, Reply, StandIn, only_pass
from tests.tcp_fault import Fault, TcpFault
from tools.fhir_server import FhirServer

pytestmark = pytest.mark.xdist_group("fhir")
STRICT_ENTRIES = 8


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
