"""A simulated card reader and a machine beside the real service: the card opens, the reading binds."""

import asyncio
import re
from pathlib import Path
from typing import Any

import pytest

from gateway import messages
from tools.machines import Machine
from tools.stage import Stage

CARD = {"number": "999999185403120018", "name": "试一二", "address": "不存在省不存在县第〇号"}
OTHER = {"number": "999999189812010029", "name": "欧阳试三", "sex": "2"}
WRONG = CARD | {"number": "999999185403120010"}
PRESSURE = {"systolic": "128", "diastolic": "82", "pulse_rate": "66"}
pytestmark = pytest.mark.xdist_group("end-to-end")


@pytest.fixture
async def clinic(stage: Stage, tmp_path: Path) -> Stage:
    """A running gateway with a card reader and one machine."""
    stage.machines = {name: Machine(name, tmp_path / f"{name}.tty") for name in ("idcard_sam", "omron_hbp")}
    await stage.start_machines()
    await stage.start_gateway()
    return stage


async def open_exams(clinic: Stage) -> list[dict[str, Any]]:
    return list((await clinic.get("/v1/exams", open="true"))["exams"])


async def until_reader(clinic: Stage, **wanted: object) -> None:
    async def so() -> bool:
        rows = (await clinic.get("/v1/devices"))["devices"]
        reader = next(row for row in rows if row["name"] == "idcard-sam")
        return all(reader[key] == value for key, value in wanted.items())

    await clinic.until(so, f"the reader did not become {wanted}", 20)


async def news(clinic: Stage, topic: str) -> None:
    """Return once the page's stream tells *topic*."""
    async with clinic.http.stream("GET", "/events") as stream:
        async for line in stream.aiter_lines():
            if line == f"data: {topic}":
                return


async def test_a_card_opens_an_exam_and_what_is_measured_next_is_its_holder_s(clinic: Stage) -> None:
    reader, monitor = clinic.machines["idcard_sam"], clinic.machines["omron_hbp"]
    told = asyncio.create_task(news(clinic, "card"))
    await until_reader(clinic, condition="connected", code=None)
    shown = await reader.measure(CARD)
    await asyncio.wait_for(told, 20)
    [exam] = await open_exams(clinic)
    await until_reader(clinic, recognised=exam["id"])
    assert exam["operator"] == "card:idcard-sam"
    assert exam["resident"]["identifiers"] == [{"system": "cn-id", "value": shown["number"]}]
    assert (exam["resident"]["name"], exam["resident"]["birth_date"]) == (CARD["name"], "1854-03-12")
    page = (await clinic.http.get("/")).text
    assert "<h1>试*二</h1>" in page
    assert CARD["number"] not in page

    await monitor.measure(PRESSURE)

    async def bound() -> Any:
        rows = (await clinic.get(f"/v1/exams/{exam['id']}"))["measurements"]
        return [row for row in rows if row["status"] == "final"]

    [measured] = await clinic.until(bound, "the reading was not bound to the card's exam", 20)
    assert measured["values"]["systolic"]["value"] == "128"
    evidence = await clinic.get(f"/v1/measurements/{measured['id']}/evidence")
    assert CARD["number"].encode("utf-16-le").hex() not in str(evidence)


async def test_the_next_card_waits_for_nothing_and_the_first_comes_back_to_the_front(clinic: Stage) -> None:
    reader = clinic.machines["idcard_sam"]
    headings = []
    for card in (CARD, OTHER, CARD):
        await reader.measure(card)

        async def in_front(card: dict[str, str] = card) -> bool:
            page = (await clinic.http.get("/")).text
            return f"<h1>{card['name'][0]}*{card['name'][-1]}</h1>" in page

        headings.append(await clinic.until(in_front, "the page does not show whose card was read", 20))
    assert all(headings)
    assert len(await open_exams(clinic)) == 2


async def test_a_card_that_opens_nobody_says_why(clinic: Stage) -> None:
    reader = clinic.machines["idcard_sam"]
    reader.order({"measure": WRONG})
    await until_reader(clinic, code="id.check_digit")
    page = re.sub("<[^>]*>", "", (await clinic.http.get("/")).text)
    assert messages.text("id.check_digit", "zh-CN") in page
    reader.order({"fail": "taken_away"})
    reader.order({"measure": CARD})
    await until_reader(clinic, code="idcard_sam.taken_away")
    assert await open_exams(clinic) == []
    await reader.measure(OTHER)
    await until_reader(clinic, code=None)
    assert len(await open_exams(clinic)) == 1
    await clinic.stop_gateway()
    log = (clinic.home / "gateway.log").read_text(encoding="utf-8")
    kept = b"".join(path.read_bytes() for path in (clinic.home / "state").iterdir() if path.is_file())
    for secret in (WRONG["number"], CARD["address"]):
        assert secret not in log
        assert secret.encode() not in kept
        assert secret.encode("utf-16-le") not in kept
    assert OTHER["number"] not in log
