"""One resident's exam on the stage, as a village doctor would do it, and what the machines showed."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tools.people import Person, Vitals, person
from tools.stage import OPERATOR, Stage

ARRIVE_S = 30.0


@dataclass
class Shown:
    """What one machine showed, and the measurement that came of it."""

    device: str
    values: Mapping[str, str]
    measurement: str = ""
    page: str = ""
    """The clinic page's text once the measurement was there."""


@dataclass
class Visit:
    """One exam: who, and everything the machines showed."""

    person: Person
    exam: str = ""
    shown: list[Shown] = field(default_factory=list)


async def visit(stage: Stage, number: int, vitals: Vitals) -> Visit:
    """Play exam *number*: open, measure at three or four machines and look at the page each time, close."""
    today = Visit(person(number))
    opened = await stage.post(
        "/v1/exams",
        {
            "resident": {
                "identifiers": [{"system": "cn-id", "value": today.person.cn_id}],
                "name": today.person.name,
            },
            "operator": OPERATOR,
        },
    )
    today.exam = str(opened["id"])
    await _measure(stage, today, "pm6750", vitals.blood_pressure())
    if number % 2:
        await _measure(stage, today, "omron_hbp", vitals.blood_pressure())
        await _measure(stage, today, "gtech_gl", vitals.height_and_weight())
    else:
        await _measure(stage, today, "scale_st_gs", vitals.weight())
    if "sig_blood_pressure" in stage.machines:
        await _measure(stage, today, "sig_blood_pressure", vitals.blood_pressure())
    await _measure(stage, today, "sinocare_sn", vitals.glucose())
    await stage.post(f"/v1/exams/{today.exam}/close", {"operator": OPERATOR})
    return today


async def _measure(stage: Stage, today: Visit, driver: str, values: Mapping[str, str]) -> None:
    """Let one machine measure, and wait until the gateway has it bound and verified."""
    device = driver.replace("_", "-")
    known = {row["id"] for row in await measurements(stage, today.exam)}
    async with asyncio.TaskGroup() as group:
        measuring = group.create_task(stage.machines[driver].measure(values))
        if driver == "pm6750":
            order = {"order": "start_blood_pressure", "arguments": {}, "operator": OPERATOR}
            await stage.post(f"/v1/devices/{device}/order", order)
    shown = Shown(device, measuring.result())

    async def arrived() -> Any:
        rows = await measurements(stage, today.exam)
        return [row for row in rows if row["id"] not in known and row["status"] == "final"]

    [row] = await stage.until(arrived, f"{device}: no final measurement came of {shown.values}", ARRIVE_S)
    shown.measurement = str(row["id"])
    shown.page = (await stage.http.get("/")).text
    today.shown.append(shown)


async def measurements(stage: Stage, exam: str) -> list[Mapping[str, Any]]:
    """Return the measurements of an exam as the pull API gives them."""
    return list((await stage.get(f"/v1/exams/{exam}"))["measurements"])
