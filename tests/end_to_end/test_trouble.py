"""Kills, outages and lost answers: nothing acknowledged is lost, nothing is twice at the central record."""

import asyncio
import random
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.tcp_fault import Fault, TcpFault
from tools.agreement import agreement, observations
from tools.demo import delivered
from tools.people import Vitals, person
from tools.stage import Stage, free_port
from tools.visit import Visit, visit

pytestmark = pytest.mark.xdist_group("end-to-end")


async def everything(stage: Stage) -> dict[str, Any]:
    """Return every measurement's newest version by id, pulled page by page."""
    newest: dict[str, Any] = {}
    params: dict[str, str | int] = {"limit": 7}
    while True:
        page = await stage.get("/v1/measurements", **params)
        newest.update({row["id"]: row for row in page["measurements"]})
        if not page["more"]:
            return newest
        params["after"] = page["next"]


async def assert_exactly_once(stage: Stage) -> None:
    """Every final measurement is at the FHIR server, each of its Observations once, and nothing else is."""
    await stage.until(lambda: delivered(stage), "the outbox did not empty", 120)
    final = {key for key, row in (await everything(stage)).items() if row["status"] == "final"}
    remote = await observations(stage.fhir.base_url)
    assert {len(copies) for copies in remote.values()} <= {1}
    assert {identifier.rpartition(".")[0] for identifier in remote} == final


async def test_killed_at_any_moment(stage: Stage) -> None:
    """Kill -9 at random moments of running exams; whatever an API answer ever showed is still there."""
    chance = random.Random(7)
    await asyncio.gather(stage.start_machines(), stage.start_fhir())
    await stage.start_gateway()
    vitals = Vitals(7)
    acknowledged: dict[str, Any] = {}
    kills = 0
    for number in range(8):
        playing = asyncio.create_task(visit(stage, number, vitals))
        watching = asyncio.create_task(watch(stage, acknowledged))
        if number % 2 == 0:
            done, _ = await asyncio.wait({playing}, timeout=chance.uniform(0.05, 0.7))
            kills += not done
            await stage.kill_gateway()
            playing.cancel()
            await asyncio.gather(playing, return_exceptions=True)
            await asyncio.gather(*(restart(stage, name) for name in stage.machines))
            await stage.start_gateway()
            await close_open_exams(stage)
        else:
            await playing
        watching.cancel()
    assert kills >= 2
    held = await everything(stage)
    for key, row in acknowledged.items():
        assert held[key]["values"] == row["values"]
        assert held[key]["received"] == row["received"]
    await assert_exactly_once(stage)


async def watch(stage: Stage, acknowledged: dict[str, Any]) -> None:
    """Collect all the API ever shows of the open exams."""
    while True:
        try:
            acknowledged.update(await everything(stage))
        except (httpx2.HTTPError, KeyError):
            await asyncio.sleep(0.05)
        await asyncio.sleep(0.02)


async def restart(stage: Stage, name: str) -> None:
    """Switch a machine off and on, so that it forgets what it was asked to show."""
    await stage.machines[name].stop()
    await stage.machines[name].start()


async def close_open_exams(stage: Stage) -> None:
    for exam in (await stage.get("/v1/exams", open="true"))["exams"]:
        await stage.post(f"/v1/exams/{exam['id']}/close", {"operator": "test"})


async def test_no_central_server_at_first_then_one(stage: Stage) -> None:
    """The gateway starts, reads and stores with the server absent; all goes out once it is there."""
    await stage.start_machines()
    await stage.start_gateway()
    vitals = Vitals(3)
    visits: list[Visit] = [await visit(stage, number, vitals) for number in range(2)]
    outbox = await stage.get("/v1/outbox")
    assert outbox["forwarders"]["fhir"]["waiting"] == 7
    assert "○" in (await stage.http.get("/outbox")).text
    await stage.start_fhir()
    await assert_exactly_once(stage)
    assert (await agreement(stage, visits)).faults == []


async def test_server_stopped_for_a_whole_exam(stage: Stage) -> None:
    await asyncio.gather(stage.start_machines(), stage.start_fhir())
    await stage.start_gateway()
    vitals = Vitals(4)
    visits = [await visit(stage, 0, vitals)]
    await stage.until(lambda: delivered(stage), "the outbox did not empty", 60)
    await asyncio.to_thread(stage.fhir.stop)
    visits.append(await visit(stage, 1, vitals))
    assert (await stage.get("/v1/outbox"))["forwarders"]["fhir"]["waiting"] == 4
    await stage.start_fhir()
    await assert_exactly_once(stage)
    assert (await agreement(stage, visits)).faults == []


async def test_killed_while_the_central_server_is_away(stage: Stage) -> None:
    await stage.start_machines()
    await stage.start_gateway()
    await visit(stage, 0, Vitals(5))
    await stage.kill_gateway()
    await stage.start_gateway()
    assert (await stage.get("/v1/outbox"))["forwarders"]["fhir"]["waiting"] == 3
    await stage.start_fhir()
    await assert_exactly_once(stage)


async def test_an_answer_lost_after_the_server_committed(tmp_path: Path) -> None:
    """Three answers to POSTs are lost on the way back; the server did what it was asked."""
    lost = 0

    def choose(head: bytes) -> Fault:
        nonlocal lost
        if not head.startswith(b"POST") or lost == 3:
            return "pass"
        lost += 1
        return "lose_answer"

    port = free_port()
    async with TcpFault(port, choose) as fault, Stage(tmp_path, fhir_port=port) as stage:
        stage.fhir_url = f"http://127.0.0.1:{fault.port}/fhir"
        await asyncio.gather(stage.start_machines(), stage.start_fhir())
        await stage.start_gateway()
        vitals = Vitals(6)
        visits = [await visit(stage, number, vitals) for number in range(2)]
        await assert_exactly_once(stage)
        assert (await agreement(stage, visits)).faults == []
    assert lost == 3


async def test_given_to_another_person_after_it_was_sent(stage: Stage) -> None:
    """The copy that was sent becomes entered-in-error, the right person gets one of their own."""
    await asyncio.gather(stage.start_machines(), stage.start_fhir())
    await stage.start_gateway()
    wrong = (await visit(stage, 0, Vitals(8))).shown[0]
    await stage.until(lambda: delivered(stage), "the outbox did not empty", 60)
    someone = {"identifiers": [{"system": "cn-id", "value": person(1).cn_id}]}
    right = await stage.post("/v1/exams", {"resident": someone, "operator": "test"})
    moved = await stage.post(
        f"/v1/measurements/{wrong.measurement}/bind",
        {"exam": right["id"], "operator": "test", "reason": "the other one sat there"},
    )
    await stage.until(lambda: delivered(stage), "the outbox did not empty", 60)
    remote = await observations(stage.fhir.base_url)
    old = [one for name, copies in remote.items() if name.startswith(wrong.measurement) for one in copies]
    new = [one for name, copies in remote.items() if name.startswith(str(moved["id"])) for one in copies]
    assert {one["status"] for one in old} == {"entered-in-error"}
    assert {one["status"] for one in new} == {"final"}
    assert len(old) == len(new) > 0
    assert new[0]["subject"]["identifier"]["value"] == person(1).cn_id
