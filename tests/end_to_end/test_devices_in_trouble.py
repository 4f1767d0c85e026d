"""Pulled cables, garbage, silence: the text says what to do, the exam goes on, the device comes back."""

import asyncio
from typing import Any

import pytest

from gateway import messages
from tools.people import Vitals, person
from tools.stage import Stage
from tools.visit import visit

START = {"order": "start_blood_pressure", "arguments": {}, "operator": "test"}
pytestmark = pytest.mark.xdist_group("end-to-end")


def advice(code: str) -> str:
    """Return what the text of *code* tells a person to do now: its last sentence."""
    return messages.text(code, "zh-CN").rstrip("。").rpartition("。")[2]


async def device(stage: Stage, name: str) -> dict[str, Any]:
    rows = (await stage.get("/v1/devices"))["devices"]
    return next(row for row in rows if row["name"] == name)


async def until_device(stage: Stage, name: str, **wanted: object) -> None:
    async def so() -> bool:
        row = await device(stage, name)
        return all(row[key] == value for key, value in wanted.items())

    await stage.until(so, f"{name} did not become {wanted}: {await device(stage, name)}", 20)


async def open_exam(stage: Stage, number: int) -> str:
    someone = person(number)
    opened = await stage.post(
        "/v1/exams",
        {
            "resident": {"identifiers": [{"system": "cn-id", "value": someone.cn_id}], "name": someone.name},
            "operator": "test",
        },
    )
    return str(opened["id"])


async def test_a_cable_pulled_in_the_middle_of_a_line(stage: Stage) -> None:
    await stage.start_machines()
    await stage.start_gateway()
    omron = stage.machines["omron_hbp"]
    omron.order({"measure": dict(Vitals(1).blood_pressure()), "half": True})
    await until_device(stage, "omron-hbp", condition="lost")
    page = (await stage.http.get("/devices")).text
    assert advice("link.lost") in page or advice("link.unavailable") in page
    assert (await visit(stage, 0, Vitals(2))).shown  # the exam goes on at the other machines
    await omron.replug()
    await until_device(stage, "omron-hbp", condition="waiting")
    assert len((await visit(stage, 1, Vitals(3))).shown) == 4
    assert all(row["kind"] for row in (await stage.get("/v1/measurements"))["measurements"])


async def test_garbage_of_a_wrong_baud_rate(stage: Stage) -> None:
    await stage.start_machines()
    await stage.start_gateway()
    gtech = stage.machines["gtech_gl"]
    gtech.order({"wrong_baud": True})
    await gtech.measure(Vitals(9).height_and_weight())
    await until_device(stage, "gtech-gl", code="device.noise")
    assert advice("device.noise") in (await stage.http.get("/devices")).text
    gtech.order({"wrong_baud": False})
    assert len((await visit(stage, 1, Vitals(4))).shown) == 4
    await until_device(stage, "gtech-gl", code=None)


async def test_a_device_that_never_answers(stage: Stage) -> None:
    await stage.start_machines()
    await stage.start_gateway()
    pm6750 = stage.machines["pm6750"]
    pm6750.order({"silence": True})
    await open_exam(stage, 0)
    await stage.post("/v1/devices/pm6750/order", START)
    await until_device(stage, "pm6750", condition="silent")

    async def asked_again() -> bool:
        answer = await stage.http.post("/v1/devices/pm6750/order", json=START)
        return answer.is_success

    await stage.until(asked_again, "the board's port was not opened again", 20)
    await until_device(stage, "pm6750", condition="silent", code="device.no_answer")
    assert advice("device.no_answer") in (await stage.http.get("/devices")).text
    pm6750.order({"silence": False})
    measuring = asyncio.create_task(pm6750.measure(Vitals(6).blood_pressure()))

    async def measured() -> bool:
        await asked_again()
        return measuring.done()

    await stage.until(measured, "the board did not measure once it could hear again", 30)
    await until_device(stage, "pm6750", readings=1)


async def test_a_machine_set_to_another_format_says_what_to_set(stage: Stage) -> None:
    await stage.start_machines()
    await stage.start_gateway()
    stage.machines["omron_hbp"].order({"noise": b"MMBP203N\r2026.07.11\r120\r080\r072\r".hex()})
    await until_device(stage, "omron-hbp", code="omron_hbp.wrong_format")
    assert advice("omron_hbp.wrong_format") in (await stage.http.get("/devices")).text
    assert (await stage.get("/v1/measurements"))["measurements"] == []
    await visit(stage, 1, Vitals(5))
    await until_device(stage, "omron-hbp", code=None)


async def test_an_empty_meter_is_ready(stage: Stage) -> None:
    """What a device says in passing is no fault: the card waits for its value."""
    await stage.start_machines()
    await stage.start_gateway()
    await until_device(stage, "sinocare-sn", condition="connected", code=None)
    await open_exam(stage, 0)
    assert messages.text("sinocare_sn.memory_empty", "zh-CN") not in (await stage.http.get("/")).text
